"""Flags as a process remembers them: true of a version, and brought up to a later one by what has changed since."""

from collections import OrderedDict
from dataclasses import dataclass, field

from resolvers.analysis.flags import PRODUCTION, Flag, Flags
from resolvers.store.database import Database
from resolvers.store.flags import FlagRepository, flag_of
from resolvers.store.versions import FLAGS, VersionReader

_TENANTS = 1_000


@dataclass(frozen=True, slots=True)
class FlagSet:
    """The flags of a tenant as of a version of them."""

    version: int = 0
    flags: Flags = field(default_factory=dict)
    """By key, in the order of the keys."""
    environments: frozenset[str] = frozenset({PRODUCTION})
    """Every environment that some flag is set up in."""

    def named(self, key: str) -> Flag | None:
        """The flag of that key, archived or not."""
        return self.flags.get(key)


class FlagCache:
    """The flags of tenants; of very many, those that were asked for last."""

    def __init__(self) -> None:
        self._held: OrderedDict[int, FlagSet] = OrderedDict()

    async def of(self, database: Database, versions: VersionReader, tenant_id: int) -> FlagSet:
        """A tenant's flags as of now: every change that was acknowledged, by any process, is in them.

        Raises Unavailable, Overloaded or TimedOut where the database does not do its part.
        """
        held = self._held.get(tenant_id, FlagSet())
        (present,) = await versions.of(tenant_id, (FLAGS,))
        if present > held.version:
            # Both are of one moment, or a change between them would be missed.
            async with database.snapshot(tenant_id) as session:
                version, rows = await FlagRepository(session, tenant_id).since(held.version)
            changed = {row.key: flag_of(row) for row in rows}
            flags = dict(sorted({**held.flags, **changed}.items()))
            names = {name for flag in flags.values() if flag.archived_at is None for name in flag.environments}
            held = FlagSet(version, flags, frozenset({PRODUCTION, *names}))
            # Somebody else may have brought them further meanwhile.
            if self._held.get(tenant_id, FlagSet()).version <= version:
                self._held[tenant_id] = held
        if tenant_id in self._held:
            self._held.move_to_end(tenant_id)
            if len(self._held) > _TENANTS:
                self._held.popitem(last=False)
        return held
