"""Funnels of every order, exclusion, count and constant against a walk in plain Python."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

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
