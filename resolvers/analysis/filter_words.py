"""Conditions over events in words, for the sentences that say how a number is computed."""

from collections.abc import Iterable

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

_SHOWN = 5
_LONGEST = 300
_ORDERS = {Op.GT: "above", Op.GTE: "of at least", Op.LT: "below", Op.LTE: "of at most"}


def events(where: Filter) -> str:
    """The events that a filter lets through: ``events named purchase with plan pro or team``."""
    told = _told(where)
    shown = told if len(told) <= _LONGEST else f"{told[:_LONGEST].rstrip()} …"
    return f"events {shown}" if shown else "events of any kind"


def _told(where: Filter) -> str:
    match where:
        case All(of):
            return " ".join(filter(None, map(_part, of)))
        case Any(()):
            return "that there are none of"
        case Any(of):
            return " or ".join(_part(one) or "of any kind" for one in of)
        case Not(of):
            return f"that are not {_part(of) or 'of any kind'}"
        case KindIs(kinds):
            return f"of kind {_or(kind.name for kind in kinds)}"
        case NameIs(names):
            return f"named {_or(names)}"
        case SubjectIs(subjects):
            return f"of {_or(subjects)}"
        case FlagIs(flag, value):
            return f"with {flag} {str(value).lower()}"
        case InSegment(op=op):
            return "of members of a segment" if op is Op.IN else "of others than a segment's members"
        case MeasureIs(measure, op, value):
            return _compared(measure, op, () if value is None else (value,))
        case DimensionIs(dimension, op, values):
            return _compared(dimension, op, values)
        case PropertyIs(path, op, values):
            return _compared(".".join(("properties", *path)), op, values)


def _part(where: Filter) -> str:
    """Of what is joined to others; in brackets where it would be read wrongly."""
    told = _told(where)
    return f"({told})" if isinstance(where, Any | All) and len(where.of) > 1 else told


def _compared(what: str, op: Op, values: Iterable[object]) -> str:
    match op:
        case Op.EXISTS:
            return f"with {what}"
        case Op.MISSING:
            return f"without {what}"
        case Op.IN:
            return f"with {what} {_or(values)}"
        case Op.NOT_IN:
            return f"with {what} other than {_or(values)}"
        case _:
            return f"with {what} {_ORDERS[op]} {_or(values)}"


def _or(values: Iterable[object]) -> str:
    told = [str(value).lower() if isinstance(value, bool) else str(value) for value in values]
    more = [f"{len(told) - _SHOWN} more"] if len(told) > _SHOWN else []
    return " or ".join([*told[:_SHOWN], *more])
