"""Recommendations: what the answers suggest to do next, on what evidence, and what came of it."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from hashlib import blake2b

from resolvers.analysis.estimates import Estimate
from resolvers.analysis.filters import Filter
from resolvers.analysis.funnels import FunnelDefinition
from resolvers.analysis.metrics import DimensionValue
from resolvers.analysis.periods import Period


class Kind(Enum):
    """Which detector speaks."""

    LEAKING_STEP = "leaking_step"
    LOSING_CHANNEL = "losing_channel"
    CHEAPER_MODEL = "cheaper_model"
    PERSONA_SPEND = "persona_spend"
    CHURN_CONCENTRATION = "churn_concentration"
    COST_ANOMALY = "cost_anomaly"


class Severity(Enum):
    """How much of a month's revenue is at stake: HIGH from 5 %, MEDIUM from 1 %, else LOW."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class State(Enum):
    """What became of a recommendation."""

    OPEN = "open"
    ACCEPTED = "accepted"
    DISMISSED = "dismissed"


@dataclass(frozen=True, slots=True)
class MetricMeasure:
    """A metric of the catalogue, of the events that pass ``where``."""

    slug: str
    where: Filter


@dataclass(frozen=True, slots=True)
class StepMeasure:
    """The rate at which a step of a funnel is reached from the required one before."""

    definition: FunnelDefinition
    step: int


@dataclass(frozen=True, slots=True)
class ChurnMeasure:
    """The share of customers at the start who churned, of the subscriptions that pass ``where``."""

    where: Filter


Measure = MetricMeasure | StepMeasure | ChurnMeasure
"""What is looked at before and after a recommendation was accepted."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One figure that a recommendation stands on."""

    title: str
    estimate: Estimate


@dataclass(frozen=True, slots=True)
class Finding:
    """What a detector found; ``key`` is the same for as long as it is the same finding."""

    key: str
    kind: Kind
    severity: Severity
    title: str
    action: str
    about: tuple[DimensionValue, ...]
    expected: Estimate
    """What following it is worth in 30 days; its definition says on which assumption."""
    evidence: tuple[Evidence, ...]
    measures: tuple[Measure, ...]


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A finding and what was decided about it."""

    key: str
    kind: Kind
    severity: Severity
    title: str
    action: str
    about: tuple[DimensionValue, ...]
    expected: Estimate
    evidence: tuple[Evidence, ...]
    state: State
    decided_at: datetime | None
    """When it was accepted or dismissed; None while it is open."""
    reason: str | None
    """Why it was dismissed."""
    current: bool
    """Whether the data of the last 30 days still say so."""


@dataclass(frozen=True, slots=True)
class Effect:
    """A figure before and after a recommendation was accepted."""

    title: str
    before: Estimate
    after: Estimate
    difference: Estimate
    """after - before, with its interval."""


@dataclass(frozen=True, slots=True)
class RealisedEffect:
    """What was measured since a recommendation was accepted, over as many whole days before as after."""

    days: int
    before: Period
    after: Period
    effects: tuple[Effect, ...]
    statement: str


def key(kind: Kind, *identity: object) -> str:
    """The key of a finding, from what makes it the one it is."""
    return f"{kind.value}:{blake2b(repr(identity).encode(), digest_size=12).hexdigest()}"


@dataclass(frozen=True, slots=True)
class Findings:
    """What all detectors found, the most valuable first."""

    found: tuple[Finding, ...]
