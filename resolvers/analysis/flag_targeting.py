"""Whom a rule of a flag is for: conditions on a subject and on what is said of it when a flag is evaluated.

They are the filters of everywhere else, put to a person instead of an event: a dimension is the attribute of its name,
a property the attribute that its path leads to. A condition on what is not said does not hold, NOT_IN neither. An
attribute that is a list is in some values where one of its items is.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any as Json

from resolvers.analysis.filters import All, Any, DimensionIs, Filter, InSegment, Not, Op, PropertyIs, SubjectIs
from resolvers.analysis.intake import camel


@dataclass(frozen=True, slots=True)
class Person:
    """A subject, None of somebody unknown, and what the caller says of it: JSON values by attribute."""

    subject: str | None
    attributes: Mapping[str, Json] = field(default_factory=dict)
    segments: Collection[int] = frozenset()
    """The segments that the subject is in, of those that are asked about."""


Holds = Callable[[Person], bool]


def targets(root: Filter) -> bool:
    """Whether a filter asks for nothing but what can be known of a person."""
    match root:
        case All(of) | Any(of):
            return all(map(targets, of))
        case Not(of):
            return targets(of)
        case _:
            return isinstance(root, SubjectIs | DimensionIs | PropertyIs | InSegment)


def attributes(root: Filter) -> Iterator[str]:
    """The attributes that a filter looks at, as a context names them."""
    match root:
        case All(of) | Any(of):
            for part in of:
                yield from attributes(part)
        case Not(of):
            yield from attributes(of)
        case DimensionIs(dimension):
            yield camel(dimension)
        case PropertyIs(path):
            yield ".".join(path)
        case _:
            pass


def compiled(root: Filter) -> Holds:
    """The filter as a function of a person; what is not known of people does not hold of any."""
    match root:
        case All(()):
            return lambda person: True
        case All(of):
            parts = tuple(map(compiled, of))
            return parts[0] if len(parts) == 1 else lambda person: all(part(person) for part in parts)
        case Any(of):
            choices = tuple(map(compiled, of))
            return lambda person: any(part(person) for part in choices)
        case Not(of):
            inner = compiled(of)
            return lambda person: not inner(person)
        case SubjectIs(subjects):
            wanted = frozenset(subjects)
            return lambda person: person.subject in wanted
        case DimensionIs(dimension, op, values):
            return _compared(_of_dimension(dimension), op, values)
        case PropertyIs(path, op, scalars):
            return _compared(_at(path), op, scalars)
        case InSegment(segment, op):
            return lambda person: person.subject is not None and (segment in person.segments) is (op is Op.IN)
        case _:
            return lambda person: False


def _of_dimension(name: str) -> Callable[[Person], Json]:
    shown = camel(name)

    def value(person: Person) -> Json:
        found = person.attributes.get(shown)
        return person.attributes.get(name) if found is None else found

    return value


def _at(path: tuple[str, ...]) -> Callable[[Person], Json]:
    def value(person: Person) -> Json:
        found: Json = person.attributes
        for key in path:
            found = found.get(key) if isinstance(found, Mapping) else None
        return found

    return value


def _compared(value: Callable[[Person], Json], op: Op, values: tuple[Json, ...]) -> Holds:
    match op:
        case Op.EXISTS:
            return lambda person: value(person) is not None
        case Op.MISSING:
            return lambda person: value(person) is None
        case Op.IN:
            wanted = frozenset(map(_scalar, values))
            return lambda person: not wanted.isdisjoint(_scalars(value(person)))
        case Op.NOT_IN:
            unwanted = frozenset(map(_scalar, values))

            def outside(person: Person) -> bool:
                found = value(person)
                return found is not None and unwanted.isdisjoint(_scalars(found))

            return outside
    (limit,) = values
    order = _ORDERS[op]

    def ordered(person: Person) -> bool:
        kind, number = _scalar(value(person))
        return kind == "number" and order(number, limit)

    return ordered


_ORDERS: Mapping[Op, Callable[[Json, Json], bool]] = {
    Op.GT: lambda value, limit: bool(value > limit),
    Op.GTE: lambda value, limit: bool(value >= limit),
    Op.LT: lambda value, limit: bool(value < limit),
    Op.LTE: lambda value, limit: bool(value <= limit),
}


def _scalars(value: Json) -> list[tuple[str, Json]]:
    return list(map(_scalar, value)) if isinstance(value, list | tuple) else [_scalar(value)]


def _scalar(value: Json) -> tuple[str, Json]:
    """A value with its kind, so that none equals one of another kind; a float is the decimal that it prints as."""
    if isinstance(value, str):
        return "text", value
    if isinstance(value, bool):
        return "truth", value
    if isinstance(value, float):
        # An infinity compares as one, and what is no number is less and greater than nothing.
        return ("none", None) if value != value else ("number", Decimal(repr(value)))
    return ("number", value) if isinstance(value, int | Decimal) else ("none", None)
