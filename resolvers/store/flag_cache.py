"""Flags as a process remembers them: true of a version, and brought up to a later one by what has changed since."""

from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from resolvers.analysis.filters import in_segments
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
    segments: Mapping[tuple[str, str], frozenset[int]] = field(default_factory=dict)
    """Of which segments a flag, by environment and key, asks whether somebody is in them, itself or a prerequisite of
    it; without those that ask of none.
    """

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
            environments = frozenset({PRODUCTION, *names})
            held = FlagSet(version, flags, environments, _segments(flags, environments))
            # Somebody else may have brought them further meanwhile.
            if self._held.get(tenant_id, FlagSet()).version <= version:
                self._held[tenant_id] = held
        if tenant_id in self._held:
            self._held.move_to_end(tenant_id)
            if len(self._held) > _TENANTS:
                self._held.popitem(last=False)
        return held


def _segments(flags: Flags, environments: Collection[str]) -> dict[tuple[str, str], frozenset[int]]:
    found: dict[tuple[str, str], frozenset[int]] = {}

    def asked(name: str, key: str) -> frozenset[int]:
        environment = flags[key].environments.get(name)
        if environment is None:
            return frozenset()
        if (name, key) not in found:
            own = in_segments(*(rule.where for rule in environment.rules))
            of_others = [asked(name, one.flag) for one in environment.prerequisites]
            found[name, key] = frozenset(int(leaf.segment) for leaf in own).union(*of_others)
        return found[name, key]

    for name in environments:
        for key in flags:
            asked(name, key)
    return {place: segments for place, segments in found.items() if segments}
