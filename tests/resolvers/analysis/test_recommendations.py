"""Detectors find what is there, say what it is worth, and are silent about what chance alone explains."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_ind

from resolvers.analysis.estimates import Unit, share
from resolvers.analysis.filters import EVERYTHING
from resolvers.analysis.funnels import Entry, FunnelDefinition, Step, StepAnswer
from resolvers.analysis.metrics import DimensionValue
from resolvers.analysis.recommendation_basis import Basis
from resolvers.analysis.recommendation_detectors import (
    ChannelFigures,
    FunnelFigures,
    ModelFigures,
    cheaper_models,
    leaking_steps,
    losing_channels,
)
from resolvers.analysis.recommendation_json import from_json, to_json
from resolvers.analysis.recommendation_signals import (
    ChurnFigures,
    PersonaFigures,
    churn_concentrations,
    cost_anomaly,
    personas_worth_more,
)
from resolvers.analysis.recommendation_statistics import (
    Sums,
    difference_of_means,
    difference_of_shares,
    sum_of_sales,
)
from resolvers.analysis.recommendations import Finding, Severity

NOW = datetime(2026, 3, 10, tzinfo=UTC)
BASIS = Basis("USD", Decimal(10_000), NOW)
DEFINITION = FunnelDefinition(tuple(Step(name, EVERYTHING) for name in "abcd"), timedelta(days=7), Entry.FIRST)
Rng = np.random.Generator


def steps(*counts: int, optional: Sequence[int] = ()) -> tuple[StepAnswer, ...]:
    def one(index: int) -> StepAnswer:
        before = counts[max(0, index - 1)]
        rate = share(counts[index], before, as_of=NOW, definition="")
        name = DEFINITION.steps[index].name
        return StepAnswer(index, name, index in optional, counts[index], before - counts[index], rate, rate, rate, None)

    return tuple(map(one, range(len(counts))))


def funnel(*counts: int, worth: str | None = "20", id: int = 1, optional: Sequence[int] = ()) -> FunnelFigures:
    figures = steps(*counts, optional=optional)
    return FunnelFigures(id, "Signup", DEFINITION, figures, None if worth is None else Decimal(worth))


def sums(values: Sequence[float]) -> Sums:
    exact = [Decimal(f"{value:.4f}") for value in values]
    return Sums(len(exact), sum(exact, Decimal(0)), sum((value * value for value in exact), Decimal(0)))


def only(found: Sequence[Finding]) -> Finding:
    (finding,) = found
    interval = finding.expected.interval
    assert interval is not None
    assert finding.expected.value is not None
    assert interval.low <= finding.expected.value <= interval.high
    assert from_json(json.loads(json.dumps(to_json(finding)))) == finding
    return finding


def test_a_leaking_step_is_worth_what_half_of_its_gap_brings_in() -> None:
    finding = only(list(leaking_steps([funnel(1_000, 800, 160, 128)], BASIS)))
    assert finding.title == "Signup: most are lost between b and c"
    # The other steps pass 928 of 1,160 (.8), this one .2 of 800; .8 of those go on, each worth 20.
    assert finding.expected.value == Decimal("0.5") * Decimal("0.6") * 800 * Decimal("0.8") * 20
    assert finding.expected.currency == "USD"
    assert [one.estimate.value for one in finding.evidence] == [Decimal("0.2"), Decimal("0.8")]
    assert finding.severity is Severity.HIGH
    unpriced = only(list(leaking_steps([funnel(1_000, 800, 160, 128, worth=None)], BASIS)))
    assert (unpriced.expected.value, unpriced.expected.unit) == (Decimal(192), Unit.COUNT)
    assert unpriced.key == finding.key


@pytest.mark.parametrize(
    "figures",
    [
        funnel(),
        funnel(1_000, 10),
        funnel(1_000, 500, 250, 125),
        funnel(50, 45, 5, 4),
        funnel(1_000, 900, 90, 810, optional=(2,)),
        funnel(0, 0, 0, 0),
        funnel(1_000, 0, 0, 0),
    ],
)
def test_where_no_step_is_worse_than_the_others_nothing_leaks(figures: FunnelFigures) -> None:
    assert list(leaking_steps([figures], BASIS)) == []


def test_a_step_that_nobody_passes_leaks() -> None:
    finding = only(list(leaking_steps([funnel(1_000, 800, 0, 0)], BASIS)))
    assert finding.title.endswith("between b and c")


SALES = sums([10.0, 30.0] * 50)
"""Whose mean is 20 and whose unit is 25."""


def channel(cost: str, revenue: str, credit: str = "4", name: str = "ads") -> ChannelFigures:
    return ChannelFigures(name, Decimal(cost), Decimal(revenue), Decimal(credit))


def test_a_losing_channel_loses_what_it_does_not_bring_in() -> None:
    finding = only(list(losing_channels([channel("500", "100"), channel("500", "900", name="email")], SALES, BASIS)))
    assert finding.about == (DimensionValue("channel", "ads"),)
    assert finding.expected.value == Decimal(400)
    roas = finding.evidence[0].estimate
    assert roas.value == Decimal("0.2")
    assert roas.interval is not None
    assert roas.interval.high == pytest.approx(
        Decimal("0.512079"), abs=Decimal("1e-6")
    )  # Garwood: 4 is 1.0899 to 10.2416
    assert finding.severity is Severity.MEDIUM
    assert only(list(losing_channels([channel("500", "0", "0")], SALES, BASIS))).expected.value == Decimal(500)


@pytest.mark.parametrize(
    ("figures", "sales"),
    [
        (channel("500", "450"), SALES),
        (channel("100", "0"), SALES),
        (channel("500", "100"), sums([])),
        (channel("500", "100"), sums([-5.0])),
    ],
)
def test_a_channel_that_may_earn_its_cost_is_let_be(figures: ChannelFigures, sales: Sums) -> None:
    assert list(losing_channels([figures], sales, BASIS)) == []


def calls(model: str, cost: Sequence[float], successes: int, judged: int, feature: str | None = "chat") -> ModelFigures:
    return ModelFigures(feature, model, sums(cost), successes, judged)


def test_a_model_that_does_the_same_for_less_is_named_with_what_it_saves() -> None:
    dear = calls("big", [0.09, 0.11] * 1_000, 1_900, 2_000)
    cheap = calls("small", [0.01, 0.03] * 1_000, 1_905, 2_000)
    middle = calls("middle", [0.05, 0.05] * 1_000, 1_910, 2_000)
    finding = only(list(cheaper_models([dear, cheap, calls("other", [0.001] * 2_000, 1_900, 2_000, "search")], BASIS)))
    assert finding.expected.value == Decimal(160)
    assert "small" in finding.title
    found = list(cheaper_models([dear, middle, cheap], BASIS))
    assert {one.key for one in found} >= {finding.key}
    assert sorted(one.about[1].value or "" for one in found) == ["big", "middle"]


@pytest.mark.parametrize(
    "other",
    [
        calls("worse", [0.01] * 2_000, 1_800, 2_000),
        calls("few", [0.01] * 50, 50, 50),
        calls("unsure", [0.01] * 200, 190, 200),
        calls("unjudged", [0.01] * 2_000, 0, 0),
        calls("hardly cheaper", [0.09, 0.10] * 1_000, 1_900, 2_000),
    ],
)
def test_a_model_that_may_do_worse_or_saves_little_is_not_named(other: ModelFigures) -> None:
    assert list(cheaper_models([calls("big", [0.09, 0.11] * 1_000, 1_900, 2_000), other], BASIS)) == []


def persona(name: str, orders: int, spend: str, amount: float = 20.0) -> PersonaFigures:
    return PersonaFigures(name, sums([amount] * orders), Decimal(spend), orders)


def test_a_persona_that_returns_more_is_worth_more_spend() -> None:
    finding = only(list(personas_worth_more([persona("team", 400, "1000"), persona("solo", 200, "2000")], BASIS)))
    assert finding.about == (DimensionValue("persona", "team"),)
    assert finding.expected.value == Decimal(600)  # 200 more at half of 8 returns 800
    figures = {one.title: one.estimate.value for one in finding.evidence}
    assert figures == {
        "Return": Decimal(8),
        "Return of all others": Decimal(2),
        "Revenue of a customer": Decimal(20),
        "Cost of a customer": Decimal("2.5"),
    }


@pytest.mark.parametrize(
    "figures",
    [
        [persona("team", 400, "1000")],
        [persona("team", 400, "1000"), persona("solo", 400, "1000")],
        [persona("team", 20, "10"), persona("solo", 400, "2000")],
        [persona("team", 400, "0"), persona("solo", 200, "2000")],
        [persona("team", 400, "5000"), persona("solo", 200, "20000")],
    ],
)
def test_personas_that_return_alike_or_little_are_let_be(figures: list[PersonaFigures]) -> None:
    assert list(personas_worth_more(figures, BASIS)) == []


def churn(churned: int, customers: int, whole: tuple[int, int], mrr: str = "1000") -> ChurnFigures:
    return ChurnFigures("persona", "team", churned, customers, Decimal(mrr), *whole)


def test_churn_that_gathers_costs_what_it_takes_beyond_the_rest() -> None:
    finding = only(list(churn_concentrations([churn(30, 100, (40, 300))], BASIS)))
    assert finding.expected.value == Decimal(250)  # .3 less .05, of an MRR of 1,000
    assert [one.estimate.value for one in finding.evidence] == [Decimal("0.3"), Decimal("0.05")]


@pytest.mark.parametrize(
    "figures", [churn(6, 100, (18, 300)), churn(4, 40, (4, 300)), churn(30, 100, (30, 120)), churn(0, 100, (50, 300))]
)
def test_churn_like_elsewhere_is_let_be(figures: ChurnFigures) -> None:
    assert list(churn_concentrations([figures], BASIS)) == []


def money(*values: float) -> list[Decimal]:
    return [Decimal(str(value)) for value in values]


def test_a_day_that_costs_too_much_is_told_with_the_model_that_rose() -> None:
    usual = [10 + day % 3 for day in range(28)]
    by_model = {"big": money(*([6] * 28), 46), "small": money(*([5] * 28), 4)}
    finding = only(list(cost_anomaly(date(2026, 3, 9), money(*usual, 50), by_model, BASIS)))
    assert finding.about == (DimensionValue("model", "big"),)
    assert finding.expected.value == Decimal(39 * 30)
    assert finding.key != only(list(cost_anomaly(date(2026, 3, 10), money(*usual, 50), by_model, BASIS))).key
    assert only(list(cost_anomaly(date(2026, 3, 9), money(*usual, 50), {}, BASIS))).about == ()


@pytest.mark.parametrize(
    "costs",
    [
        [10 + day % 3 for day in range(29)],
        [0] * 28 + [50],
        [10] * 28 + [11],
        [0] * 20 + [10] * 8 + [90],
        [10, 1_000] * 14 + [1_000],
        [50],
    ],
)
def test_a_day_like_others_is_let_be(costs: list[float]) -> None:
    assert list(cost_anomaly(date(2026, 3, 9), money(*costs), {}, BASIS)) == []


def leaks_of_chance(rng: Rng, effect: float) -> list[Finding]:
    counts = [2_000]
    for place in range(3):
        counts.append(int(rng.binomial(counts[-1], 0.5 - (effect if place == 1 else 0))))
    return list(leaking_steps([funnel(*counts)], BASIS))


def channels_of_chance(rng: Rng, effect: float) -> list[Finding]:
    amounts = rng.lognormal(3, 0.8, 400)
    parts = np.array_split(amounts, 8)
    cost = Decimal(f"{float(np.exp(3 + 0.32)) * 50 * (1 + effect):.2f}")
    figures = [
        ChannelFigures(str(n), cost, sums(part[: rng.poisson(48)]).total, Decimal(48)) for n, part in enumerate(parts)
    ]
    return list(losing_channels(figures, sums(amounts), BASIS))


def models_of_chance(rng: Rng, effect: float) -> list[Finding]:
    return list(
        cheaper_models(
            [
                calls(name, rng.gamma(2, 0.05 * (1 - part), 3_000), int(rng.binomial(3_000, 0.95)), 3_000)
                for name, part in (("a", 0.0), ("b", effect), ("c", 0.0))
            ],
            BASIS,
        )
    )


def personas_of_chance(rng: Rng, effect: float) -> list[Finding]:
    return list(
        personas_worth_more(
            [
                PersonaFigures(name, sums(rng.lognormal(3, 0.8, rng.poisson(300 * more))), Decimal(1_000), 300)
                for name, more in (("a", 1.0), ("b", 1.0 + effect), ("c", 1.0))
            ],
            BASIS,
        )
    )


def churn_of_chance(rng: Rng, effect: float) -> list[Finding]:
    parts = [int(rng.binomial(300, rate)) for rate in (0.1, 0.1 + effect, 0.1, 0.1)]
    whole = (sum(parts), 1_200)
    return list(churn_concentrations([churn(part, 300, whole) for part in parts], BASIS))


def days_of_chance(rng: Rng, effect: float) -> list[Finding]:
    costs = rng.normal(100, 10, 29)
    costs[-1] *= 1 + effect
    return list(cost_anomaly(date(2026, 3, 9), money(*np.round(costs, 2)), {}, BASIS))


@pytest.mark.parametrize(
    ("simulate", "effect"),
    [
        (leaks_of_chance, 0.2),
        (channels_of_chance, 1.5),
        (models_of_chance, 0.4),
        (personas_of_chance, 1.0),
        (churn_of_chance, 0.15),
        (days_of_chance, 1.0),
    ],
)
def test_chance_alone_is_rarely_taken_for_a_finding_and_an_effect_rarely_missed(
    simulate: Callable[[Rng, float], list[Finding]], effect: float
) -> None:
    rng = np.random.default_rng(2026)
    assert sum(bool(simulate(rng, 0.0)) for _ in range(200)) <= 10
    assert sum(bool(simulate(rng, effect)) for _ in range(200)) >= 180


@given(st.integers(0, 50), st.integers(1, 50), st.integers(0, 50), st.integers(1, 50))
def test_a_difference_of_shares_lies_in_its_interval_and_turns_with_its_sides(a: int, m: int, b: int, n: int) -> None:
    a, b = min(a, m), min(b, n)
    found, turned = difference_of_shares(a, m, b, n), difference_of_shares(b, n, a, m)
    assert -1 - 1e-9 <= found.low <= found.value + 1e-12 <= found.high + 1e-12 <= 1 + 1e-9
    assert (found.low, found.high) == (pytest.approx(-turned.high), pytest.approx(-turned.low))
    wider = difference_of_shares(a, m, b, n, 0.01)
    assert wider.low <= found.low + 1e-12 <= found.high + 1e-12 <= wider.high + 2e-12


def test_the_intervals_are_those_of_their_papers() -> None:
    newcombe = difference_of_shares(56, 70, 48, 80)
    assert (newcombe.low, newcombe.high) == (pytest.approx(0.0524, abs=5e-5), pytest.approx(0.3339, abs=5e-5))
    garwood = sum_of_sales(10.0, 1.0)
    assert (garwood.low, garwood.high) == (pytest.approx(4.7954, abs=5e-5), pytest.approx(18.3904, abs=5e-5))
    assert sum_of_sales(0.0, 2.0).low == 0.0
    assert sum_of_sales(20.0, 2.0).high == pytest.approx(2 * garwood.high)


@given(*(st.lists(st.integers(-500, 500), min_size=2, max_size=30) for _ in range(2)))
def test_a_difference_of_means_is_welchs(a: list[int], b: list[int]) -> None:
    found = difference_of_means(sums(a), sums(b))
    assert found.value == pytest.approx(np.mean(a) - np.mean(b))
    if len({*a}) > 1 and len({*b}) > 1:
        told = ttest_ind(a, b, equal_var=False).confidence_interval()
        assert (found.low, found.high) == (pytest.approx(told.low), pytest.approx(told.high))
