"""What time makes of a flag, and what guardrails say: functions of what they are given alone."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given

from resolvers.analysis import flag_times
from resolvers.analysis.filters import EVERYTHING, SubjectIs
from resolvers.analysis.flag_guards import GuardState, Reading, judge
from resolvers.analysis.flag_staleness import StaleReason, served, staleness
from resolvers.analysis.flags import (
    Bound,
    FlagEnvironment,
    GuardAction,
    Guardrail,
    Prerequisite,
    Ramp,
    RampState,
    RampStep,
    Rule,
    ScheduledStep,
    always,
)
from tests.flag_worlds import NOON, environment, environments, flag, moments, ramps

HOUR = timedelta(hours=1)
STEPS = RampStep(100, HOUR), RampStep(500, 2 * HOUR), RampStep(10_000, HOUR)


def test_a_ramp_goes_on_at_its_instants() -> None:
    ramp = Ramp(NOON, STEPS)
    moment = timedelta(microseconds=1)
    shares = {-moment: 0, 0 * HOUR: 100, HOUR - moment: 100, HOUR: 500, 3 * HOUR - moment: 500, 3 * HOUR: 10_000}
    for after, parts in {**shares, timedelta(days=300): 10_000}.items():
        assert flag_times.ramp_reached(ramp, NOON + after) == parts
    assert flag_times.next_step(ramp, NOON - HOUR) == NOON
    assert flag_times.next_step(ramp, NOON) == NOON + HOUR
    assert flag_times.next_step(ramp, NOON + 3 * HOUR) is None
    assert flag_times.is_watched(ramp, NOON + 4 * HOUR - moment)
    assert not flag_times.is_watched(ramp, NOON + 4 * HOUR)


@given(ramps(), moments, moments, moments)
def test_a_pause_costs_time_and_nothing_else(ramp: Ramp, one: datetime, two: datetime, three: datetime) -> None:
    ramp = replace(ramp, state=RampState.RUNNING, since=None)
    start, end, later = sorted((one, two, three))
    paused = flag_times.paused(ramp, start)
    before = flag_times.ramp_reached(ramp, start)
    assert flag_times.ramp_reached(paused, end) == before
    resumed = flag_times.resumed(paused, end)
    assert flag_times.ramp_reached(resumed, end) == before
    # It goes on as it would have, later by the pause.
    assert flag_times.ramp_reached(resumed, later) == flag_times.ramp_reached(ramp, later - (end - start))
    assert flag_times.ramp_reached(flag_times.rolled_back(paused, end), later) == 0
    restarted = flag_times.restarted(flag_times.rolled_back(paused, end), end)
    assert flag_times.ramp_reached(restarted, end) == ramp.steps[0].parts


@given(environments(()), moments, moments)
def test_settling_changes_nothing_of_what_is_to_come(made: FlagEnvironment, one: datetime, two: datetime) -> None:
    now, later = sorted((one, two))
    settled = flag_times.settled(made, now)
    assert flag_times.is_on(settled, later) == flag_times.is_on(made, later)
    assert all(step.at > now for step in settled.schedule)
    # Between two of its moments nothing moves.
    coming = min(flag_times.moments(made, now), default=None)
    if coming is None or later < coming:
        assert flag_times.is_on(made, now) == flag_times.is_on(made, later)
        for rule in made.rules:
            # No ramp was stopped yet to come.
            if rule.ramp is not None and rule.ramp.since is not None and rule.ramp.since > now:
                continue
            assert flag_times.reached(rule, now) == flag_times.reached(rule, later)


def guardrail(bound: Bound, limit: str, *, compared: bool = False) -> Guardrail:
    control = EVERYTHING if compared else None
    return Guardrail("ai_success_rate", bound, Decimal(limit), EVERYTHING, control, 100, HOUR, GuardAction.PAUSE)


@pytest.mark.parametrize(
    ("guard", "exposed", "control", "state"),
    [
        (guardrail(Bound.BELOW, "0.9"), ("0.89", 100), None, GuardState.FIRING),
        (guardrail(Bound.BELOW, "0.9"), ("0.9", 100), None, GuardState.QUIET),
        (guardrail(Bound.BELOW, "0.9"), ("0.5", 99), None, GuardState.TOO_FEW),
        (guardrail(Bound.ABOVE, "500"), ("501", 100), None, GuardState.FIRING),
        (guardrail(Bound.ABOVE, "500"), (None, 0), None, GuardState.TOO_FEW),
        (guardrail(Bound.BELOW, "-0.1", compared=True), ("0.8", 100), ("0.9", 100), GuardState.FIRING),
        (guardrail(Bound.BELOW, "-0.1", compared=True), ("0.81", 100), ("0.9", 100), GuardState.QUIET),
        (guardrail(Bound.BELOW, "-0.1", compared=True), ("0.1", 100), ("0.9", 99), GuardState.TOO_FEW),
        (guardrail(Bound.BELOW, "-0.1", compared=True), ("0.1", 100), ("0", 100), GuardState.TOO_FEW),
        (guardrail(Bound.BELOW, "-0.1", compared=True), ("0.1", 100), None, GuardState.TOO_FEW),
    ],
)
def test_guardrails(
    guard: Guardrail, exposed: tuple[str | None, int], control: tuple[str, int] | None, state: GuardState
) -> None:
    value, n = exposed
    found = Reading(None if value is None else Decimal(value), n)
    verdict = judge(guard, found, None if control is None else Reading(Decimal(control[0]), control[1]))
    assert verdict.state is state
    assert f"n = {n}" in verdict.message
    few = n < 100 or (guard.control is not None and (control is None or control[1] < 100))
    assert verdict.message.endswith("too few to tell") is few
    assert verdict.message.endswith("nothing that could be compared") is (state is GuardState.TOO_FEW and not few)


OLD = NOON - timedelta(days=40)
MONTH = timedelta(days=30)


@pytest.mark.parametrize(
    ("changes", "evaluated", "reason", "variation"),
    [
        ({"default": always("on")}, NOON, StaleReason.ROLLED_OUT, "on"),
        ({"default": always("on"), "changed_at": NOON - timedelta(days=29)}, NOON, None, None),
        ({"on": False}, NOON, StaleReason.OFF, "off"),
        ({"rules": (Rule(always("on")),)}, NOON, StaleReason.ROLLED_OUT, "on"),
        ({"rules": (Rule(always("on"), parts=5_000),)}, NOON, None, None),
        ({"rules": (Rule(always("on"), SubjectIs(("ann",))),)}, NOON, None, None),
        ({"rules": (Rule(always("on"), SubjectIs(("ann",)), parts=0),)}, NOON, StaleReason.ROLLED_OUT, "off"),
        ({"prerequisites": (Prerequisite("x", ("on",)),)}, NOON, None, None),
        ({"schedule": (ScheduledStep(NOON + HOUR, False),)}, NOON, None, None),
        ({"schedule": (ScheduledStep(NOON + HOUR, False),)}, None, StaleReason.NEVER_EVALUATED, None),
        ({"schedule": (ScheduledStep(NOON + HOUR, False),)}, OLD, StaleReason.NOT_EVALUATED, None),
    ],
)
def test_staleness(
    changes: dict[str, object], evaluated: datetime | None, reason: StaleReason | None, variation: str | None
) -> None:
    made = environment(**{"changed_at": OLD} | changes)
    of = flag("f", made, created_at=OLD)
    found = staleness(of, made, evaluated, NOON, MONTH)
    assert (None if found is None else (found.reason, found.variation)) == (reason and (reason, variation))
    assert staleness(replace(of, archived_at=NOON), made, None, NOON, MONTH) is None
    assert served(made, NOON) in (None, "on", "off")
