"""Funnel answers: counts, rates, times to convert and groups, from walks given by hand."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolvers.analysis.estimates import Quality, wilson
from resolvers.analysis.explanations import Explanation, Source
from resolvers.analysis.filters import EVERYTHING
from resolvers.analysis.funnel_answers import Buckets, Earlier, answer, bucket_of
from resolvers.analysis.funnel_groups import Breakdown
from resolvers.analysis.funnel_kernel import FunnelWalk
from resolvers.analysis.funnel_ways import Taken
from resolvers.analysis.funnels import Entry, FunnelAnswer, FunnelDefinition, Step
from resolvers.analysis.metrics import DimensionValue
from resolvers.analysis.periods import Granularity, Period, epoch_us

NOW = datetime(2026, 3, 15, tzinfo=UTC)
EXPLAIN = Explanation(Source.LOG, 0, 0.0)
DAY = timedelta(days=1)
PERIOD = Period(NOW - 7 * DAY, NOW)
BUCKETS = Buckets(Granularity.DAY, "UTC", tuple(PERIOD.start + n * DAY for n in range(7)))


def funnel(size: int = 3, window: timedelta = 7 * DAY) -> FunnelDefinition:
    return FunnelDefinition(tuple(Step(f"step {n}", EVERYTHING) for n in range(size)), window, Entry.FIRST)


def walk_of(depths: list[int], seconds: list[float] | None = None) -> FunnelWalk:
    times = iter(seconds or [])
    depth = np.array(depths, np.int8)
    taken = []
    for step in (1, 2):
        walks = np.flatnonzero(depth > step)
        # Each step after 10 and 50 seconds.
        taken.append(Taken(walks, walks, np.full(walks.size, 10_000_000 if step == 1 else 50_000_000)))
    return FunnelWalk(
        depth,
        np.arange(len(depths)),
        epoch_us(PERIOD.start) + np.arange(len(depths)),
        np.array([next(times, 60.0) if depth == 3 else np.nan for depth in depths]),
        tuple(taken),
    )


def ask(
    walk: FunnelWalk,
    by: tuple[Breakdown, ...] = (),
    top: int = 20,
    previous: Earlier | None = None,
) -> FunnelAnswer:
    return answer(
        funnel(), PERIOD, walk, buckets=BUCKETS, as_of=NOW, explain=EXPLAIN, by=by, top=top, previous=previous
    )


def test_steps_are_counted_and_held_against_each_other() -> None:
    found = ask(walk_of([1] * 20 + [2] * 30 + [3] * 50))
    first, second, third = found.steps
    assert [(step.index, step.name, step.count, step.dropped) for step in found.steps] == [
        (0, "step 0", 100, 0),
        (1, "step 1", 80, 20),
        (2, "step 2", 50, 30),
    ]
    assert (second.step_rate.value, second.overall_rate.value, second.drop_off.value) == tuple(
        map(Decimal, ("0.8", "0.8", "0.2"))
    )
    assert (third.step_rate.value, third.overall_rate.value, third.drop_off.value) == tuple(
        map(Decimal, ("0.625", "0.5", "0.375"))
    )
    assert third.step_rate.interval == wilson(50, 80)
    assert third.overall_rate.interval == wilson(50, 100)
    assert third.drop_off.interval == wilson(30, 80)
    assert (first.step_rate.value, first.overall_rate.value, first.drop_off.value) == (
        Decimal(1),
        Decimal(1),
        Decimal(0),
    )
    assert first.step_rate.interval is first.overall_rate.interval is first.drop_off.interval is None
    assert (found.conversion.value, found.conversion.n) == (Decimal("0.5"), 100)
    assert found.conversion.interval == wilson(50, 100)
    assert found.conversion.previous is None


def test_nobody_entering_is_no_rate() -> None:
    found = ask(walk_of([]), by=(Breakdown("plan", np.empty(0, np.int64), ()),))
    assert [step.count for step in found.steps] == [0, 0, 0]
    assert {step.step_rate.value for step in found.steps} == {None}
    assert (found.conversion.value, found.conversion.quality) == (None, Quality.INSUFFICIENT)
    assert (found.time_to_convert.converters, found.time_to_convert.mean) == (0, None)
    assert (found.groups, found.group_count) == ((), 0)


def test_a_previous_walk_gives_the_change() -> None:
    earlier = Period(PERIOD.start - 7 * DAY, PERIOD.start)
    found = ask(walk_of([1, 2, 3, 3]), previous=Earlier(earlier, walk_of([1, 1, 1, 3])))
    assert found.previous_period == earlier
    assert (found.conversion.previous, found.conversion.change) == (Decimal("0.25"), Decimal(1))
    assert (found.steps[1].drop_off.previous, found.steps[2].step_rate.previous) == (Decimal("0.75"), Decimal(1))
    none = ask(walk_of([1, 3]), previous=Earlier(earlier, walk_of([1, 1])))
    assert (none.conversion.previous, none.conversion.change) == (Decimal(0), None)


def test_a_group_is_held_against_the_walks_of_the_same_values_before() -> None:
    def by(*values: str | None) -> tuple[Breakdown, ...]:
        known = sorted({value or "" for value in values}, reverse=True)
        return (
            Breakdown("plan", np.array([known.index(value or "") for value in values]), [one or None for one in known]),
        )

    earlier = Period(PERIOD.start - 7 * DAY, PERIOD.start)
    before = Earlier(earlier, walk_of([3, 1, 3, 2, 3]), by("old", "pro", "pro", "free", None))
    found = ask(walk_of([3, 3, 1, 3, 1]), by("pro", "pro", "free", None, "team"), top=3, previous=before)
    shown = {tuple(key.value for key in group.keys): group.conversion.previous for group in found.groups}
    # Of those that are not shown, or were not there, the others of before stand against the others of now.
    assert shown == {("pro",): Decimal("0.5"), ("free",): Decimal(0), ("team",): None, (): Decimal(1)}
    assert found.groups[0].steps[1].step_rate.previous == Decimal("0.5")
    nobody = ask(walk_of([3, 1]), by("pro", "free"), previous=Earlier(earlier, walk_of([]), by()))
    assert {group.conversion.previous for group in nobody.groups} == {None}


def test_times_to_convert_are_those_of_converters() -> None:
    seconds = [0.0, 1.0, 30.25, 59.75, 7 * 86_400.0]
    times = ask(walk_of([1, 3, 3, 2, 3, 3, 3], seconds)).time_to_convert
    assert times.converters == 5
    assert (times.mean, times.median, times.p90) == (
        Decimal("120978.2"),
        Decimal("30.25"),
        Decimal("362903.9"),
    )
    counted = dict(zip(times.edges, times.histogram, strict=False))
    assert {edge: count for edge, count in counted.items() if count} == {0.0: 1, 1.0: 1, 30.0: 2, 5 * 86_400.0: 1}
    assert len(times.edges) == len(times.histogram) + 1


def test_percentiles_interpolate_between_closest_ranks() -> None:
    times = ask(walk_of([3] * 10, [float(n) for n in range(1, 11)])).time_to_convert
    assert (times.mean, times.median, times.p90) == tuple(map(Decimal, ("5.5", "5.5", "9.1")))


@pytest.mark.parametrize(
    ("window", "last"),
    [(timedelta(seconds=90), (60.0, 90.0)), (timedelta(milliseconds=5), (0.0, 0.005)), (DAY, (43_200.0, 86_400.0))],
)
def test_the_edges_end_with_the_window(window: timedelta, last: tuple[float, float]) -> None:
    found = answer(funnel(window=window), PERIOD, walk_of([]), buckets=BUCKETS, as_of=NOW, explain=EXPLAIN)
    assert found.time_to_convert.edges[-2:] == last
    assert list(found.time_to_convert.edges) == sorted(set(found.time_to_convert.edges))


def plans(*codes: int) -> Breakdown:
    return Breakdown("plan", np.array(codes), ["free", None, "pro", "team"])


def test_groups_are_those_of_the_entry_event_largest_first() -> None:
    found = ask(walk_of([1, 3, 2, 3, 1], [10.0, 20.0]), by=(plans(2, 2, 2, 1, 0),))
    assert [group.keys for group in found.groups] == [
        (DimensionValue("plan", "pro"),),
        (DimensionValue("plan", "free"),),
        (DimensionValue("plan", None),),
    ]
    assert [[step.count for step in group.steps] for group in found.groups] == [[3, 2, 1], [1, 0, 0], [1, 1, 1]]
    assert [group.time_to_convert.mean for group in found.groups] == [10, None, 20]
    assert found.group_count == 3
    assert not any(group.other for group in found.groups)


def test_groups_beyond_the_top_are_one() -> None:
    found = ask(walk_of([3, 1, 3, 2, 3, 1]), by=(plans(0, 0, 1, 2, 2, 3),), top=2)
    assert [(group.keys, group.other) for group in found.groups] == [
        ((DimensionValue("plan", "free"),), False),
        ((DimensionValue("plan", "pro"),), False),
        ((), True),
    ]
    assert [step.count for step in found.groups[2].steps] == [2, 1, 1]
    assert found.group_count == 4


@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=60),
    st.integers(1, 6),
)
def test_groups_add_up(subjects: list[tuple[int, int, int]], top: int) -> None:
    regions = ("north", "south", None)
    region = Breakdown("location", np.array([region for _, _, region in subjects]), regions)
    plan = plans(*(plan for _, plan, _ in subjects))
    found = ask(walk_of([depth for depth, _, _ in subjects]), by=(plan, region), top=top)
    sizes = Counter((plan.values[code], regions[place]) for _, code, place in subjects)
    shown = [group for group in found.groups if not group.other]
    assert found.group_count == len(sizes)
    assert len(shown) == min(top, len(sizes))
    assert [group.steps[0].count for group in shown] == sorted(sizes.values(), reverse=True)[:top]
    for group in shown:
        keys = tuple(key.value for key in group.keys)
        assert group.steps[0].count == sizes[keys[0], keys[1]]
    for index, step in enumerate(found.steps):
        assert sum(group.steps[index].count for group in found.groups) == step.count


@given(
    st.lists(st.integers(0, 400), min_size=1, max_size=12, unique=True),
    st.lists(st.integers(0, 600), max_size=30),
)
def test_a_bucket_is_found_as_by_search(starts: list[int], since: list[int]) -> None:
    ascending = np.array(sorted(starts))
    at = ascending[0] + np.array(since, np.int64)
    assert bucket_of(ascending, at).tolist() == (np.searchsorted(ascending, at, side="right") - 1).tolist()


def test_the_series_counts_by_entry() -> None:
    walk = walk_of([1, 3, 2, 3])
    walk = replace(walk, entry_us=epoch_us(PERIOD.start) + np.array([0, 1, 6, 6]) * 86_400_000_000)
    series = ask(walk).series
    assert (series.at, series.granularity, series.timezone) == (BUCKETS.at, BUCKETS.granularity, "UTC")
    assert series.counts == ((1, 1, 0, 0, 0, 0, 2), (0, 1, 0, 0, 0, 0, 2), (0, 1, 0, 0, 0, 0, 1))
    assert series.conversion == (0.0, 1.0, None, None, None, None, 0.5)


def test_times_are_told_from_step_to_step() -> None:
    found = ask(walk_of([1] * 3 + [2] * 4 + [3] * 5))
    first, second, third = (step.time_from_previous for step in found.steps)
    assert first is None
    assert second is not None
    assert third is not None
    assert [(one.converters, one.median, one.p90) for one in (second, third)] == [(9, 10, 10), (5, 50, 50)]
    assert [(edge, count) for edge, count in zip(third.edges, third.histogram, strict=False) if count] == [(30.0, 5)]


@pytest.mark.parametrize(
    ("depths", "leak"), [([1, 1, 2, 3], 1), ([1, 2, 3], 1), ([2, 2, 3], 2), ([3], None), ([], None)]
)
def test_the_biggest_leak(depths: list[int], leak: int | None) -> None:
    worst = ask(walk_of(depths)).biggest_leak
    assert (worst and worst.index) == leak
