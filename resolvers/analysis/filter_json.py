"""Filters as JSON, to be kept: each node is a list of its kind and its parts; decimals are strings."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any as Json

from resolvers.analysis.events import Kind
from resolvers.analysis.filters import (
    All,
    Any,
    DimensionIs,
    Filter,
    FlagIs,
    InSegment,
    KindIs,
    MeasureIs,
    NameIs,
    Not,
    Op,
    PropertyIs,
    SubjectIs,
)


def to_json(root: Filter) -> Json:
    """The filter as JSON values."""
    match root:
        case All(of):
            return ["all", [to_json(part) for part in of]]
        case Any(of):
            return ["any", [to_json(part) for part in of]]
        case Not(of):
            return ["not", to_json(of)]
        case KindIs(kinds):
            return ["kind", [kind.name for kind in kinds]]
        case NameIs(names):
            return ["name", list(names)]
        case SubjectIs(subjects):
            return ["subject", list(subjects)]
        case DimensionIs(dimension, op, values):
            return ["dimension", dimension, op.value, list(values)]
        case PropertyIs(path, op, scalars):
            return ["property", list(path), op.value, [_scalar(value) for value in scalars]]
        case MeasureIs(measure, op, value):
            return ["measure", measure, op.value, None if value is None else str(value)]
        case FlagIs(flag, state):
            return ["flag", flag, state]
        case InSegment(segment, op):
            return ["segment", segment, op.value]


def _scalar(value: str | bool | int | Decimal) -> Json:
    return {"decimal": str(value)} if isinstance(value, Decimal) else value


_READERS: dict[str, Callable[..., Filter]] = {
    "all": lambda of: All(tuple(map(from_json, of))),
    "any": lambda of: Any(tuple(map(from_json, of))),
    "not": lambda of: Not(from_json(of)),
    "kind": lambda kinds: KindIs(tuple(Kind[kind] for kind in kinds)),
    "name": lambda names: NameIs(tuple(names)),
    "subject": lambda subjects: SubjectIs(tuple(subjects)),
    "dimension": lambda dimension, op, values: DimensionIs(dimension, Op(op), tuple(values)),
    "property": lambda path, op, values: PropertyIs(
        tuple(path), Op(op), tuple(Decimal(v["decimal"]) if isinstance(v, dict) else v for v in values)
    ),
    "measure": lambda measure, op, value: MeasureIs(measure, Op(op), None if value is None else Decimal(value)),
    "flag": lambda flag, state: FlagIs(flag, state),
    "segment": lambda segment, op: InSegment(segment, Op(op)),
}


def from_json(node: Json) -> Filter:
    """The filter that ``to_json`` wrote."""
    kind, *parts = node
    return _READERS[kind](*parts)
