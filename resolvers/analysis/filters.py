"""Conditions over events, as values: what ``where`` means before any storage is chosen.

A filter is a tree. ``All(())`` is true of every event, ``Any(())`` of none. A condition on something an event does
not carry is false, also under a negative operator such as NOT_IN; only ``Not`` turns it into true.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import Enum

from resolvers.analysis.events import Kind


class Op(Enum):
    """How a condition compares."""

    IN = "in"
    NOT_IN = "not_in"
    EXISTS = "exists"
    MISSING = "missing"
    GT = "gt"
    GTE = "gte"
    LT = "lt"
    LTE = "lte"


@dataclass(frozen=True, slots=True)
class All:
    of: "tuple[Filter, ...]"


@dataclass(frozen=True, slots=True)
class Any:
    of: "tuple[Filter, ...]"


@dataclass(frozen=True, slots=True)
class Not:
    of: "Filter"


@dataclass(frozen=True, slots=True)
class KindIs:
    kinds: tuple[Kind, ...]


@dataclass(frozen=True, slots=True)
class NameIs:
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SubjectIs:
    subjects: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DimensionIs:
    """``dimension`` is one of ``events.DIMENSIONS``; op IN, NOT_IN, EXISTS or MISSING."""

    dimension: str
    op: Op
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PropertyIs:
    """``path`` leads into ``properties``; IN and NOT_IN compare JSON scalars, the orders compare numbers."""

    path: tuple[str, ...]
    op: Op
    values: tuple[str | bool | int | Decimal, ...] = ()


@dataclass(frozen=True, slots=True)
class MeasureIs:
    """``measure`` is a measure column of Event: amount, cost, duration_ms, score, input_tokens, output_tokens."""

    measure: str
    op: Op
    value: Decimal | None = None


@dataclass(frozen=True, slots=True)
class FlagIs:
    """``flag`` is a boolean of Event: success, assisted, recurring."""

    flag: str
    value: bool


@dataclass(frozen=True, slots=True)
class InSegment:
    """The event's subject is in a segment that the tenant keeps, or with NOT_IN is not; an event of nobody is neither.

    ``segment`` is its number, or its name where that was given. Members are those of the segment's last refresh.
    """

    segment: int | str
    op: Op = Op.IN
    field: str = field(default="where", compare=False, repr=False)
    """Where it was asked for, to be named where there is no such segment."""


Filter = All | Any | Not | KindIs | NameIs | SubjectIs | DimensionIs | PropertyIs | MeasureIs | FlagIs | InSegment

EVERYTHING = All(())


def leaves(root: Filter) -> Iterator[Filter]:
    """The conditions of a filter without what joins them."""
    match root:
        case All(of) | Any(of):
            for part in of:
                yield from leaves(part)
        case Not(of):
            yield from leaves(of)
        case _:
            yield root


def names_in(root: Filter) -> tuple[str, ...]:
    """The names of events that a filter names, in order."""
    return tuple(sorted({name for leaf in leaves(root) if isinstance(leaf, NameIs) for name in leaf.names}))


def in_segments(*roots: Filter) -> list[InSegment]:
    """The conditions of filters that name a segment."""
    return [leaf for root in roots for leaf in leaves(root) if isinstance(leaf, InSegment)]


def numbered(root: Filter, numbers: Mapping[int | str, int]) -> Filter:
    """The filter with each segment by its number, whatever it was named by."""
    match root:
        case All(of):
            return All(tuple(numbered(part, numbers) for part in of))
        case Any(of):
            return Any(tuple(numbered(part, numbers) for part in of))
        case Not(of):
            return Not(numbered(of, numbers))
        case InSegment(segment):
            return replace(root, segment=numbers[segment])
        case _:
            return root


def having(**values: str | None) -> Filter:
    """Events with these values of dimensions, None for events that carry none."""
    return All(
        tuple(
            DimensionIs(name, Op.MISSING) if value is None else DimensionIs(name, Op.IN, (value,))
            for name, value in values.items()
        )
    )


def weight(root: Filter) -> int:
    """How many conditions and values a filter holds."""
    match root:
        case All(of) | Any(of):
            return 1 + sum(map(weight, of))
        case Not(of):
            return 1 + weight(of)
        case NameIs(values) | SubjectIs(values) | DimensionIs(values=values) | PropertyIs(values=values):
            return 1 + len(values)
        case _:
            return 1
