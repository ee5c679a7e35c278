"""Feature flags as they are kept, and what was done to them."""

from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from resolvers.actors import Actor
from resolvers.analysis.flag_staleness import Staleness, staleness
from resolvers.analysis.flags import PRODUCTION, Flag
from resolvers.answers import patiently
from resolvers.context import Context, Role
from resolvers.errors import BadInput, NotFound
from resolvers.paging import page_size, page_start
from resolvers.store.flag_cache import FlagSet
from resolvers.store.flag_tallies import KEPT, FlagTallyRepository, Given
from resolvers.store.flags import FlagChangeRow, FlagRepository
from resolvers.store.keys import ApiKeyRow
from resolvers.store.versions import FLAGS

STALE_AFTER = timedelta(days=30)
_STREAMED = 500


class FlagAction(Enum):
    """What can be done to a flag."""

    CREATE = "create"
    UPDATE = "update"
    CONFIGURE = "configure"
    TOGGLE = "toggle"
    ARCHIVE = "archive"
    RESTORE = "restore"
    SCHEDULE = "schedule"
    RAMP_STEP = "ramp_step"
    RAMP_PAUSE = "ramp_pause"
    RAMP_RESUME = "ramp_resume"
    RAMP_ROLL_BACK = "ramp_roll_back"
    RAMP_RESTART = "ramp_restart"


@dataclass(frozen=True, slots=True)
class FlagChange:
    """Something done to a flag: when, by which key, why, and what it changed, from what to what."""

    version: int
    """Of all the tenant's flags: it grows by one with each change."""
    flag: str
    action: FlagAction
    at: datetime
    by: Actor | None
    """None: the gateway did it by itself."""
    environment: str | None
    reason: str | None
    before: Mapping[str, Any] | None
    """What it changed as it was before, by name; None where the flag was made."""
    after: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class FlagPage:
    """A page of flags by key; ``cursors[i]`` leads to what follows ``flags[i]``."""

    flags: tuple[Flag, ...]
    cursors: tuple[str, ...]
    has_next: bool


@dataclass(frozen=True, slots=True)
class ChangePage:
    """A page of changes, newest first; ``cursors[i]`` leads to what follows ``changes[i]``."""

    changes: tuple[FlagChange, ...]
    cursors: tuple[str, ...]
    has_next: bool


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which flags are listed; None: whatever it is."""

    tag: str | None = None
    environment: str | None = None
    stale: bool | None = None
    stale_after: timedelta = STALE_AFTER
    archived: bool = False


async def known(context: Context, role: Role | None = Role.VIEWER) -> FlagSet:
    """All flags of the caller's tenant as of now; raises Forbidden."""
    principal, services = context.require(role), context.services
    return await services.flags.of(services.database, services.versions, principal.tenant_id)


async def flag(context: Context, key: str) -> Flag | None:
    """The flag of that key, archived or not."""
    return (await known(context)).named(key)


async def flags_by_key(context: Context, keys: Sequence[str]) -> dict[str, Flag]:
    """Those of the keys that the caller's tenant has."""
    held = (await known(context)).flags
    return {key: held[key] for key in keys if key in held}


async def flags(context: Context, wanted: Wanted, *, first: int = 50, after: str | None = None) -> FlagPage:
    """A page of the tenant's flags."""
    page_size(first)
    _check_after(wanted.stale_after, "staleAfter")
    held = await known(context)
    last = {} if wanted.stale is None else await last_evaluated(context)
    now = context.services.now()

    def might_go(one: Flag) -> bool:
        return bool(_stale(one, last, now, wanted.environment, wanted.stale_after))

    def shown(one: Flag) -> bool:
        return (
            (one.archived_at is not None) is wanted.archived
            and (wanted.tag is None or wanted.tag in one.tags)
            and (wanted.environment is None or wanted.environment in one.environments)
            and (wanted.stale is None or might_go(one) is wanted.stale)
        )

    following = [one for key, one in held.flags.items() if (after is None or key > after) and shown(one)]
    page = tuple(following[:first])
    return FlagPage(page, tuple(one.key for one in page), len(following) > first)


async def stale(context: Context, of: Flag, after: timedelta = STALE_AFTER) -> tuple[Staleness, ...]:
    """Why a flag might go, environment by environment."""
    _check_after(after, "after")
    return _stale(of, await last_evaluated(context), context.services.now(), None, after)


def _stale(
    of: Flag,
    last: Mapping[tuple[int, str], datetime],
    now: datetime,
    environment: str | None,
    after: timedelta,
) -> tuple[Staleness, ...]:
    wanted = [one for name, one in of.environments.items() if environment in (None, name)]
    found = [staleness(of, one, last.get((of.id, one.name)), now, after) for one in wanted]
    return tuple(one for one in found if one is not None)


async def last_evaluated(context: Context) -> dict[tuple[int, str], datetime]:
    """When each flag, by its id, was last evaluated by the gateway in each environment; not what was years ago."""
    principal = context.require(Role.VIEWER)
    since = (context.services.now() - KEPT).date()

    async def last() -> dict[tuple[int, str], datetime]:
        async with context.services.database.tenant(principal.tenant_id) as session:
            return await FlagTallyRepository(session, principal.tenant_id).last(since)

    return await context.together("flags last evaluated", last)


async def given(context: Context, of: Flag, days: int) -> tuple[Given, ...]:
    """How often the gateway gave each variation of a flag in the last days (UTC), today included."""
    principal = context.require(Role.VIEWER)
    if not 1 <= days <= 366:
        raise BadInput("days must be 1 to 366.", field="days")
    since = (context.services.now() - timedelta(days=days - 1)).date()

    async def all_given() -> dict[int, list[Given]]:
        async with context.services.database.tenant(principal.tenant_id) as session:
            return await FlagTallyRepository(session, principal.tenant_id).given(since)

    # For a list of flags it is asked once.
    return tuple((await context.together(("flags given", since), all_given)).get(of.id, ()))


async def flag_changes(
    context: Context, *, key: str | None = None, first: int = 50, after: str | None = None
) -> ChangePage:
    """A page of what was done to all flags, or to one; raises NotFound."""
    principal = context.require(Role.VIEWER)
    place = page_start(first, after, digits=18)
    flag_id = None if key is None else named(await known(context), key).id
    async with context.services.database.tenant(principal.tenant_id) as session:
        found = await FlagRepository(session, principal.tenant_id).changes(
            flag_id=flag_id, before=place, limit=first + 1
        )
    shown = tuple(_change(*row) for row in found[:first])
    return ChangePage(shown, tuple(str(one.version) for one in shown), len(found) > first)


async def changes_by_version(context: Context, versions: Collection[int]) -> dict[int, FlagChange]:
    """Those of the changes that the caller's tenant has."""
    principal = context.require(Role.VIEWER)
    async with context.services.database.tenant(principal.tenant_id) as session:
        repository = FlagRepository(session, principal.tenant_id)
        found = await repository.changes(versions=versions, limit=len(versions))
    return {row.version: _change(row, key, flag_key) for row, key, flag_key in found}


async def changes_stream(
    context: Context, *, key: str | None = None, since: int | None = None
) -> AsyncGenerator[tuple[FlagChange, ...]]:
    """The changes committed after a version, or from now on, oldest first, none left out and none twice."""
    principal, services = context.require(Role.VIEWER), context.services
    with services.bus.listen(principal.tenant_id) as mailbox:
        position = (await known(context)).version if since is None else since
        while True:

            async def following(after: int = position) -> Sequence[tuple[FlagChangeRow, ApiKeyRow | None, str]]:
                async with services.database.tenant(principal.tenant_id) as session:
                    repository = FlagRepository(session, principal.tenant_id)
                    return await repository.changes(after=after, limit=_STREAMED)

            found = await patiently(context, following)
            if found:
                position = found[-1][0].version
                told = tuple(_change(*row) for row in found if key is None or row[2] == key)
                if told:
                    yield told
            if len(found) < _STREAMED:
                await mailbox.wait(frozenset({FLAGS}))


def named(of: FlagSet, key: str, field: str = "key") -> Flag:
    """The flag of that key; raises NotFound."""
    found = of.named(key)
    if found is None:
        raise NotFound("There is no flag with this key; createFlag makes one.", field=field)
    return found


def known_environment(of: FlagSet, environment: str) -> str:
    """The environment itself; raises BadInput where no flag is set up in it."""
    if environment not in of.environments:
        names = ", ".join(sorted(of.environments, key=lambda name: (name != PRODUCTION, name)))
        raise BadInput(f"There is no environment {environment[:100]}; known: {names}.", field="environment")
    return environment


def _check_after(after: timedelta, field: str) -> None:
    if not timedelta(minutes=1) <= after <= timedelta(days=366):
        raise BadInput(f"{field} must be 1m to 366d.", field=field)


def _change(row: FlagChangeRow, key: ApiKeyRow | None, flag_key: str) -> FlagChange:
    return FlagChange(
        version=row.version,
        flag=flag_key,
        action=FlagAction(row.action),
        at=row.at,
        by=Actor.of(key),
        environment=row.environment,
        reason=row.reason,
        before=row.before,
        after=row.after,
    )
