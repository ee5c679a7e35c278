"""What is to be done with an experiment: each rule, and their order."""

from dataclasses import replace

import pytest

from resolvers.analysis.experiment_decisions import (
    Circumstances,
    Decision,
    Goal,
    Guard,
    Guarded,
    Late,
    Weakest,
    decided,
    guard,
)

DONE = Circumstances(
    units=20_000,
    fewest_units=5_000,
    least_arm=9_900,
    days=14,
    fewest_days=7,
    mismatched=False,
    exposed_twice=0.0,
    planned_end_reached=True,
    sequential=False,
)
BETTER = Goal("revenue", "B", better=True, significant=True, interval=(0.1, 0.3))
WORSE = Goal("revenue", "B", better=False, significant=True, interval=(-0.3, -0.1))
UNSURE = Goal("revenue", "B", better=None, significant=False, interval=(-0.1, 0.1))


@pytest.mark.parametrize(
    ("low", "high", "margin", "up_is_good", "expected"),
    [
        (-0.004, -0.001, 0.01, True, Guard.HOLDS),
        (-0.02, -0.001, 0.01, True, Guard.BROKEN),
        (-0.02, 0.01, 0.01, True, Guard.OPEN),
        (0.001, 0.02, 0.01, True, Guard.HOLDS),
        (0.001, 0.02, 0.01, False, Guard.BROKEN),
        (-0.02, 0.001, 0.01, False, Guard.HOLDS),
        (-0.02, 0.001, 0.0, True, Guard.OPEN),
        (-0.02, 0.001, None, True, Guard.NOT_BROKEN),
        (-0.02, 0.001, None, False, Guard.NOT_BROKEN),
        (-0.02, -0.001, None, True, Guard.BROKEN),
        (0.001, 0.02, None, True, Guard.HOLDS),
    ],
)
def test_guardrails(low: float, high: float, margin: float | None, up_is_good: bool, expected: Guard) -> None:
    assert guard(low, high, margin, up_is_good=up_is_good) is expected


def test_a_goal_that_is_better_ships_when_all_is_there() -> None:
    for guards, why in (([], ""), ([Guarded("latency", "B", Guard.HOLDS)], ", and every guardrail holds")):
        verdict = decided([BETTER], guards, DONE)
        assert (verdict.decision, verdict.variant) == (Decision.SHIP, "B")
        assert verdict.why == f"revenue is significantly better in B{why}."


@pytest.mark.parametrize(
    "waiting",
    [
        {"days": 3.0},
        {"least_arm": 4_999},
        {"planned_end_reached": False},
    ],
)
def test_shipping_waits_for_what_was_planned(waiting: dict[str, float]) -> None:
    assert decided([BETTER], [], replace(DONE, **waiting)).decision is Decision.KEEP_RUNNING  # type: ignore[arg-type]


def test_what_holds_at_any_look_may_ship_before_the_planned_sample() -> None:
    early = replace(DONE, planned_end_reached=False, sequential=True)
    assert decided([BETTER], [], early).decision is Decision.SHIP
    assert decided([UNSURE], [], early).decision is Decision.KEEP_RUNNING
    assert decided([UNSURE], [], DONE).decision is Decision.ROLL_BACK


def test_a_mismatch_comes_before_everything() -> None:
    assert decided([BETTER], [], replace(DONE, mismatched=True)).decision is Decision.INVALID
    assert decided([WORSE], [], replace(DONE, mismatched=True)).decision is Decision.INVALID
    assert decided([], [], replace(DONE, units=0, mismatched=True)).decision is Decision.KEEP_RUNNING


def test_harm_does_not_wait_and_is_never_shipped() -> None:
    early = replace(DONE, days=1.0, planned_end_reached=False)
    assert decided([WORSE], [], early).decision is Decision.ROLL_BACK
    assert decided([BETTER], [Guarded("errors", "B", Guard.BROKEN)], early).decision is Decision.ROLL_BACK
    clicks = replace(BETTER, name="clicks")
    both = decided([WORSE, clicks], [], DONE)
    assert both.decision is Decision.ROLL_BACK
    assert "revenue is significantly worse" in both.why


def test_a_treatment_that_does_harm_does_not_hold_back_another() -> None:
    other = replace(WORSE, variant="C")
    verdict = decided([BETTER, other], [Guarded("errors", "C", Guard.BROKEN)], DONE)
    assert (verdict.decision, verdict.variant) == (Decision.SHIP, "B")
    assert "C: guardrail errors is broken, revenue is significantly worse" in verdict.why


def test_a_treatment_without_goals_is_one_too() -> None:
    guards = [Guarded("errors", "B", Guard.BROKEN), Guarded("errors", "C", Guard.HOLDS)]
    early = replace(DONE, days=1.0)
    assert decided([], guards, early).decision is Decision.KEEP_RUNNING
    assert decided([], guards[:1], early).decision is Decision.ROLL_BACK


def test_a_guardrail_that_is_open_holds_its_treatment_back() -> None:
    open_guard = Guarded("errors", "B", Guard.OPEN)
    verdict = decided([BETTER], [open_guard], DONE)
    assert verdict.decision is Decision.KEEP_RUNNING
    assert "errors" in verdict.why
    second = replace(BETTER, variant="C", interval=(0.01, 0.02))
    assert decided([BETTER, second], [open_guard], DONE).variant == "C"
    third = replace(BETTER, variant="C", interval=(0.2, 0.9))
    assert decided([BETTER, third], [], DONE).variant == "C"


def test_units_seen_twice_are_told_of() -> None:
    assert "saw several variants" in decided([BETTER], [], replace(DONE, exposed_twice=0.02)).why
    assert "saw several variants" not in decided([BETTER], [], replace(DONE, exposed_twice=0.01)).why


OVER = replace(DONE, over=True, planned_end_reached=False, days=3.0)


def test_of_several_treatments_the_first_goal_says_which_is_best() -> None:
    # Of another metric, whose unit is another: the larger number says nothing.
    other = Goal("visits", "C", better=True, significant=True, interval=(50.0, 90.0))
    assert decided([BETTER, other], [], DONE).variant == "B"
    best = Goal("revenue", "C", better=True, significant=True, interval=(0.2, 0.3))
    assert decided([BETTER, best, other], [], DONE).variant == "C"


@pytest.mark.parametrize(
    ("goals", "state", "decision"),
    [
        ([BETTER], Guard.HOLDS, Decision.SHIP),
        ([BETTER], Guard.OPEN, Decision.ROLL_BACK),
        ([UNSURE], Guard.HOLDS, Decision.ROLL_BACK),
        ([], Guard.HOLDS, Decision.SHIP),
        ([], Guard.OPEN, Decision.ROLL_BACK),
    ],
)
def test_what_is_over_waits_for_nothing(goals: list[Goal], state: Guard, decision: Decision) -> None:
    verdict = decided(goals, [Guarded("latency", "B", state)], OVER)
    assert verdict.decision is decision
    assert verdict.why.endswith("It was completed early, so only what holds at any look counts.")
    assert "early" not in decided(goals, [Guarded("latency", "B", state)], replace(DONE, over=True)).why


def test_a_guardrail_without_a_margin_only_has_to_be_unbroken() -> None:
    loose = Guarded("latency", "B", Guard.NOT_BROKEN)
    verdict = decided([BETTER], [loose], DONE)
    assert verdict.decision is Decision.SHIP
    assert verdict.why == "revenue is significantly better in B, and no guardrail is broken."
    # That nothing is shown speaks for nothing by itself.
    assert decided([], [loose], DONE).decision is Decision.KEEP_RUNNING


def test_nobody_or_nothing_to_decide_by() -> None:
    assert decided([BETTER], [], replace(OVER, units=0)).decision is Decision.ROLL_BACK
    # In another phase there may have been many.
    assert decided([], [], replace(DONE, units=0, phase=2)).why == "Nobody has been exposed in phase 2 yet."
    assert decided([], [], replace(DONE, over=True)).decision is Decision.ROLL_BACK
    assert decided([], [], DONE).decision is Decision.KEEP_RUNNING


@pytest.mark.parametrize(
    ("weakest", "why"),
    [
        (None, "The planned sample is not there yet"),
        (
            Weakest("revenue", 0.284, 0.8, 0.05, 279.1),
            "A change of revenue by 5 % would be found in 28 % of experiments, not in 80 % (some 280 days more at this "
            "pace)",
        ),
        (
            Weakest("revenue", 0.1, 0.8, 0.3, None),
            "A change of revenue by 30 % would be found in 10 % of experiments, not in 80 %",
        ),
        (
            Weakest("revenue", None, 0.8, 0.05, None),
            "What power revenue has cannot be told, as the control has nothing of it or does not vary",
        ),
    ],
)
def test_what_is_waited_for_is_told_by_its_figures(weakest: Weakest | None, why: str) -> None:
    found = decided([UNSURE], [], replace(DONE, planned_end_reached=False, weakest=weakest))
    assert found.decision is Decision.KEEP_RUNNING
    assert found.why == f"{why}: a p-value of a fixed horizon that is read early misleads."


def test_whom_nothing_but_power_is_missing_is_told_what_would_be() -> None:
    waiting = replace(DONE, planned_end_reached=False)
    remark = " What holds at any look is enough already: completed now, B would be shipped."
    assert decided([BETTER], [], waiting).why.endswith(remark)
    for goals, guards, at in (
        ([UNSURE], [], waiting),
        ([BETTER], [], replace(waiting, days=1)),
        ([BETTER], [], replace(waiting, least_arm=1)),
        ([BETTER], [Guarded("errors", "B", Guard.OPEN)], waiting),
    ):
        found = decided(goals, guards, at)
        assert found.decision is Decision.KEEP_RUNNING
        assert remark not in found.why


def test_without_a_goal_it_is_shown_to_be_no_worse() -> None:
    held, open_ = Guarded("latency", "B", Guard.HOLDS), Guarded("errors", "B", Guard.OPEN)
    assert (decided([], [held], DONE).decision, decided([], [held], DONE).variant) == (Decision.SHIP, "B")
    assert decided([], [held, open_], DONE).decision is Decision.KEEP_RUNNING
    assert decided([], [held], replace(DONE, planned_end_reached=False)).decision is Decision.KEEP_RUNNING
    assert decided([], [Guarded("errors", "B", Guard.BROKEN)], DONE).decision is Decision.ROLL_BACK


def test_what_came_after_the_planned_sample_is_told_with_what_it_counts_for() -> None:
    late = replace(DONE, late=Late(2_000, 500))
    remark = "It is decided by its planned sample of 2,000 units: of the 500 that came later only harm counts"
    for goals, decision in (([BETTER], Decision.SHIP), ([UNSURE], Decision.ROLL_BACK), ([WORSE], Decision.ROLL_BACK)):
        found = decided(goals, [], late)
        assert found.decision is decision
        assert remark in found.why
    # What has come to be better since is told and not shipped by.
    found = decided([UNSURE], [], replace(DONE, late=Late(2_000, 500, (BETTER,))))
    assert found.decision is Decision.ROLL_BACK
    assert "come to show revenue better in B since" in found.why
