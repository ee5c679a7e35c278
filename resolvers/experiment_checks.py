"""Which experiments can be carried out, and what the metrics of the catalogue are of one unit."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from resolvers.analysis.events import DIMENSIONS, Kind
from resolvers.analysis.experiment_targeting import targets
from resolvers.analysis.experiments import (
    WHOLE,
    ExperimentDefinition,
    ExperimentMetric,
    Margin,
    Measure,
    MetricRole,
    Tally,
    UnitMetric,
    Variant,
)
from resolvers.analysis.filters import Filter, InSegment, in_segments, numbered, weight
from resolvers.analysis.metrics import Aggregate, Statistic
from resolvers.answers import ANYTHING, Kinds, depends_on, segments_of
from resolvers.catalogue import metric
from resolvers.errors import BadInput
from resolvers.store.experiments import EXPERIMENTS
from resolvers.store.versions import EXCHANGE_RATES

FEWEST_VARIANTS, MOST_VARIANTS = 2, 20
MOST_METRICS = 20
MOST_STEPS = 10
MOST_BREAKDOWNS = 4
MOST_CONDITIONS = 400
LONGEST = 200
LONGEST_TEXT = 2_000
LONGEST_SPAN = timedelta(days=366)
GREATEST = 10**12
_TALLIES = {
    Aggregate.COUNT: Tally.COUNT,
    Aggregate.SUM: Tally.SUM,
}


def of_catalogue(slug: str) -> tuple[Measure, Measure | None]:
    """What a metric of the catalogue comes to for one unit, and what it is divided by, if by other than units.

    Raises BadInput where there is no such metric, or it says nothing of one unit.
    """
    found = metric(slug)
    value = _measure(found.numerator, slug)
    divided = found.form.value in ("ratio", "mean") and found.denominator is not None
    if not divided or (value.tally is Tally.ANY and found.denominator and found.denominator.field == "subject"):
        # A share of subjects is one of all units here: who was exposed is who is divided by.
        return value, None
    assert found.denominator is not None
    return value, _measure(found.denominator, slug)


def _measure(statistic: Statistic, slug: str) -> Measure:
    if statistic.aggregate is Aggregate.DISTINCT:
        if statistic.field == "order":
            return Measure(Tally.ORDERS, statistic.where, "amount")
        return Measure(Tally.ANY, statistic.where, "amount" if statistic.field == "customer" else None)
    tally = _TALLIES.get(statistic.aggregate)
    if tally is None:
        raise BadInput(
            f"{slug} says nothing of one unit, so that no two variants can be compared by it.", field="metric"
        )
    return Measure(tally, statistic.where, statistic.field)


def kinds(definition: ExperimentDefinition) -> Kinds:
    """The kinds of events, and the pseudo-kind of definitions, that results depend on."""
    filters = [part for one in definition.metrics for part in one.of.filters()]
    found = depends_on(*filters) if filters else frozenset()
    if found >= ANYTHING:
        found |= frozenset(map(int, Kind))
    return found | segments_of(definition.where) | {int(Kind.EXPOSURE), EXPERIMENTS, EXCHANGE_RATES}


def named_segments(given: Mapping[str, Any]) -> list[InSegment]:
    """The segments that parts of a definition name, by the attributes they are of."""
    filters = [given[name] for name in ("targeting", "where") if name in given]
    filters += [part for one in given.get("metrics", ()) for part in one.of.filters()]
    return in_segments(*filters)


def numbered_parts(given: Mapping[str, Any], numbers: Mapping[int | str, int]) -> dict[str, Any]:
    """The same parts with each segment that they name by its number, so that it may get another name."""

    def measure(one: Measure) -> Measure:
        steps = tuple(numbered(step, numbers) for step in one.steps)
        return replace(one, where=numbered(one.where, numbers), steps=steps)

    def metric_of(one: ExperimentMetric) -> ExperimentMetric:
        per = None if one.of.per is None else measure(one.of.per)
        return replace(one, of=replace(one.of, value=measure(one.of.value), per=per))

    made = {name: numbered(part, numbers) for name, part in given.items() if name in ("targeting", "where")}
    metrics = {"metrics": tuple(map(metric_of, given["metrics"]))} if "metrics" in given else {}
    return {**given, **made, **metrics}


def checked_key(key: str, field: str = "key", *, what: str = "A key") -> str:
    """The key itself; raises BadInput where no event could carry it."""
    if not key or len(key) > LONGEST or not key.isprintable() or key != key.strip():
        raise BadInput(f"{what} has 1 to {LONGEST} printable characters, without blanks at its ends.", field=field)
    return key


def checked(definition: ExperimentDefinition) -> ExperimentDefinition:
    """The definition itself; raises BadInput naming the part at fault."""
    if not definition.name.strip() or len(definition.name) > LONGEST or not definition.name.isprintable():
        raise BadInput(f"A name has 1 to {LONGEST} printable characters, not only blanks.", field="name")
    if len(definition.hypothesis) > LONGEST_TEXT or "\0" in definition.hypothesis:
        raise BadInput(f"A hypothesis has at most {LONGEST_TEXT:,} characters.", field="hypothesis")
    _check_variants(definition.variants)
    _check_metrics(definition.metrics)
    if not targets(definition.targeting):
        raise BadInput(
            "Whom an experiment is for is said by dimensions, subjects and segments only, not by events.",
            field="targeting",
        )
    if not 1 <= definition.traffic <= WHOLE:
        raise BadInput("traffic is more than 0, at most 1, with at most four decimal places.", field="traffic")
    _check_breakdowns(definition.breakdowns)
    if not timedelta(0) <= definition.minimum_runtime <= LONGEST_SPAN:
        raise BadInput("The shortest runtime is at most 366 days.", field="minimumRuntime")
    if not 2 <= definition.minimum_sample <= 10**9:
        raise BadInput("The least sample is 2 to 1,000,000,000 units a variant.", field="minimumSample")
    if not 0 < definition.minimum_effect <= 10:
        raise BadInput(
            "The least effect is a share of the control's value above 0, at most 10: 0.05 is 5 %.",
            field="minimumEffect",
        )
    if not Decimal("0.0001") <= definition.alpha <= Decimal("0.5"):
        raise BadInput("alpha is a share of 0.0001 to 0.5: 0.05 is 5 %.", field="alpha")
    _check_weight(definition)
    return definition


def _check_variants(variants: Sequence[Variant]) -> None:
    if not FEWEST_VARIANTS <= len(variants) <= MOST_VARIANTS:
        raise BadInput(
            f"An experiment has {FEWEST_VARIANTS} to {MOST_VARIANTS} variants; this one has {len(variants)}.",
            field="variants",
        )
    for index, variant in enumerate(variants):
        field = f"variants[{index}]"
        checked_key(variant.key, f"{field}.key")
        if any(variant.key == other.key for other in variants[:index]):
            raise BadInput("Another variant has this key; give it one of its own.", field=f"{field}.key")
        if len(variant.name) > LONGEST or not variant.name.isprintable():
            raise BadInput(f"A name has at most {LONGEST} printable characters.", field=f"{field}.name")
        if not 0 <= variant.weight <= WHOLE:
            raise BadInput("A weight is 0 to 1, with at most four decimal places.", field=f"{field}.weight")
    total = sum(variant.weight for variant in variants)
    if total != WHOLE:
        off = f"{_share(abs(WHOLE - total))} too {'much' if total > WHOLE else 'little'}"
        raise BadInput(
            f"The weights of all variants sum to 1; these sum to {_share(total)}, which is {off}.", field="variants"
        )
    controls = sum(variant.control for variant in variants)
    if controls != 1:
        raise BadInput(
            f"Exactly one variant is the control, by `control: true`; of these {controls or 'none'} are.",
            field="variants",
        )
    drawn = [variant for variant in variants if variant.weight]
    if len(drawn) < FEWEST_VARIANTS or not any(variant.control for variant in drawn):
        raise BadInput(
            "The control and at least one other variant have a weight above 0: else there is nothing to compare.",
            field="variants",
        )


def _share(parts: int) -> str:
    return f"{(Decimal(parts) / WHOLE).normalize():f}"


def _check_metrics(metrics: Sequence[ExperimentMetric]) -> None:
    if len(metrics) > MOST_METRICS:
        raise BadInput(f"An experiment has at most {MOST_METRICS} metrics.", field="metrics")
    for index, one in enumerate(metrics):
        field = f"metrics[{index}]"
        checked_key(one.slug, f"{field}.slug", what="A slug")
        if any(one.slug == other.slug for other in metrics[:index]):
            raise BadInput(
                f"Another metric is called {one.slug}; give this one a slug of its own.", field=f"{field}.slug"
            )
        if one.margin is not None:
            _check_margin(one, one.margin, f"{field}.margin")
        _check_unit_metric(one.of, field)


def _check_margin(metric: ExperimentMetric, margin: Margin, field: str) -> None:
    if metric.role is not MetricRole.GUARDRAIL:
        raise BadInput("Only a guardrail has a margin: give the metric this role, or leave it out.", field=field)
    if not margin.absolute and margin.value >= 1:
        raise BadInput("A relative margin is a share of 0 to less than 1.", field=f"{field}.relative")
    if margin.absolute and metric.of.share and margin.value >= 1:
        raise BadInput("Of a share the margin is less than 1: 0.01 is one percentage point.", field=f"{field}.absolute")
    if margin.absolute and margin.value > GREATEST:
        raise BadInput("An absolute margin is at most 10^12.", field=f"{field}.absolute")


def _check_unit_metric(of: UnitMetric, field: str) -> None:
    for span, name in ((of.window, "window"), (of.before, "covariate")):
        if span is not None and not timedelta(0) < span <= LONGEST_SPAN:
            raise BadInput("It is longer than nothing and at most 366 days.", field=f"{field}.{name}")
    if of.value.tally is Tally.STEPS and not 1 <= len(of.value.steps) <= MOST_STEPS:
        raise BadInput(f"There are 1 to {MOST_STEPS} steps.", field=f"{field}.value.steps")
    if of.per is not None and of.per.tally is Tally.STEPS:
        raise BadInput("Nothing is divided by steps.", field=f"{field}.per.steps")
    if of.per is not None and of.before is not None:
        raise BadInput("A quotient of two sums has no covariate.", field=f"{field}.covariate")
    if of.value.tally is Tally.STEPS and of.before is not None:
        raise BadInput("Steps have no covariate.", field=f"{field}.covariate")
    _check_cap(of, field)


def _check_cap(of: UnitMetric, field: str) -> None:
    if of.cap is not None and of.cap_at is not None:
        raise BadInput("Give either cap or capAt.", field=f"{field}.capAt")
    if (of.cap is not None or of.cap_at is not None) and of.value.share:
        raise BadInput("What is 0 or 1 needs no cap.", field=f"{field}.{'capAt' if of.cap is None else 'cap'}")
    if of.cap is not None and not 0 < of.cap <= GREATEST:
        raise BadInput("A cap is above 0, at most 10^12.", field=f"{field}.cap")
    if of.cap_at is not None and not Decimal("0.5") <= of.cap_at < 1:
        raise BadInput(
            "A quantile to cap at is 0.5 to less than 1: 0.99 is the 99th percentile.", field=f"{field}.capAt"
        )


def _check_breakdowns(breakdowns: Sequence[str]) -> None:
    if len(breakdowns) > MOST_BREAKDOWNS:
        raise BadInput(f"Results are kept by at most {MOST_BREAKDOWNS} dimensions.", field="breakdowns")
    for index, name in enumerate(breakdowns):
        if name not in DIMENSIONS or name in ("experiment", "variant"):
            raise BadInput(
                "Variants are held against each other anyway; break results down by any other dimension.",
                field=f"breakdowns[{index}]",
            )
        if name in breakdowns[:index]:
            raise BadInput("This dimension is named before.", field=f"breakdowns[{index}]")


def _check_weight(definition: ExperimentDefinition) -> None:
    filters: list[Filter] = [definition.where, definition.targeting]
    filters += [part for one in definition.metrics for part in one.of.filters()]
    if sum(map(weight, filters)) > MOST_CONDITIONS:
        raise BadInput(f"Its filters hold at most {MOST_CONDITIONS} conditions and values in all.", field="metrics")
