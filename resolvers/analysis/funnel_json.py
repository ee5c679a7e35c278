"""Funnel definitions as plain JSON, to keep them."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from resolvers.analysis.filter_json import from_json as filter_from
from resolvers.analysis.filter_json import to_json as filter_to
from resolvers.analysis.funnels import (
    Constant,
    Counting,
    Effect,
    Entry,
    Exclusion,
    FunnelDefinition,
    Order,
    Step,
    Trait,
)

_MICROSECOND = timedelta(microseconds=1)


def to_json(definition: FunnelDefinition) -> dict[str, Any]:
    return {
        "steps": [
            {
                "name": step.name,
                "where": filter_to(step.where),
                "optional": step.optional,
                "within_us": None if step.within is None else step.within // _MICROSECOND,
            }
            for step in definition.steps
        ],
        "window_us": definition.window // _MICROSECOND,
        "entry": definition.entry.value,
        "order": definition.order.value,
        "strictly_later": definition.strictly_later,
        "exclusions": [
            {"where": filter_to(one.where), "after": one.after, "before": one.before, "effect": one.effect.value}
            for one in definition.exclusions
        ],
        "constant": [
            {"dimension": one.dimension, "trait": one.trait and one.trait.value, "property": one.property}
            for one in definition.constant
        ],
        "counting": definition.counting.value,
    }


def from_json(kept: Mapping[str, Any]) -> FunnelDefinition:
    """The definition again; one kept by an earlier version says less, and means what it meant."""
    return FunnelDefinition(
        steps=tuple(map(_step, kept["steps"])),
        window=kept["window_us"] * _MICROSECOND,
        entry=Entry(kept["entry"]),
        order=Order(kept.get("order", Order.ORDERED.value)),
        strictly_later=kept.get("strictly_later", False),
        exclusions=tuple(
            Exclusion(filter_from(one["where"]), one["after"], one["before"], Effect(one["effect"]))
            for one in kept.get("exclusions", ())
        ),
        constant=tuple(map(_constant, kept.get("constant", ()))),
        counting=Counting(kept.get("counting", Counting.SUBJECTS.value)),
    )


def _step(kept: Mapping[str, Any]) -> Step:
    within = kept.get("within_us")
    return Step(
        kept["name"],
        filter_from(kept["where"]),
        kept.get("optional", False),
        None if within is None else within * _MICROSECOND,
    )


def _constant(kept: Mapping[str, Any]) -> Constant:
    trait, path = kept["trait"], kept["property"]
    return Constant(kept["dimension"], None if trait is None else Trait(trait), None if path is None else tuple(path))
