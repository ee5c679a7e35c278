"""Metrics: the catalogue, and any of its numbers over a period."""

from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Annotated

import strawberry

from resolvers import metrics
from resolvers.analysis import estimates
from resolvers.analysis import metrics as values
from resolvers.analysis.periods import Granularity
from resolvers.analysis.questions import Question
from resolvers.context import Context, Role
from schema.access import field
from schema.arguments import (
    LAST_30_DAYS,
    ByArgument,
    CompareArgument,
    GranularityArgument,
    PeriodArgument,
    TimezoneArgument,
    TopArgument,
    WhereArgument,
    read_question,
)
from schema.common import DimensionValue, Estimate, Money, Period
from schema.dimensions import Dimension
from schema.explanations import Explanation
from schema.live import Analysis, Asked
from schema.scalars import BigInt
from schema.shapes import enumerate_in_schema, shapes

enumerate_in_schema(
    values.Direction,
    "Which way is good.",
    {
        "UP": "More is better.",
        "DOWN": "Less is better.",
        "NEUTRAL": "Neither is better.",
    },
)


@shapes(values.Metric)
@strawberry.type(description="A number that can be asked for: an entry of the catalogue.")
class Metric:
    slug: str = strawberry.field(description="Its name in queries, e.g. `conversion_rate`; never changes.")
    title: str = strawberry.field(description="Its name for people, in English.")
    definition: str = strawberry.field(description="One sentence that says how it is computed.")
    unit: estimates.Unit = strawberry.field(description="What one of it is.")
    direction: values.Direction = strawberry.field(description="Which way is good.")
    dimensions: list[Dimension] = strawberry.field(description="The dimensions it can be broken down by.")


@shapes(values.Series)
@strawberry.type(
    description="A metric over time, in columns of one length: `at[i]`, `value[i]` and `n[i]` belong together."
)
class Series:
    granularity: Granularity = strawberry.field(description="The width of the buckets.")
    timezone: str = strawberry.field(description="The IANA time zone in which the buckets begin.")
    at: list[datetime] = strawberry.field(
        description="The first instant of each bucket, ascending; each ends where the next begins."
    )
    value: list[float | None] = strawberry.field(
        description="The value in each bucket, for drawing; null where it is undefined."
    )
    exact: list[Decimal | None] = strawberry.field(description="The same values, exact; null where it is undefined.")
    n: list[BigInt] = strawberry.field(description="How many observations stand behind each bucket's value.")


@shapes(values.MetricGroup)
@strawberry.type(description="A metric among the events that have the same values in the dimensions broken down by.")
class MetricGroup:
    keys: list[DimensionValue] = strawberry.field(
        description="The group's values, in the order of `by`; empty for the group of all others."
    )
    other: bool = strawberry.field(description="Whether this sums up all groups that are not shown.")
    estimate: Estimate = strawberry.field(description="The group's value over the whole period.")
    series: Series = strawberry.field(description="The group's value over time.")


@shapes(values.MetricAnswer)
@strawberry.type(description="The answer to a question about one metric.")
class MetricAnswer:
    metric: Metric = strawberry.field(description="The metric asked about.")
    period: Period = strawberry.field(description="The period asked about, in instants.")
    previous_period: Period | None = strawberry.field(
        description="The period compared with; null unless `compare` was asked for."
    )
    estimate: Estimate = strawberry.field(description="The value over the whole period.")
    series: Series = strawberry.field(description="The value over time.")
    groups: list[MetricGroup] = strawberry.field(
        description=(
            "The groups of the breakdown, largest first: at most `top`, and one of all others; "
            "empty unless `by` was asked for."
        )
    )
    group_count: int = strawberry.field(description="How many groups there are in all, shown or not.")
    unconverted: list[Money] = strawberry.field(
        description=(
            "Money in other currencies that no exchange rate is known for on its day, one sum each, which the value "
            "leaves out; empty for metrics that are not money."
        )
    )
    explain: Explanation = strawberry.field(description="How the value was come by.")


_SLUG = "The metric's `slug` from `metricCatalogue`"


def _metrics(
    context: Context,
    slugs: Annotated[list[str], strawberry.argument(description=f"{_SLUG}, for 1 to 20 metrics.")],
    period: PeriodArgument = LAST_30_DAYS,
    timezone: TimezoneArgument = None,
    granularity: GranularityArgument = None,
    by: ByArgument = (),
    where: WhereArgument = None,
    compare: CompareArgument = None,
    top: TopArgument = 20,
) -> Asked[tuple[values.MetricAnswer, ...]]:
    question = read_question(
        period, timezone=timezone, granularity=granularity, by=by, where=where, compare=compare, top=top
    )
    return Asked(question, partial(metrics.metrics, context, slugs), metrics.kinds(slugs))


def _metric(
    context: Context,
    slug: Annotated[str, strawberry.argument(description=f"{_SLUG}, e.g. `conversion_rate`.")],
    period: PeriodArgument = LAST_30_DAYS,
    timezone: TimezoneArgument = None,
    granularity: GranularityArgument = None,
    by: ByArgument = (),
    where: WhereArgument = None,
    compare: CompareArgument = None,
    top: TopArgument = 20,
) -> Asked[values.MetricAnswer]:
    asked = _metrics(context, [slug], period, timezone, granularity, by, where, compare, top)

    async def seek(question: Question) -> values.MetricAnswer:
        (only,) = await asked.seek(question)
        return only

    return Asked(asked.question, seek, asked.kinds)


METRIC = Analysis(_metric, MetricAnswer, "One metric of the catalogue over a period, in buckets and by groups.")
METRICS = Analysis(
    _metrics, list[MetricAnswer], "Several metrics over the same period, one answer each, in the order of `slugs`."
)


@strawberry.type
class MetricQuery:
    metric = METRIC.query()
    metrics = METRICS.query()

    @field(
        Role.VIEWER,
        list[Metric],
        "Every metric that can be asked for; a fixed list of a few dozen.",
    )
    async def metric_catalogue(self) -> tuple[values.Metric, ...]:
        return metrics.catalogue()


@strawberry.type
class MetricSubscription:
    metric = METRIC.subscription()
    metrics = METRICS.subscription()
