"""Whom an experiment is for: conditions on what is known of a subject when it is asked about."""

from collections.abc import Mapping
from dataclasses import dataclass

from resolvers.analysis.filters import All, Any, DimensionIs, Filter, InSegment, Not, Op, SubjectIs


@dataclass(frozen=True, slots=True)
class Person:
    """A subject and what the caller says of it."""

    subject: str
    dimensions: Mapping[str, str]
    segments: frozenset[int | str] = frozenset()
    """Those of the segments that are asked about that it is in, as they are named."""


def targets(root: Filter) -> bool:
    """Whether a filter asks for nothing but subjects, dimensions and segments."""
    match root:
        case All(of) | Any(of):
            return all(map(targets, of))
        case Not(of):
            return targets(of)
        case _:
            return isinstance(root, DimensionIs | SubjectIs | InSegment)


def matches(root: Filter, person: Person) -> bool:
    """Whether a filter that ``targets`` holds of somebody; a condition on what is not known does not hold."""
    match root:
        case All(of):
            return all(matches(part, person) for part in of)
        case Any(of):
            return any(matches(part, person) for part in of)
        case Not(of):
            return not matches(of, person)
        case SubjectIs(subjects):
            return person.subject in subjects
        case InSegment(segment, op):
            return (segment in person.segments) is (op is Op.IN)
        case DimensionIs(dimension, op, values):
            value = person.dimensions.get(dimension)
            if op is Op.MISSING:
                return value is None
            return value is not None and (op is Op.EXISTS or (value in values) is (op is Op.IN))
        case _:
            raise ValueError(f"nobody is targeted by {type(root).__name__}")
