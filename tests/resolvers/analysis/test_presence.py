"""Sets of a day against a plain reading of the events."""

from itertools import groupby

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from resolvers.analysis.classes import EventClass
from resolvers.analysis.planning import ALL_DAY
from resolvers.analysis.presence import DaySets, Member, Sightings, by_day

CLASSES = (EventClass(1, 2, "USD", 0), EventClass(1, 1, "EUR", 2), EventClass(5, 3, "", 8))
HOUR = 3_600_000_000
Seen = tuple[int, int, int, bool, int]
"""Place of the class, hour since 1970, subject, whether it is paid, order; the position is its place in the list."""

seen = st.lists(
    st.tuples(
        st.integers(0, 2), st.integers(24 * 20_000, 24 * 20_002), st.integers(0, 5), st.booleans(), st.integers(0, 4)
    ),
    max_size=60,
)


def columns(events: list[Seen]) -> Sightings:
    of_class, hour, subject, paid, order = np.array(events or np.empty((0, 5)), np.int64).T
    return Sightings(CLASSES, of_class, hour * HOUR + 7, np.arange(1, len(events) + 1), subject, paid > 0, order)


def expected(events: list[Seen], member: Member, day: int, hours: int, classes: set[int]) -> set[int]:
    found = set()
    for position, (of_class, hour, subject, paid, order) in enumerate(events, 1):
        if hour // 24 != day or not hours >> hour % 24 & 1 or of_class not in classes:
            continue
        shown = {
            Member.SUBJECTS: subject,
            Member.CUSTOMERS: subject if paid else 0,
            Member.ORDERS: order if paid else 0,
            Member.UNNUMBERED: position if paid and not order else 0,
        }
        found.add(shown[member])
    return found - {0}


@given(seen, st.integers(0, ALL_DAY), st.sets(st.integers(0, 2)))
def test_a_day_shows_who_was_there_in_any_of_its_hours(events: list[Seen], hours: int, classes: set[int]) -> None:
    made = {(member, day): sets for member, day, sets in by_day(columns(events))}
    passing = {CLASSES[place] for place in classes}
    for member in Member:
        for day in (20_000, 20_001, 20_002):
            for mask in (hours, ALL_DAY):
                wanted = expected(events, member, day, mask, classes)
                sets = made.get((member, day))
                found = 0 if sets is None else sets.select(passing.__contains__, mask).size
                assert found == len(wanted)


@given(seen, st.integers(0, 60))
def test_sets_of_parts_merge_into_those_of_the_whole(events: list[Seen], cut: int) -> None:
    """Taken in twice, events change nothing."""
    numbered = columns(events)

    def part(rows: slice) -> dict[tuple[Member, int], DaySets]:
        own = [getattr(numbered, name)[rows] for name in ("of_class", "at", "position", "subject", "paid", "order")]
        return {(member, day): sets for member, day, sets in by_day(Sightings(CLASSES, *own))}

    whole, one, other = part(slice(None)), part(slice(cut + 5)), part(slice(cut, None))
    assert whole.keys() == one.keys() | other.keys()
    for key, sets in whole.items():
        parts = [half[key] for half in (one, other) if key in half]
        assert sets.equals(parts[0] if len(parts) == 1 else parts[0].merged(parts[1]))


@given(seen)
def test_codes_of_a_class_ascend(events: list[Seen]) -> None:
    for _, _, sets in by_day(columns(events)):
        assert list(sets.classes) == sorted(set(sets.classes))
        for start, end in zip(sets.starts[:-1], sets.starts[1:], strict=True):
            own = sets.codes[start:end].tolist()
            assert own == [code for code, _ in groupby(sorted(own))]
            assert own
