"""Cohorts: who came in the same calendar period, how many came back, and what they have brought in."""

from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Annotated

import strawberry

from resolvers import cohorts
from resolvers.analysis import cohorts as values
from resolvers.analysis.periods import Compare, Granularity
from resolvers.context import Context
from schema.arguments import (
    ByArgument,
    PeriodArgument,
    PeriodInput,
    TimezoneArgument,
    WhereArgument,
    read_question,
)
from schema.common import DimensionValue, Estimate, Money, Period
from schema.explanations import Explanation
from schema.live import Analysis, Asked
from schema.scalars import BigInt
from schema.shapes import enumerate_in_schema, shapes

enumerate_in_schema(
    values.CohortBasis,
    "What makes somebody part of a cohort, and counts as coming back.",
    {
        "ACTIVITY": "An event that passes `where`, of any kind.",
        "REVENUE": "A payment: a conversion but `churn` and `refund`, its amount in the tenant's currency or in one "
        "that an exchange rate is known for.",
    },
)

_BEFORE = "of the cohort at the same place of the period compared with; null without one"
_PREVIOUS_SUBJECTS = "The same of the period compared with; null unless `compare` was asked for."
_UNKNOWN = "Null where bucket k has not begun by the end of the period, or by now: that is unknown, not 0."


@shapes(values.Cohort)
@strawberry.type(
    description=(
        "Those who came first in one calendar period. In each list the k-th value tells of the k-th bucket after it, 0 "
        "being the cohort's own; all lists of an answer are of one length."
    )
)
class Cohort:
    at: datetime = strawberry.field(description="The first instant of the bucket in which they came.")
    size: BigInt = strawberry.field(description="How many subjects came first in that bucket.")
    retained: list[BigInt | None] = strawberry.field(description=f"How many of them were there in bucket k. {_UNKNOWN}")
    rate: list[Decimal | None] = strawberry.field(
        description="`retained` / `size`, a share; null where that is unknown, and for a cohort of nobody."
    )
    revenue: list[Decimal | None] = strawberry.field(
        description=f"What they paid in bucket k less what they were given back; 0 for ACTIVITY. {_UNKNOWN}"
    )
    cumulative: list[Decimal | None] = strawberry.field(description=f"`revenue` up to and with bucket k. {_UNKNOWN}")
    per_member: list[Decimal | None] = strawberry.field(
        description=(
            "Lifetime value so far: `cumulative` / `size`, whoever came back or not; null where that is unknown, and "
            "for a cohort of nobody."
        )
    )
    previous_size: BigInt | None = strawberry.field(description=f"`size` {_BEFORE}.")
    previous_rate: list[Decimal | None] | None = strawberry.field(
        description=f"`rate` {_BEFORE}; within it null where it was unknown, and for a cohort of nobody."
    )
    previous_per_member: list[Decimal | None] | None = strawberry.field(
        description=f"`perMember` {_BEFORE}; within it null where it was unknown, and for a cohort of nobody."
    )


@shapes(values.CohortGroup)
@strawberry.type(
    description=(
        "The cohorts of the events that have the same values in the dimensions broken down by: what `where` would "
        "answer. Whoever has several values is in the cohorts of each."
    )
)
class CohortGroup:
    keys: list[DimensionValue] = strawberry.field(
        description="The group's values, in the order of `by`; empty for the group of all others."
    )
    other: bool = strawberry.field(description="Whether this is of the events of all groups that are not shown.")
    cohorts: list[Cohort] = strawberry.field(description="One for each bucket that has begun, earliest first.")
    subjects: BigInt = strawberry.field(description="How many came first in the period: the sum of the sizes.")
    previous_subjects: BigInt | None = strawberry.field(description=_PREVIOUS_SUBJECTS)
    repeat: Estimate = strawberry.field(description="The share of them who came back; null without subjects.")


@shapes(values.CohortsAnswer)
@strawberry.type(description="The cohorts of a period.")
class CohortsAnswer:
    of: values.CohortBasis = strawberry.field(description="What makes somebody part of a cohort.")
    period: Period = strawberry.field(
        description="The period answered for, in instants: the one asked about, begun with its first bucket as a whole."
    )
    previous_period: Period | None = strawberry.field(
        description=(
            "The period compared with, as many buckets long: where the period is still running, its last bucket ends "
            "as far gone as the present one is. Null unless `compare` was asked for."
        )
    )
    granularity: Granularity = strawberry.field(description="The width of the buckets.")
    timezone: str = strawberry.field(description="The IANA time zone in which the buckets begin.")
    currency: str = strawberry.field(description="ISO 4217 code of the amounts: the tenant's currency.")
    cohorts: list[Cohort] = strawberry.field(
        description="One for each bucket that has begun, earliest first. Who came before the period is in none."
    )
    subjects: BigInt = strawberry.field(description="How many came first in the period: the sum of the sizes.")
    previous_subjects: BigInt | None = strawberry.field(description=_PREVIOUS_SUBJECTS)
    repeat: Estimate = strawberry.field(
        description=(
            "The share of them who came back: for ACTIVITY in a later bucket, for REVENUE with a second order, be it "
            "in the same bucket; null without subjects."
        )
    )
    partial: bool = strawberry.field(
        description=(
            "Whether the last bucket is not over, or is cut by the end of the period: then the last known value of "
            "each cohort, and the last cohort, tell of a part of it only."
        )
    )
    groups: list[CohortGroup] = strawberry.field(
        description=(
            "The groups of the breakdown, most subjects (for REVENUE: revenue) in the period first: at most `top`, and "
            "one of all others; empty unless `by` was asked for."
        )
    )
    group_count: int = strawberry.field(description="How many groups there are in all, shown or not.")
    unconverted: list[Money] = strawberry.field(
        description="What was paid in the period and no exchange rate is known for, one sum each; left out above."
    )
    as_of: datetime = strawberry.field(description="The instant at which the answer was read from the log.")
    explain: Explanation = strawberry.field(description="How the answer was come by.")


LAST_YEAR = PeriodInput(last="12mo")


def _cohorts(
    context: Context,
    of: Annotated[
        values.CohortBasis, strawberry.argument(description="What makes somebody part of a cohort, and brings back.")
    ] = values.CohortBasis.ACTIVITY,
    period: PeriodArgument = LAST_YEAR,
    timezone: TimezoneArgument = None,
    granularity: Annotated[
        Granularity, strawberry.argument(description="The width of a cohort and of the buckets: DAY, WEEK or MONTH.")
    ] = Granularity.MONTH,
    by: ByArgument = (),
    where: WhereArgument = None,
    compare: Annotated[
        Compare | None,
        strawberry.argument(
            description=(
                "The cohorts to hold these against, place by place: PREVIOUS_PERIOD as many buckets before them, "
                "PREVIOUS_YEAR as many from the one a year earlier; none where absent."
            )
        ),
    ] = None,
    top: Annotated[int, strawberry.argument(description="How many groups are shown, 1 to 10.")] = 5,
) -> Asked[values.CohortsAnswer]:
    question = read_question(
        period, timezone=timezone, granularity=granularity, by=by, where=where, compare=compare, top=top
    )
    return Asked(question, partial(cohorts.cohorts, context, of), cohorts.kinds(of))


COHORTS = Analysis(
    _cohorts,
    CohortsAnswer,
    "Who came first in the same day, week or month, how many of them came back in each that followed, and what they "
    "have brought in since. Whoever was there before the period is in no cohort of it.",
)


@strawberry.type
class CohortQuery:
    cohorts = COHORTS.query()


@strawberry.type
class CohortSubscription:
    cohorts = COHORTS.subscription()
