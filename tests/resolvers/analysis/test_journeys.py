"""Journeys out of columns: what is selected, and how parts become one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolvers.analysis import journeys
from resolvers.analysis.ascending import Ascending
from resolvers.analysis.columns import Coded, Coding, EventRun, Moments
from resolvers.analysis.filters import EVERYTHING, DimensionIs, NameIs, Op
from resolvers.analysis.journeys import Journeys, Selection, gathered, joined, scattered, step_bits
from resolvers.analysis.merging import merged

EVENT = st.tuples(st.integers(1, 4), st.one_of(st.integers(0, 3), st.integers(-(2**61), 2**61)), st.integers(1, 3))


def part(events: list[tuple[int, int, int]]) -> Journeys:
    subject, at, steps = np.array(events, np.int64).reshape(-1, 3).T
    mark = np.arange(len(events), dtype=np.int32).reshape(1, -1)
    return Journeys(subject.astype(np.int32), at, steps.astype(np.uint8), mark, ordered=False)


def whole(part: Journeys) -> Journeys:
    assert part.ordered
    return part


def rows(found: Journeys) -> list[tuple[int, ...]]:
    columns = (found.subject, found.at, found.steps, *found.dimensions)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def columns(events: list[tuple[int, int, int]], mark: int) -> EventRun:
    """A run of events, each marked with where it came in."""
    order = sorted(range(len(events)), key=lambda place: events[place][:2])
    subject, at, steps = np.array([events[place] for place in order], np.int64).reshape(-1, 3).T
    marks = np.array([mark + place for place in order], np.int32)
    coded = {"name": Coded.of(steps.astype(np.int32)), "plan": Coded.of(marks)}
    return EventRun(Ascending.of(subject.astype(np.int32)), Moments.of(at, 0), coded)


@pytest.fixture(params=[0, 8])
def small_blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journeys, "BLOCK", 3)
    monkeypatch.setattr(journeys, "SMALL", request.param)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("seed", range(40))
def test_runs_and_tail_become_one_by_subject_time_and_arrival(seed: int) -> None:
    generator = np.random.default_rng(seed)
    sizes = generator.integers(0, 20, generator.integers(1, 5)).tolist()
    parts = [
        [tuple(row) for row in generator.integers(1, [9, 4 if seed % 2 else 2**62, 4], (size, 3)).tolist()]
        for size in sizes
    ]
    expected = sorted(
        (subject, at, 100 * place + mark, steps)
        for place, events in enumerate(parts)
        for mark, (subject, at, steps) in enumerate(events)
    )
    runs = [columns(events, 100 * place) for place, events in enumerate(parts)]
    tail = None
    if seed % 3:
        last, mark = parts[-1], 100 * len(parts) - 100
        subject, at, steps = np.array(last, np.int64).reshape(-1, 3).T
        marks = mark + np.arange(len(last), dtype=np.int32).reshape(1, -1)
        tail = Journeys(subject.astype(np.int32), at, (1 << steps - 1).astype(np.uint8), marks, ordered=False)
        runs.pop()
    steps = tuple(NameIs((name,)) for name in "abc")
    asked = Selection(0, 2**62, EVERYTHING, steps, ("plan",))
    found = joined(gathered(runs, tail, asked, Coding({"a": 1, "b": 2, "c": 3}, {}), whole), ordered=True)
    assert rows(found) == [(subject, at, 1 << steps - 1, mark) for subject, at, mark, steps in expected]
    apart = scattered(runs, tail, asked, Coding({"a": 1, "b": 2, "c": 3}, {}), whole)
    assert all(one.subject.tolist() == sorted(one.subject.tolist()) for one in apart)
    assert sorted(row for one in apart for row in rows(one)) == sorted(rows(found))


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("seed", range(40))
def test_merged_runs_hold_what_the_runs_hold_of_a_span(seed: int) -> None:
    generator = np.random.default_rng(seed)
    last = 4 if seed % 2 else 2**42
    # Milliseconds, or what lies between them too.
    unit = 1_000 if seed % 3 else 1
    parts = [
        [(subject, at * unit, steps) for subject, at, steps in generator.integers(1, [9, last, 4], (size, 3)).tolist()]
        for size in generator.integers(0, 20, generator.integers(1, 5)).tolist()
    ]
    start, end = sorted(generator.integers(0, last * unit + 2, 2).tolist())
    expected = sorted(
        (subject, at, 100 * place + mark, steps)
        for place, events in enumerate(parts)
        for mark, (subject, at, steps) in enumerate(events)
        if start <= at < end
    )
    runs = [columns(events, 100 * place) for place, events in enumerate(parts)]
    if seed % 4 == 0:
        # A column that no event of a run carries.
        runs[0] = EventRun(runs[0].subject, runs[0].moments, runs[0].coded | {"plan": None})
        expected = [(*row[:2], row[2] if row[2] >= 100 else 0, row[3]) for row in expected]
    found = merged(runs, start, end)
    name, plan = found.coded["name"], found.coded["plan"]
    assert name is not None
    assert plan is not None
    told = zip(
        *(column.tolist() for column in (found.subject.codes, found.moments.microseconds(), plan.values())),
        strict=True,
    )
    assert [(*row, step) for row, step in zip(told, name.values().tolist(), strict=True)] == expected
    assert found.moments.count(start, end) == len(expected) == sum(run.moments.count(start, end) for run in runs)


@given(st.lists(EVENT, max_size=8))
def test_far_apart_times_are_ordered_too(events: list[tuple[int, int, int]]) -> None:
    found = part(events).in_order()
    assert [row[:3] for row in rows(found)] == sorted(events, key=lambda row: row[:2])


@pytest.mark.usefixtures("small_blocks")
def test_a_selection_takes_its_period_its_steps_and_its_dimensions() -> None:
    names, plans = [1, 2, 1, 3, 2, 1, 2, 2], [5, 0, 6, 5, 6, 0, 5, 5]
    log = EventRun(
        Ascending.of(np.array([1, 1, 1, 2, 2, 3, 3, 3], np.int32)),
        Moments.of(np.array([10, 20, 30, 10, 20, 25, 35, 45]), 0),
        {"name": Coded.of(np.array(names, np.int32)), "plan": Coded.of(np.array(plans, np.int32)), "agent": None},
    )
    steps = (NameIs(("view",)), NameIs(("buy", "view")), NameIs(("never",)))
    where = DimensionIs("plan", Op.EXISTS)
    coding = Coding({"view": 1, "buy": 2}, {})

    def selected(asked: Selection) -> Journeys:
        return joined(gathered([log], None, asked, coding, whole), ordered=True)

    found = selected(Selection(10, 45, where, steps, ("plan", "agent")))
    assert rows(found) == [(1, 10, 3, 5, 0), (1, 30, 3, 6, 0), (2, 20, 2, 6, 0), (3, 35, 2, 5, 0)]
    assert not rows(selected(Selection(100, 200, EVERYTHING, steps, ())))
    assert rows(selected(Selection(45, 46, EVERYTHING, (EVERYTHING,), ()))) == [(3, 45, 1)]


def test_steps_take_the_fewest_bytes_that_hold_them() -> None:
    assert [step_bits(steps) for steps in (1, 8, 9, 17, 31)] == [np.uint8, np.uint8, np.uint16, np.uint32, np.uint32]
