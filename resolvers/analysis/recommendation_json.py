"""Findings as plain JSON, to keep what was known when they were decided about."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from resolvers.analysis.estimates import Estimate, Interval, Quality, Unit
from resolvers.analysis.filter_json import from_json as filter_from
from resolvers.analysis.filter_json import to_json as filter_to
from resolvers.analysis.funnel_json import from_json as funnel_from
from resolvers.analysis.funnel_json import to_json as funnel_to
from resolvers.analysis.metrics import DimensionValue
from resolvers.analysis.recommendations import (
    ChurnMeasure,
    Evidence,
    Finding,
    Kind,
    Measure,
    MetricMeasure,
    Severity,
    StepMeasure,
)

_AMOUNTS = ("value", "numerator", "denominator", "previous", "change")


def to_json(finding: Finding) -> dict[str, Any]:
    """The finding as JSON values; decimals are strings."""
    return {
        "key": finding.key,
        "kind": finding.kind.value,
        "severity": finding.severity.value,
        "title": finding.title,
        "action": finding.action,
        "about": [[one.dimension, one.value] for one in finding.about],
        "expected": _estimate_to(finding.expected),
        "evidence": [[one.title, _estimate_to(one.estimate)] for one in finding.evidence],
        "measures": [_measure_to(one) for one in finding.measures],
    }


def from_json(kept: Mapping[str, Any]) -> Finding:
    """The finding that was kept."""
    return Finding(
        key=kept["key"],
        kind=Kind(kept["kind"]),
        severity=Severity(kept["severity"]),
        title=kept["title"],
        action=kept["action"],
        about=tuple(DimensionValue(dimension, value) for dimension, value in kept["about"]),
        expected=_estimate_from(kept["expected"]),
        evidence=tuple(Evidence(title, _estimate_from(estimate)) for title, estimate in kept["evidence"]),
        measures=tuple(map(_measure_from, kept["measures"])),
    )


def _estimate_to(one: Estimate) -> dict[str, Any]:
    interval = one.interval
    return {
        **{name: _text(getattr(one, name)) for name in _AMOUNTS},
        "unit": one.unit.value,
        "currency": one.currency,
        "n": one.n,
        "as_of": one.as_of.isoformat(),
        "definition": one.definition,
        "quality": one.quality.value,
        "interval": interval and [str(interval.low), str(interval.high), str(interval.level), interval.method],
    }


def _estimate_from(kept: Mapping[str, Any]) -> Estimate:
    interval = kept["interval"]
    return Estimate(
        **{name: None if kept[name] is None else Decimal(kept[name]) for name in _AMOUNTS},
        unit=Unit(kept["unit"]),
        currency=kept["currency"],
        n=kept["n"],
        as_of=datetime.fromisoformat(kept["as_of"]),
        definition=kept["definition"],
        quality=Quality(kept["quality"]),
        interval=None if interval is None else _interval_from(*interval),
    )


def _interval_from(low: str, high: str, level: str, method: str) -> Interval:
    return Interval(Decimal(low), Decimal(high), Decimal(level), method)


def _text(value: Decimal | None) -> str | None:
    return None if value is None else str(value)


def _measure_to(one: Measure) -> dict[str, Any]:
    match one:
        case MetricMeasure(slug, where):
            return {"metric": slug, "where": filter_to(where)}
        case StepMeasure(definition, step):
            return {"funnel": funnel_to(definition), "step": step}
        case ChurnMeasure(where):
            return {"churn": filter_to(where)}


def _measure_from(kept: Mapping[str, Any]) -> Measure:
    if "metric" in kept:
        return MetricMeasure(kept["metric"], filter_from(kept["where"]))
    if "funnel" in kept:
        return StepMeasure(funnel_from(kept["funnel"]), kept["step"])
    return ChurnMeasure(filter_from(kept["churn"]))
