"""Segments: rules that say which subjects belong, as values.

A rule is a tree over all subjects that the log has ever told of. ``All(())`` is true of every subject, ``Any(())`` of
none. Whoever did nothing did it 0 times, for a sum of 0.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum

from resolvers.analysis.estimates import Estimate
from resolvers.analysis.explanations import Explanation
from resolvers.analysis.filters import EVERYTHING, Filter, weight
from resolvers.analysis.funnel_outcomes import Outcome
from resolvers.analysis.periods import PeriodRequest
from resolvers.analysis.subjects import Subject


@dataclass(frozen=True, slots=True)
class All:
    of: "tuple[Rule, ...]"


@dataclass(frozen=True, slots=True)
class Any:
    of: "tuple[Rule, ...]"


@dataclass(frozen=True, slots=True)
class Not:
    of: "Rule"


@dataclass(frozen=True, slots=True)
class Times:
    """How often at least and at most; None for any number."""

    at_least: int | None = 1
    at_most: int | None = None


@dataclass(frozen=True, slots=True)
class Total:
    """What the sum of a measure is at least and at most; money is that of the tenant's currency, or converted."""

    measure: str
    at_least: Decimal | None = None
    at_most: Decimal | None = None

    @property
    def holds_for_nothing(self) -> bool:
        """Whether a sum of 0 will do."""
        return (self.at_least is None or self.at_least <= 0) and (self.at_most is None or self.at_most >= 0)


@dataclass(frozen=True, slots=True)
class Did:
    """The subject's events that pass ``where`` in a period, None for ever, are so many, and come to so much."""

    where: Filter = EVERYTHING
    period: PeriodRequest | None = None
    times: Times = Times()
    total: Total | None = None


class Sighting(Enum):
    """Which of the subject's events is meant: the FIRST that passes, or the LAST."""

    FIRST = "first"
    LAST = "last"


@dataclass(frozen=True, slots=True)
class Seen:
    """The first or last of the subject's events that pass ``where`` lies in a period."""

    which: Sighting
    period: PeriodRequest
    where: Filter = EVERYTHING


@dataclass(frozen=True, slots=True)
class MemberOf:
    """The subject meets the rules of another segment, given by its number; by its name until that is looked up."""

    segment: int | str
    field: str = field(default="", compare=False, repr=False)
    """Where it was asked for; empty where that is where it stands."""


@dataclass(frozen=True, slots=True)
class InFunnel:
    """What became of the subject at a step of a kept funnel, given by its number, by its name until that is looked up.

    Counted are the walks that enter in a period, None for ever, over the events that pass ``where``.
    """

    funnel: int | str
    step: int
    outcome: Outcome = Outcome.DROPPED
    period: PeriodRequest | None = None
    where: Filter = EVERYTHING


@dataclass(frozen=True, slots=True)
class Listed:
    """The subject is one of these."""

    subjects: tuple[str, ...]


Leaf = Did | Seen | MemberOf | InFunnel | Listed
Rule = All | Any | Not | Leaf


def leaves(root: Rule, path: str = "rules") -> Iterator[tuple[str, Leaf]]:
    """The conditions of a rule, each with its path."""
    match root:
        case All(of) | Any(of):
            name = "all" if isinstance(root, All) else "any"
            for place, part in enumerate(of):
                yield from leaves(part, f"{path}.{name}[{place}]")
        case Not(of):
            yield from leaves(of, f"{path}.not")
        case MemberOf(field=given):
            yield given or path, root
        case _:
            yield path, root


def references(root: Rule) -> set[int | str]:
    """The segments that a rule names."""
    return {leaf.segment for _, leaf in leaves(root) if isinstance(leaf, MemberOf)}


def walks(root: Rule) -> list[tuple[str, InFunnel]]:
    """The conditions of a rule that are about a funnel, each with its path."""
    return [(path, leaf) for path, leaf in leaves(root) if isinstance(leaf, InFunnel)]


def renamed(root: Rule, numbers: Mapping[int | str, int], funnels: Mapping[int | str, int]) -> Rule:
    """The rule with the segments and the funnels that it names by their numbers."""
    match root:
        case All(of) | Any(of):
            return replace(root, of=tuple(renamed(part, numbers, funnels) for part in of))
        case Not(of):
            return Not(renamed(of, numbers, funnels))
        case MemberOf(segment):
            return MemberOf(numbers[segment])
        case InFunnel(funnel):
            return replace(root, funnel=funnels[funnel])
        case _:
            return root


def cost(root: Rule) -> int:
    """How many conditions and values a rule holds."""
    total = 0
    for _, leaf in leaves(root):
        match leaf:
            case Did(where=where) | Seen(where=where) | InFunnel(where=where):
                total += 1 + weight(where)
            case Listed(subjects):
                total += 1 + len(subjects)
            case _:
                total += 1
    return total


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment that a tenant keeps, and what its members are as of its last refresh."""

    id: int
    name: str
    description: str | None
    rules: Rule
    refresh_every: timedelta
    created_at: datetime
    updated_at: datetime
    size: int | None
    """How many members there are; None before they were first found."""
    as_of: datetime | None
    """The instant that the members are of."""
    current: bool
    """Whether the members are those of the present rules, not of earlier ones."""
    problem: str | None
    """Why the last refresh did not succeed; None where it did."""


@dataclass(frozen=True, slots=True)
class SegmentSummary:
    """Which segment an answer is about."""

    id: int
    name: str
    size: int


@dataclass(frozen=True, slots=True)
class Condition:
    """How many subjects meet one condition of a rule by itself; ``note`` says why there may be none."""

    path: str
    subjects: int
    note: str | None


@dataclass(frozen=True, slots=True)
class SegmentPreviewAnswer:
    """Whom a rule is true of."""

    size: int
    share: Estimate
    sample: tuple[Subject, ...]
    conditions: tuple[Condition, ...]
    as_of: datetime = field(compare=False)
    explain: Explanation = field(compare=False)
