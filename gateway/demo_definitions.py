"""What the demo's company has defined: rates, a funnel, segments, personas, a budget, an SLO, a flag and experiments.

All of it goes the ways that a caller's would, and all of it again comes to the same.
"""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from math import sin
from typing import Any

from gateway.demo_company import EXPERIMENTS
from resolvers.ai_budgets import set_ai_budget
from resolvers.analysis.ai_budgets import BudgetPeriod
from resolvers.analysis.events import Kind
from resolvers.analysis.experiments import (
    ExperimentDefinition,
    ExperimentMetric,
    Margin,
    Measure,
    MetricRole,
    Status,
    Step,
    Tally,
    UnitMetric,
    Variant,
)
from resolvers.analysis.filters import EVERYTHING, All, DimensionIs, Filter, InSegment, KindIs, MeasureIs, NameIs, Op
from resolvers.analysis.flags import Rule, Share, always
from resolvers.analysis.funnels import Entry, FunnelDefinition
from resolvers.analysis.funnels import Step as FunnelStep
from resolvers.analysis.metrics import Direction
from resolvers.analysis.periods import PeriodRequest
from resolvers.analysis.segments import All as AllOf
from resolvers.analysis.segments import Did, MemberOf, Not, Times
from resolvers.context import Context
from resolvers.exchange_rates import set_exchange_rates
from resolvers.experiment_changes import create_experiment, take_step
from resolvers.experiments import known
from resolvers.flag_changes import EnvironmentDraft, FlagDraft, create_flag
from resolvers.flags import flag
from resolvers.funnels import save_funnel
from resolvers.personas import PersonaDraft, save_persona
from resolvers.segments import Draft, save_segment
from resolvers.slo_checks import SloDraft
from resolvers.slos import create_slo, slos_by_key

_MONTH = timedelta(days=30)
_LAST_MONTH = PeriodRequest(last="30d")
_RATES_AHEAD = 300
"""Days from the story's begin on that have rates: whoever keeps a demo running for long shall see money converted."""
_PAYMENTS = All((KindIs((Kind.CONVERSION,)), MeasureIs("amount", Op.GT, Decimal(0))))
_AI = KindIs((Kind.AI_INTERACTION,))

POWER_USERS = "Power users of AI"
TWICE = "Paid twice in 30 days"
SEGMENTS = (
    Draft(POWER_USERS, Did(_AI, _LAST_MONTH, Times(20)), "Asked AI at least 20 times in the last 30 days."),
    Draft(TWICE, Did(_PAYMENTS, _LAST_MONTH, Times(2)), "At least two payments in the last 30 days."),
    Draft(
        "Power users yet to pay",
        AllOf((MemberOf(POWER_USERS), Not(Did(_PAYMENTS)))),
        "Of the power users of AI those who have never paid: whom to ask first.",
    ),
)
PERSONAS = (
    PersonaDraft("developer", "Developer", "Connects sources, asks AI most."),
    PersonaDraft("analyst", "Analyst", "Builds dashboards and funnels."),
    PersonaDraft("marketer", "Marketer", "Looks at campaigns once a week."),
    PersonaDraft("founder", "Founder", "Seldom here, and pays soonest."),
    PersonaDraft(
        "champion",
        "Champion",
        "Pays, and works with AI every other day, whatever else events call them.",
        priority=10,
        rules=AllOf((MemberOf(POWER_USERS), Did(_PAYMENTS, _LAST_MONTH))),
    ),
)
FUNNEL = FunnelDefinition(
    steps=(
        FunnelStep("Lands", NameIs(("landing_view",))),
        FunnelStep("Sees prices", NameIs(("pricing_view",))),
        FunnelStep("Signs up", NameIs(("signup",))),
        FunnelStep("Subscribes", NameIs(("subscription",))),
    ),
    window=timedelta(days=14),
    entry=Entry.FIRST,
)
SLO = SloDraft(
    "ai-answers",
    metric="ai_success_rate",
    objective="0.94",
    title="AI answers succeed",
    minimum_events=20,
    cost_per_bad_event="0.35",
)
FLAG = FlagDraft(
    "new_query_writer",
    name="New query writer",
    description="The query writer with the larger model: power users of AI have it, then a quarter of everybody.",
    tags=("ai",),
    environments=(
        EnvironmentDraft(
            on=True,
            default=(Share("on", 2_500), Share("off", 7_500)),
            rules=(
                Rule(always("off"), DimensionIs("plan", Op.IN, ("business",)), name="Not yet for business"),
                Rule(always("on"), InSegment(POWER_USERS), name="Power users"),
            ),
        ),
    ),
)


_TENTH = Margin(Decimal("0.1"))


def _metric(slug: str, role: MetricRole, tally: Tally, where: Filter, **more: Any) -> ExperimentMetric:
    field = "amount" if tally is Tally.SUM else None
    direction, margin = more.pop("direction", Direction.UP), more.pop("margin", None)
    of = UnitMetric(Measure(tally, where, field), more.pop("window", _MONTH), **more)
    return ExperimentMetric(slug, role, direction, of, margin=margin)


def _variants(key: str) -> tuple[Variant, ...]:
    """Those that the story tells of."""
    weights = EXPERIMENTS[key].items()
    return tuple(Variant(name, name, weight, control=place == 0) for place, (name, weight) in enumerate(weights))


RUNNING = {
    "guided_start": ExperimentDefinition(
        name="Start guided by AI",
        hypothesis="Whoever sets up the first dashboard together with AI sees its worth, and so subscribes sooner.",
        variants=_variants("guided_start"),
        metrics=(
            _metric("subscribes", MetricRole.GOAL, Tally.ANY, NameIs(("subscription",))),
            _metric("revenue", MetricRole.SECONDARY, Tally.SUM, _PAYMENTS, cap_at=Decimal("0.99")),
            # How much somebody looked around before says how much they will do after.
            _metric(
                "activity",
                MetricRole.GUARDRAIL,
                Tally.COUNT,
                KindIs((Kind.PRODUCT,)),
                window=timedelta(days=14),
                before=timedelta(days=14),
                margin=_TENTH,
            ),
        ),
        breakdowns=("persona",),
        minimum_effect=Decimal("0.3"),
        sequential=True,
    ),
    "pricing_layout": ExperimentDefinition(
        name="Prices as a table",
        hypothesis="A table makes plans easier to compare than cards, and so more people sign up.",
        variants=_variants("pricing_layout"),
        metrics=(
            _metric("signs_up", MetricRole.GOAL, Tally.ANY, NameIs(("signup",)), window=timedelta(days=7)),
            _metric("subscribes", MetricRole.GUARDRAIL, Tally.ANY, NameIs(("subscription",)), margin=_TENTH),
        ),
    ),
}
DRAFTS = {
    "yearly_plans": ExperimentDefinition(
        name="Yearly plans",
        hypothesis="Two months free a year make people stay.",
        variants=(Variant("monthly", "Monthly only", 5_000, control=True), Variant("yearly", "Yearly too", 5_000)),
        metrics=(
            _metric("revenue", MetricRole.GOAL, Tally.SUM, _PAYMENTS),
            _metric(
                "churns",
                MetricRole.GUARDRAIL,
                Tally.ANY,
                NameIs(("churn",)),
                direction=Direction.DOWN,
                margin=_TENTH,
            ),
        ),
        targeting=DimensionIs("plan", Op.IN, ("starter", "team")),
    )
}


def rates(first: date) -> Iterator[dict[str, str]]:
    """What a euro and a pound are worth in USD on the working days from ``first`` on, made up."""
    for number in range(-7, _RATES_AHEAD):
        day = first + timedelta(days=number)
        if day.weekday() < 5:
            for currency, usual in (("EUR", 1.09), ("GBP", 1.27)):
                rate = usual + 0.02 * sin(day.toordinal() / 11)
                yield {"date": day.isoformat(), "base": currency, "currency": "USD", "rate": f"{rate:.4f}"}


async def define(context: Context, first: datetime) -> None:
    """Define it all for a story that begins at ``first``; what has a name that is taken is replaced or left alone."""
    await set_exchange_rates(context, list(rates(first.date())))
    await save_funnel(context, "From landing to paying", FUNNEL)
    for segment in SEGMENTS:
        await save_segment(context, segment)
    for persona in PERSONAS:
        await save_persona(context, persona)
    await set_ai_budget(context, "all", "60", BudgetPeriod.MONTH, EVERYTHING)
    if not await slos_by_key(context, [SLO.key]):
        await create_slo(context, SLO)
    if await flag(context, FLAG.key) is None:
        await create_flag(context, FLAG, "Better answers in the tests of last week.")
    for key, definition in (RUNNING | DRAFTS).items():
        await _try_out(context, key, definition, first if key in RUNNING else None)


async def _try_out(context: Context, key: str, definition: ExperimentDefinition, since: datetime | None) -> None:
    """Keep an experiment that there is not yet, and have it run ``since`` then unless that is None."""
    kept = (await known(context)).experiments.get(key) or await create_experiment(context, key, definition)
    if since is not None and kept.status is Status.DRAFT:
        await take_step(context, kept.id, Step.START, at=since, reason="Reviewed by everybody.")
