"""Ledgers say what the log says: folded or not, late, damaged, made before there were any, or made anew."""

from dataclasses import fields
from datetime import date, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import numpy as np
import pytest

from resolvers import upkeep
from resolvers.analysis.explanations import Source
from resolvers.analysis.filters import Filter, MeasureIs, Op
from resolvers.analysis.ledgers import LEDGERS, MEASURED, Entries, Ledger
from resolvers.analysis.measures import Measures
from resolvers.analysis.periods import Period, epoch_us
from resolvers.context import Context, Principal
from resolvers.store.folding import FoldingFigures, fold
from resolvers.store.ledgers import LedgerQuestion, LedgerReading, LedgerRepository
from resolvers.store.segment_cache import SegmentCache, decoded
from resolvers.store.segment_codec import pack_ledger, pack_measures, seal
from resolvers.store.segments import SegmentRepository, month_bounds
from resolvers.store.upkeep import fold_due
from tests.factories import event, store
from tests.resolvers.store.journey_logs import ALL_TIME, START, condition, execute, made, manifest, take

MONTHS = (date(2026, 1, 1), date(2026, 2, 1), date(2026, 3, 1))
AMOUNTS = ("0", "19.99", "0.000000000001", "1000000000000", "999999999999.999999999999", "8999999.5", "9000000.25")


def moved(random: Random, number: int) -> dict[str, Any]:
    """An event of few people at few moments, most of them with money."""
    found = made(random, number)
    amount = {"amount": random.choice(AMOUNTS), "currency": random.choice(["USD", "EUR", "JPY"])}
    if random.random() < 0.2:
        return found
    found = {key: found[key] for key in ("id", "occurredAt", "dimensions") if key in found}
    found |= {"subject": random.choice(["ann", "bob", "cleo", "dan"])}
    match random.choice(["sale", "call", "subscription"]):
        case "sale":
            found |= {"kind": "CONVERSION", "name": random.choice(["buy", "refund"])}
            found |= random.choice([amount, {}]) | random.choice([{"orderId": random.choice("xyz")}, {}])
        case "call":
            cost = {"cost": amount["amount"], "currency": amount["currency"]}
            said = {"durationMs": random.randrange(1, 999) / 10, "score": random.random(), "inputTokens": 70}
            found |= {"kind": "AI_INTERACTION"} | random.choice([cost, {}]) | random.choice([said, {}])
            found |= random.choice([{"success": True}, {"success": False}, {}])
            found["dimensions"] = found.get("dimensions", {}) | {"provider": "p", "model": random.choice("mn")}
        case _:
            name = random.choice(["started", "changed", "ended"])
            found |= {"kind": "SUBSCRIPTION", "name": name, "subscription": random.choice("st")}
            if name != "ended":
                found |= amount | {"interval": random.choice(["DAY", "MONTH", "YEAR"])}
    return event(**found)


def question(random: Random, tenant_id: int, ledger: str, measured: bool) -> LedgerQuestion:
    start = START + timedelta(hours=random.randrange(-800, 800))
    period = random.choice([ALL_TIME, Period(start, start + timedelta(hours=random.randrange(1, 900)))])
    by = tuple(random.sample(["channel", "persona", "plan", "model"], random.randrange(3)))
    steps = tuple(condition(random) for _ in range(random.randrange(3)))
    return LedgerQuestion(tenant_id, ledger, period, condition(random), steps, by, measured)


async def read(context: Context, asked: LedgerQuestion, cache: SegmentCache) -> LedgerReading:
    async with context.services.database.tenant(asked.tenant_id) as session:
        return await LedgerRepository(session, context.services.memory, cache).read(asked)


def same(one: Entries, other: Entries) -> bool:
    orders = [np.lexsort((found.at, found.subject)) for found in (one, other)]
    pairs = ((getattr(one, of.name), getattr(other, of.name)) for of in fields(Entries))
    return all(np.array_equal(mine[..., orders[0]], others[..., orders[1]], equal_nan=True) for mine, others in pairs)


async def agree(context: Context, principal: Principal, plain: Principal, random: Random, cache: SegmentCache) -> None:
    """Questions to the folded log and to the one that never is have the same answers."""
    for ledger in LEDGERS:
        for place in range(4):
            seed, measured = random.random(), ledger == MEASURED and place < 2
            mine, others = [
                await read(context, question(Random(seed), of.tenant_id, ledger, measured), cache)
                for of in (principal, plain)
            ]
            assert others.explain.source is Source.LOG
            assert same(mine.entries, others.entries), (ledger, seed)


async def keep_up(context: Context, cache: SegmentCache, plain: Principal) -> None:
    """Upkeep of all tenants; but one is to be as if it had none."""
    await fold_due(context.services.database, cache, FoldingFigures(), events=10**9, age=timedelta(days=1))
    await execute(context, plain.tenant_id, "DELETE FROM journey_segment")
    await execute(context, plain.tenant_id, "DELETE FROM journey_state")


async def faults(context: Context, tenant_id: int) -> str:
    found = [month async for month in upkeep.verify_journeys(context.services.database, tenant_id, MONTHS)]
    return "; ".join(fault for month in found for fault in month.faults)


@pytest.fixture
async def folded(context: Context, principal: Principal, plain: Principal) -> Random:
    """A log of months with several runs, and events that are not folded yet; ``plain`` has the same, never folded."""
    random, number = Random(11), 0
    for count in (200, 60, 9):
        await take(context, plain, [moved(random, number + place) for place in range(count)])
        await fold(context.services.database, principal.tenant_id)
        number += count
    await take(context, plain, [moved(random, number + place) for place in range(20)])
    return random


async def test_ledgers_and_what_came_since_are_the_log(
    context: Context, principal: Principal, plain: Principal, folded: Random
) -> None:
    cache = SegmentCache()
    await agree(context, principal, plain, folded, cache)
    everything = await read(context, LedgerQuestion(principal.tenant_id, "sales", ALL_TIME), cache)
    assert everything.explain.source is Source.JOURNEYS
    assert 0 < everything.explain.tail < everything.entries.size
    assert cache.size
    assert not await faults(context, principal.tenant_id)


async def test_what_columns_do_not_hold_is_asked_of_the_log(
    context: Context, principal: Principal, plain: Principal, folded: Random
) -> None:
    large: Filter = MeasureIs("amount", Op.GT, Decimal(20))
    for tenant in (principal, plain):
        found = await read(context, LedgerQuestion(tenant.tenant_id, "sales", ALL_TIME, large), SegmentCache())
        assert found.explain.source is Source.LOG
        assert found.entries.size
        assert (found.entries.whole >= 20).all()


@pytest.mark.parametrize("lacking", [(*LEDGERS, "measures"), ("measures",)])
async def test_runs_from_before_there_were_ledgers_are_completed(
    context: Context, principal: Principal, plain: Principal, folded: Random, lacking: tuple[str, ...]
) -> None:
    nothing = ", ".join(f"{name} = NULL" for name in lacking)
    await execute(context, principal.tenant_id, f"UPDATE journey_segment SET {nothing} WHERE month > '2026-01-01'")
    cache = SegmentCache()
    await agree(context, principal, plain, folded, cache)
    # What is merged with a run that has none has none either.
    await take(context, plain, [moved(folded, 1_000 + place) for place in range(70)])
    await fold(context.services.database, principal.tenant_id)
    await agree(context, principal, plain, folded, cache)
    assert not await faults(context, principal.tenant_id)
    await keep_up(context, cache, plain)
    async with context.services.database.tenant(principal.tenant_id) as session:
        assert not await SegmentRepository(session).incomplete(principal.tenant_id)
    await agree(context, principal, plain, folded, cache)
    for ledger in LEDGERS:
        asked = LedgerQuestion(principal.tenant_id, ledger, ALL_TIME, measured=ledger == MEASURED)
        found = await read(context, asked, cache)
        assert (found.explain.source, found.explain.tail) == (Source.JOURNEYS, 0)
    assert not await faults(context, principal.tenant_id)


@pytest.mark.parametrize("ledger", [*LEDGERS, "measures"])
async def test_damage_is_passed_over_found_and_mended(
    context: Context, principal: Principal, plain: Principal, folded: Random, ledger: str
) -> None:
    damage = f"UPDATE journey_segment SET {ledger} = set_byte({ledger}, 40, 255 - get_byte({ledger}, 40))"
    await execute(context, principal.tenant_id, f"{damage} WHERE month = '2026-01-01'")
    assert f"is damaged: {ledger}" in await faults(context, principal.tenant_id)
    cache = SegmentCache()
    await agree(context, principal, plain, folded, cache)
    assert cache.lost == {principal.tenant_id}
    await keep_up(context, cache, plain)
    assert not await faults(context, principal.tenant_id)
    await agree(context, principal, plain, folded, cache)


@pytest.mark.parametrize("ledger", LEDGERS)
@pytest.mark.parametrize("missing", [False, True])
async def test_what_is_sealed_but_wrong_is_found_and_made_anew(
    context: Context, principal: Principal, plain: Principal, folded: Random, ledger: str, missing: bool
) -> None:
    run = (await manifest(context, principal.tenant_id)).runs[0]
    async with context.services.database.tenant(principal.tenant_id) as session:
        sealed = await SegmentRepository(session).sealed(principal.tenant_id, run, [ledger])
    assert sealed is not None
    held = decoded(sealed[ledger], ledger, run, principal.tenant_id)
    assert isinstance(held, Ledger)
    rows, entries = held.row.codes, held.entries()
    if missing:
        rows, entries = rows[1:], entries.chosen(np.arange(1, entries.size))
    else:
        entries.fraction[0] = 7 - entries.fraction[0] % 7
    wrong = Ledger.of(rows, entries, epoch_us(month_bounds(run.month)[0]))
    body = seal(pack_ledger(wrong), run.place(principal.tenant_id, ledger))
    await execute(
        context,
        principal.tenant_id,
        f"UPDATE journey_segment SET {ledger} = $1 WHERE (month, after) = ($2, $3)",
        body,
        run.month,
        run.after,
    )
    said = f"{rows.size} {ledger}, the log {held.row.size}" if missing else f"other {ledger} for 1 of its"
    assert said in await faults(context, principal.tenant_id)
    assert [month async for month in upkeep.rebuild_journeys(context.services.database, principal.tenant_id, MONTHS)]
    assert not await faults(context, principal.tenant_id)
    await agree(context, principal, plain, folded, SegmentCache())


@pytest.mark.parametrize("missing", [False, True])
async def test_measures_that_are_sealed_but_wrong_are_found_and_made_anew(
    context: Context, principal: Principal, plain: Principal, folded: Random, missing: bool
) -> None:
    run = (await manifest(context, principal.tenant_id)).runs[0]
    async with context.services.database.tenant(principal.tenant_id) as session:
        sealed = await SegmentRepository(session).sealed(principal.tenant_id, run, ["measures"])
    assert sealed is not None
    held = decoded(sealed["measures"], "measures", run, principal.tenant_id)
    assert isinstance(held, Measures)
    said = held.values()
    if missing:
        wrong = said[:, 1:]
    else:
        wrong = said.copy()
        # One that nobody had stated, of the call that comes last.
        wrong[:, -1] = np.where(np.isnan(said[:, -1]), 1, np.nan)
    body = seal(pack_measures(Measures.of(wrong)), run.place(principal.tenant_id, "measures"))
    statement = "UPDATE journey_segment SET measures = $1 WHERE (month, after) = ($2, $3)"
    await execute(context, principal.tenant_id, statement, body, run.month, run.after)
    told = f"measures of {held.size - 1} calls, the log of {held.size}" if missing else "other measures for 1 of its"
    assert told in await faults(context, principal.tenant_id)
    assert [month async for month in upkeep.rebuild_journeys(context.services.database, principal.tenant_id, MONTHS)]
    assert not await faults(context, principal.tenant_id)
    await agree(context, principal, plain, folded, SegmentCache())


async def test_a_month_without_such_events_has_an_empty_ledger(context: Context, principal: Principal) -> None:
    await store(context, event(id="one"))
    await fold(context.services.database, principal.tenant_id)
    for ledger in LEDGERS:
        found = await read(context, LedgerQuestion(principal.tenant_id, ledger, ALL_TIME), SegmentCache())
        assert (found.entries.size, found.explain.source) == (0, Source.JOURNEYS)
    assert not await faults(context, principal.tenant_id)


async def test_another_tenant_s_ledger_is_not_read(
    context: Context, principal: Principal, plain: Principal, folded: Random
) -> None:
    await execute(context, plain.tenant_id, "DELETE FROM journey_segment")
    found = await read(context, LedgerQuestion(principal.tenant_id, "sales", ALL_TIME), SegmentCache())
    assert found.explain.source is Source.JOURNEYS
