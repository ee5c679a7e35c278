"""Features, outcomes and spells of subjects: against plain loops over their events."""

from itertools import groupby
from unittest.mock import patch

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from resolvers.analysis import behaviour
from resolvers.analysis.behaviour import DAY_US, SESSION_GAP_US, Behaviour, joined, observed
from resolvers.analysis.journeys import Journeys
from resolvers.analysis.spells import SpellKind, durations, spells
from resolvers.analysis.spells import joined as joined_spells

CUTOFF = 200 * DAY_US
CHURN, RECURRING, GAIN, AI, GOOD, BAD, TARGET, ANY = (1 << place for place in range(8))
Event = tuple[int, int, int, tuple[int, int, int]]
"""Subject, time, bits, codes of feature, plan and persona."""

moments = st.one_of(
    st.integers(0, 260).map(lambda day: day * DAY_US),
    st.integers(-2_000, 2_000).map(lambda minute: CUTOFF + minute * SESSION_GAP_US // 10),
    st.sampled_from([CUTOFF, CUTOFF - 1, CUTOFF - 30 * DAY_US, CUTOFF - 90 * DAY_US, CUTOFF + 30 * DAY_US]),
)
sorts = st.sampled_from([0, CHURN, GAIN, GAIN | RECURRING, GAIN | TARGET, AI, AI | GOOD, AI | BAD]).map(
    lambda bits: bits | ANY
)
codes = st.tuples(*[st.integers(0, 3)] * 3)
events = st.lists(st.tuples(st.integers(1, 3), moments, sorts, codes), max_size=40)


def journeys(found: list[Event]) -> Journeys:
    """Events in the order of arrival."""
    return Journeys(
        np.array([one[0] for one in found], np.int32),
        np.array([one[1] for one in found], np.int64),
        np.array([one[2] for one in found], np.uint8),
        np.array([one[3] for one in found], np.int32).reshape(-1, 3).T,
        ordered=False,
    )


def by_subject(found: list[Event]) -> dict[int, list[Event]]:
    """Each subject's events by time, simultaneous ones in the order of arrival."""
    ordered = sorted(found, key=lambda one: one[:2])
    return {subject: list(own) for subject, own in groupby(ordered, key=lambda one: one[0])}


def last(own: list[Event], bit: int = ANY) -> int:
    return max((at for _, at, bits, _ in own if bits & bit), default=-1)


def check(found: Behaviour, row: int, own: list[Event]) -> None:
    past = [one for one in own if one[1] < CUTOFF]
    window = [one for one in past if one[1] >= CUTOFF - 90 * DAY_US]
    recent = [one for one in window if one[1] >= CUTOFF - 30 * DAY_US]
    later = [one for one in own if CUTOFF <= one[1] < CUTOFF + 30 * DAY_US]
    times = [at for _, at, _, _ in window]
    good, bad = (sum(bool(bits & bit) for _, _, bits, _ in window) for bit in (GOOD, BAD))
    shown = {
        "first_us": past[0][1],
        "last_us": past[-1][1],
        "last_churn_us": last(past, CHURN),
        "last_recurring_us": last(past, RECURRING),
        "last_gain_us": last(past, GAIN),
        "recent": len(recent),
        "earlier": len(window) - len(recent),
        "active_days": len({at // DAY_US for at in times}),
        "sessions": sum(place == 0 or at - times[place - 1] >= SESSION_GAP_US for place, at in enumerate(times)),
        "features_used": len({codes[0] for _, _, _, codes in window if codes[0]}),
        "ai_requests": sum(bool(bits & AI) for _, _, bits, _ in window),
        "purchases": sum(bool(bits & GAIN) for _, _, bits, _ in window),
        "later": len(later),
        "churned": any(bits & CHURN for _, _, bits, _ in later),
        "reached": any(bits & TARGET for _, _, bits, _ in later),
    }
    assert {name: getattr(found, name)[row].item() for name in shown} == shown
    if good + bad:
        assert found.ai_success[row] == good / (good + bad)
    else:
        assert np.isnan(found.ai_success[row])
    for place in range(3):
        carried = [codes[place] for _, _, _, codes in past if codes[place]]
        assert found.dimensions[place, row] == (carried[-1] if carried else 0)


@given(events, st.sampled_from([2, 5, 1_000]), st.sampled_from([1, 3, 64]))
def test_behaviour_is_what_events_say(found: list[Event], rows_at_a_time: int, bits: int) -> None:
    with patch.multiple(behaviour, _ROWS=rows_at_a_time, _BITS=bits):
        (seen,) = observed(journeys(found), [CUTOFF])
    people = {}
    for who, own in by_subject(found).items():
        past = [one for one in own if one[1] < CUTOFF]
        if last(past) >= CUTOFF - 30 * DAY_US or last(past, GAIN | CHURN) >= 0:
            people[who] = own
    assert seen.subject.tolist() == sorted(people)
    for row, own in enumerate(people.values()):
        check(seen, row, own)


@given(events, events)
def test_parts_are_joined(one: list[Event], other: list[Event]) -> None:
    apart = [observed(journeys(part), [CUTOFF])[0] for part in (one, [(of + 9, *rest) for of, *rest in other])]
    together = joined(apart)
    assert together.subject.size == apart[0].subject.size + apart[1].subject.size
    assert together.dimensions.shape == (3, together.subject.size)


@given(events)
def test_spells_are_what_events_say(found: list[Event]) -> None:
    # Spells are read by fewer conditions.
    found = [(who, at, bits & 7 | 8, codes) for who, at, bits, codes in found if at < CUTOFF]
    people = by_subject(found)
    seen = joined_spells([spells(journeys(found))])
    days = durations(seen, CUTOFF)
    contractual = any(last(own[1:], CHURN) >= 0 for own in people.values())
    recurring = any(last(own, RECURRING) >= 0 for own in people.values())
    expected = []
    for own in people.values():
        bit = (RECURRING if recurring else GAIN) if contractual else 8
        start = next((place for place, one in enumerate(own) if one[2] & bit), None)
        if start is None:
            continue
        began = own[start][1]
        if contractual:
            churned = [at for _, at, bits, _ in own[start + 1 :] if bits & CHURN]
            end, left = (churned[0], True) if churned else (CUTOFF, False)
        else:
            left = own[-1][1] < CUTOFF - 30 * DAY_US
            end = own[-1][1] if left else CUTOFF
        expected.append(((end - began) // DAY_US, left, own[start][3]))
    assert days.kind is (SpellKind.CUSTOMER if contractual else SpellKind.ACTIVITY)
    assert list(zip(days.days, days.left, map(tuple, days.dimensions.T.tolist()), strict=True)) == expected
