"""Distinct subjects of arrays against sets of Python's."""

from collections.abc import Sequence
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolvers.analysis.distinct import by_value, counted, together
from resolvers.analysis.journeys import Journeys

Seen = tuple[int, int, int, int]
"""Subject, time, steps as bits, value of the dimension."""
events = st.lists(st.tuples(st.integers(1, 9), st.integers(10, 40), st.integers(1, 3), st.integers(0, 4)), max_size=60)


def journeys(seen: Sequence[Seen]) -> Journeys:
    subject, at, steps, value = np.array(seen or np.empty((0, 4)), np.int64).T
    return Journeys(
        subject.astype(np.int32), at, steps.astype(np.uint8), value.astype(np.int32).reshape(1, -1), ordered=False
    )


@pytest.mark.parametrize("rows", [1 << 17, 3, 1])
@pytest.mark.parametrize("places", [1 << 23, 0])
@given(events, st.lists(st.integers(0, 5), max_size=3, unique=True), st.integers(1, 9), st.sampled_from([30, 35]))
def test_each_is_counted_once_wherever_it_is_looked_for(
    places: int, rows: int, seen: list[Seen], shown: list[int], cut: int, last: int
) -> None:
    """Also where subjects are too many to be ticked off, a few at a time, and in parts without a subject in common."""
    starts = np.array([10, 20, last], np.int64)
    parts = [[one for one in seen if (one[0] < cut) is low] for low in (True, False)]
    with patch("resolvers.analysis.distinct._FLAGS", places), patch("resolvers.analysis.distinct._ROWS", rows):
        found = together([counted(journeys(part).in_order(), 2, starts, shown) for part in parts])
        ranked = [by_value(journeys(part)) for part in parts]

    def subjects(step: int, low: int = 0, high: int = 99, values: Sequence[int] = range(9)) -> int:
        return len(
            {who for who, at, steps, value in seen if steps >> step & 1 and low <= at < high and value in values}
        )

    rest = [value for value in range(9) if value not in shown]
    groups = [*([value] for value in shown), rest]
    spans = [(10, 20), (20, last), (last, 99)]
    for step in range(2):
        assert found.total[step] == subjects(step)
        assert found.buckets[step].tolist() == [subjects(step, *span) for span in spans]
        assert found.groups[step].tolist() == [subjects(step, values=group) for group in groups]
        assert found.both[step].tolist() == [
            [subjects(step, *span, values=group) for span in spans] for group in groups
        ]
    for value in range(5):
        assert sum(part.get(value, 0) for part in ranked) == subjects(0, values=[value])
