"""Paths and credits: what the arrays say is what going through each journey says."""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import combinations
from math import factorial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolvers.analysis import attribution_models
from resolvers.analysis.attribution import Model
from resolvers.analysis.attribution_markov import removal_effects, shared
from resolvers.analysis.attribution_models import WHOLE, Tally, apportioned, tally
from resolvers.analysis.attribution_paths import CONVERTED, LOST, START, Paths, Transitions, joined_paths, paths_of
from resolvers.analysis.attribution_sales import UNIT, Amounts, amounts_of
from tests.resolvers.analysis.attribution_oracle import (
    HALF_LIFE,
    Event,
    arrays,
    credits,
    journeys,
    removal_effect,
    shares,
    steps_of,
    transitions,
)

BY_PATH = [model for model in Model if model is not Model.MARKOV]
CODES = 4
AMOUNTS = st.decimals(0, 10**12, places=12) | st.integers(0, 10**4).map(lambda cents: Decimal(cents) / 100)
KINDS = st.sampled_from([(True, False), (True, False), (False, True), (True, True), (False, False)])


@st.composite
def an_event(draw: st.DrawFn) -> Event:
    touch, conversion = draw(KINDS)
    amount = draw(st.none() | AMOUNTS) if conversion or not touch else None
    return Event(
        draw(st.integers(1, 4)), draw(st.integers(0, 25)), touch, conversion, draw(st.integers(0, CODES - 1)), amount
    )


EVENTS = st.lists(an_event(), max_size=40)
STARTS, LOOKBACKS = st.integers(0, 20), st.integers(1, 25)


def counted(paths: Paths, amounts: Amounts, models: Sequence[Model] = BY_PATH) -> Tally:
    return tally(paths, paths.code, CODES, amounts, models, HALF_LIFE)


@given(EVENTS, STARTS, LOOKBACKS)
def test_paths_and_credits_are_those_of_the_journeys(events: list[Event], start: int, lookback: int) -> None:
    # What lies before the lookback is never read.
    events = [event for event in events if event.at >= start - lookback]
    columns, sales = arrays(events)
    paths = paths_of(columns, start, lookback)
    expected = journeys(events, start, lookback)
    converted = [journey for journey in expected if journey.amount is not None]
    assert paths.touches.tolist() == [len(journey.touches) for journey in converted]
    assert list(zip(paths.code.tolist(), paths.before.tolist(), strict=True)) == [
        touch for journey in converted for touch in journey.touches
    ]
    assert paths.lost == len(expected) - len(converted)
    found = paths.transitions
    steps = zip(found.source.tolist(), found.target.tolist(), strict=True)
    assert dict(zip(steps, found.count.tolist(), strict=True)) == transitions(expected)
    amounts = amounts_of(paths, sales)
    assert Fraction(amounts.total(), UNIT) == sum(Fraction(journey.amount or 0) for journey in converted)
    counts = counted(paths, amounts)
    for code in range(CODES):
        own = [[of for of, _ in journey.touches] for journey in converted]
        assert counts.touches[code] == sum(touched.count(code) for touched in own)
        assert counts.conversions[code] == sum(code in touched for touched in own)
        assert counts.last[code] == sum(touched[-1:] == [code] for touched in own)
    for model in BY_PATH:
        conversions, money = credits(expected, model)
        for code in range(CODES):
            near = 1e-10 if model is Model.TIME_DECAY else 1e-12
            credit = Fraction(counts.credits[model].conversions[code], WHOLE)
            assert abs(credit - conversions[code]) <= near * len(events) ** 2
            revenue = Fraction(counts.credits[model].revenue[code], WHOLE * UNIT)
            assert abs(revenue - money[code]) <= near * len(events) ** 2 * max(1, amounts.total() // UNIT)


@given(EVENTS)
def test_credits_sum_exactly(events: list[Event]) -> None:
    columns, sales = arrays(events)
    paths = paths_of(columns, 0, 12)
    amounts = amounts_of(paths, sales)
    touched = paths.touches > 0
    for model, found in counted(paths, amounts).credits.items():
        if model is not Model.PARTICIPATION:
            assert sum(found.conversions) == WHOLE * np.count_nonzero(touched)
            assert sum(found.revenue) == WHOLE * amounts.part(touched).total()
            assert min(found.conversions) >= 0


@given(EVENTS, st.randoms(use_true_random=False), st.integers(2, 7))
def test_neither_order_nor_blocks_matter(events: list[Event], random: object, block: int) -> None:
    # Simultaneous events of a subject keep their order of arrival.
    events = [Event(e.subject, 40 * e.at + n, e.touch, e.conversion, e.code, e.amount) for n, e in enumerate(events)]
    mixed = list(events)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    with pytest.MonkeyPatch.context() as patch:
        found = []
        for given_events, size in (events, 1 << 18), (mixed, block):
            patch.setattr(attribution_models, "_BLOCK", size)
            columns, sales = arrays(given_events)
            paths = paths_of(columns, 0, 500)
            found.append(counted(paths, amounts_of(paths, sales)))
    assert found[0] == found[1]


def test_the_largest_sums_do_not_overflow() -> None:
    size, most = attribution_models._BLOCK + 7, 2**24 - 1
    ones = np.ones(size, np.int32)
    paths = Paths(
        subject=ones,
        at=np.zeros(size, np.int64),
        sale=ones,
        touches=ones,
        code=ones,
        before=np.zeros(size, np.int64),
        transitions=Transitions(ones[:0], ones[:0], np.zeros(0, np.int64)),
        lost=0,
    )
    amounts = Amounts(((1, np.full(size, most)), (1 << 24, np.full(size, most))))
    for model, found in counted(paths, amounts).credits.items():
        assert found.conversions == [0, size * WHOLE, 0, 0], model
        assert found.revenue == [0, size * WHOLE * (2**48 - 1), 0, 0], model


@given(EVENTS, STARTS)
def test_paths_of_parts_are_those_of_the_whole(events: list[Event], start: int) -> None:
    whole = paths_of(arrays(events)[0], start, 9)
    parts = [[event for event in events if event.subject in some] for some in ({1, 2}, {3}, {4})]
    joined = joined_paths([paths_of(arrays(part)[0], start, 9) for part in parts])
    for name in ("subject", "at", "sale", "touches", "code", "before"):
        assert np.array_equal(getattr(whole, name), getattr(joined, name))
    for name in ("source", "target", "count"):
        assert sorted(getattr(whole.transitions, name)) == sorted(getattr(joined.transitions, name))
    assert whole.lost == joined.lost


def test_a_conversion_gets_its_own_amount_among_simultaneous_ones() -> None:
    events = [
        Event(1, 5, touch=True, conversion=False, code=1),
        Event(1, 5, touch=False, conversion=False, amount=Decimal(1000)),
        Event(1, 5, touch=False, conversion=True, amount=Decimal(7)),
        Event(1, 5, touch=True, conversion=False, code=2),
        Event(1, 5, touch=False, conversion=True),
        Event(1, 5, touch=False, conversion=True, amount=Decimal("0.5")),
    ]
    columns, sales = arrays(events)
    # Committed after the paths were read.
    later = arrays([*events, Event(1, 5, touch=False, conversion=True, amount=Decimal(9)), Event(0, 1, False, True)])[1]
    paths = paths_of(columns, 0, 1)
    for known in sales, later:
        amounts = amounts_of(paths, known)
        found = counted(paths, amounts).credits[Model.LAST_TOUCH]
        assert amounts.total() == 7 * UNIT + UNIT // 2
        assert found.revenue == [0, 7 * UNIT * WHOLE, 0, 0]
        assert found.conversions == [0, WHOLE, WHOLE, 0]


@pytest.mark.parametrize(
    ("model", "of_two", "of_four"),
    [
        (Model.POSITION, ["0.5", "0.5"], ["0.4", "0.1", "0.1", "0.4"]),
        (Model.J_SHAPED, ["0.25", "0.75"], ["0.2", "0.1", "0.1", "0.6"]),
        (Model.INVERSE_J, ["0.75", "0.25"], ["0.6", "0.1", "0.1", "0.2"]),
        (Model.LINEAR, ["0.5", "0.5"], ["0.25", "0.25", "0.25", "0.25"]),
        (
            Model.TIME_DECAY,
            ["0.333333333", "0.666666667"],
            ["0.066666667", "0.133333333", "0.266666667", "0.533333333"],
        ),
    ],
)
def test_the_shapes(model: Model, of_two: list[str], of_four: list[str]) -> None:
    for expected in (["1"], of_two, of_four):
        events = [
            Event(1, HALF_LIFE * at, touch=True, conversion=at == len(expected) - 1, code=at)
            for at in range(len(expected))
        ]
        paths = paths_of(arrays(events)[0], 0, 1000)
        found = tally(paths, paths.code, len(expected), Amounts(()), [model], HALF_LIFE).credits[model].conversions
        assert apportioned(found, WHOLE, 9) == [Decimal(share) for share in expected]


@given(st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=6), min_size=1, max_size=8))
def test_shapley_is_the_value_of_the_game_it_names(touched: list[list[int]]) -> None:
    def worth(of: frozenset[int]) -> int:
        return sum(set(path) <= of for path in touched)

    players = frozenset(range(1, 5))
    for player in players:
        others = players - {player}
        expected = sum(
            Fraction(factorial(size) * factorial(len(others) - size), factorial(len(players)))
            * (worth(frozenset(some) | {player}) - worth(frozenset(some)))
            for size in range(len(players))
            for some in combinations(others, size)
        )
        split = sum(
            share
            for path in touched
            for code, share in zip(path, shares(Model.SHAPLEY, [(code, 0) for code in path]), strict=True)
            if code == player
        )
        assert split == expected


@given(EVENTS, st.dictionaries(st.integers(0, CODES - 1), st.integers(1, 100)))
def test_removal_effects_are_those_of_the_definition_and_self_loops_change_nothing(
    events: list[Event], loops: dict[int, int]
) -> None:
    counts = transitions(journeys(events, 0, 100))
    codes = sorted({target for _, target in counts if target >= 0})
    if not codes:
        return
    expected = [removal_effect(counts, code) for code in codes]
    looped = dict(counts)
    for code, more in loops.items():
        if code in codes:
            looped[code, code] = looped.get((code, code), 0) + more
    assert [removal_effect(looped, code) for code in codes] == pytest.approx(expected, abs=1e-9)
    for steps in counts, looped:
        found = removal_effects(steps_of(steps), np.array(codes, np.int32))
        assert found.tolist() == pytest.approx(expected, abs=1e-12)
        assert sum(shared(10**30, found)) == (10**30 if any(target == CONVERTED for _, target in steps) else 0)


def test_a_value_on_lost_paths_only_gets_nothing() -> None:
    counts = {(START, 1): 3, (START, 2): 2, (1, CONVERTED): 2, (1, LOST): 1, (2, LOST): 2}
    effects = removal_effects(steps_of(counts), np.array([1, 2], np.int32))
    assert effects.tolist() == [1, 0]
    assert shared(7, effects) == [7, 0]


@given(st.lists(st.integers(0, 10**6), max_size=12), st.integers(1, 10**4))
def test_what_is_apportioned_sums(parts: list[int], whole: int) -> None:
    # Made to sum to something that three places can say.
    parts = [*parts, -sum(parts) % whole]
    found = apportioned(parts, whole, 3)
    assert sum(found) == Decimal(sum(parts)) / whole
    for part, rounded in zip(parts, found, strict=True):
        assert abs(Fraction(rounded) - Fraction(part, whole)) < Fraction(1, 1000)
