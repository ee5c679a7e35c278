"""What it takes to say who gets what: of an experiment of one phase nothing but a look at the versions."""

import asyncio
from typing import Any

import pytest

from resolvers.analysis.experiment_assignment import AssignmentReason
from resolvers.analysis.experiments import Step
from resolvers.context import Context, Principal
from resolvers.experiment_assignment import assignment, assignments
from resolvers.experiment_changes import take_step
from resolvers.store.database import Database
from tests.resolvers.test_experiment_upkeep import started


async def test_an_assignment_of_one_phase_takes_no_unit_of_work(
    context: Context, principal: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await started(context)
    first = await assignment(context, "button", "ann")

    def none(*_: Any, **__: Any) -> Any:
        pytest.fail("The database was asked for more than versions.")

    with monkeypatch.context() as patched:
        for name in ("tenant", "snapshot", "shared"):
            patched.setattr(Database, name, none)
        looks = context.services.versions.looks
        assert await assignment(context, "button", "ann") == first
        assert context.services.versions.looks == looks + 1
        # Those who ask at once look together: one is under way, the next is everybody else's.
        found = await asyncio.gather(*(assignment(context, "button", f"s{number}") for number in range(100)))
        assert context.services.versions.looks <= looks + 3
        assert await assignments(context, "button", [f"s{number}" for number in range(100)]) == tuple(found)
    # What is changed by anybody shows at once.
    await take_step(context, made.id, Step.PAUSE)
    assert (await assignment(context, "button", "ann")).reason is AssignmentReason.NOT_RUNNING
