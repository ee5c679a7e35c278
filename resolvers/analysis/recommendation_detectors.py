"""Detectors of what is lost on the way, in channels and to dear models: pure functions over what answers say.

All tests that a detector makes share one error of 5 % (Bonferroni), and each has gates below which it is silent: what
chance alone explains is no recommendation.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from resolvers.analysis.estimates import Unit, estimate, quotient, student
from resolvers.analysis.filters import having
from resolvers.analysis.funnels import FunnelDefinition, StepAnswer
from resolvers.analysis.metrics import DimensionValue
from resolvers.analysis.recommendation_basis import ENOUGH, Basis, scaled
from resolvers.analysis.recommendation_statistics import (
    ALPHA,
    Range,
    Sums,
    difference_of_means,
    difference_of_shares,
    sum_of_sales,
)
from resolvers.analysis.recommendations import Evidence, Finding, Kind, MetricMeasure, StepMeasure, key

STEP_MARGIN = 0.10
"""How far below the other steps of its funnel the rate of a leaking step is at least."""
LEAST_SALES = 5
"""Sales of the usual size that a channel's cost must be worth for it to be judged."""
SUCCESS_MARGIN = 0.02
"""By how much less a cheaper model may succeed and still be called equal."""
LEAST_SAVING = 0.10
"""The share of the cost of a call that a cheaper model must save."""
_CLOSED = Decimal("0.5")
"""The part of a leak's gap that mending it is assumed to close."""


@dataclass(frozen=True, slots=True)
class FunnelFigures:
    """A funnel that the tenant keeps, as answered; ``worth`` is what one who gets through brings in, if known."""

    id: int
    name: str
    definition: FunnelDefinition
    steps: tuple[StepAnswer, ...]
    worth: Decimal | None


def leaking_steps(funnels: Sequence[FunnelFigures], basis: Basis) -> Iterator[Finding]:
    """Of each funnel the step at which most is lost that the other steps do not lose.

    A step leaks where the share that passes it is, for sure, ``STEP_MARGIN`` below that of the funnel's other required
    steps together. A funnel of two steps has nothing to be held against.
    """
    ways = {funnel.id: [step for step in funnel.steps if not step.optional] for funnel in funnels}
    tests = sum(max(0, len(way) - 1) for way in ways.values())
    for funnel in funnels:
        leaks = list(_leaks(ways[funnel.id], ALPHA / max(1, tests)))
        if leaks:
            place, _ = max(leaks, key=lambda leak: leak[1])
            yield _leak(funnel, ways[funnel.id], place, basis)


def _leaks(way: Sequence[StepAnswer], alpha: float) -> Iterator[tuple[int, float]]:
    if len(way) < 3:
        return
    for place in range(1, len(way)):
        passed, came, others, other_came = _held_against(way, place)
        if came >= ENOUGH and other_came >= ENOUGH:
            gap = difference_of_shares(others, other_came, passed, came, alpha)
            if gap.low > STEP_MARGIN:
                yield place, gap.value * came


def _held_against(way: Sequence[StepAnswer], place: int) -> tuple[int, int, int, int]:
    """How many passed a step, of how many that came to it, and the same of all other steps together."""
    passed, came = way[place].count, way[place - 1].count
    return passed, came, sum(s.count for s in way[1:]) - passed, sum(s.count for s in way[:-1]) - came


def _leak(funnel: FunnelFigures, way: Sequence[StepAnswer], place: int, basis: Basis) -> Finding:
    step, before = way[place], way[place - 1]
    passed, came, others, other_came = _held_against(way, place)
    usual = others / other_came
    onward = way[-1].count / passed if passed else usual ** (len(way) - 1 - place)
    gap = scaled(difference_of_shares(others, other_came, passed, came), float(_CLOSED) * came * onward)
    assumed = "if half of the gap to the funnel's other steps were closed and later steps passed as many as now"
    method = "Newcombe"
    if funnel.worth is None:
        expected = basis.count(gap, came, f"More who get through the funnel in 30 days, {assumed}.", method)
    else:
        definition = f"Revenue of more who get through in 30 days, {assumed}; at the revenue of a customer."
        expected = basis.money(scaled(gap, float(funnel.worth)), came, definition, method)
    return Finding(
        key=key(Kind.LEAKING_STEP, funnel.id, step.index),
        kind=Kind.LEAKING_STEP,
        severity=basis.severity(expected),
        title=f"{funnel.name}: most are lost between {before.name} and {step.name}",
        action=f"Look at what stops people between {before.name} and {step.name}, and try a simpler way.",
        about=(),
        expected=expected,
        evidence=(
            Evidence(f"Pass {step.name}", step.step_rate),
            Evidence("Pass the other steps", basis.share(others, other_came, "All other required steps together.")),
        ),
        measures=(StepMeasure(funnel.definition, step.index),),
    )


@dataclass(frozen=True, slots=True)
class ChannelFigures:
    """What a channel cost and what attribution credits it with."""

    channel: str
    cost: Decimal
    revenue: Decimal
    credit: Decimal


def losing_channels(channels: Sequence[ChannelFigures], sales: Sums, basis: Basis) -> Iterator[Finding]:
    """Channels whose return on ad spend is below 1 for sure.

    ``sales`` are the amounts of all conversions: they tell how much sums of them vary. Channels that cost less than
    ``LEAST_SALES`` such sales are not judged.
    """
    if sales.total <= 0:
        return
    unit = float(sales.squares / sales.total)
    judged = [one for one in channels if float(one.cost) >= LEAST_SALES * unit]
    for one in judged:
        if sum_of_sales(float(one.revenue), unit, ALPHA / len(judged)).high < one.cost:
            yield _losing(one, unit, basis)


def _losing(one: ChannelFigures, unit: float, basis: Basis) -> Finding:
    cost, n, method = float(one.cost), round(one.credit), "Garwood, scaled to amounts"
    earned = sum_of_sales(float(one.revenue), unit)
    loss = Range(cost - earned.value, cost - earned.high, cost - earned.low)
    expected = basis.money(loss, n, "Cost less credited revenue of 30 days: what is not lost without it.", method)
    roas = basis.ratio(scaled(earned, 1 / cost), n, "Revenue of conversions credited to its touches, / cost.", method)
    spent = estimate(
        one.cost,
        n=n,
        as_of=basis.as_of,
        definition="Costs of touchpoints and spend in 30 days.",
        unit=Unit.MONEY,
        currency=basis.currency,
    )
    where = having(channel=one.channel)
    return Finding(
        key=key(Kind.LOSING_CHANNEL, one.channel),
        kind=Kind.LOSING_CHANNEL,
        severity=basis.severity(expected),
        title=f"Channel {one.channel} costs more than it brings in",
        action=(
            f"Spend less on {one.channel}, or show that it earns where attribution does not see it, such as in what "
            "its customers go on to pay."
        ),
        about=(DimensionValue("channel", one.channel),),
        expected=expected,
        evidence=(Evidence("Return on ad spend", roas), Evidence("Cost", spent)),
        measures=(MetricMeasure("acquisition_spend", where), MetricMeasure("revenue", where)),
    )


@dataclass(frozen=True, slots=True)
class ModelFigures:
    """The calls of a model for a feature: what those with a known cost cost, and how many of those judged succeeded."""

    feature: str | None
    model: str
    cost: Sums
    successes: int
    judged: int


def cheaper_models(figures: Sequence[ModelFigures], basis: Basis) -> Iterator[Finding]:
    """For each model of a feature the model that saves most of those that do the same for less.

    The same: at most ``SUCCESS_MARGIN`` less success for sure (non-inferiority). For less: a call saves at least
    ``LEAST_SAVING`` for sure. Models are held against each other within a feature alone.
    """
    enough = [one for one in figures if min(one.cost.n, one.judged) >= ENOUGH]
    pairs = [(a, b) for a in enough for b in enough if a.feature == b.feature and b.cost.mean < a.cost.mean]
    alpha = ALPHA / max(1, len(pairs))
    best: dict[tuple[str | None, str], tuple[ModelFigures, ModelFigures]] = {}
    for dear, cheap in pairs:
        outcome = difference_of_shares(cheap.successes, cheap.judged, dear.successes, dear.judged, alpha)
        saving = difference_of_means(dear.cost, cheap.cost, alpha)
        if outcome.low > -SUCCESS_MARGIN and saving.low > LEAST_SAVING * dear.cost.mean:
            known = best.setdefault((dear.feature, dear.model), (dear, cheap))
            if cheap.cost.mean < known[1].cost.mean:
                best[dear.feature, dear.model] = (dear, cheap)
    for dear, cheap in best.values():
        yield _cheaper(dear, cheap, basis)


def _cheaper(dear: ModelFigures, cheap: ModelFigures, basis: Basis) -> Finding:
    saving = scaled(difference_of_means(dear.cost, cheap.cost), dear.cost.n)
    definition = f"What the calls of {dear.model} in 30 days would have cost less with {cheap.model}."
    expected = basis.money(saving, dear.cost.n, definition, "Welch")
    place = "" if dear.feature is None else f" for {dear.feature}"
    where = having(feature=dear.feature)
    return Finding(
        key=key(Kind.CHEAPER_MODEL, dear.feature, dear.model, cheap.model),
        kind=Kind.CHEAPER_MODEL,
        severity=basis.severity(expected),
        title=f"{cheap.model} does as well as {dear.model}{place} and costs less",
        action=(
            f"Try {cheap.model} instead of {dear.model}{place}, best as an experiment: who chose the model chose the "
            "cases too."
        ),
        about=(DimensionValue("feature", dear.feature), DimensionValue("model", dear.model)),
        expected=expected,
        evidence=(*_told(dear, basis), *_told(cheap, basis)),
        measures=(MetricMeasure("ai_cost", where), MetricMeasure("ai_success_rate", where)),
    )


def _told(one: ModelFigures, basis: Basis) -> tuple[Evidence, ...]:
    cost = estimate(
        quotient(one.cost.total, Decimal(one.cost.n)),
        n=one.cost.n,
        as_of=basis.as_of,
        definition="Mean cost of the calls whose cost is known.",
        unit=Unit.MONEY,
        currency=basis.currency,
        interval=student(one.cost.n, one.cost.total, one.cost.squares),
    )
    succeeded = basis.share(one.successes, one.judged, "Calls that succeeded, of those that say whether they did.")
    return (Evidence(f"Cost of a call of {one.model}", cost), Evidence(f"Success of {one.model}", succeeded))
