"""Folding presence: taking what is new in the log into the sets of its days, in the background."""

import asyncio
from collections.abc import Mapping

import structlog

from resolvers.analysis.presence import DaySets, Member, by_day
from resolvers.store.database import Database, driver
from resolvers.store.presence import Leaf, PresenceRepository
from resolvers.store.segment_codec import Damaged

_SECONDS = 60
"""What a statement of upkeep, or the work between two of them, may take."""

log = structlog.get_logger(__name__)


async def fold_presence(database: Database, tenant_id: int, *, batch: int) -> None:
    """Bring a tenant's presence up to its log and mend what is lost; each batch is a transaction of its own.

    Does nothing where another process is at it. Raises GatewayError where the database is away.
    """
    while await _fold_batch(database, tenant_id, batch):
        pass


async def _fold_batch(database: Database, tenant_id: int, batch: int) -> bool:
    """Fold one batch; return whether more are left."""
    async with database.tenant(tenant_id) as session:
        connection = await driver(session)
        for setting in ("statement_timeout", "idle_in_transaction_session_timeout"):
            await connection.execute("SELECT set_config($1, $2, true)", setting, f"{_SECONDS}s")
        presence = PresenceRepository(connection, tenant_id)
        folded_to = await presence.hold()
        if folded_to is None:
            return False
        for day in await presence.lost():
            await remake(presence, day, folded_to)
        _, version = await presence.state()
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
    await presence.keep(Leaf(member, day, through), sets)


async def remake(presence: PresenceRepository, day: int, through: int) -> int:
    """Make the rows of a day anew from the log up to a position; return how many there are."""
    made = await logged(presence, day, through)
    await presence.drop(day)
    for member, sets in made.items():
        await presence.keep(Leaf(member, day, through), sets)
    return len(made)


async def logged(presence: PresenceRepository, day: int, through: int) -> Mapping[Member, DaySets]:
    """What the rows of a day are by the log."""
    seen = await presence.seen_on(day, through)
    made = await asyncio.to_thread(lambda: list(by_day(seen)))
    return {member: sets for member, _, sets in made}


async def verified(presence: PresenceRepository, day: int) -> tuple[int, int]:
    """How many rows a day has by the log or by what is kept, and how many are not as the log says.

    The state must be held.
    """
    folded_to, _ = await presence.state()
    made = await logged(presence, day, folded_to)
    rows = await presence.sealed([(member, day) for member in Member])
    kept = {}
    for sealed in rows:
        try:
            kept[sealed.leaf.member] = await asyncio.to_thread(sealed.opened)
        except Damaged as damage:
            log.warning("presence.damaged", place=str(damage))
    members = {*made, *(sealed.leaf.member for sealed in rows)}
    right = [member for member in members if member in made and member in kept and made[member].equals(kept[member])]
    return len(members), len(members) - len(right)
