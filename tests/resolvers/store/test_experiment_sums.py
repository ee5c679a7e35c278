"""Sums over the units of experiments: whatever came when, they are as the log says."""

import asyncio
from datetime import date
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from resolvers.analysis.experiment_cells import BY_DIMENSION
from resolvers.analysis.experiments import Scheme
from resolvers.context import Context, Principal
from resolvers.events import ingest
from resolvers.exchange_rates import set_exchange_rates
from resolvers.store.database import driver
from resolvers.store.experiment_checking import differing
from resolvers.store.experiment_sums import UnitRepository
from resolvers.store.experiment_unit_sql import Coded
from resolvers.store.terms import TERMS
from tests.factories import store
from tests.resolvers.store.experiment_logs import HOUR, START, in_dollars, made, reckoned, scheme

CUTS = (0, 1, 2, 3)


async def begin(context: Context, tenant_id: int, experiment_id: int) -> None:
    async with context.services.database.tenant(tenant_id) as session:
        await UnitRepository(session, context.services.memory, tenant_id).begin(experiment_id)


async def fold(context: Context, tenant_id: int, of: Scheme, batch: int = 1_000) -> int:
    async with context.services.database.tenant(tenant_id) as session:
        count, _ = await UnitRepository(session, context.services.memory, tenant_id).fold(of, batch=batch)
        return count


async def asked(context: Context, tenant_id: int, of: Scheme) -> dict[Any, Any]:
    """What is answered, dimension values as texts."""
    async with context.services.database.snapshot(tenant_id) as session:
        units = UnitRepository(session, context.services.memory, tenant_id)
        cells = await units.cells(await Coded.of(units.terms, tenant_id, of), await units.reach(of), CUTS)
        names = await units.terms.values(tenant_id, TERMS, [cell.value for cell in cells if cell.cut >= BY_DIMENSION])
    found = {}
    for cell in cells:
        value: Any = names.get(cell.value) if cell.cut >= BY_DIMENSION else cell.value
        sums = (cell.n, cell.x, cell.y, cell.c, cell.xx, cell.yy, cell.cc, cell.xy, cell.xc)
        if any(sums):
            found[(cell.phase, cell.cut, value, cell.variant, cell.multiple, cell.slot)] = sums
    return found


@pytest.mark.parametrize("seed", range(12))
async def test_what_is_kept_and_its_tail_are_what_the_log_says(
    context: Context, principal: Principal, seed: int
) -> None:
    random = Random(seed)
    of, log = scheme(seed + 1), []
    await begin(context, principal.tenant_id, of.experiment_id)
    for number in range(0, 160, 20):
        events = [made(random, number + place) for place in range(20)]
        await store(context, *events)
        log += events
        # Sent again, they are what they were.
        await ingest(context, random.sample(log, 3))
        if random.random() < 0.7:
            await fold(context, principal.tenant_id, of, random.choice([7, 1_000]))
        assert await asked(context, principal.tenant_id, of) == reckoned(of, log)
    await fold(context, principal.tenant_id, of)
    assert await fold(context, principal.tenant_id, of) == 0
    assert await asked(context, principal.tenant_id, of) == reckoned(of, log)


@pytest.mark.parametrize("seed", range(6))
async def test_money_of_another_currency_is_what_its_day_s_rate_makes_of_it(
    context: Context, principal: Principal, seed: int
) -> None:
    random = Random(seed)
    of, log, euro = scheme(seed + 1), [], dict[date, Decimal]()
    await begin(context, principal.tenant_id, of.experiment_id)
    # None, then of the second of the log's days alone, of both, and another one; one that is too old says nothing.
    stated = [
        {},
        {date(2026, 3, 2): "0.8"},
        {date(2026, 2, 27): "1.25", date(2026, 2, 1): "9"},
        {date(2026, 3, 2): "3"},
    ]
    for number in range(0, 160, 20):
        events = [made(random, number + place) for place in range(20)]
        for one in events:
            if one["kind"] == "CONVERSION":
                one["currency"] = random.choice(["USD", "EUR", "EUR", "GBP"])
        await store(context, *events)
        log += events
        if number % 40 == 0:
            rates = stated[number // 40]
            euro |= {day: Decimal(rate) for day, rate in rates.items()}
            given = [{"date": f"{day}", "base": "EUR", "currency": "USD", "rate": rate} for day, rate in rates.items()]
            if given:
                await set_exchange_rates(context, given)
        assert await asked(context, principal.tenant_id, of) == reckoned(of, in_dollars(log, euro))
        if random.random() < 0.7:
            await fold(context, principal.tenant_id, of, random.choice([7, 1_000]))
        assert await asked(context, principal.tenant_id, of) == reckoned(of, in_dollars(log, euro))
    assert reckoned(of, log) != reckoned(of, in_dollars(log, euro))


@pytest.mark.parametrize("seed", range(4))
async def test_another_phase_and_the_end_part_what_is_kept(context: Context, principal: Principal, seed: int) -> None:
    random = Random(seed)
    of, log = scheme(1, starts=(START,), end=None), [made(random, number) for number in range(80)]
    await begin(context, principal.tenant_id, 1)
    await store(context, *log[:60])
    await fold(context, principal.tenant_id, of)
    await store(context, *log[60:])
    for since, changes in ((5 * HOUR, {"starts": (START, START + 5 * HOUR)}), (9 * HOUR, {"end": START + 9 * HOUR})):
        of = scheme(1, **({"starts": of.starts, "end": None} | changes))
        async with context.services.database.tenant(principal.tenant_id) as session:
            await UnitRepository(session, context.services.memory, principal.tenant_id).parted(of, START + since)
        assert await asked(context, principal.tenant_id, of) == reckoned(of, log)


async def test_by_another_scheme_everything_is_reckoned_anew(context: Context, principal: Principal) -> None:
    random = Random(1)
    log = [made(random, number) for number in range(80)]
    await begin(context, principal.tenant_id, 1)
    await store(context, *log)
    await fold(context, principal.tenant_id, scheme(1))
    other = scheme(1, metrics=scheme(1).metrics[:2], breakdowns=("plan",))
    assert await asked(context, principal.tenant_id, other) == reckoned(other, log)
    assert await fold(context, principal.tenant_id, other)
    assert await asked(context, principal.tenant_id, other) == reckoned(other, log)


async def test_what_is_kept_can_be_proven(context: Context, principal: Principal) -> None:
    random, of = Random(2), scheme(1)
    await begin(context, principal.tenant_id, 1)
    await store(context, *(made(random, number) for number in range(80)))
    assert await checked(context, principal.tenant_id, of) == (0, 0)
    units = await fold(context, principal.tenant_id, of)
    await store(context, made(random, 80))
    assert await checked(context, principal.tenant_id, of) == (units, 0)
    async with context.services.database.tenant(principal.tenant_id) as session:
        connection = await driver(session)
        await connection.execute("UPDATE experiment_unit SET x[2] = x[2] + 1 WHERE x[2] IS NOT NULL")
        await connection.execute("DELETE FROM experiment_statistics WHERE cut = 1 AND slot = 0")
    found = await checked(context, principal.tenant_id, of)
    assert found[0] == units
    assert found[1] > 2


async def checked(context: Context, tenant_id: int, of: Scheme) -> tuple[int, int]:
    async with context.services.database.snapshot(tenant_id) as session:
        return await differing(session, context.services.memory, tenant_id, of)


async def test_a_fold_that_is_killed_leaves_what_was(
    context: Context, principal: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    random, of = Random(3), scheme(1)
    log = [made(random, number) for number in range(60)]
    await begin(context, principal.tenant_id, 1)
    await store(context, *log[:30])
    await fold(context, principal.tenant_id, of)
    await store(context, *log[30:])

    class Killed(Exception):
        pass

    with monkeypatch.context() as patched:
        original = UnitRepository._take

        async def killed(self: UnitRepository, *arguments: Any) -> int:
            await original(self, *arguments)
            raise Killed

        patched.setattr(UnitRepository, "_take", killed)
        with pytest.raises(Killed):
            await fold(context, principal.tenant_id, of)
    assert (await checked(context, principal.tenant_id, of))[1] == 0
    assert await asked(context, principal.tenant_id, of) == reckoned(of, log)
    await asyncio.gather(*(fold(context, principal.tenant_id, of) for _ in range(3)))
    assert (await checked(context, principal.tenant_id, of))[1] == 0
    assert await asked(context, principal.tenant_id, of) == reckoned(of, log)
