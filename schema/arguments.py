"""The arguments that every analysis reads alike, and the question they make."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated

import strawberry

from resolvers.analysis.intake_values import Invalid, instant
from resolvers.analysis.periods import Compare, Granularity, PeriodRequest, parse_duration
from resolvers.analysis.questions import Question
from schema.conditions import read_filter
from schema.dimensions import Dimension
from schema.errors import refusal
from schema.filters import FilterInput

MAX_BREAKDOWN = 3
MAX_TOP = 100
GREATEST_AGE = timedelta(days=1)
SHORTEST_INTERVAL, LONGEST_INTERVAL = timedelta(milliseconds=100), timedelta(hours=1)

_MILLISECONDS = re.compile(r"([1-9][0-9]{0,8})ms", re.ASCII)


@strawberry.input(
    description=(
        "A span of time, as `{last: ...}` or as `{from: ..., to: ...}`. At most ten years, in the years 2000 to 2100."
    )
)
class PeriodInput:
    last: object | None = strawberry.field(
        graphql_type=timedelta | None,
        default=None,
        description=(
            "The time up to now. `30d` is the 30 local days up to and including today, `24h` the 24 local "
            "clock hours up to and including this one; `w`, `mo` and `y` reach that far back on the calendar."
        ),
    )
    from_: object | None = strawberry.field(
        graphql_type=datetime | None,
        name="from",
        default=None,
        description="The first instant of the period.",
    )
    to: object | None = strawberry.field(
        graphql_type=datetime | None,
        default=None,
        description="The first instant after the period; later than `from`.",
    )


LAST_30_DAYS = PeriodInput(last="30d")

PeriodArgument = Annotated[PeriodInput, strawberry.argument(description="Which span of time is asked about.")]
OptionalPeriodArgument = Annotated[
    PeriodInput | None,
    strawberry.argument(description="Only what occurred in this span of time; absent for all time."),
]
TimezoneArgument = Annotated[
    str | None,
    strawberry.argument(
        description=(
            "IANA time zone, e.g. `Europe/Berlin`, in which days and other buckets begin; the tenant's where absent."
        )
    ),
]
GranularityArgument = Annotated[
    Granularity | None,
    strawberry.argument(
        description="The width of the series' buckets, at most 5,000 of them; one that fits the period where absent."
    ),
]
ByArgument = Annotated[
    Sequence[Dimension],
    strawberry.argument(
        description=(
            f"Break the answer down by these dimensions, at most {MAX_BREAKDOWN}: one group for each "
            "combination of values that occurs."
        )
    ),
]
WhereArgument = Annotated[FilterInput | None, strawberry.argument(description="Which events count; all where absent.")]
CompareArgument = Annotated[
    Compare | None,
    strawberry.argument(description="The earlier period to hold the answer against; none where absent."),
]
TopArgument = Annotated[
    int,
    strawberry.argument(
        description=f"How many groups to show, largest first, 1 to {MAX_TOP}; the others are summed up as one."
    ),
]
EveryArgument = Annotated[
    object,
    strawberry.argument(
        graphql_type=timedelta,
        description="The least time between two answers, `100ms` to `1h`; what changes faster is summed up.",
    ),
]
MaxAgeArgument = Annotated[
    object | None,
    strawberry.argument(
        graphql_type=timedelta | None,
        description=(
            "How old an answer may be to be taken as it is, period included, whatever was stored since: `1s` to `1d`. "
            "Its `asOf` says when it was computed. Where absent, the answer is of the present."
        ),
    ),
]


def read_period(period: PeriodInput, field: str = "period") -> PeriodRequest:
    """The period as the resolvers take it; BadInput on the part that is no duration or time."""
    if period.last is not None and not isinstance(period.last, str):
        raise refusal(f"{field}.last", 'must be a duration such as "30d"')
    return PeriodRequest(
        last=period.last,
        start=read_instant(period.from_, f"{field}.from"),
        end=read_instant(period.to, f"{field}.to"),
    )


def read_instant(value: object | None, field: str) -> datetime | None:
    """An instant, None where there is none; BadInput on ``field`` for anything else."""
    try:
        return None if value is None else instant(value)
    except Invalid as bad:
        raise refusal(field, bad.message) from None


def read_question(
    period: PeriodInput,
    *,
    timezone: str | None = None,
    granularity: Granularity | None = None,
    by: Sequence[Dimension] = (),
    where: FilterInput | None = None,
    compare: Compare | None = None,
    top: int = 20,
) -> Question:
    """The question that the shared arguments ask; BadInput on the one that cannot be read."""
    return Question(
        period=read_period(period),
        timezone=timezone,
        granularity=granularity,
        by=tuple(dimension.value for dimension in by),
        where=read_filter(where),
        compare=compare,
        top=top,
    )


def read_span(value: object, field: str) -> timedelta:
    """A duration of clock time; BadInput on ``field`` for anything else, months and years among it."""
    if not isinstance(value, str):
        raise refusal(field, 'must be a duration such as "7d"')
    return parse_duration(value, field=field).elapsed(field)


def read_interval(every: object) -> timedelta:
    """How often a subscription may answer; milliseconds are taken here only."""
    milliseconds = _MILLISECONDS.fullmatch(every) if isinstance(every, str) else None
    interval = timedelta(milliseconds=int(milliseconds[1])) if milliseconds else read_span(every, "every")
    if not SHORTEST_INTERVAL <= interval <= LONGEST_INTERVAL:
        raise refusal("every", "must be 100ms to 1h")
    return interval


def read_max_age(max_age: object | None) -> timedelta | None:
    """How old an answer may be; BadInput on ``maxAge`` for what is no duration, or longer than a day."""
    if max_age is None:
        return None
    oldest = read_span(max_age, "maxAge")
    if oldest > GREATEST_AGE:
        raise refusal("maxAge", "must be at most 1d")
    return oldest
