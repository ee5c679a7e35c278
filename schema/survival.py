"""Survival: how long subjects stay, as Kaplan-Meier curves."""

from datetime import datetime
from functools import partial
from typing import Annotated

import strawberry

from resolvers import survival
from resolvers.analysis import spells
from resolvers.analysis import survival as curves
from resolvers.analysis import survival_answers as values
from resolvers.analysis.estimates import Quality
from resolvers.analysis.periods import Compare
from resolvers.context import Context
from schema.arguments import ByArgument, TopArgument, WhereArgument
from schema.common import DimensionValue
from schema.conditions import read_filter
from schema.cutoffs import CutoffArgument, HistoryArgument, asked, compared_with, read_asking
from schema.explanations import Explanation
from schema.live import Analysis, Asked
from schema.scalars import BigInt
from schema.shapes import enumerate_in_schema, shapes

enumerate_in_schema(
    spells.SpellKind,
    "What begins a subject's stay and what ends it.",
    {
        "CUSTOMER": "From the first recurring conversion (or the first at all where none recur) to churn.",
        "ACTIVITY": "From the first event to the last, where the log holds no churn events.",
    },
    name="SurvivalKind",
)


@shapes(values.SurvivalSeries)
@strawberry.type(
    description="A Kaplan-Meier curve, in columns of one length: a row for each day on which somebody left."
)
class SurvivalSeries:
    at: list[float] = strawberry.field(description="Days since the start, ascending.")
    at_risk: list[BigInt] = strawberry.field(description="Subjects known to have stayed until then.")
    events: list[BigInt] = strawberry.field(description="How many left then.")
    censored: list[BigInt] = strawberry.field(
        description="Of whom no more is known, after the row before and up to this one."
    )
    survival: list[float] = strawberry.field(description="The share still there afterwards; 1 before the first row.")
    low: list[float | None] = strawberry.field(
        description="Lower end of its interval at 95 % (Greenwood, log-log); null where nobody is left."
    )
    high: list[float | None] = strawberry.field(
        description="Upper end of its interval at 95 % (Greenwood, log-log); null where nobody is left."
    )


@shapes(values.Survival)
@strawberry.type(description="How long some subjects stay.")
class Survival:
    n: BigInt = strawberry.field(description="How many subjects.")
    events: BigInt = strawberry.field(description="How many of them left.")
    quality: Quality = strawberry.field(description="How much stands behind the curve.")
    median: float | None = strawberry.field(
        description="Days after which half are still there; null where more than half stay as long as is known."
    )
    restricted_mean: float | None = strawberry.field(
        description="Mean days there within the first `longest`: the area under the curve. Null without subjects."
    )
    longest: float | None = strawberry.field(description="The most days known of any subject; null without subjects.")
    series: SurvivalSeries = strawberry.field(description="The curve.")


@shapes(values.SurvivalGroup)
@strawberry.type(description="The subjects whose first event, the one that began their stay, carried the same values.")
class SurvivalGroup:
    keys: list[DimensionValue] = strawberry.field(
        description="The group's values, in the order of `by`; empty for the group of all others."
    )
    other: bool = strawberry.field(description="Whether this sums up all groups that are not shown.")
    survival: Survival = strawberry.field(description="How long they stay.")
    previous: Survival | None = strawberry.field(
        description="The same as of the moment compared with, null where that of all is."
    )


@shapes(curves.LogRank)
@strawberry.type(description="The log-rank test of whether the groups leave alike.")
class LogRank:
    statistic: float = strawberry.field(description="χ².")
    freedom: int = strawberry.field(description="Its degrees of freedom.")
    p: float = strawberry.field(
        description="The probability of that by chance; at least 2.2e-308, the least that floats hold."
    )
    log10_p: float = strawberry.field(
        name="log10P", description="The decimal logarithm of `p`, also where `p` is too small to be told from 0."
    )


@shapes(values.SurvivalAnswer)
@strawberry.type(description="How long subjects stay, those included who have not left yet.")
class SurvivalAnswer:
    cutoff: datetime = strawberry.field(description="The moment up to which events are known.")
    previous_cutoff: datetime | None = strawberry.field(
        description="The moment compared with; null unless `compare` was asked for."
    )
    kind: spells.SpellKind = strawberry.field(description="What begins a stay and what ends it.")
    definition: str = strawberry.field(description="One sentence that says from what to what days are counted.")
    total: Survival = strawberry.field(description="All subjects.")
    previous: Survival | None = strawberry.field(
        description=(
            "All subjects as of the moment compared with; null without one, or where stays began and ended with other "
            "things then, as `definition` says. Its `restrictedMean` reaches to its own `longest`."
        )
    )
    groups: list[SurvivalGroup] = strawberry.field(
        description="The groups of the breakdown, largest first: at most `top`, and one of all others."
    )
    group_count: int = strawberry.field(description="How many groups there are in all, shown or not.")
    log_rank: LogRank | None = strawberry.field(
        description="Whether the groups shown differ; null with less than two of them, or where nobody left."
    )
    explain: Explanation = strawberry.field(description="How the answer came about.")
    as_of: datetime = strawberry.field(description="The instant at which the answer was read from the log.")


CompareArgument = Annotated[
    Compare | None,
    strawberry.argument(description=compared_with("one history, so that both are of different events,")),
]


def _survival(
    context: Context,
    cutoff: CutoffArgument = None,
    history: HistoryArgument = "730d",
    by: ByArgument = (),
    where: WhereArgument = None,
    compare: CompareArgument = None,
    top: TopArgument = 5,
) -> Asked[values.SurvivalAnswer]:
    asking = read_asking(cutoff, history, read_filter(where), tuple(one.value for one in by), compare, top)
    return asked(asking, partial(survival.survival, context), survival.kinds())


SURVIVAL = Analysis(
    _survival,
    SurvivalAnswer,
    "How long subjects stay, as Kaplan-Meier curves: in all and by dimensions such as plan or persona, with a test of "
    "whether they differ.",
    least="10s",
)


@strawberry.type
class SurvivalQuery:
    survival = SURVIVAL.query()


@strawberry.type
class SurvivalSubscription:
    survival = SURVIVAL.subscription()
