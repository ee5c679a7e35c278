"""The funnel kernel against a plain walk over each subject's events, written from the definition alone."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from resolvers.analysis import funnel_kernel
from resolvers.analysis.funnel_kernel import FunnelWalk, walk
from resolvers.analysis.funnel_rules import Rules
from resolvers.analysis.funnels import Entry


class Row(NamedTuple):
    subject: int
    time: int
    steps: frozenset[int]


class Outcome(NamedTuple):
    depth: int
    entry: int
    elapsed: int | None
    """Microseconds to the last step; None where it was not reached."""


def from_entry(rows: Sequence[Row], entry: int, steps: int, window: int) -> Outcome:
    used = [entry]
    for step in range(1, steps):
        later = [
            (row.time, index)
            for index, row in enumerate(rows)
            if row.subject == rows[entry].subject
            and step in row.steps
            and row.time >= rows[used[-1]].time
            and index not in used
        ]
        if not later or min(later)[0] - rows[entry].time > window:
            return Outcome(len(used), entry, None)
        used.append(min(later)[1])
    return Outcome(steps, entry, rows[used[-1]].time - rows[entry].time)


def oracle(rows: Sequence[Row], steps: int, window: int, entry: Entry, end: int) -> dict[int, Outcome]:
    outcomes = {}
    for subject in {row.subject for row in rows}:
        entries = sorted(
            (row.time, index)
            for index, row in enumerate(rows)
            if row.subject == subject and 0 in row.steps and row.time < end
        )
        tried = entries[:1] if entry is Entry.FIRST else entries
        walks = [from_entry(rows, index, steps, window) for _, index in tried]
        if walks:
            outcomes[subject] = max(walks, key=lambda outcome: outcome.depth)  # of equals, the first
    return outcomes


def walked(
    rows: Sequence[Row], steps: int, window: int, entry: Entry, end: int, *, ordered: bool = False
) -> FunnelWalk:
    return walk(
        np.array([row.subject for row in rows], np.int64),
        np.array([row.time for row in rows], np.int64),
        np.array([sum(1 << step for step in row.steps) for row in rows], np.uint32),
        Rules(steps=steps, window_us=window, entry=entry, entry_end_us=end),
        ordered=ordered,
    )


def walked_in_order(rows: Sequence[Row], steps: int, window: int, entry: Entry, end: int) -> FunnelWalk:
    """The walk over the rows put in order, its entries as places in ``rows`` again."""
    order = sorted(range(len(rows)), key=lambda place: (rows[place].subject, rows[place].time))
    found = walked([rows[place] for place in order], steps, window, entry, end, ordered=True)
    return replace(found, entry=np.array(order, np.int64)[found.entry])


def outcomes_of(rows: Sequence[Row], result: FunnelWalk) -> dict[int, Outcome]:
    return {
        rows[entry].subject: Outcome(depth, entry, None if np.isnan(seconds) else round(seconds * 1e6))
        for depth, entry, seconds in zip(
            result.depth.tolist(), result.entry.tolist(), result.seconds.tolist(), strict=True
        )
    }


def rows_of(subjects: st.SearchStrategy[int], times: st.SearchStrategy[int]) -> st.SearchStrategy[list[Row]]:
    masks = st.frozensets(st.integers(0, 3), max_size=4)
    return st.lists(st.builds(Row, subjects, times, masks), max_size=40)


# (time, *steps): from 0 the window of 4 ends before the last step, from 3 it does not.
LATER_ENTRY_GOES_FARTHER = [(0, 0), (3, 0, 1), (6, 1), (7, 2)]

crowded = rows_of(st.integers(0, 3), st.integers(0, 12))
spread = rows_of(st.sampled_from([0, 7, 10**12, -5, -1]), st.sampled_from([0, 1, 2, 10**15, 10**15 + 1, 4 * 10**15]))


@given(
    rows=st.one_of(crowded, spread),
    steps=st.integers(2, 4),
    window=st.sampled_from([0, 1, 4, 12, 10**15, 10**16]),
    entry=st.sampled_from(Entry),
    end=st.sampled_from([0, 1, 6, 13, 10**15 + 1, 10**16]),
)
@example([Row(0, 5, frozenset({0, 1})), Row(0, 5, frozenset({0, 1}))], 2, 0, Entry.FIRST, 6)
@example([Row(0, 5, frozenset({1})), Row(0, 5, frozenset({0}))], 2, 0, Entry.FIRST, 6)
@example([Row(0, 5, frozenset({0, 1})), Row(0, 5, frozenset({0}))], 2, 0, Entry.FIRST, 6)
@example([Row(0, time, frozenset(steps)) for time, *steps in LATER_ENTRY_GOES_FARTHER], 3, 4, Entry.FIRST, 13)
@example([Row(0, time, frozenset(steps)) for time, *steps in LATER_ENTRY_GOES_FARTHER], 3, 4, Entry.ANY, 13)
def test_the_kernel_walks_as_the_definition_says(
    rows: list[Row], steps: int, window: int, entry: Entry, end: int
) -> None:
    result = walked(rows, steps, window, entry, end)
    assert outcomes_of(rows, result) == oracle(rows, steps, window, entry, end)
    assert result.depth.size == len(oracle(rows, steps, window, entry, end))
    in_order = walked_in_order(rows, steps, window, entry, end)
    assert outcomes_of(rows, in_order) == oracle(rows, steps, window, entry, end)


@pytest.mark.parametrize("entry", Entry)
def test_blocks_are_walked_as_the_whole_is(entry: Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    random = Random(3)
    rows = [
        Row(random.randrange(60), random.randrange(9), frozenset(random.sample(range(3), random.randrange(3))))
        for _ in range(500)
    ]
    expected = oracle(rows, 3, 4, entry, 8)
    for size in (1, 7, 100, 499, 500):
        monkeypatch.setattr(funnel_kernel, "BLOCK", size)
        found = walked_in_order(rows, 3, 4, entry, 8)
        assert outcomes_of(rows, found) == expected
        assert [rows[place].subject for place in found.entry] == sorted(expected)


@given(
    names=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 6), st.sampled_from("abc")), max_size=40),
    funnel=st.lists(st.sampled_from("abc"), min_size=2, max_size=5),
    entry=st.sampled_from(Entry),
    random=st.randoms(use_true_random=False),
)
def test_steps_by_name_may_repeat_and_do_not_depend_on_the_order_of_arrival(
    names: list[tuple[int, int, str]], funnel: list[str], entry: Entry, random: Random
) -> None:
    rows = [
        Row(subject, time, frozenset(step for step, wanted in enumerate(funnel) if wanted == name))
        for subject, time, name in names
    ]
    shuffled = random.sample(rows, len(rows))
    reached = []
    for arrival in (rows, shuffled):
        found = outcomes_of(arrival, walked(arrival, len(funnel), 4, entry, 6))
        assert found == oracle(arrival, len(funnel), 4, entry, 6)
        reached.append({subject: (found[subject].depth, found[subject].elapsed) for subject in found})
    assert reached[0] == reached[1]


@pytest.mark.parametrize("entry", Entry)
def test_a_large_log_is_walked_as_its_subjects_are(entry: Entry) -> None:
    # So many subjects, places and microseconds that one number cannot hold them all to order by.
    random = np.random.default_rng(5)
    size = 2**17
    subject = random.integers(0, 2**16, size)
    time = random.choice([0, 1, 2, 3, 2**45], size) + random.integers(0, 2, size) * 2**20
    step = random.integers(0, 3, size)
    rows = [
        Row(int(who), int(when), frozenset({int(what)})) for who, when, what in zip(subject, time, step, strict=True)
    ]
    result = walked(rows, 3, 2**20, entry, 2**46)
    found = outcomes_of(rows, result)
    for who in random.choice(subject, 300):
        place = np.flatnonzero(subject == who)
        own = [rows[index] for index in place]
        expected = oracle(own, 3, 2**20, entry, 2**46).get(int(who))
        assert found.get(int(who)) == (expected and expected._replace(entry=int(place[expected.entry])))


def test_a_window_is_closed_at_its_end_and_an_entry_lies_before_the_periods_end() -> None:
    rows = [Row(1, 9, frozenset({0})), Row(1, 19, frozenset({1})), Row(2, 10, frozenset({0}))]
    assert outcomes_of(rows, walked(rows, 2, 10, Entry.FIRST, 10)) == {1: Outcome(2, 0, 10)}
    assert outcomes_of(rows, walked(rows, 2, 9, Entry.FIRST, 10)) == {1: Outcome(1, 0, None)}


def test_a_later_entry_counts_only_under_any() -> None:
    rows = [Row(1, 0, frozenset({0})), Row(1, 50, frozenset({0})), Row(1, 60, frozenset({1}))]
    assert outcomes_of(rows, walked(rows, 2, 20, Entry.FIRST, 100)) == {1: Outcome(1, 0, None)}
    assert outcomes_of(rows, walked(rows, 2, 20, Entry.ANY, 100)) == {1: Outcome(2, 1, 10)}


def test_of_equally_far_walks_the_earliest_counts() -> None:
    rows = [Row(1, 0, frozenset({0})), Row(1, 5, frozenset({0})), Row(1, 6, frozenset({1}))]
    assert outcomes_of(rows, walked(rows, 2, 20, Entry.ANY, 100)) == {1: Outcome(2, 0, 6)}


def test_one_event_serves_one_step() -> None:
    both = frozenset({0, 1})
    assert outcomes_of([Row(1, 0, both)], walked([Row(1, 0, both)], 2, 9, Entry.ANY, 9)) == {1: Outcome(1, 0, None)}
    twice = [Row(1, 0, both), Row(1, 3, both)]
    assert outcomes_of(twice, walked(twice, 2, 9, Entry.FIRST, 9)) == {1: Outcome(2, 0, 3)}


@pytest.mark.parametrize("rows", [[], [Row(1, 5, frozenset({1}))], [Row(1, 5, frozenset({0}))]])
def test_nobody_enters(rows: list[Row]) -> None:
    result = walked(rows, 2, 9, Entry.ANY, 5)
    assert (result.depth.size, result.entry.size, result.seconds.size) == (0, 0, 0)
    assert walked(rows, 2, 9, Entry.ANY, 5, ordered=True).depth.size == 0
