"""Cost against value over arrays: exact sums, payback by its definition, intervals, and what an experiment measured."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolvers.analysis import roi_bootstrap
from resolvers.analysis.ai_calls import AiCalls
from resolvers.analysis.attribution import Model
from resolvers.analysis.attribution_paths import joined_paths, paths_of
from resolvers.analysis.attribution_sales import UNIT, Amounts, amounts_of
from resolvers.analysis.explanations import Explanation, Source
from resolvers.analysis.filters import EVERYTHING
from resolvers.analysis.periods import Granularity, Period
from resolvers.analysis.roi import Evidence, IncrementalValue, RoiDefinition
from resolvers.analysis.roi_answers import Circumstances, answer
from resolvers.analysis.roi_bootstrap import Resamples
from resolvers.analysis.roi_payback import Costs, payback
from resolvers.analysis.roi_tally import Found, Tally
from tests.resolvers.analysis.attribution_oracle import Event, arrays, journeys, shares

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
START, END, LOOKBACK = 100, 200, 40
PERIOD = Period(EPOCH + timedelta(microseconds=START), EPOCH + timedelta(microseconds=END))
DEFINITION = RoiDefinition(
    EVERYTHING, None, Model.LINEAR, timedelta(microseconds=LOOKBACK), timedelta(microseconds=7), resamples=0
)
AMOUNTS = st.one_of(st.none(), st.decimals(0, 10**6, places=12), st.decimals(0, 9, places=2))
EVENTS = st.lists(
    st.builds(
        Event,
        subject=st.integers(1, 3),
        at=st.integers(60, 199),
        touch=st.booleans(),
        conversion=st.booleans(),
        code=st.integers(0, 3),
        amount=AMOUNTS,
    ),
    max_size=40,
)
CALLS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(START, 199), st.integers(0, 2), st.decimals(0, 10**6, places=12)),
    max_size=30,
)


def calls_of(rows: list[tuple[int, int, int, Decimal]]) -> AiCalls:
    rows = sorted(rows, key=lambda row: row[1])
    units = [divmod(int(cost * UNIT), UNIT) for *_, cost in rows]
    return AiCalls.of(
        subject=np.array([row[0] for row in rows], np.int32),
        at=np.array([row[1] for row in rows], np.int64),
        group=np.array([row[2] for row in rows], np.int32),
        whole=np.array([whole for whole, _ in units], np.int64),
        fraction=np.array([fraction for _, fraction in units], np.int64),
        known=np.ones(len(rows), np.bool_),
        priced=np.ones(len(rows), np.bool_),
    )


def found_of(events: list[Event], rows: list[tuple[int, int, int, Decimal]]) -> Found:
    columns, sales = arrays(events)
    paths = joined_paths([paths_of(columns, START, LOOKBACK)])
    # In parts, as they are read.
    calls = [calls_of(rows[: len(rows) // 3]), calls_of(rows[len(rows) // 3 :])]
    return Found(PERIOD, calls, paths, amounts_of(paths, sales))


@given(EVENTS, CALLS, st.sampled_from([Model.LINEAR, Model.LAST_TOUCH, Model.POSITION, Model.TIME_DECAY]))
def test_sums_are_what_a_walk_in_fractions_says(events: list[Event], rows: list[Any], model: Model) -> None:
    definition = RoiDefinition(EVERYTHING, None, model, DEFINITION.lookback, DEFINITION.half_life, 0)
    found = found_of(events, rows)
    edges = [100, 130, 180]
    # Three combinations, of which the third has no row of its own; code 0 is owed to others.
    tally = Tally(definition, found, np.array([0, 1, 2], np.int32), 3, edges)
    sums = tally.sums()
    assert all(len(one.value) == 3 for one in sums)
    for row, one in enumerate(sums[:3]):
        mine = [cost for _, _, group, cost in rows if group == row]
        assert (sum(one.calls), one.costs, sum(one.cost)) == (len(mine), len(mine), sum(mine))
    expected = [Fraction(0)] * 4
    conversions = [Fraction(0)] * 4
    for journey in journeys(events, START, LOOKBACK):
        if journey.amount is not None and journey.touches:
            for (code, _), share in zip(journey.touches, shares(model, journey.touches), strict=True):
                expected[code - 1] += share * Fraction(journey.amount)
                conversions[code - 1] += share
    # Shares are in parts of 2^40, and sums are rounded at the ninth decimal place.
    near = Fraction(1, 10**9) + Fraction(sum(expected), 10**11)
    for row in range(3):
        assert abs(Fraction(sum(sums[row].value)) - expected[row]) <= near
        assert abs(Fraction(sum(sums[row].conversions)) - conversions[row]) <= 40 * Fraction(1, 10**9)
    for name in "value", "conversions", "cost", "calls":
        rowwise = sum((sum(getattr(one, name)) for one in sums[:3]), Decimal(0))
        assert rowwise == sum(getattr(sums[3], name))


@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, 5)), max_size=12),
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, 5)), max_size=12),
    st.sampled_from([1, 3**50]),
)
def test_payback_is_the_first_instant_that_balances(cost: list[Any], value: list[Any], unit: int) -> None:
    instants = np.unique(np.array([when for when, _ in value], np.int64))

    def of(rows: list[Any]) -> Costs:
        at = np.array([when for when, _ in rows], np.int64)
        amounts = Amounts(((unit, np.array([amount for _, amount in rows], np.uint8)),))
        return Costs(at, np.searchsorted(instants, at), amounts)

    exact = [sum(amount for when, amount in value if when == at) * unit for at in instants.tolist()]
    earned = np.array(exact, np.float64)
    half = len(cost) // 2
    found = payback(instants, [of(cost[:half]), of(cost[half:])], earned, len(value), lambda: np.array(exact, object))
    expected = None
    for at in range(21):
        spent = sum(amount for when, amount in cost if when <= at)
        if spent and sum(amount for when, amount in value if when <= at) >= spent:
            expected = at
            break
    assert (None if found is None else found.reached_us) == expected
    if found is not None:
        assert found.first_cost_us == min(when for when, amount in cost if amount)


def circumstances() -> Circumstances:
    return Circumstances(
        by=(), keys=[()], top=5, buckets=(PERIOD.start,), granularity=Granularity.DAY, timezone="UTC", currency="USD",
        unconverted=(), unconverted_cost=(), explain=Explanation(Source.LOG, 0, 0.0), as_of=PERIOD.end,
    )  # fmt: skip


SOLD = [Event(1, 110, True, False, 1), Event(1, 120, False, True, 0, Decimal(30))]


def test_what_an_experiment_measured_takes_the_place_of_attribution() -> None:
    found = found_of(SOLD, [(1, 110, 0, Decimal(10))])
    told = answer(DEFINITION, found, None, circumstances())
    assert (told.evidence, told.incremental, told.value.value) == (Evidence.CORRELATIONAL, None, 30)
    assert "not what AI caused" in told.evidence_reason
    measured = IncrementalValue(Decimal(16), Decimal(8), Decimal(24), "assistant holdout")
    told = answer(DEFINITION, found, None, circumstances(), measured)
    assert (told.evidence, told.incremental) == (Evidence.CAUSAL, measured)
    assert "assistant holdout" in told.evidence_reason
    assert (told.value.value, told.net.value, told.roi.value, told.margin.value) == (
        16, 6, Decimal("0.6"), Decimal("0.375")
    )  # fmt: skip
    intervals = [one.interval for one in (told.value, told.net, told.roi, told.margin)]
    ends = [None if one is None else (one.low, one.high) for one in intervals]
    assert ends[:3] == [(8, 24), (-2, 14), (Decimal("-0.2"), Decimal("1.4"))]
    assert ends[3] is not None
    assert float(ends[3][0]) == -0.25
    assert told.shortfall == 0
    # Without a cost, and with an effect that may be none, there is less to say.
    free = answer(DEFINITION, found_of(SOLD, []), None, circumstances(), measured)
    assert (free.roi.value, free.roi.interval, free.net.value) == (None, None, 16)
    doubtful = answer(
        DEFINITION, found, None, circumstances(), IncrementalValue(Decimal(1), Decimal(-3), Decimal(5), "x")
    )
    assert (doubtful.margin.interval, doubtful.roi.value, doubtful.shortfall) == (None, Decimal("-0.9"), 9)


def many(subjects: int) -> Tally:
    rng = np.random.default_rng(5)
    rows, events = [], []
    for subject in range(1, subjects + 1):
        rows.append((subject, 105, 0, Decimal(1)))
        events.append(Event(subject, 105, True, False, 1))
        if rng.random() < 0.5:
            events.append(Event(subject, 110, False, True, 0, Decimal(int(rng.integers(1, 9)))))
    return Tally(DEFINITION, found_of(events, rows), np.array([0], np.int32), 2, [100])


def test_bundles_are_as_sure_as_the_subjects_in_them(monkeypatch: pytest.MonkeyPatch) -> None:
    tally = many(1_000)
    plain = Resamples.of(tally, tally.shares(), 1_000)
    monkeypatch.setattr(roi_bootstrap, "BUNDLES", 200)
    bundled = Resamples.of(tally, tally.shares(), 1_000)
    assert plain is not None
    assert bundled is not None
    for name in "value", "net", "roi", "cost_per_conversion":
        one, other = getattr(plain, name)(2), getattr(bundled, name)(2)
        assert float(other.high - other.low) == pytest.approx(float(one.high - one.low), rel=0.2)
    # The row that nothing is in has nothing to divide by.
    assert plain.roi(1) is None
    assert Resamples.of(tally, tally.shares(), 0) is None
    alone = many(1)
    assert Resamples.of(alone, alone.shares(), 100) is None
