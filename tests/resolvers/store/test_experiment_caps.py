"""Metrics capped at a quantile: the same as if every unit were looked at."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from random import Random
from typing import Any

import numpy as np
import pytest

from resolvers.analysis.experiment_cells import BY_SEGMENT
from resolvers.analysis.experiments import Measure, Tally, UnitMetric
from resolvers.analysis.members import Members
from resolvers.context import Context, Principal
from resolvers.store.experiment_caps import Among, capped
from resolvers.store.experiment_members import Cuts, cells_by_segment
from resolvers.store.experiment_sums import UnitRepository
from resolvers.store.experiment_unit_sql import Coded
from tests.factories import store
from tests.resolvers.store.experiment_logs import BUYS, WINDOW, made, scheme
from tests.resolvers.store.test_experiment_sums import begin, fold

METRIC = UnitMetric(Measure(Tally.SUM, BUYS, "amount"), WINDOW, cap_at=Decimal("0.75"), before=timedelta(hours=6))
SEGMENTS = [Members(np.array(codes, np.int32)) for codes in ((1, 2, 3, 5), (), (3, 4, 9))]
Sums = dict[tuple[int, int, int, bool], tuple[Decimal, ...]]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("phase", "once"), [(1, False), (None, True)])
async def test_sums_are_those_of_capped_values(
    context: Context, principal: Principal, seed: int, phase: int | None, once: bool
) -> None:
    random, of = Random(seed), scheme(1, metrics=(METRIC,))
    tenant_id = principal.tenant_id
    await begin(context, tenant_id, 1)
    log = [made(random, number) for number in range(120)]
    for part in (log[:70], log[70:]):
        await store(context, *part)
        async with context.services.database.snapshot(tenant_id) as session:
            units = UnitRepository(session, context.services.memory, tenant_id)
            reach, coded = await units.reach(of), await Coded.of(units.terms, tenant_id, of)
            cells = await units.cells(coded, reach, (0, 1, 2, 3))
            cells += await cells_by_segment(units, coded, reach, SEGMENTS)
            more, caps = await capped(units, coded, reach, cells, Among(phase, once), Cuts((0, 1, 2, 3), SEGMENTS))
            expected, cap = reckoned(await plain_units(session, coded, reach.version), phase, once)
        found: dict[Any, list[Decimal]] = defaultdict(lambda: [Decimal(0)] * 5)
        for cell in (*cells, *more):
            if cell.slot and cell.phase > 0 and phase in (None, cell.phase) and not (cell.multiple and once):
                held = found[cell.cut, cell.value, cell.variant]
                for place, name in enumerate(("x", "xx", "c", "cc", "xc")):
                    held[place] += getattr(cell, name)
        assert caps == ({0: cap} if cap is not None else {})
        assert {key: tuple(sums) for key, sums in found.items() if any(sums)} == expected
        await fold(context, tenant_id, of)


async def plain_units(session: Any, coded: Coded, through: int) -> Sequence[Any]:
    rows = await session.exec(coded.units(through, None))
    return rows.all()


def reckoned(units: Sequence[Any], phase: int | None, once: bool) -> tuple[dict[Any, Any], Decimal | None]:
    counted = [
        unit for unit in units if unit.phase > 0 and phase in (None, unit.phase) and not (unit.multiple and once)
    ]
    if not counted:
        return {}, None
    values = {name: [(getattr(unit, name) or [None])[0] or Decimal(0) for unit in counted] for name in "xc"}
    caps = {name: _quantile(of) for name, of in values.items()}
    cells: dict[Any, Any] = defaultdict(lambda: [Decimal(0)] * 5)
    for place, unit in enumerate(counted):
        x, c = (min(values[name][place], caps[name]) for name in "xc")
        segments = [(BY_SEGMENT, number) for number, one in enumerate(SEGMENTS) if unit.subject in one.codes]
        for cut in ((0, 0), (1, unit.day), *enumerate(unit.parts, 2), *segments):
            held = cells[(*cut, unit.variant)]
            for number, value in enumerate((x, x * x, c, c * c, x * c)):
                held[number] += value
    return {key: tuple(sums) for key, sums in cells.items() if any(sums)}, caps["x"]


def _quantile(values: Sequence[Decimal]) -> Decimal:
    exact = sorted(values)
    place = (len(values) - 1) * Decimal("0.75")
    low = int(place)
    high = min(low + 1, len(values) - 1)
    found = exact[low] + (place - low) * (exact[high] - exact[low])
    assert float(found) == pytest.approx(np.quantile([float(value) for value in values], 0.75))
    return found
