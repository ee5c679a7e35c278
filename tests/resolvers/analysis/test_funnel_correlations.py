"""What goes with converting: odds ratios, their intervals and p-values, against SciPy."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import exp, log, log10

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control, norm
from scipy.stats.contingency import odds_ratio

from resolvers.analysis.explanations import Explanation, Source
from resolvers.analysis.filters import EVERYTHING
from resolvers.analysis.funnel_correlations import Crossed, FunnelCorrelationAnswer, correlations, tables
from resolvers.analysis.funnel_groups import Breakdown
from resolvers.analysis.funnels import Entry, FunnelDefinition, Step
from resolvers.analysis.metrics import DimensionValue
from resolvers.analysis.multiplicity import benjamini_hochberg
from resolvers.analysis.periods import Period

NOW = datetime(2026, 3, 15, tzinfo=UTC)
DEFINITION = FunnelDefinition((Step("a", EVERYTHING), Step("b", EVERYTHING)), timedelta(days=7), Entry.FIRST)


Counts = dict[str | None, tuple[int, int]]


def ask(groups: Counts, *, top: int = 20, before: Counts | None = None) -> FunnelCorrelationAnswer:
    """The answer where so many of each value's subjects converted, and so many did not, and did before."""
    explain = Explanation(Source.LOG, 0, 0.0)
    period = Period(NOW - timedelta(days=1), NOW)
    previous = None if before is None else (Period(NOW - timedelta(days=2), period.start), crossed(before))
    return correlations(DEFINITION, period, crossed(groups), top=top, as_of=NOW, explain=explain, previous=previous)


def crossed(groups: Counts) -> Crossed:
    codes = np.repeat(np.arange(len(groups)), [sum(counts) for counts in groups.values()])
    converted = np.concatenate([np.arange(hits + misses) < hits for hits, misses in groups.values()])
    told = tables([Breakdown("plan", codes, list(groups))], converted)
    return Crossed.of(told, converted.size, int(converted.sum()))


def test_the_formulas_are_those_of_the_books() -> None:
    found = ask({"pro": (90, 60), "free": (70, 180), None: (40, 60)})
    assert [one.key for one in found.associations] == [
        DimensionValue("plan", "pro"),
        DimensionValue("plan", "free"),
        DimensionValue("plan", None),
    ]
    pro = found.associations[0]
    # SciPy's sample odds ratio and its normal interval, of the table with 0.5 more in each cell, ten times as large
    # so that it is of whole numbers; the error of a table ten times as large is smaller by the root of ten.
    known = odds_ratio([[905, 605], [1105, 2405]], kind="sample")
    low, high = known.confidence_interval(0.95)
    width = (log(high) - log(low)) / 2 * 10**0.5
    assert float(pro.odds_ratio.value or 0) == pytest.approx(known.statistic, rel=1e-11)
    assert pro.odds_ratio.interval is not None
    assert float(pro.odds_ratio.interval.low) == pytest.approx(exp(log(known.statistic) - width), rel=1e-9)
    assert float(pro.odds_ratio.interval.high) == pytest.approx(exp(log(known.statistic) + width), rel=1e-9)
    assert pro.odds_ratio.interval.method == "Woolf logit"
    score = log(known.statistic) / (width / norm.ppf(0.975))
    assert float(pro.p_value) == pytest.approx(2 * norm.sf(score), rel=1e-9)
    assert (pro.entered, pro.converted, pro.rate.value, pro.significant) == (150, 90, Decimal("0.6"), True)
    assert (pro.rate_without.numerator, pro.rate_without.denominator) == (110, 350)
    assert pro.log10_p == pytest.approx(log10(pro.p_value))
    assert pro.log10_adjusted_p == pytest.approx(log10(pro.adjusted_p))
    adjusted = false_discovery_control([float(one.p_value) for one in found.associations])
    assert [float(one.adjusted_p) for one in found.associations] == pytest.approx(adjusted, rel=1e-9)
    assert (found.tested, found.untested, found.entered, found.converted) == (3, 0, 500, 200)


@given(st.lists(st.floats(1e-300, 1), min_size=1, max_size=20))
def test_adjusted_p_values_are_scipys(values: list[float]) -> None:
    found = [exp(one) for one in benjamini_hochberg([log(value) for value in values])]
    assert found == pytest.approx(false_discovery_control(values), rel=1e-9)


def test_a_p_value_too_small_for_a_float_is_not_zero() -> None:
    found = ask({"pro": (50_000, 0), "free": (0, 50_000)})
    for one in found.associations:
        assert 0 < one.p_value < 1e-5
        assert one.odds_ratio.interval is not None
        assert one.odds_ratio.interval.low < (one.odds_ratio.value or 0) < one.odds_ratio.interval.high
    sure = ask({"pro": (400_000, 100_000), "free": (100_000, 400_000)})
    assert 0 < sure.associations[0].p_value < 1e-300
    assert sure.associations[0].log10_p < -10_000
    assert sure.associations[0].log10_adjusted_p >= sure.associations[0].log10_p
    assert sure.associations[0].adjusted_p >= sure.associations[0].p_value


@pytest.mark.parametrize(
    ("groups", "tested", "untested"),
    [
        ({}, 0, 0),
        ({"only": (50, 50)}, 0, 1),
        ({"a": (50, 0), "b": (50, 0)}, 0, 2),
        ({"a": (0, 50), "b": (0, 50)}, 0, 2),
        ({"a": (4, 46), "b": (0, 50)}, 0, 2),
        ({"a": (5, 45), "b": (0, 50)}, 2, 0),
        ({"a": (10, 19), "b": (20, 80)}, 0, 2),
        ({"a": (10, 20), "b": (20, 80), "never": (0, 0)}, 2, 0),
    ],
)
def test_what_is_too_little_is_not_tested(
    groups: dict[str | None, tuple[int, int]], tested: int, untested: int
) -> None:
    found = ask(groups) if groups else ask({"none": (0, 0)})
    assert (found.tested, found.untested, len(found.associations)) == (tested, untested, tested)


def test_values_are_held_against_what_they_were_before() -> None:
    now: Counts = {"pro": (90, 60), "free": (70, 180), None: (40, 60)}
    before: Counts = {None: (50, 50), "free": (30, 70), "new": (10, 2)}
    found, then = ask(now, before=before), {one.key: one for one in ask(before).associations}
    assert found.previous_period == Period(NOW - timedelta(days=2), NOW - timedelta(days=1))
    for one in found.associations:
        earlier = then.get(one.key)
        pairs = [(one.rate, earlier and earlier.rate), (one.odds_ratio, earlier and earlier.odds_ratio)]
        for told, of_then in pairs:
            assert told.previous == (of_then and of_then.value)
            assert (told.change is None) == (of_then is None)
    pro = next(one for one in found.associations if one.key.value == "pro")
    # Nobody had it then, so that all entered without.
    assert (pro.rate.previous, pro.rate_without.previous) == (None, Decimal(90) / Decimal(212))


def test_before_anybody_entered_there_is_nothing_to_compare_with() -> None:
    now: Counts = {"pro": (90, 60), "free": (70, 180)}
    found = ask(now, before={"pro": (0, 0)})
    assert [one.key for one in found.associations] == [one.key for one in ask(now).associations]
    for one in found.associations:
        assert {told.previous for told in (one.rate, one.rate_without, one.odds_ratio)} == {None}
    # A single value cannot be held against others, though its rate is known.
    (pro, _) = ask(now, before={"pro": (5, 5)}).associations
    assert (pro.rate.previous, pro.rate_without.previous, pro.odds_ratio.previous) == (Decimal("0.5"), None, None)


def test_the_significant_come_first_and_only_the_top_is_shown() -> None:
    found = ask({"a": (500, 500), "b": (300, 700), "rare": (20, 10), "c": (400, 600)})
    shown = [(one.key.value, one.significant) for one in found.associations]
    assert sorted(shown, key=lambda one: not one[1]) == shown
    assert shown[0] == ("rare", True)
    assert [one.key.value for one in ask({"a": (500, 500), "b": (300, 700)}, top=1).associations] == ["a"]
    assert ask({"a": (500, 500), "b": (300, 700)}, top=1).tested == 2
