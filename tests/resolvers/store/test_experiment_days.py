"""Sums by day of first exposure: who came when, and what those up to a day did."""

from random import Random
from typing import Any

import pytest

from resolvers.analysis.experiment_cells import BY_DAY, Cell
from resolvers.context import Context, Principal
from resolvers.store.experiment_days import cells_through, units_by_day
from resolvers.store.experiment_sums import UnitRepository
from resolvers.store.experiment_unit_sql import Coded
from tests.factories import store
from tests.resolvers.store.experiment_logs import made, reckoned, scheme
from tests.resolvers.store.test_experiment_sums import begin, fold


def summed(cells: list[Cell]) -> dict[Any, Any]:
    found = {
        (cell.phase, cell.value, cell.variant, cell.multiple, cell.slot): (
            (cell.n, cell.x, cell.y, cell.c, cell.xx, cell.yy, cell.cc, cell.xy, cell.xc)
        )
        for cell in cells
        if cell.cut == BY_DAY
    }
    assert len(found) == len(cells)
    return {key: sums for key, sums in found.items() if any(sums)}


@pytest.mark.parametrize("seed", range(6))
async def test_days_and_what_they_add_up_to_are_those_of_the_log(
    context: Context, principal: Principal, seed: int
) -> None:
    random, of = Random(seed), scheme(seed + 1)
    tenant_id, log = principal.tenant_id, []
    await begin(context, tenant_id, of.experiment_id)
    for number in range(0, 160, 40):
        events = [made(random, number + place) for place in range(40)]
        await store(context, *events)
        log += events
        if random.random() < 0.6:
            await fold(context, tenant_id, of, random.choice([7, 1_000]))
        by_day = {key: sums for key, sums in reckoned(of, log).items() if key[1] == BY_DAY}
        days = sorted({key[2] for key in by_day})
        async with context.services.database.snapshot(tenant_id) as session:
            units = UnitRepository(session, context.services.memory, tenant_id)
            reach, coded = await units.reach(of), await Coded.of(units.terms, tenant_id, of)
            came = summed(await units_by_day(units, coded, reach))
            assert came == {(key[0], *key[2:]): sums for key, sums in by_day.items() if key[-1] == 0}
            for day in (*days, days[0] - 1, days[-1] + 1):
                expected: dict[Any, Any] = {}
                for (phase, _, value, *rest), sums in by_day.items():
                    if value <= day:
                        held = expected.get((phase, 0, *rest), (0,) * len(sums))
                        expected[phase, 0, *rest] = tuple(a + b for a, b in zip(held, sums, strict=True))
                through = summed(await cells_through(units, coded, reach, day))
                assert through == {key: sums for key, sums in expected.items() if any(sums)}
