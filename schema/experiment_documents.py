"""Parts of experiments as JSON that people can read, and send again: what the trail of changes shows."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

from resolvers.analysis.experiment_json import measure_from
from resolvers.analysis.experiments import WHOLE, Measure, Tally
from resolvers.analysis.filter_json import from_json as filter_from
from resolvers.analysis.metrics import Direction
from schema.conditions import write_filter
from schema.scalars import decimal_text, duration_text

_MICROSECOND = timedelta(microseconds=1)
_NAMES = {
    "multiple": "multipleExposures",
    "minimum_runtime_us": "minimumRuntime",
    "minimum_sample": "minimumSample",
    "minimum_effect": "minimumEffect",
    "started_at": "startedAt",
    "completed_at": "completedAt",
    "archived_at": "archivedAt",
}


def shown(kept: Mapping[str, Any]) -> dict[str, Any]:
    """Parts of an experiment, by the names that its input has, each as it is given there."""
    return {_NAMES.get(name, name): _part(name, part) for name, part in kept.items()}


def write_measure(measure: Measure) -> dict[str, Any]:
    """What each subject comes to as the JSON of a ``UnitMeasureInput``."""
    match measure.tally:
        case Tally.STEPS:
            return {"steps": list(map(write_filter, measure.steps))}
        case Tally.SUM:
            return {"sum": {"measure": (measure.field or "").upper(), "where": write_filter(measure.where)}}
        case Tally.ANY:
            return {"converts": write_filter(measure.where)}
        case _:
            return {measure.tally.value: write_filter(measure.where)}


def _part(name: str, kept: Any) -> Any:
    return _WRITERS[name](kept) if kept is not None and name in _WRITERS else kept


def _share(parts: int) -> str:
    return decimal_text(Decimal(parts) / WHOLE)


def _span(microseconds: int) -> str:
    return duration_text(microseconds * _MICROSECOND)


def _filter(kept: Any) -> dict[str, Any]:
    return write_filter(filter_from(kept))


def _metric(kept: Mapping[str, Any]) -> dict[str, Any]:
    told = {
        "slug": kept["slug"],
        "role": kept["role"].upper(),
        "metric": kept["metric"],
        "value": None if kept["value"] is None else write_measure(measure_from(kept["value"])),
        "per": None if kept["per"] is None else write_measure(measure_from(kept["per"])),
        "upIsGood": Direction(kept["direction"]) is not Direction.DOWN,
        "window": _span(kept["window_us"]),
        "covariate": None if kept["before_us"] is None else _span(kept["before_us"]),
        "cap": kept["cap"],
        "capAt": kept["cap_at"],
        "margin": _margin(kept),
    }
    return {name: part for name, part in told.items() if part is not None}


def _margin(kept: Mapping[str, Any]) -> dict[str, Any] | None:
    name = "absolute" if kept.get("margin_absolute") else "relative"
    return None if kept["margin"] is None else {name: kept["margin"]}


_WRITERS: Mapping[str, Callable[[Any], Any]] = {
    "status": str.upper,
    "multiple": str.upper,
    "variants": lambda kept: [
        {"key": key, "name": name, "weight": _share(weight), "control": control} for key, name, weight, control in kept
    ],
    "metrics": lambda kept: list(map(_metric, kept)),
    "targeting": _filter,
    "where": _filter,
    "traffic": _share,
    "group": lambda kept: {"name": kept[0], "share": _share(kept[2])},
    "breakdowns": lambda kept: list(map(str.upper, kept)),
    "minimum_runtime_us": _span,
}
