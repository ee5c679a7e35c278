"""Questions about a moment: what is foretold from it, out of the history before it."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from resolvers.analysis.clocks import midnight, months_later, zone
from resolvers.analysis.filters import EVERYTHING, Filter
from resolvers.analysis.periods import Compare, PeriodRequest
from resolvers.analysis.questions import Question
from resolvers.answers import Resolved, resolved
from resolvers.context import Principal
from resolvers.errors import BadInput
from resolvers.paging import wrong_cursor

SHORTEST_HISTORY, LONGEST_HISTORY = timedelta(days=60), timedelta(days=3_650)
POINTS = 2_500
"""What a fit counts for among the points of an operation: four of them are as much as it may ask for."""
_DAY = timedelta(days=1)
_FIRST = datetime(2000, 1, 2, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Asking:
    """What is asked of a model: as of when, from how long a history, of which events."""

    cutoff: datetime | None = None
    """The moment to foretell from; None for the last local midnight."""
    history: timedelta = timedelta(days=730)
    where: Filter = EVERYTHING
    by: tuple[str, ...] = ()
    top: int = 20
    max_age: timedelta | None = None
    """How old an answer will do; None for one of the present."""
    compare: Compare | None = None
    """Which earlier moment the answer is held against."""


def definite(asking: Asking, principal: Principal, now: datetime) -> Resolved:
    """The history up to the cut-off as a question made definite; raises BadInput naming the argument at fault."""
    cutoff = asking.cutoff
    if cutoff is None:
        # Whole days, so that the same question asked again on the same day is the same.
        local = zone(principal.timezone)
        cutoff = midnight(now.astimezone(local).date(), local)
    if cutoff > now:
        raise BadInput("Nothing is known yet of a moment to come; give an earlier one.", field="cutoff")
    if not SHORTEST_HISTORY <= asking.history <= LONGEST_HISTORY:
        days = f"{SHORTEST_HISTORY.days} to {LONGEST_HISTORY.days}"
        raise BadInput(f"A history is {days} days long.", field="history")
    if cutoff < _FIRST + SHORTEST_HISTORY:
        raise BadInput("A moment to foretell from lies in the years 2000 to 2100.", field="cutoff")
    start = max(cutoff - asking.history, _FIRST)
    question = Question(
        PeriodRequest(start=start, end=cutoff),
        by=asking.by,
        where=asking.where,
        top=asking.top,
        max_age=asking.max_age,
    )
    return resolved(question, principal, now)


def earlier(asking: Asking, asked: Resolved, span: timedelta, principal: Principal, now: datetime) -> Resolved | None:
    """The same question of an earlier moment, to hold the answer against; None where it is held against nothing.

    PREVIOUS_PERIOD is ``span`` earlier, PREVIOUS_YEAR a year; by the calendar, so that a midnight stays one. BadInput
    on ``compare`` where no history reaches as far back.
    """
    if asking.compare is None:
        return None
    cutoff = _before(asked.period.end, asking.compare, span, zone(asked.timezone))
    if cutoff < _FIRST + SHORTEST_HISTORY:
        raise BadInput("The moment to compare with lies before the year 2000.", field="compare")
    return definite(replace(asking, cutoff=cutoff), principal, now)


def _before(cutoff: datetime, compare: Compare, span: timedelta, local: ZoneInfo) -> datetime:
    wall = cutoff.astimezone(local)
    if compare is Compare.PREVIOUS_YEAR:
        day = months_later(wall.date(), -12)
    elif span % _DAY:
        return cutoff - span
    else:
        day = wall.date() - span
    if midnight(wall.date(), local) == cutoff:
        return midnight(day, local)
    return datetime.combine(day, wall.timetz()).astimezone(UTC)


def cursor_of(score: float, subject: int) -> str:
    """The place of a subject in a list that is ordered by score, highest first, then by code."""
    return f"{score!r},{subject}"


def place_of(after: str) -> tuple[float, int]:
    """The place that a cursor names, as (minus the score, the code); raises BadInput where it is none."""
    try:
        score, subject = after.split(",")
        place = (-float(score), int(subject))
    except ValueError:
        place = (float("nan"), 0)
    if place[0] != place[0]:
        raise wrong_cursor()
    return place
