"""Every analysis takes a segment as a condition: its answer is that of the same subjects named one by one."""

from collections.abc import Awaitable, Callable
from dataclasses import fields, is_dataclass, replace
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest

from resolvers.analysis import segments
from resolvers.analysis.attribution import AttributionDefinition
from resolvers.analysis.cohorts import CohortBasis
from resolvers.analysis.events import Kind
from resolvers.analysis.filters import EVERYTHING, All, Filter, InSegment, KindIs, NameIs, Not, Op, SubjectIs
from resolvers.analysis.funnel_outcomes import Outcome
from resolvers.analysis.funnels import Entry, FunnelDefinition, Step
from resolvers.analysis.periods import Compare, Granularity, PeriodRequest
from resolvers.analysis.questions import Question
from resolvers.attribution import attribution
from resolvers.catalogue import CONVERSIONS, METRICS
from resolvers.cohorts import cohorts
from resolvers.context import Context
from resolvers.cutoffs import Asking
from resolvers.events import events
from resolvers.funnel_correlations import funnel_correlations
from resolvers.funnel_subjects import funnel_subjects
from resolvers.funnels import funnel
from resolvers.lifetime_value import lifetime_value
from resolvers.live.cache import Cache
from resolvers.metrics import metrics
from resolvers.propensity import churn_risk, conversion_propensity, subjects_at_risk
from resolvers.recurring_revenue import recurring_revenue
from resolvers.revenue import revenue
from resolvers.segments import Draft, save_segment
from resolvers.store.folding import fold
from resolvers.store.segment_upkeep import refresh_due
from resolvers.survival import survival
from tests.factories import event, store
from tests.resolvers.foretelling import CUTOFF, at, shoppers, subscribers

PERIOD = PeriodRequest(start=CUTOFF - timedelta(days=120), end=CUTOFF)
QUESTION = Question(PERIOD, granularity=Granularity.MONTH, compare=Compare.PREVIOUS_PERIOD, top=5)
ASKING = Asking(CUTOFF, timedelta(days=365))
SLUGS = [one.slug for one in METRICS]
BUYING = FunnelDefinition(
    (Step("use", KindIs((Kind.PRODUCT,))), Step("buy", All((CONVERSIONS, NameIs(("upgrade",)))))),
    timedelta(days=100),
    Entry.FIRST,
)
CREDITS = AttributionDefinition(
    CONVERSIONS, KindIs((Kind.TOUCHPOINT,)), "channel", timedelta(days=30), timedelta(days=7)
)
Ask = Callable[[Context, Filter], Awaitable[object]]


def of_metrics(**changes: Any) -> Ask:
    async def ask(context: Context, where: Filter) -> object:
        slugs = SLUGS[:20]
        if by := changes.get("by"):
            slugs = [one.slug for one in METRICS if set(by) <= set(one.dimensions)][:20]
        return await metrics(context, slugs, replace(QUESTION, where=where, **changes))

    return ask


def in_a_step(context: Context, where: Filter) -> Awaitable[object]:
    first, second = BUYING.steps
    return funnel(context, replace(BUYING, steps=(first, replace(second, where=All((second.where, where))))), QUESTION)


ANALYSES: dict[str, Ask] = {
    "metrics": of_metrics(),
    "metrics by day": of_metrics(granularity=Granularity.DAY, compare=None),
    "metrics by a dimension": of_metrics(by=("plan",)),
    "metrics by two": of_metrics(by=("plan", "persona"), compare=None),
    "revenue": lambda context, where: revenue(context, replace(QUESTION, where=where)),
    "recurring revenue": lambda context, where: recurring_revenue(
        context, replace(QUESTION, where=where, by=("plan",))
    ),
    "cohorts of activity": lambda context, where: cohorts(
        context, CohortBasis.ACTIVITY, replace(QUESTION, compare=None, where=where)
    ),
    "cohorts of revenue": lambda context, where: cohorts(
        context, CohortBasis.REVENUE, replace(QUESTION, compare=None, where=where)
    ),
    "funnel": lambda context, where: funnel(context, BUYING, replace(QUESTION, where=where, by=("plan",))),
    "funnel, in a step": in_a_step,
    "funnel correlations": lambda context, where: funnel_correlations(
        context, BUYING, Question(PERIOD, where=where), dimensions=("plan", "persona")
    ),
    "funnel subjects": lambda context, where: funnel_subjects(
        context, BUYING, Question(PERIOD, where=where), step=1, outcome=Outcome.DROPPED, first=500
    ),
    "attribution": lambda context, where: attribution(context, CREDITS, replace(QUESTION, where=where)),
    "attribution, of conversions": lambda context, where: attribution(
        context, replace(CREDITS, conversion=All((CONVERSIONS, where))), QUESTION
    ),
    "churn": lambda context, where: churn_risk(context, replace(ASKING, where=where)),
    "propensity": lambda context, where: conversion_propensity(context, "upgrade", replace(ASKING, where=where)),
    "at risk": lambda context, where: subjects_at_risk(context, replace(ASKING, where=where), first=100, after=None),
    "survival": lambda context, where: survival(context, replace(ASKING, where=where, by=("plan",))),
    "lifetime value": lambda context, where: lifetime_value(context, timedelta(days=90), replace(ASKING, where=where)),
    "events": lambda context, where: events(context, where=where, first=500),
}


def plain(value: object) -> object:
    """All that an answer says, but for when and from what it was come by."""
    if is_dataclass(value) and not isinstance(value, type):
        names = [one.name for one in fields(value) if one.name not in ("explain", "as_of", "definition")]
        return {name: plain(getattr(value, name)) for name in names}
    if isinstance(value, tuple | list):
        return [plain(one) for one in value]
    return value


async def asked(context: Context, ask: Ask, where: Filter) -> object:
    """What an analysis answers that nobody asked before."""
    return plain(await ask(Context(replace(context.services, cache=Cache()), context.principal), where))


def company() -> list[dict[str, Any]]:
    """People who use, buy, subscribe, are met by campaigns; and what these cost."""
    made = subscribers(160) + shoppers(120)
    spent = {"kind": "SPEND", "name": "ads", "subject": "", "cost": "40", "currency": "USD"}
    made += [event(**spent, occurredAt=at(day), dimensions={"channel": "a"}) for day in (5, 40)]
    for number in range(160):
        for day in range(95, 5, -30 - number % 7):
            touch = {"channel": "abc"[(number + day) % 3]}
            made.append(
                event(kind="TOUCHPOINT", name="touch", subject=f"p{number}", occurredAt=at(day), dimensions=touch)
            )
        for name, day in (("started", 90), ("ended", 20 + number % 50)):
            contract = {"kind": "SUBSCRIPTION", "name": name, "subject": f"p{number}", "occurredAt": at(day)}
            if name == "ended" and number % 3:
                continue
            if name == "started":
                contract |= {"amount": str(10 + number % 5), "currency": "USD", "interval": "MONTH"}
            made.append(event(**contract, dimensions={"plan": "pro" if number % 2 else "team"}))
    return made


async def half(context: Context) -> tuple[int, tuple[str, ...]]:
    """A segment of two in three people, and its members."""
    people = tuple(f"{sort}{number}" for sort, size in (("p", 160), ("s", 120)) for number in range(size) if number % 3)
    saved = await save_segment(context, Draft("Half", segments.Listed(people)))
    return saved.id, people


@pytest.fixture
async def log(context: Context) -> Context:
    made = company()
    for start in range(0, len(made), 5_000):
        await store(context, *made[start : start + 5_000])
    return context


async def fold_it(context: Context) -> None:
    assert context.principal is not None
    await fold(context.services.database, context.principal.tenant_id)


@pytest.mark.parametrize(("few", "folded"), [(0, False), (10_000, True)])
async def test_every_analysis_answers_of_a_segment_as_of_its_members(log: Context, few: int, folded: bool) -> None:
    number, people = await half(log)
    if folded:
        await fold_it(log)
        services = log.services
        await refresh_due(services.database, services.memory, services.segments)
    outside = InSegment("Half", Op.NOT_IN)
    # What was spent is of nobody, and so neither inside nor outside.
    others = All((Not(SubjectIs(people)), Not(KindIs((Kind.SPEND,)))))
    with patch("resolvers.store.conditions._FEW", few):
        for name, ask in ANALYSES.items():
            expected = await asked(log, ask, SubjectIs(people))
            assert await asked(log, ask, InSegment(number)) == expected, name
            assert await asked(log, ask, InSegment("Half")) == expected, name
            assert await asked(log, ask, outside) == await asked(log, ask, others), name
            assert await asked(log, ask, EVERYTHING) != expected, name
