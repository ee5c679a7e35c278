"""The units of an experiment, one by one."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum


class Uncounted(Enum):
    """Why an exposure does not count, as the phase of a unit none of whose exposures does: of its first."""

    LEFT_OUT = 0
    """By the experiment's condition: a bot, a test."""
    UNKNOWN_VARIANT = -1
    BEFORE_START = -2
    AFTER_END = -3


@dataclass(frozen=True, slots=True)
class UnitValue:
    """What a metric is of one unit; ``divisor`` and ``covariate`` are None where the metric has none."""

    metric: str
    value: Decimal
    divisor: Decimal | None
    covariate: Decimal | None


@dataclass(frozen=True, slots=True)
class ExperimentUnit:
    """A subject with exposures: of a variant and a phase by its first one that counts, or ``uncounted`` says why none
    does."""

    experiment: str
    subject: str
    variant: str | None
    phase: int | None
    uncounted: Uncounted | None
    exposed_at: datetime
    multiple: bool
    """Whether it was shown several variants."""
    metrics: tuple[UnitValue, ...]
    """None of what is uncounted."""
