"""Folding presence: taking what is new in the log into the sets of its days, in the background."""

import asyncio
from collections.abc import Mapping
from datetime import datetime

import structlog

from resolvers.analysis.presence import DaySets, Member, by_day
from resolvers.store.database import Database, driver, take_time
from resolvers.store.presence import PresenceRepository, Sealed, number_of
from resolvers.store.segment_codec import Damaged

log = structlog.get_logger(__name__)


async def fold_presence(database: Database, tenant_id: int, *, batch: int) -> int:
    """Bring a tenant's presence up to its log and mend what is lost; return how far it reached before.

    Each batch is a transaction of its own. Does nothing where another process is at it. Raises GatewayError where the
    database is away; the batches done until then stay.
    """
    async with database.tenant(tenant_id) as session:
        folded_to = (await PresenceRepository(await driver(session), tenant_id).state()).folded_to
    while await _fold_batch(database, tenant_id, batch):
        pass
    return folded_to


async def _fold_batch(database: Database, tenant_id: int, batch: int) -> bool:
    """Fold one batch; return whether more are left."""
    async with database.tenant(tenant_id) as session:
        await take_time(session)
        presence = PresenceRepository(await driver(session), tenant_id)
        folded_to = await presence.hold()
        if folded_to is None:
            return False
        for day in await presence.lost():
            await remake(presence, day, folded_to)
        version = (await presence.state()).version
        through = min(version, folded_to + batch)
        if through > folded_to:
            await presence.number_orders(folded_to, through)
            seen = await presence.seen(folded_to, through)
            for member, day, sets in await asyncio.to_thread(lambda: list(by_day(seen))):
                await _take(presence, member, day, sets, through)
            await presence.advance(through)
        return through < version


async def _take(presence: PresenceRepository, member: Member, day: int, sets: DaySets, through: int) -> None:
    """Take new sets of a day into those it has; all of it is made anew where these are damaged."""
    for sealed in await presence.sealed([(member, day)]):
        try:
            sets = (await asyncio.to_thread(sealed.opened)).merged(sets)
        except Damaged as damage:
            log.warning("presence.damaged", place=str(damage))
            await remake(presence, day, through)
            return
    await presence.keep(member, day, sets)


async def remake(presence: PresenceRepository, day: int, through: int) -> int:
    """Make the rows of a day anew from the log up to a position; return how many there are."""
    made = await _logged(presence, day, through)
    await presence.drop(day)
    for member, sets in made.items():
        await presence.keep(member, day, sets)
    return len(made)


async def _logged(presence: PresenceRepository, day: int, through: int) -> Mapping[Member, DaySets]:
    """What the rows of a day are by the log."""
    seen = await presence.seen_on(day, through)
    made = await asyncio.to_thread(lambda: list(by_day(seen)))
    return {member: sets for member, _, sets in made}


async def rebuild_presence(database: Database, tenant_id: int, day: datetime, through: int) -> int:
    """Make the rows of a day anew if they may hold events up to a position; return how many there are.

    Folding waits for it. Where nothing had been folded, ``through`` being 0, what there is was just made.
    """
    async with database.tenant(tenant_id) as session:
        await take_time(session, statement_seconds=0)
        presence = PresenceRepository(await driver(session), tenant_id)
        if not through:
            return len(await presence.leaves(list(Member), number_of(day), number_of(day)))
        return await remake(presence, number_of(day), await presence.hold(wait=True) or 0)


async def verify_presence(database: Database, tenant_id: int, day: datetime) -> tuple[int, int]:
    """How many rows a day has by the log or by what is kept, and how many are not as the log says; holds up nobody."""
    async with database.snapshot(tenant_id) as session:
        await take_time(session, statement_seconds=0)
        presence = PresenceRepository(await driver(session), tenant_id)
        folded_to = (await presence.state()).folded_to
        made = await _logged(presence, number_of(day), folded_to)
        rows = {row.leaf.member: row for row in await presence.sealed([(one, number_of(day)) for one in Member])}
        members = made.keys() | rows.keys()
        right = [member for member in members if await _holds(rows.get(member), made.get(member))]
        return len(members), len(members) - len(right)


async def _holds(row: Sealed | None, sets: DaySets | None) -> bool:
    if row is None or sets is None:
        return False
    try:
        return (await asyncio.to_thread(row.opened)).equals(sets)
    except Damaged:
        return False
