"""Experiments as plain JSON, to keep them."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from resolvers.analysis.experiment_phases import Phase
from resolvers.analysis.experiments import (
    ExclusiveGroup,
    ExperimentDefinition,
    ExperimentMetric,
    Margin,
    Measure,
    MetricRole,
    MultipleExposures,
    Tally,
    UnitMetric,
    Variant,
)
from resolvers.analysis.filter_json import from_json as filter_from
from resolvers.analysis.filter_json import to_json as filter_to
from resolvers.analysis.metrics import Direction

_MICROSECOND = timedelta(microseconds=1)
FromCatalogue = Callable[[str], tuple[Measure, Measure | None]]
"""The value of a catalogue metric of each unit, and what it is divided by."""


def to_json(definition: ExperimentDefinition) -> dict[str, Any]:
    group = definition.group
    return {
        "name": definition.name,
        "hypothesis": definition.hypothesis,
        "variants": [[one.key, one.name, one.weight, one.control] for one in definition.variants],
        "metrics": list(map(_metric_to, definition.metrics)),
        "targeting": filter_to(definition.targeting),
        "traffic": definition.traffic,
        "group": None if group is None else [group.name, group.first, group.parts],
        "holdout": definition.holdout,
        "where": filter_to(definition.where),
        "breakdowns": list(definition.breakdowns),
        "multiple": definition.multiple.value,
        "minimum_runtime_us": _us(definition.minimum_runtime),
        "minimum_sample": definition.minimum_sample,
        "minimum_effect": str(definition.minimum_effect),
        "alpha": str(definition.alpha),
        "sequential": definition.sequential,
    }


def from_json(kept: Mapping[str, Any], catalogue: FromCatalogue) -> ExperimentDefinition:
    """The definition again; what a metric of the catalogue means is looked up."""
    return ExperimentDefinition(
        name=kept["name"],
        hypothesis=kept["hypothesis"],
        variants=tuple(Variant(*one) for one in kept["variants"]),
        metrics=tuple(_metric_from(one, catalogue) for one in kept["metrics"]),
        targeting=filter_from(kept["targeting"]),
        traffic=kept["traffic"],
        group=None if kept["group"] is None else ExclusiveGroup(*kept["group"]),
        holdout=kept["holdout"],
        where=filter_from(kept["where"]),
        breakdowns=tuple(kept["breakdowns"]),
        multiple=MultipleExposures(kept["multiple"]),
        minimum_runtime=kept["minimum_runtime_us"] * _MICROSECOND,
        minimum_sample=kept["minimum_sample"],
        minimum_effect=Decimal(kept["minimum_effect"]),
        alpha=Decimal(kept["alpha"]),
        sequential=kept["sequential"],
    )


def phase_to(phase: Phase) -> dict[str, Any]:
    return {
        "started_at": phase.started_at.isoformat(),
        "weights": list(phase.weights),
        "traffic": phase.traffic,
        "targeting": filter_to(phase.targeting),
        "pauses": [[since.isoformat(), until and until.isoformat()] for since, until in phase.pauses],
    }


def phase_from(number: int, kept: Mapping[str, Any]) -> Phase:
    return Phase(
        number,
        datetime.fromisoformat(kept["started_at"]),
        tuple(kept["weights"]),
        kept["traffic"],
        filter_from(kept["targeting"]),
        tuple(
            (datetime.fromisoformat(since), None if until is None else datetime.fromisoformat(until))
            for since, until in kept.get("pauses", [])
        ),
    )


def _metric_to(metric: ExperimentMetric) -> dict[str, Any]:
    of = metric.of
    given = metric.metric is None
    return {
        "slug": metric.slug,
        "role": metric.role.value,
        "direction": metric.direction.value,
        "metric": metric.metric,
        "value": _measure_to(of.value) if given else None,
        "per": _measure_to(of.per) if given and of.per is not None else None,
        "window_us": _us(of.window),
        "cap": _text(of.cap),
        "cap_at": _text(of.cap_at),
        "before_us": None if of.before is None else _us(of.before),
        "margin": None if metric.margin is None else str(metric.margin.value),
        "margin_absolute": metric.margin is not None and metric.margin.absolute,
    }


def _metric_from(kept: Mapping[str, Any], catalogue: FromCatalogue) -> ExperimentMetric:
    if kept["metric"] is not None:
        value, per = catalogue(kept["metric"])
    else:
        value, per = measure_from(kept["value"]), None if kept["per"] is None else measure_from(kept["per"])
    before, margin = kept["before_us"], _decimal(kept["margin"])
    return ExperimentMetric(
        slug=kept["slug"],
        role=MetricRole(kept["role"]),
        direction=Direction(kept["direction"]),
        metric=kept["metric"],
        of=UnitMetric(
            value=value,
            per=per,
            window=kept["window_us"] * _MICROSECOND,
            cap=_decimal(kept["cap"]),
            cap_at=_decimal(kept["cap_at"]),
            before=None if before is None else before * _MICROSECOND,
        ),
        # What was kept before there were absolute ones does not say.
        margin=None if margin is None else Margin(margin, kept.get("margin_absolute", False)),
    )


def _measure_to(measure: Measure) -> dict[str, Any]:
    return {
        "tally": measure.tally.value,
        "where": filter_to(measure.where),
        "field": measure.field,
        "steps": list(map(filter_to, measure.steps)),
    }


def measure_from(kept: Mapping[str, Any]) -> Measure:
    return Measure(
        Tally(kept["tally"]), filter_from(kept["where"]), kept["field"], tuple(map(filter_from, kept["steps"]))
    )


def _us(span: timedelta) -> int:
    return span // _MICROSECOND


def _text(number: Decimal | None) -> str | None:
    return None if number is None else str(number)


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
