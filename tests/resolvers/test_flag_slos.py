"""A ramp that an SLO watches, from its start to what stops it, and after."""

from datetime import timedelta
from typing import Any

import pytest

from resolvers.analysis.flag_guards import GuardState
from resolvers.analysis.flags import GuardAction, Ramp, RampState, SloGuardrail
from resolvers.analysis.slos import Severity
from resolvers.context import Context, Role
from resolvers.flag_changes import (
    EnvironmentDraft,
    FlagDraft,
    RampMove,
    create_flag,
    set_flag_environment,
    steer_ramp,
)
from resolvers.flag_upkeep import attend_due, verdict_of
from resolvers.flags import FlagAction, flag_changes, known
from resolvers.store.slos import SloRepository
from tests.factories import store
from tests.resolvers.slo_logs import calls, slo
from tests.resolvers.test_flags import HOUR, Clock, actions, clock, ramp, timed, variation

__all__ = ["clock", "timed"]

MINUTE = timedelta(minutes=1)


async def set_up(context: Context, clock: Clock, action: GuardAction, severity: Severity) -> SloGuardrail:
    guard = SloGuardrail("calls", severity, action)
    await slo(context, objective="0.95", minimum_events=20, title="Answers")
    await create_flag(context, FlagDraft("f"))
    await set_flag_environment(context, "f", EnvironmentDraft(on=True, rules=(ramp(clock, guard),)))
    return guard


async def ramp_of(context: Context) -> Ramp:
    found = (await known(context)).flags["f"].environments["production"].rules[0].ramp
    assert found is not None
    return found


async def later(context: Context, clock: Clock, by: timedelta, *sent: dict[str, Any]) -> RampState:
    """Some time passes, and upkeep looks."""
    if sent:
        await store(context, *sent)
    clock.now += by
    await attend_due(context.services)
    return (await ramp_of(context)).state


@pytest.mark.parametrize("action", list(GuardAction))
async def test_an_slo_that_burns_stops_a_ramp_and_nothing_resumes_by_itself(
    timed: Context, clock: Clock, action: GuardAction
) -> None:
    guard = await set_up(timed, clock, action, Severity.PAGE)
    stopped = RampState.PAUSED if action is GuardAction.PAUSE else RampState.ROLLED_BACK
    # Too few to tell, be they good or bad: the ramp takes its first steps.
    assert await later(timed, clock, HOUR, *calls(clock() + HOUR / 2, 10, 0)) is RampState.RUNNING
    assert await later(timed, clock, MINUTE, *calls(clock(), 0, 9)) is RampState.RUNNING
    assert (await verdict_of(timed, guard, await ramp_of(timed), clock())).state is GuardState.TOO_FEW
    assert await later(timed, clock, MINUTE, *calls(clock(), 0, 30)) is stopped
    (last,) = (await flag_changes(timed, first=1)).changes
    assert last.action is (FlagAction.RAMP_PAUSE if action is GuardAction.PAUSE else FlagAction.RAMP_ROLL_BACK)
    assert (last.by, last.environment) == (None, "production")
    assert (last.reason or "").startswith(
        "Guardrail: SLO calls is PAGE: Answers: the error budget burns 15.9× within 1h (39 of 49 bad) and 20× within 5m"
    )
    assert await variation(timed, "s1") in ({"on", "off"} if action is GuardAction.PAUSE else {"off"})
    # It recovers, and the ramp stays as it is until somebody says otherwise.
    done = len(await actions(timed))
    for _ in range(3):
        assert await later(timed, clock, 3 * HOUR, *calls(clock() + 2 * HOUR, 500, 0)) is stopped
    assert (await verdict_of(timed, guard, await ramp_of(timed), clock())).state is GuardState.QUIET
    assert len(await actions(timed)) == done
    move = RampMove.RESUME if action is GuardAction.PAUSE else RampMove.RESTART
    await steer_ramp(timed, "f", "production", 0, move, "It is well again.")
    assert await later(timed, clock, MINUTE) is RampState.RUNNING


async def test_a_ticket_is_enough_where_the_guardrail_says_so(timed: Context, clock: Clock) -> None:
    guard = await set_up(timed, clock, GuardAction.PAUSE, Severity.TICKET)
    # Three in twenty: it burns at three times the rate, which is no page.
    broken = [one for minutes in range(1, 120, 5) for one in calls(clock() + HOUR - minutes * MINUTE, 17, 3)]
    assert await later(timed, clock, HOUR, *broken) is RampState.PAUSED
    (last,) = (await flag_changes(timed, first=1)).changes
    assert (last.reason or "").startswith(
        "Guardrail: SLO calls is TICKET: Answers: the error budget burns 3× within 1d"
    )
    patient = SloGuardrail("calls", Severity.PAGE, GuardAction.PAUSE)
    for one, state in ((guard, GuardState.FIRING), (patient, GuardState.QUIET)):
        assert (await verdict_of(timed, one, await ramp_of(timed), clock())).state is state


async def test_an_slo_that_is_there_no_more_stops_nothing(timed: Context, clock: Clock) -> None:
    guard = await set_up(timed, clock, GuardAction.ROLL_BACK, Severity.PAGE)
    tenant_id = timed.require(Role.ADMIN).tenant_id
    # As if it had been deleted at the moment at which the ramp was made.
    async with timed.services.database.tenant(tenant_id) as session:
        repository = SloRepository(session, tenant_id)
        await repository.remove((await repository.all())[0])
    assert await later(timed, clock, HOUR, *calls(clock(), 0, 100)) is RampState.RUNNING
    verdict = await verdict_of(timed, guard, await ramp_of(timed), clock())
    assert (verdict.state, verdict.message) == (GuardState.TOO_FEW, "SLO calls: there is no such SLO any more")
