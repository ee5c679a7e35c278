"""What is asked: the arguments that every analysis reads alike."""

from dataclasses import dataclass
from datetime import timedelta

from resolvers.analysis.filters import EVERYTHING, Filter
from resolvers.analysis.periods import Compare, Granularity, PeriodRequest

__all__ = ["PeriodRequest", "Question"]


@dataclass(frozen=True, slots=True)
class Question:
    """The shared arguments; None for ``timezone`` means the tenant's, for ``granularity`` a fitting one."""

    period: PeriodRequest
    timezone: str | None = None
    granularity: Granularity | None = None
    by: tuple[str, ...] = ()
    where: Filter = EVERYTHING
    compare: Compare | None = None
    top: int = 20
    """How many groups of a breakdown are shown; the rest is summed up as one."""
    max_age: timedelta | None = None
    """How old an answer may be to be taken although the log moved on; None for one of the present log."""
