"""Time that an experiment is paused is no time that it has run."""

from datetime import timedelta

import pytest

from resolvers.analysis.experiment_answers import ExperimentAnswer
from resolvers.analysis.experiments import Step
from resolvers.analysis.periods import PeriodRequest
from resolvers.analysis.questions import Question
from resolvers.context import Context
from resolvers.experiment_changes import create_experiment, take_step, update_experiment
from resolvers.experiment_results import Asking, experiment_results
from tests.resolvers.test_experiment_upkeep import definition
from tests.resolvers.test_flags import Clock, clock, timed

__all__ = ["clock", "timed"]

DAY = timedelta(days=1)


async def results(context: Context, **asked: object) -> ExperimentAnswer:
    asking = Asking("button", **asked)  # type: ignore[arg-type]
    return await experiment_results(context, asking, Question(PeriodRequest(last="1h")))


async def test_a_pause_is_no_runtime(timed: Context, clock: Clock) -> None:  # the fixtures
    made = await create_experiment(timed, "button", definition())
    await take_step(timed, made.id, Step.START)
    clock.now += 3 * DAY
    await take_step(timed, made.id, Step.PAUSE)
    clock.now += 10 * DAY
    assert (await results(timed)).days == pytest.approx(3, abs=1e-3)
    await take_step(timed, made.id, Step.RESUME)
    clock.now += 2 * DAY
    found = await results(timed)
    assert found.days == pytest.approx(5, abs=1e-3)
    # A week was planned, and fifteen days went by.
    assert not found.planned_end_reached
    # It may get other weights while it is paused: the pause goes on in the new phase.
    await take_step(timed, made.id, Step.PAUSE)
    clock.now += DAY
    await update_experiment(timed, made.id, {"traffic": 5_000}, new_phase=True)
    clock.now += DAY
    await take_step(timed, made.id, Step.RESUME)
    clock.now += 4 * DAY
    assert [(await results(timed, phase=number)).days for number in (1, 2)] == pytest.approx([5, 4], abs=1e-3)
    assert (await results(timed, all_phases=True)).days == pytest.approx(9, abs=1e-3)
    await take_step(timed, made.id, Step.PAUSE)
    clock.now += DAY
    # Of what is over the end counts, though it lies before the pause.
    await take_step(timed, made.id, Step.COMPLETE, at=clock() - 3 * DAY)
    clock.now += DAY
    assert (await results(timed)).days == pytest.approx(2, abs=1e-3)
    assert (await results(timed, all_phases=True)).days == pytest.approx(7, abs=1e-3)
