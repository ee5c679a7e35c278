"""Sums over the units in segments: those of a log that is about nobody else."""

from random import Random
from typing import Any

import numpy as np
import pytest

from resolvers.analysis.experiment_cells import ALL, BY_SEGMENT
from resolvers.analysis.members import Members
from resolvers.context import Context, Principal
from resolvers.store.experiment_members import cells_by_segment
from resolvers.store.experiment_sums import UnitRepository
from resolvers.store.experiment_unit_sql import Coded
from resolvers.store.terms import SUBJECTS
from tests.factories import store
from tests.resolvers.store.experiment_logs import made, reckoned, scheme
from tests.resolvers.store.test_experiment_sums import begin, fold

PEOPLE = "abcdefgh"


@pytest.mark.parametrize("seed", range(8))
async def test_sums_by_segment_are_those_of_the_events_of_its_members(
    context: Context, principal: Principal, seed: int
) -> None:
    random, of = Random(seed), scheme(seed + 1)
    tenant_id, log = principal.tenant_id, []
    await begin(context, tenant_id, of.experiment_id)
    groups = [set(random.sample(PEOPLE, random.randrange(9))) for _ in range(9)] + [set()]
    for number in range(0, 120, 30):
        events = [made(random, number + place) for place in range(30)]
        await store(context, *events)
        log += events
        async with context.services.database.snapshot(tenant_id) as session:
            units = UnitRepository(session, context.services.memory, tenant_id)
            codes = await units.terms.codes(tenant_id, SUBJECTS, set(PEOPLE))
            members = [
                # Somebody who was in no experiment, and came later than anybody.
                Members(np.array([*sorted(codes[one] for one in group if one in codes), 100], np.int32))
                for group in groups
            ]
            cells = await cells_by_segment(
                units, await Coded.of(units.terms, tenant_id, of), await units.reach(of), members
            )
        expected: dict[Any, Any] = {}
        for place, group in enumerate(groups):
            own = reckoned(of, [one for one in log if one["subject"] in group])
            for (phase, cut, _, *rest), sums in own.items():
                if cut == ALL and phase > 0:
                    expected[(phase, BY_SEGMENT, place, *rest)] = sums
        found = {
            (cell.phase, cell.cut, cell.value, cell.variant, cell.multiple, cell.slot): (
                (cell.n, cell.x, cell.y, cell.c, cell.xx, cell.yy, cell.cc, cell.xy, cell.xc)
            )
            for cell in cells
        }
        assert {key: sums for key, sums in found.items() if any(sums)} == expected
        if random.random() < 0.7:
            await fold(context, tenant_id, of, random.choice([7, 1_000]))
