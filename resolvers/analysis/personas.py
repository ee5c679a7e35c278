"""Personas: named profiles, given to subjects by their events or by rules."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum

from resolvers.analysis.diagnoses import Finding
from resolvers.analysis.estimates import Estimate
from resolvers.analysis.metrics import DimensionValue, MetricAnswer
from resolvers.analysis.periods import Period
from resolvers.analysis.segments import Rule


class Assignment(Enum):
    """Who has a persona: subjects of EVENTS whose dimension names it, or those that meet RULES."""

    EVENTS = "events"
    RULES = "rules"


@dataclass(frozen=True, slots=True)
class Persona:
    """A persona that a tenant keeps; of several whose rules a subject meets it has that of the least priority."""

    id: int
    slug: str
    name: str
    description: str | None
    priority: int
    assignment: Assignment
    rules: Rule | None
    segment_id: int | None
    """The segment of those whom rules give it to; None where events do."""
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class PersonaPreference:
    """A dimension value that subjects of a persona have, and how much more often than everybody."""

    value: str | None
    subjects: int
    share: Decimal | None
    """Of the persona's subjects; None where there are none."""
    lift: Decimal | None
    """That share, divided by everybody's; None where one of them is none."""


@dataclass(frozen=True, slots=True)
class PersonaGroup:
    """What a persona's events that carry the same values come to; ``other`` are those of all groups not shown."""

    keys: tuple[DimensionValue, ...]
    other: bool
    subjects: Estimate
    conversion: Estimate
    revenue: Estimate
    revenue_per_subject: Estimate
    ai_requests: Estimate
    ai_cost: Estimate
    ai_success: Estimate


class ChurnGap(Enum):
    """Why a profile tells no churn risk."""

    NOT_ASKED = "not_asked"
    NO_MODEL = "no_model"


@dataclass(frozen=True, slots=True)
class PersonaProfile:
    """What the subjects of a persona do and bring in, in a period."""

    persona: Persona
    period: Period
    previous_period: Period | None
    subjects: MetricAnswer
    conversion: MetricAnswer
    revenue: MetricAnswer
    revenue_per_subject: Estimate
    lifetime_value: Estimate
    acquisition_cost: Estimate
    retention: Estimate
    churn_risk: Estimate | None
    churn_gap: ChurnGap | None
    churn_findings: tuple[Finding, ...]
    """What is wrong with the model, or why there is none."""
    ai_requests: MetricAnswer
    ai_cost: MetricAnswer
    ai_success: MetricAnswer
    channels: tuple[PersonaPreference, ...]
    features: tuple[PersonaPreference, ...]
    groups: tuple[PersonaGroup, ...]
    """Most subjects first, ``other`` last; none unless a breakdown was asked for."""
    group_count: int
