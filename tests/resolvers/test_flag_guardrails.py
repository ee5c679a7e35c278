"""Guardrails on metrics: how slow and how often in error what a flag turned on may be."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from resolvers.analysis.flags import Bound, GuardAction, RampState
from resolvers.context import Context
from resolvers.flag_changes import EnvironmentDraft, FlagDraft, create_flag, set_flag_environment
from resolvers.flag_upkeep import attend_due
from resolvers.flags import flag_changes, known
from tests.factories import store
from tests.resolvers.test_flags import HOUR, Clock, calls, clock, guardrail, ramp, timed

__all__ = ["clock", "timed"]


@pytest.mark.parametrize(
    ("metric", "bound", "limit", "said"),
    [
        ("ai_latency_p95", Bound.ABOVE, "800", "ai_latency_p95 is 900"),
        ("ai_success_rate", Bound.BELOW, "0.99", "ai_success_rate is 0.9 "),
    ],
)
async def test_a_ramp_stops_where_it_is_too_slow_or_fails_too_often(
    timed: Context,  # the fixture
    clock: Clock,
    metric: str,
    bound: Bound,
    limit: str,
    said: str,
) -> None:
    await create_flag(timed, FlagDraft("f"))
    guard = guardrail(GuardAction.ROLL_BACK, compared=False)
    guard = replace(guard, metric=metric, bound=bound, limit=Decimal(limit))
    await set_flag_environment(timed, "f", EnvironmentDraft(on=True, rules=(ramp(clock, guard),)))
    clock.now += HOUR
    within = [one | {"durationMs": 300} for one in calls("on", 30, 0, clock() - HOUR / 3)]
    # What the others have, be it as bad as it may, stops nothing.
    others = [one | {"durationMs": 5_000} for one in calls("off", 0, 30, clock() - HOUR / 3)]
    await store(timed, *within, *others)
    await attend_due(timed.services)
    assert await state(timed) is RampState.RUNNING
    beyond = [one | {"durationMs": 900} for one in calls("on", 24, 6, clock() - HOUR / 4)]
    await store(timed, *beyond)
    clock.now += timedelta(minutes=1)
    await attend_due(timed.services)
    assert await state(timed) is RampState.ROLLED_BACK
    (last,) = (await flag_changes(timed, first=1)).changes
    assert (last.reason or "").startswith(f"Guardrail: {said}")


async def state(context: Context) -> RampState:
    found = (await known(context)).flags["f"].environments["production"].rules[0].ramp
    assert found is not None
    return found.state
