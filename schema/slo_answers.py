"""How a service level objective stands."""

from datetime import datetime, timedelta
from decimal import Decimal

import strawberry
from strawberry.scalars import JSON

from resolvers.analysis import slo_answers as values
from resolvers.analysis import slos
from resolvers.analysis.metrics import Direction
from schema.common import DimensionValue, Period
from schema.conditions import write_filter
from schema.explanations import Explanation
from schema.scalars import BigInt
from schema.shapes import enumerate_in_schema, shapes

enumerate_in_schema(
    values.SloState,
    "How an SLO stands: the first of these that holds.",
    {
        "PAGE": "A rule with the severity `PAGE` fires.",
        "TICKET": "A rule with the severity `TICKET` fires.",
        "NO_DATA": "There was no event for as long as the SLO's `absentAfter`.",
        "LOW_TRAFFIC": "Too few events in the longest window of any rule to tell.",
        "HEALTHY": "No rule fires, though one of them at least has events enough.",
    },
)
enumerate_in_schema(
    values.SloRuleState,
    "What a rule says.",
    {
        "FIRING": "Both windows burn at the factor or faster.",
        "QUIET": "One of the windows does not.",
        "TOO_FEW": "The long window has fewer events than the SLO's minimum.",
    },
)


def _where(root: strawberry.Parent[slos.SloDefinition]) -> object:
    return write_filter(root.where)


@shapes(slos.SloDefinition)
@strawberry.type(description="That a share of the events of a metric has to be good.")
class SloDefinition:
    key: str = strawberry.field(description="Its name in guardrails and queries; unique, and never changes.")
    title: str = strawberry.field(description="Its name for people.")
    metric: str = strawberry.field(description="The metric's `slug` in `metricCatalogue`: a share, or a quantile.")
    good: Direction = strawberry.field(
        description=(
            "Which way is good. Of a share `UP` has the events that it counts be the good ones, `DOWN` the bad ones; "
            "of a quantile an event is good at or above the threshold, or at or below it."
        )
    )
    threshold: Decimal | None = strawberry.field(
        description="Up to which value, in the metric's unit, an event is good; null where the metric is a share."
    )
    objective: Decimal = strawberry.field(description="The share that has to be good: 0.99 is 99 %.")
    where: object = strawberry.field(
        resolver=_where, graphql_type=JSON, description="Which events it is about, as the JSON of a `FilterInput`."
    )
    minimum_events: int = strawberry.field(description="A rule is silent where its long window has fewer events.")
    absent_after: timedelta = strawberry.field(description="After how long without an event its state is `NO_DATA`.")
    cost_per_bad_event: Decimal | None = strawberry.field(
        description="What a bad event costs, in the tenant's currency; null where nobody said."
    )


@shapes(values.SloWindow)
@strawberry.type(description="What happened within a span of time that ends now.")
class SloWindow:
    length: timedelta = strawberry.field(description="How long it is; it ends with the answer's period.")
    total: BigInt = strawberry.field(description="Its events; people, where the metric is a share of people.")
    bad: BigInt = strawberry.field(description="Of these the bad ones.")
    burn_rate: Decimal | None = strawberry.field(
        description=(
            "(bad / total) / (1 - objective): at 1 the error budget lasts just its 30 days, at 2 half of them. Null "
            "without events."
        )
    )
    cost: Decimal | None = strawberry.field(
        description="What the bad events cost, in `currency`; null where the SLO does not say what one costs."
    )


@shapes(values.SloRule)
@strawberry.type(
    description=(
        "A rule of multi-window, multi-burn-rate alerts (Site Reliability Workbook, chapter 5): it fires where the "
        "error budget burns at `factor` times the sustainable rate or faster, in the long window, so that it matters, "
        "and in the short one, so that it still goes on."
    )
)
class SloRule:
    severity: slos.Severity = strawberry.field(description="What it calls for.")
    long: timedelta = strawberry.field(description="The length of its long window.")
    short: timedelta = strawberry.field(description="The length of its short window.")
    factor: Decimal = strawberry.field(description="The burn rate from which on it fires.")
    long_burn_rate: Decimal | None = strawberry.field(
        description="The burn rate in the long window; null without events in it."
    )
    short_burn_rate: Decimal | None = strawberry.field(
        description="The burn rate in the short window; null without events in it."
    )
    reachable: bool = strawberry.field(
        description="Whether it can fire at all: where all events are bad, the burn rate is 1 / (1 - objective)."
    )
    state: values.SloRuleState = strawberry.field(description="What it says now.")


@shapes(values.ErrorBudget)
@strawberry.type(description="The bad events that the objective allows in 30 days, and what became of them.")
class ErrorBudget:
    total: BigInt = strawberry.field(description="The events of the 30 days.")
    bad: BigInt = strawberry.field(description="Of these the bad ones.")
    allowed: Decimal = strawberry.field(description="(1 - objective) × total: so many may be bad.")
    consumed: Decimal | None = strawberry.field(
        description="bad / allowed, a share; above 1 where more are bad than may be. Null without events."
    )
    remaining: Decimal | None = strawberry.field(
        description="1 - consumed; 0 or below where the budget is used up. Null without events."
    )
    present: SloWindow | None = strawberry.field(
        description=(
            "What happens now: the shortest of 1 h, 6 h, 24 h and 3 d with at least `minimumEvents` events. Null where "
            "none has so many."
        )
    )
    exhausted_at: datetime | None = strawberry.field(
        description=(
            "When the budget will be used up if it burns on as in `present`: 30 days × remaining / burn rate from now, "
            "as if nothing bad were to leave the 30 days until then. Null where it is used up already, or lasts."
        )
    )
    cost: Decimal | None = strawberry.field(
        description="What the bad events cost, in `currency`; null where the SLO does not say what one costs."
    )
    allowed_cost: Decimal | None = strawberry.field(
        description="What the allowed bad events would cost; null where the SLO does not say what one costs."
    )


@shapes(values.SloGroup)
@strawberry.type(description="The events of the 30 days that carry the same values.")
class SloGroup:
    keys: list[DimensionValue] = strawberry.field(
        description="The group's values, in the order of `by`; empty for the group of all others."
    )
    other: bool = strawberry.field(description="Whether this sums up all groups that are not shown.")
    total: BigInt = strawberry.field(description="Its events.")
    bad: BigInt = strawberry.field(description="Of these the bad ones.")
    burn_rate: Decimal | None = strawberry.field(
        description="(bad / total) / (1 - objective) of its own; null without events."
    )
    share: Decimal | None = strawberry.field(
        description="Its part of all bad events, so of what is used of the budget; null where there are none."
    )
    cost: Decimal | None = strawberry.field(
        description="What its bad events cost, in `currency`; null where the SLO does not say what one costs."
    )


@shapes(values.SloAnswer)
@strawberry.type(
    description=(
        "How an SLO stands. Its windows and its 30 days end with the minute that is running, and each has exactly the "
        "events since its beginning."
    )
)
class SloAnswer:
    definition: SloDefinition = strawberry.field(description="The SLO.")
    state: values.SloState = strawberry.field(description="How it stands.")
    message: str = strawberry.field(description="Why, in English.")
    period: Period = strawberry.field(description="The 30 days, in instants.")
    currency: str = strawberry.field(description="ISO 4217 code of all costs here: the tenant's currency.")
    windows: list[SloWindow] = strawberry.field(description="What happened in each window of a rule, shortest first.")
    rules: list[SloRule] = strawberry.field(description="What each rule says, the most urgent first.")
    budget: ErrorBudget = strawberry.field(description="The error budget of the 30 days.")
    groups: list[SloGroup] = strawberry.field(
        description=(
            "The 30 days broken down, most events first: at most `top` groups, and one of all others; empty unless "
            "`by` was asked for."
        )
    )
    group_count: int = strawberry.field(description="How many groups there are in all, shown or not.")
    explain: Explanation = strawberry.field(description="How the counts were come by.")
    as_of: datetime = strawberry.field(description="The instant at which the answer was read from the log.")
