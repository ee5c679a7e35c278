"""Burn rates, rules and budgets: against the book, and against events counted one by one."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolvers.analysis.filters import EVERYTHING, All, KindIs, MeasureIs, Op
from resolvers.analysis.flag_guards import GuardState, judge_slo
from resolvers.analysis.flags import GuardAction, SloGuardrail
from resolvers.analysis.metrics import Aggregate, Direction, Form, Statistic
from resolvers.analysis.slo_answers import SloRuleState, SloState
from resolvers.analysis.slo_status import budget, burn_rate, rules, state, windows
from resolvers.analysis.slos import (
    PERIOD,
    RULES,
    WINDOWS,
    Indicator,
    Severity,
    SloDefinition,
    Tally,
    indicator,
    reaches,
)
from resolvers.catalogue import METRICS, metric

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
LENGTHS = (*WINDOWS, PERIOD)


def slo(**changes: Any) -> SloDefinition:
    plain: dict[str, Any] = {
        "key": "k",
        "title": "Calls succeed",
        "metric": "ai_success_rate",
        "good": Direction.UP,
        "threshold": None,
        "objective": Decimal("0.999"),
        "where": EVERYTHING,
        "minimum_events": 10,
        "absent_after": DAY,
        "cost_per_bad_event": None,
    }
    return SloDefinition(**plain | changes)


def steady(objective: Decimal, rate: Decimal, hourly: int = 100_000) -> dict[timedelta, Tally]:
    """What a month is like in which the budget burns at the same rate all the time."""
    found = {}
    for length in LENGTHS:
        total = hourly * int(length / MINUTE) // 60
        found[length] = Tally(total, int(total * rate * (1 - objective)))
    return found


Event = tuple[int, bool]
"""How many minutes ago, and whether it was bad."""


def tallies(events: Sequence[Event], lengths: Sequence[timedelta] = LENGTHS) -> dict[timedelta, Tally]:
    def within(length: timedelta) -> list[Event]:
        return [one for one in events if one[0] * MINUTE < length]

    return {one: Tally(len(within(one)), sum(bad for _, bad in within(one))) for one in lengths}


BOOK = ((1 * HOUR, "0.02", "14.4"), (6 * HOUR, "0.05", "6"), (24 * HOUR, "0.1", "3"), (72 * HOUR, "0.1", "1"))


@pytest.mark.parametrize(("rule", "book"), list(zip(RULES, BOOK, strict=True)))
def test_the_factors_are_those_of_the_book(rule: Any, book: tuple[timedelta, str, str]) -> None:
    long, share, factor = book
    # What part of the budget is gone when a rule fires after its long window.
    assert (rule.long, rule.factor) == (long, Decimal(factor))
    assert Fraction(share) == Fraction(factor) * (rule.long // MINUTE) / (PERIOD // MINUTE)
    # A short window is a twelfth of the long one.
    assert rule.long == 12 * rule.short


@pytest.mark.parametrize(
    ("rate", "exhausted"),
    [("1", 30 * DAY), ("2", 15 * DAY), ("10", 3 * DAY), ("1000", timedelta(minutes=43, seconds=12))],
)
def test_a_fresh_budget_lasts_as_long_as_the_book_says(rate: str, exhausted: timedelta) -> None:
    of = slo()
    seen = steady(of.objective, Decimal(rate)) | {PERIOD: Tally(10**9, 0)}
    found = budget(of, seen, NOW)
    assert found.exhausted_at == NOW + exhausted
    assert found.present is not None
    assert (found.present.length, found.present.burn_rate) == (HOUR, Decimal(rate))


@pytest.mark.parametrize(
    ("rate", "expected"),
    [
        ("14.4", SloState.PAGE),
        ("14.39", SloState.PAGE),
        ("6", SloState.PAGE),
        ("5.9", SloState.TICKET),
        ("3", SloState.TICKET),
        ("1", SloState.TICKET),
        ("0.99", SloState.HEALTHY),
        ("0", SloState.HEALTHY),
    ],
)
def test_a_rate_that_lasts_is_told_by_the_rules_that_it_reaches(rate: str, expected: SloState) -> None:
    of = slo()
    seen = steady(of.objective, Decimal(rate), hourly=1_200_000)
    said = rules(of, seen)
    assert [one.state is SloRuleState.FIRING for one in said] == [Decimal(rate) >= one.factor for one in said]
    found, message = state(of, seen, said)
    assert found is expected
    assert message.startswith("Calls succeed: the error budget burns")


def test_a_burst_that_is_over_pages_nobody() -> None:
    of = slo()
    seen = steady(of.objective, Decimal(20)) | {5 * MINUTE: Tally(8_000, 0), 30 * MINUTE: Tally(50_000, 0)}
    assert [one.state for one in rules(of, seen)][:2] == [SloRuleState.QUIET] * 2
    assert state(of, seen, rules(of, seen))[0] is SloState.TICKET


def test_why_it_pages_is_a_sentence() -> None:
    of = slo(objective=Decimal("0.9"), minimum_events=1)
    events = [(0, False)] * 1 + [(1, True)] * 9 + [(300, True)] * 30 + [(400, False)] * 60
    seen = tallies(events)
    assert state(of, seen, rules(of, seen)) == (
        SloState.PAGE,
        "Calls succeed: the error budget burns 9.8× within 6h (39 of 40 bad) and 9× within 30m (9 of 10 bad), "
        "a page from 6× on",
    )


OBJECTIVES = st.sampled_from([Decimal(text) for text in ("0.05", "0.5", "0.8", "0.9", "0.95", "0.99", "0.999")])
EVENTS = st.lists(
    st.tuples(st.one_of(st.integers(0, 70), st.integers(0, 43_500)), st.booleans()),
    max_size=60,
)


@given(EVENTS, OBJECTIVES, st.integers(1, 12), st.sampled_from(["0.01", "2.5", None]))
def test_it_is_what_counting_events_one_by_one_says(
    events: list[Event], objective: Decimal, minimum: int, price: str | None
) -> None:
    cost = None if price is None else Decimal(price)
    of = slo(objective=objective, minimum_events=minimum, cost_per_bad_event=cost, absent_after=2 * HOUR)
    seen = tallies(events)
    allowed = 1 - Fraction(objective)

    def bad_share(length: timedelta) -> Fraction | None:
        inside = [bad for ago, bad in events if ago < length / MINUTE]
        return Fraction(sum(inside), len(inside)) if inside else None

    firing = []
    for rule, said in zip(RULES, rules(of, seen), strict=True):
        long, short = bad_share(rule.long), bad_share(rule.short)
        enough = sum(ago < rule.long / MINUTE for ago, _ in events) >= minimum
        hit = long is not None and short is not None and min(long, short) >= Fraction(rule.factor) * allowed
        expected = SloRuleState.FIRING if hit else SloRuleState.QUIET
        assert said.state is (expected if enough else SloRuleState.TOO_FEW)
        # What cannot be reached does not fire, whatever happens.
        assert said.reachable or said.state is not SloRuleState.FIRING
        firing += [rule.severity] if said.state is SloRuleState.FIRING else []
    recent = sum(ago < 120 for ago, _ in events)
    expected_state = (
        SloState.PAGE
        if Severity.PAGE in firing
        else SloState.TICKET
        if firing
        else SloState.NO_DATA
        if not recent
        else SloState.LOW_TRAFFIC
        if sum(ago < 3 * 1_440 for ago, _ in events) < minimum
        else SloState.HEALTHY
    )
    assert state(of, seen, rules(of, seen))[0] is expected_state
    for one in windows(of, seen):
        share = bad_share(one.length)
        assert (one.burn_rate is None) is (share is None)
        if share is not None and one.burn_rate is not None:
            assert abs(Fraction(one.burn_rate) - share / allowed) < Fraction(1, 10**20)
        assert one.cost == (None if cost is None else one.bad * cost)


@given(EVENTS, OBJECTIVES)
def test_a_budget_is_used_up_when_as_many_more_are_bad_as_are_left(events: list[Event], objective: Decimal) -> None:
    of = slo(objective=objective, minimum_events=1)
    seen = tallies(events)
    found = budget(of, seen, NOW)
    assert found.allowed == (1 - objective) * found.total
    if found.consumed is None or found.remaining is None:
        assert found.total == 0
        return
    assert abs(found.consumed * found.allowed - found.bad) < Decimal("1e-20")
    assert found.consumed + found.remaining == pytest.approx(1)
    if found.exhausted_at is None:
        lasts = found.present is None or (found.present.burn_rate or 0) <= found.remaining
        assert found.remaining <= 0 or lasts
        return
    assert found.present is not None
    assert found.present.burn_rate is not None
    # A steady rate of r uses r / 30 of the budget a day.
    days = Fraction((found.exhausted_at - NOW) // timedelta(microseconds=1), DAY // timedelta(microseconds=1))
    assert float(days * Fraction(found.present.burn_rate) / 30) == pytest.approx(float(found.remaining))
    assert NOW < found.exhausted_at <= NOW + PERIOD


@given(EVENTS, OBJECTIVES, st.integers(1, 12))
def test_more_bad_events_never_calm_it(events: list[Event], objective: Decimal, minimum: int) -> None:
    of = slo(objective=objective, minimum_events=minimum)
    worse = [(ago, True) for ago, _ in events]
    order = list(SloState)
    better, now = [state(of, seen, rules(of, seen))[0] for seen in (tallies(events), tallies(worse))]
    assert order.index(now) <= order.index(better)


def test_without_events_there_is_nothing_to_tell() -> None:
    of = slo(cost_per_bad_event=Decimal(3))
    seen = tallies([])
    assert burn_rate(seen[HOUR], of.objective) is None
    assert state(of, seen, rules(of, seen)) == (SloState.NO_DATA, "Calls succeed: no event within 1d")
    found = budget(of, seen, NOW)
    assert (found.consumed, found.remaining, found.present, found.exhausted_at) == (None, None, None, None)
    assert (found.cost, found.allowed_cost) == (0, 0)


def test_few_events_are_said_to_be_few() -> None:
    of = slo(minimum_events=1_000)
    seen = tallies([(3, True)] * 999)
    assert state(of, seen, rules(of, seen)) == (
        SloState.LOW_TRAFFIC,
        "Calls succeed: 999 events within 3d, too few to tell below 1,000",
    )


def test_a_page_is_out_of_reach_of_a_low_objective() -> None:
    reached = {objective: reaches(Severity.PAGE, Decimal(objective)) for objective in ("0.8", "0.83", "0.84", "0.99")}
    assert reached == {"0.8": False, "0.83": False, "0.84": True, "0.99": True}
    assert all(reaches(Severity.TICKET, Decimal(objective)) for objective in ("0.001", "0.5", "0.999999999"))


def test_what_metrics_count_for_an_slo() -> None:
    able = {}
    for one in METRICS:
        able[one.slug] = [indicator(one, Direction.UP, threshold) is not None for threshold in (None, Decimal(5))]
    assert {slug: found for slug, found in able.items() if any(found)} == {
        "conversion_rate": [True, False],
        "ai_success_rate": [True, False],
        "ai_latency_p50": [False, True],
        "ai_latency_p95": [False, True],
    }
    rate = metric("ai_success_rate")
    assert indicator(rate, Direction.UP, None) == Indicator(rate.denominator, rate.numerator, True)  # type: ignore[arg-type]
    down = indicator(rate, Direction.DOWN, None)
    assert down is not None
    assert (down.additive, down.tally(10, 7)) == (True, Tally(10, 7))
    people = indicator(metric("conversion_rate"), Direction.UP, None)
    assert people is not None
    assert (people.additive, people.tally(10, 7)) == (False, Tally(10, 3))
    slow = indicator(metric("ai_latency_p95"), Direction.DOWN, Decimal(800))
    assert slow is not None
    assert slow.some == Statistic(
        Aggregate.COUNT,
        All((metric("ai_latency_p95").numerator.where, MeasureIs("duration_ms", Op.LTE, Decimal(800)))),
    )
    assert isinstance(metric("ai_latency_p95").numerator.where, KindIs)
    assert metric("ai_latency_p95").form is Form.QUANTILE


STATES: Mapping[SloState, tuple[GuardState, GuardState]] = {
    SloState.PAGE: (GuardState.FIRING, GuardState.FIRING),
    SloState.TICKET: (GuardState.QUIET, GuardState.FIRING),
    SloState.HEALTHY: (GuardState.QUIET, GuardState.QUIET),
    SloState.LOW_TRAFFIC: (GuardState.TOO_FEW, GuardState.TOO_FEW),
    SloState.NO_DATA: (GuardState.TOO_FEW, GuardState.TOO_FEW),
}


@pytest.mark.parametrize("found", SloState)
def test_guardrails(found: SloState) -> None:
    answer: Any = type("Answer", (), {"state": found, "message": "because"})()
    guards = [SloGuardrail("k", severity, GuardAction.PAUSE) for severity in (Severity.PAGE, Severity.TICKET)]
    verdicts = [judge_slo(guard, answer) for guard in guards]
    assert tuple(one.state for one in verdicts) == STATES[found]
    assert {one.message for one in verdicts} == {f"SLO k is {found.name}: because"}
    assert judge_slo(guards[0], None).state is GuardState.TOO_FEW
    assert replace(guards[0], severity=Severity.TICKET) == guards[1]
