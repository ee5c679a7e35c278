"""Whichever way a question is answered, from what is kept or from the log, the answer is the same."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from random import Random
from typing import Any
from unittest.mock import patch

import pytest

from resolvers.analysis.events import Kind
from resolvers.analysis.explanations import Explanation, Source
from resolvers.analysis.filters import (
    EVERYTHING,
    All,
    DimensionIs,
    Filter,
    FlagIs,
    KindIs,
    MeasureIs,
    NameIs,
    Not,
    Op,
    SubjectIs,
)
from resolvers.analysis.filters import Any as AnyOf
from resolvers.analysis.metrics import MetricAnswer, MetricGroup
from resolvers.analysis.periods import Compare, Granularity, PeriodRequest
from resolvers.analysis.questions import Question
from resolvers.analysis.revenue import RevenueAnswer
from resolvers.context import Context, Principal
from resolvers.events import ingest
from resolvers.exchange_rates import set_exchange_rates
from resolvers.live.cache import Cache
from resolvers.metrics import metrics
from resolvers.revenue import revenue
from resolvers.store.folding import fold
from tests.factories import event, purchase, store
from tests.resolvers.test_metrics import MARCH, SLUGS, START, random_events

ZONES = ("UTC", "Asia/Tokyo", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe")


@contextmanager
def only_the_log() -> Iterator[None]:
    metrics_module = "resolvers.store.metrics"
    with (
        patch("resolvers.metrics.remembered", lambda *_: None),
        patch(f"{metrics_module}.plan_of", lambda *_: None),
        patch(f"{metrics_module}.in_journeys", lambda *_: False),
    ):
        yield


async def asked(context: Context, slug: str, question: Question) -> MetricAnswer:
    """The answer, computed."""
    afresh = Context(replace(context.services, cache=Cache()), context.principal)
    (answer,) = await metrics(afresh, [slug], question)
    return answer


async def both_ways(context: Context, slug: str, question: Question) -> tuple[MetricAnswer, MetricAnswer]:
    planned = await asked(context, slug, question)
    with only_the_log():
        logged = await asked(context, slug, question)
    assert logged.explain.source is Source.LOG
    return planned, logged


async def revenue_both_ways(context: Context, question: Question) -> list[RevenueAnswer]:
    found = []
    for way in (nullcontext(), only_the_log()):
        afresh = Context(replace(context.services, cache=Cache()), context.principal)
        with way:
            answer = await revenue(afresh, replace(question, by=()))
        found.append(replace(answer, explain=Explanation(Source.LOG, 0, 0)))
    return found


def condition(chance: Random) -> Filter:
    of_classes = chance.choice(
        [
            EVERYTHING,
            KindIs((Kind.CONVERSION, Kind.AI_INTERACTION)),
            Not(NameIs(("purchase", "never"))),
            AnyOf((FlagIs("success", True), NameIs(("purchase", "click")))),
        ]
    )
    some = tuple(chance.sample("abcdz", chance.randrange(3)))
    return chance.choice(
        [
            EVERYTHING,
            of_classes,
            All((of_classes, DimensionIs("channel", Op.IN, some))),
            DimensionIs("provider", Op.IN, ("p",)),
            All((DimensionIs("provider", Op.MISSING), DimensionIs("channel", Op.NOT_IN, some))),
            AnyOf((SubjectIs(("u1", "u2", "never")), All((of_classes, DimensionIs("channel", Op.EXISTS))))),
            All((of_classes, MeasureIs("amount", Op.GT, Decimal(3)))),
        ]
    )


def question_of(chance: Random) -> Question:
    if chance.random() < 0.5:
        period = MARCH
    else:
        first = START + timedelta(microseconds=chance.randrange(10 * 86_400 * 10**6))
        long = chance.choice([timedelta(hours=5), timedelta(days=3), timedelta(days=25, minutes=30)])
        period = PeriodRequest(start=first, end=first + long)
    return Question(
        period,
        timezone=chance.choice(ZONES),
        granularity=chance.choice([None, Granularity.DAY, Granularity.WEEK, Granularity.HOUR]),
        by=chance.choice([(), (), ("channel",), ("provider",), ("channel", "provider")]),
        where=condition(chance),
        compare=chance.choice([None, Compare.PREVIOUS_PERIOD]),
        top=chance.choice([1, 2, 5]),
    )


def same(one: MetricAnswer, other: MetricAnswer) -> bool:
    """Whether two answers are equal, but for quantiles, which rollups know to within 1 %."""
    if one.metric.slug.startswith("ai_latency"):
        return near(one.estimate.value, other.estimate.value) and one.group_count == other.group_count
    return replace(one, explain=other.explain) == other


def near(one: Decimal | None, other: Decimal | None) -> bool:
    if one is None or other is None:
        return one is other
    return abs(one - other) <= abs(other) * Decimal("0.0101")


@pytest.mark.parametrize("seed", range(6))
async def test_random_questions_about_random_events(context: Context, principal: Principal, seed: int) -> None:
    """Late, repeated and conflicting events, folded at random moments in batches of random size; rates of some days."""
    chance = Random(seed)
    made = [one | {"id": f"e{n}"} for n, one in enumerate(random_events(seed, 500))]
    made += [one | {"id": f"e{chance.randrange(400)}"} for one in random_events(seed + 50, 100)]
    chance.shuffle(made)
    while made:
        size = chance.choice([1, 40, 150])
        await ingest(context, made[:size])
        made = made[size:]
        if chance.random() < 0.7:
            await fold(context.services.database, principal.tenant_id, batch=chance.choice([7, 1000]))
        if chance.random() < 0.5:
            base, currency = chance.sample(["EUR", "USD"], 2)
            day = START.date() + timedelta(days=chance.randrange(-5, 31))
            rate = {"date": day.isoformat(), "base": base, "currency": currency, "rate": chance.choice(["1.1", "0.7"])}
            await set_exchange_rates(context, [rate])
        for _ in range(6):
            slug, question = chance.choice(SLUGS), question_of(chance)
            planned, logged = await both_ways(context, slug, question)
            assert same(planned, logged), (slug, question, planned, logged)
        revenues = await revenue_both_ways(context, question)
        assert revenues[0] == revenues[1], question


MORNING = PeriodRequest(start=START, end=START + timedelta(hours=9))
A_OR_B = DimensionIs("channel", Op.IN, ("a", "b"))
NOT_AI = DimensionIs("provider", Op.MISSING)


@pytest.mark.parametrize(
    ("slug", "question", "source"),
    [
        ("unique_subjects", Question(MARCH), Source.PRESENCE),
        ("conversion_rate", Question(MARCH, timezone="Asia/Kolkata", granularity=Granularity.DAY), Source.PRESENCE),
        ("average_order_value", Question(MARCH, where=NameIs(("purchase",))), Source.PRESENCE),
        ("average_order_value", Question(MARCH, where=A_OR_B), Source.JOURNEYS),
        ("average_order_value", Question(MARCH, by=("channel",)), Source.JOURNEYS),
        ("average_order_value", Question(MORNING, by=("channel",)), Source.LOG),
        ("unique_subjects", Question(MARCH, where=A_OR_B), Source.JOURNEYS),
        ("conversion_rate", Question(MARCH, where=Not(A_OR_B), granularity=Granularity.WEEK), Source.JOURNEYS),
        ("unique_subjects", Question(MARCH, by=("channel",), top=2, compare=Compare.PREVIOUS_PERIOD), Source.JOURNEYS),
        ("conversion_rate", Question(MARCH, by=("channel",), where=A_OR_B, top=1), Source.JOURNEYS),
        ("conversion_rate", Question(MARCH, by=("channel",), where=Not(NameIs(("click",)))), Source.JOURNEYS),
        ("unique_subjects", Question(MARCH, by=("channel", "provider")), Source.LOG),
        ("unique_subjects", Question(MARCH, by=("channel",), where=NOT_AI), Source.JOURNEYS),
        ("unique_subjects", Question(MARCH, by=("provider",), where=A_OR_B, top=1), Source.JOURNEYS),
        ("conversion_rate", Question(MARCH, by=("channel",), where=NOT_AI), Source.LOG),
        ("unique_subjects", Question(MARCH, where=MeasureIs("amount", Op.EXISTS)), Source.LOG),
        ("unique_subjects", Question(MORNING, where=A_OR_B), Source.LOG),
    ],
)
async def test_distinct_people_and_orders(
    context: Context, principal: Principal, slug: str, question: Question, source: Source
) -> None:
    """Also where a value of the dimension is carried by events of nobody only."""
    await store(context, *random_events(7), *(spent({"channel": channel}) for channel in "aez"), spent({}))
    await fold(context.services.database, principal.tenant_id)
    for _ in range(2):
        planned, logged = await both_ways(context, slug, question)
        assert planned.explain.source is source
        assert same(planned, logged)
        await store(context, *random_events(8, 30), spent({"channel": "y"}))


def spent(dimensions: dict[str, str]) -> dict[str, Any]:
    return event(kind="SPEND", name="ads", subject="", cost="1", currency="USD", dimensions=dimensions)


@pytest.mark.parametrize("slug", ["ai_latency_p50", "ai_latency_p95"])
async def test_quantiles_of_groups_are_those_of_the_events_to_within_a_hundredth(context: Context, slug: str) -> None:
    await store(context, *random_events(3))
    question = Question(MARCH, by=("channel",), granularity=Granularity.WEEK, top=3, compare=Compare.PREVIOUS_PERIOD)
    planned, logged = await both_ways(context, slug, replace(question, top=100))
    assert planned.explain.source is Source.ROLLUPS

    def by_key(group: MetricGroup) -> str:
        return str([key.value for key in group.keys])

    for one, other in zip(sorted(planned.groups, key=by_key), sorted(logged.groups, key=by_key), strict=True):
        assert (one.keys, one.other, one.series.n) == (other.keys, other.other, other.series.n)
        assert near(one.estimate.value, other.estimate.value)
        assert all(map(near, one.series.exact, other.series.exact))
    cut = await asked(context, slug, question)
    assert cut.groups[:3] == planned.groups[:3]
    assert cut.groups[3].other
    assert sum(group.estimate.n for group in cut.groups) == cut.estimate.n


async def test_a_group_of_what_carries_no_value_is_shown_among_the_others_by_its_size(context: Context) -> None:
    await store(
        context,
        *(purchase("1", dimensions={"channel": "a"}) for _ in range(3)),
        *(purchase("1") for _ in range(2)),
        purchase("1", dimensions={"channel": "b"}),
    )
    planned, logged = await both_ways(context, "conversions", Question(MARCH, by=("channel",), top=2))
    assert planned.explain.source is Source.ROLLUPS
    assert [[key.value for key in group.keys] for group in planned.groups] == [["a"], [None], []]
    assert [group.estimate.value for group in planned.groups] == [3, 2, 1]
    assert same(planned, logged)


async def test_a_period_cut_within_hours_reads_no_more_of_the_log_than_these(context: Context) -> None:
    inside = [event(occurredAt=START + timedelta(hours=hour, minutes=45)) for hour in range(24 * 20)]
    await store(context, *inside)
    period = PeriodRequest(start=START + timedelta(minutes=30), end=START + timedelta(days=10, minutes=50))
    planned, logged = await both_ways(context, "events", Question(period, compare=Compare.PREVIOUS_PERIOD))
    assert same(planned, logged)
    assert planned.estimate.value == 241
    assert planned.explain.source is Source.ROLLUPS
    assert planned.explain.tail == 2
    # The hours of the first day and the whole days after it.
    assert planned.explain.rows == 2 + 23 + 9
    assert logged.explain.rows == 241
