"""Funnels of every order, exclusion, count and constant against a walk in plain Python."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resolvers.analysis import funnel_kernel
from resolvers.analysis.funnel_kernel import FunnelWalk, walk
from resolvers.analysis.funnel_rules import Barrier, Rules
from resolvers.analysis.funnels import Counting, Entry, Order
from tests.resolvers.analysis.funnel_oracle import Row, Told, oracle

STEPS, EXCLUSIONS, TIMES = 5, 2, 14


def found_by_the_kernel(rows: list[Row], rules: Rules, *, ordered: bool) -> list[Told]:
    order = sorted(range(len(rows)), key=lambda place: (rows[place].subject, rows[place].time))
    places = np.array(order if ordered else range(len(rows)), np.int64)
    given = [rows[place] for place in places]
    held = np.array([row.held for row in given], np.int32).reshape(len(given), -1).T if given else None
    found = walk(
        np.array([row.subject for row in given], np.int64),
        np.array([row.time for row in given], np.int64),
        np.array([sum(1 << bit for bit in row.bits) for row in given], np.uint8),
        rules,
        held=held,
        ordered=ordered,
    )
    assert [given[place].time for place in found.entry] == found.entry_us.tolist()
    return told(found, places)


def told(found: FunnelWalk, places: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> list[Told]:
    took: list[list[tuple[int, int, int]]] = [[] for _ in found.depth]
    for step, taken in enumerate(found.taken, start=1):
        for who, row, waited in zip(taken.walk, places[taken.row], taken.waited_us, strict=True):
            took[who].append((step, int(row), int(waited)))
    return [
        Told(int(depth), int(entry), None if np.isnan(seconds) else round(seconds * 1e6), tuple(steps))
        for depth, entry, seconds, steps in zip(found.depth, places[found.entry], found.seconds, took, strict=True)
    ]


@st.composite
def all_rules(draw: st.DrawFn) -> Rules:
    steps = draw(st.integers(2, STEPS))
    order = draw(st.sampled_from(Order))
    optional = draw(st.frozensets(st.integers(1, steps - 2))) if steps > 2 else frozenset()
    required = [step for step in range(steps) if step not in optional]
    ordered = order is not Order.ANY
    barriers = []
    for place in range(draw(st.integers(0, EXCLUSIONS))):
        after = draw(st.sampled_from(required[:-1])) if ordered else 0
        before = draw(st.sampled_from([step for step in required if step > after])) if ordered else steps - 1
        barriers.append(Barrier(draw(st.sampled_from([steps + place, 0, 1])), after, before, draw(st.booleans())))
    return Rules(
        steps=steps,
        window_us=draw(st.sampled_from([0, 1, 4, 9, 20])),
        entry=draw(st.sampled_from(Entry)),
        entry_end_us=draw(st.sampled_from([1, 8, TIMES + 1])),
        order=order,
        strictly_later=ordered and draw(st.booleans()),
        optional=optional,
        within_us=draw(st.dictionaries(st.integers(1, steps - 1), st.integers(0, 5), max_size=2)) if ordered else {},
        barriers=tuple(barriers),
        counting=draw(st.sampled_from(Counting)),
    )


@st.composite
def questions(draw: st.DrawFn) -> tuple[list[Row], Rules]:
    rules = draw(all_rules())
    held = draw(st.integers(1 if rules.counting is Counting.SESSIONS else 0, 2))
    names = draw(st.booleans())
    bits = (
        st.integers(0, rules.steps + len(rules.barriers)).map(lambda bit: frozenset({bit}))
        if names
        else st.frozensets(st.integers(0, rules.steps + len(rules.barriers) - 1), max_size=3)
    )
    values = st.tuples(*(st.sampled_from([0, 1, 1, 1, 2]) for _ in range(held)))
    rows = draw(st.lists(st.builds(Row, st.integers(0, 1), st.integers(0, TIMES), bits, values), max_size=30))
    return rows, rules


@settings(max_examples=600, deadline=None)
@given(questions())
def test_every_rule_walks_as_its_definition_says(question: tuple[list[Row], Rules]) -> None:
    rows, rules = question
    expected = sorted(oracle(rows, rules))
    assert sorted(found_by_the_kernel(rows, rules, ordered=True)) == expected
    assert sorted(found_by_the_kernel(rows, rules, ordered=False)) == expected


def rows_of(*events: tuple[int, ...], subject: int = 0) -> list[Row]:
    """One subject's events, each a time and its bits."""
    return [Row(subject, time, frozenset(bits)) for time, *bits in events]


THREE = Rules(steps=3, window_us=10, entry=Entry.FIRST, entry_end_us=20)
ASIDE = replace(THREE, optional=frozenset({1}))


@pytest.mark.parametrize(
    ("rows", "rules", "depths"),
    [
        # Of two exclusions at one time the one that removes decides.
        (
            rows_of((0, 0), (2, 3, 4), (3, 1)),
            replace(THREE, barriers=(Barrier(3, 0, 2, False), Barrier(4, 0, 2, True))),
            [],
        ),
        (rows_of((0, 0), (2, 3), (3, 1)), replace(THREE, barriers=(Barrier(3, 0, 2, False),)), [1]),
        # An excluded event at the time of a step lies not between.
        (rows_of((0, 0), (0, 3), (3, 3), (3, 1)), replace(THREE, barriers=(Barrier(3, 0, 1, False),)), [2]),
        # In strict order simultaneous events lie not between each other.
        (rows_of((0, 0), (1, 5), (1, 1), (1, 2)), replace(THREE, order=Order.STRICT), [3]),
        (rows_of((0, 0), (1, 5), (2, 1), (3, 2)), replace(THREE, order=Order.STRICT), [1]),
        # What broke the order may begin the next walk.
        (rows_of((0, 0), (1, 0), (2, 1)), replace(THREE, order=Order.STRICT, counting=Counting.TOTALS), [1, 2]),
        # A walk that ran out of time is over with its window, at the window's end still under way.
        (rows_of((0, 0), (10, 0), (11, 0)), replace(THREE, counting=Counting.TOTALS), [1, 1]),
        # In any order the steps before the first may come before it.
        (rows_of((0, 2), (1, 1), (2, 0)), replace(THREE, order=Order.ANY), [3]),
        (rows_of((0, 2), (11, 1), (12, 0)), replace(THREE, order=Order.ANY), [2]),
        # Every step at once, and no time at all.
        (rows_of((5, 0), (5, 1), (5, 2)), replace(THREE, window_us=0), [3]),
        (rows_of((5, 0), (5, 1), (5, 2)), replace(THREE, window_us=0, strictly_later=True), [1]),
    ],
)
def test_corners(rows: list[Row], rules: Rules, depths: list[int]) -> None:
    found = found_by_the_kernel(rows, rules, ordered=True)
    assert found == oracle(rows, rules)
    assert [one.depth for one in found] == depths


@pytest.mark.parametrize(
    ("rows", "rules", "steps"),
    [
        # An optional step does not take what the required one after it needs, nor two an event that is one.
        (rows_of((0, 0), (1, 1, 2)), ASIDE, [2]),
        (rows_of((0, 0), (1, 1), (2, 1, 2)), ASIDE, [1, 2]),
        (rows_of((0, 0), (2, 1), (2, 2)), ASIDE, [1, 2]),
        (rows_of((0, 0), (2, 1), (2, 2)), replace(ASIDE, strictly_later=True), [2]),
        (rows_of((0, 0), (2, 1), (3, 2)), replace(ASIDE, strictly_later=True), [1, 2]),
        # Nor does one that comes too late count for it.
        (rows_of((0, 0), (4, 1), (5, 2)), replace(ASIDE, within_us={1: 3}), [2]),
        # In strict order it is nothing between, but another of its kind is.
        (rows_of((0, 0), (1, 1), (2, 2)), replace(ASIDE, order=Order.STRICT), [1, 2]),
        (rows_of((0, 0), (1, 1), (2, 1), (3, 2)), replace(ASIDE, order=Order.STRICT), [1]),
        # In any order it counts though a required step before it in the list is missing.
        (
            rows_of((0, 0), (1, 2)),
            replace(THREE, steps=4, order=Order.ANY, optional=frozenset({2})),
            [2],
        ),
    ],
)
def test_which_steps_are_taken(rows: list[Row], rules: Rules, steps: list[int]) -> None:
    (found,) = found_by_the_kernel(rows, rules, ordered=True)
    assert [found] == oracle(rows, rules)
    assert [step for step, _, _ in found.took] == steps


@pytest.mark.parametrize("name", ["ordered", "totals", "any", "held"])
def test_blocks_are_walked_as_the_whole_is(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(4)
    rows = [
        Row(int(who), int(when), frozenset({int(what)}), (int(held),) if name == "held" else ())
        for who, when, what, held in random.integers(0, [40, 12, 4, 3], (600, 4)).tolist()
    ]
    counting = Counting.TOTALS if name == "totals" else Counting.SESSIONS if name == "held" else Counting.SUBJECTS
    rules = replace(
        THREE,
        window_us=4,
        entry=Entry.ANY,
        order=Order.ANY if name == "any" else Order.ORDERED,
        barriers=(Barrier(3, 0, 2, True),),
        counting=counting,
    )
    expected = sorted(oracle(rows, rules))
    for size in (1, 7, 100, 599, 600):
        monkeypatch.setattr(funnel_kernel, "BLOCK", size)
        assert sorted(found_by_the_kernel(rows, rules, ordered=True)) == expected


def test_one_subjects_thousands_of_walks_follow_each_other() -> None:
    rows = [Row(0, time, frozenset({time % 2})) for time in range(4_000)]
    rules = Rules(steps=2, window_us=5, entry=Entry.FIRST, entry_end_us=4_000, counting=Counting.TOTALS)
    found = found_by_the_kernel(rows, rules, ordered=True)
    assert [(one.depth, one.entry) for one in found] == [(2, time) for time in range(0, 4_000, 2)]
