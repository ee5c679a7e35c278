"""Metrics: what is answered equals what the events say, by whatever it is cut."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

from resolvers.analysis.events import Kind
from resolvers.analysis.explanations import Source
from resolvers.analysis.filters import EVERYTHING, DimensionIs, KindIs, Op
from resolvers.analysis.metrics import Aggregate, MetricAnswer, Statistic
from resolvers.analysis.periods import Compare, Granularity, Period, PeriodRequest
from resolvers.analysis.questions import Question
from resolvers.context import Context, Role
from resolvers.errors import BadInput, Forbidden, Unauthenticated
from resolvers.exchange_rates import set_exchange_rates
from resolvers.metrics import catalogue, metrics
from resolvers.store import log_metrics
from resolvers.store.folding import fold
from resolvers.store.metrics import MetricRepository
from resolvers.store.scans import Selection, Statistics
from tests.factories import event, purchase, store

START = datetime(2026, 3, 1, tzinfo=UTC)
END = datetime(2026, 4, 1, tzinfo=UTC)
MARCH = PeriodRequest(start=START, end=END)


def random_events(seed: int, count: int = 400) -> list[dict[str, Any]]:
    chance = Random(seed)  # not for secrets
    made = []
    for _ in range(count):
        common = {
            "subject": f"u{chance.randrange(30)}",
            "occurredAt": START + timedelta(microseconds=chance.randrange(31 * 86_400 * 10**6)),
        }
        dimensions = {"channel": chance.choice("abcd")} if chance.random() < 0.8 else {}
        match chance.randrange(4):
            case 0:
                made.append(event(**common, dimensions=dimensions, name=chance.choice(["page_view", "click"])))
            case 1:
                made.append(
                    purchase(
                        str(Decimal(chance.randrange(10_000)) / 1000),
                        **common,
                        dimensions=dimensions,
                        name=chance.choice(["purchase", "churn", "refund"]),
                        orderId=chance.choice([None, "o1", "o2", "o3"]),
                        currency=chance.choice(["USD", "USD", "EUR"]),
                    )
                )
            case 2:
                cost = {"cost": str(Decimal(chance.randrange(1000)) / 100), "currency": chance.choice(["USD", "EUR"])}
                kind = {"kind": "TOUCHPOINT" if dimensions else "SPEND", "name": "ad"}
                made.append(event(**common, **kind, **cost, dimensions=dimensions))
            case _:
                made.append(
                    event(
                        **common,
                        kind="AI_INTERACTION",
                        name="chat",
                        dimensions=dimensions | {"provider": "p", "model": "unheard-of"},
                        cost=str(Decimal(chance.randrange(1000)) / 100_000),
                        currency="USD",
                        durationMs=chance.choice([None, chance.random() * 1000]),
                        success=chance.choice([None, True, False]),
                    )
                )
    return made


def told(slug: str, events: list[dict[str, Any]]) -> Decimal | None:
    """The metric of these events, by its definition in words."""
    gains = [one for one in events if one["kind"] == "CONVERSION" and one["name"] == "purchase"]
    back = [one for one in events if one["name"] == "refund" and one["currency"] == "USD"]
    spent = [one for one in events if one["name"] == "ad" and one["currency"] == "USD"]
    ai = [one for one in events if one["kind"] == "AI_INTERACTION"]
    paid = [one for one in gains if one["currency"] == "USD"]
    orders = {one["orderId"] or id(one) for one in paid}
    earned = sum((Decimal(one["amount"]) for one in paid), Decimal(0))
    durations = [one["durationMs"] for one in ai if one["durationMs"] is not None]
    judged = [one["success"] for one in ai if one["success"] is not None]
    answers: dict[str, Callable[[], Any]] = {
        "events": lambda: len(events),
        "unique_subjects": lambda: len({one["subject"] for one in events}),
        "conversions": lambda: len(gains),
        "conversion_rate": lambda: (
            Decimal(len({one["subject"] for one in gains})) / len({one["subject"] for one in events})
        ),
        "revenue": lambda: earned,
        "refunds": lambda: sum((Decimal(one["amount"]) for one in back), Decimal(0)),
        "acquisition_spend": lambda: sum((Decimal(one["cost"]) for one in spent), Decimal(0)),
        "average_order_value": lambda: earned / len(orders),
        "ai_requests": lambda: len(ai),
        "ai_cost": lambda: sum((Decimal(one["cost"]) for one in ai), Decimal(0)),
        "ai_success_rate": lambda: Decimal(judged.count(True)) / len(judged),
        "ai_latency_p50": lambda: np.percentile(durations, 50),
        "ai_latency_p95": lambda: np.percentile(durations, 95),
    }
    try:
        return Decimal(str(answers[slug]()))
    except (ZeroDivisionError, ArithmeticError, IndexError):
        return None


def agrees(found: Decimal | None, expected: Decimal | None, within: str = "1e-12") -> bool:
    if found is None or expected is None or expected.is_nan():
        return found is None and (expected is None or expected.is_nan())
    return abs(found - expected) <= abs(expected) * Decimal(within)


SLUGS = [one.slug for one in catalogue()]


async def test_every_metric_says_what_the_events_say_in_total_and_in_each_bucket(context: Context) -> None:
    made = random_events(1)
    await store(context, *made)
    for timezone, granularity in (("UTC", Granularity.DAY), ("Asia/Kolkata", Granularity.WEEK)):
        answers = await metrics(context, SLUGS, Question(MARCH, timezone=timezone, granularity=granularity))
        for slug, answer in zip(SLUGS, answers, strict=True):
            within = "0.01" if "latency" in slug and answer.explain.source is Source.ROLLUPS else "1e-12"
            assert agrees(answer.estimate.value, told(slug, made), within), slug
            edges = [*answer.series.at, END]
            for place, at in enumerate(answer.series.at):
                inside = [one for one in made if at <= datetime.fromisoformat(one["occurredAt"]) < edges[place + 1]]
                assert agrees(answer.series.exact[place], told(slug, inside), within), (slug, at)


@pytest.mark.parametrize("slug", SLUGS)
async def test_groups_hold_all_events_of_theirs_and_other_the_rest(context: Context, slug: str) -> None:
    made = random_events(2)
    await store(context, *made)
    (answer,) = await metrics(context, [slug], Question(MARCH, by=("channel",), top=2))
    by_channel = defaultdict(list)
    for one in made:
        by_channel[one["dimensions"].get("channel")].append(one)
    within = "0.01" if "latency" in slug else "1e-12"
    shown = [group for group in answer.groups if not group.other]
    assert len(shown) == 2
    for group in shown:
        (key,) = group.keys
        assert agrees(group.estimate.value, told(slug, by_channel.pop(key.value)), within), key
    (other,) = [group for group in answer.groups if group.other]
    assert agrees(other.estimate.value, told(slug, [one for rest in by_channel.values() for one in rest]), within)
    assert answer.group_count == 5


async def test_groups_of_two_dimensions_and_their_series_add_up(context: Context) -> None:
    made = random_events(3)
    await store(context, *made)
    question = Question(MARCH, by=("channel", "provider"), granularity=Granularity.DAY, top=100)
    (answer,) = await metrics(context, ["events"], question)
    assert sum(group.estimate.value or 0 for group in answer.groups) == len(made)
    for group in answer.groups:
        assert sum(group.series.exact) == group.estimate.value  # type: ignore[arg-type]
    assert len({group.keys for group in answer.groups}) == len(answer.groups) == answer.group_count


async def test_a_comparison_is_with_the_period_before(context: Context) -> None:
    await store(
        context,
        purchase("30", occurredAt=START),
        purchase("20", occurredAt=START - timedelta(days=1), dimensions={"channel": "a"}),
        purchase("7", occurredAt=START - timedelta(days=31)),
        purchase("5", occurredAt=START - timedelta(days=31, seconds=1)),
    )
    question = Question(MARCH, compare=Compare.PREVIOUS_PERIOD, by=("channel",))
    (answer,) = await metrics(context, ["revenue"], question)
    assert answer.previous_period is not None
    assert answer.estimate.previous == 27
    assert agrees(answer.estimate.change, Decimal(3) / 27)
    assert [group.estimate.previous for group in answer.groups] == [7]


async def test_other_currencies_are_told_not_added_nor_dropped(context: Context) -> None:
    await store(context, purchase("1.5"), purchase("2", currency="EUR"), purchase("3", currency="JPY"))
    revenue, events = await metrics(context, ["revenue", "events"], Question(MARCH))
    assert revenue.estimate.value == Decimal("1.5")
    assert {(money.amount, money.currency) for money in revenue.unconverted} == {(2, "EUR"), (3, "JPY")}
    assert events.unconverted == ()


async def test_nothing_is_zero_where_it_counts_and_null_where_it_divides(context: Context) -> None:
    question = Question(MARCH, by=("channel",), compare=Compare.PREVIOUS_YEAR)
    answers: dict[str, MetricAnswer] = {slug: (await metrics(context, [slug], question))[0] for slug in SLUGS}
    for slug in ("events", "revenue", "ai_cost", "unique_subjects"):
        assert answers[slug].estimate.value == 0
    for slug in ("conversion_rate", "average_order_value", "ai_latency_p95"):
        assert answers[slug].estimate.value is None
    assert all(answer.groups == () and answer.group_count == 0 for answer in answers.values())


async def test_where_narrows_and_an_unknown_value_finds_nothing(context: Context) -> None:
    made = random_events(4, 100)
    await store(context, *made)
    for value, expected in (("a", [o for o in made if o["dimensions"].get("channel") == "a"]), ("never", [])):
        question = Question(MARCH, where=DimensionIs("channel", Op.IN, (value,)))
        (answer,) = await metrics(context, ["events"], question)
        assert answer.estimate.value == len(expected)
    (answer,) = await metrics(context, ["revenue"], Question(MARCH, where=KindIs((Kind.PRODUCT,))))
    assert answer.estimate.value == 0


async def test_an_answer_after_a_write_holds_it_and_is_computed_once_until_the_next(context: Context) -> None:
    cache = context.services.cache
    for count in range(1, 4):
        await store(context, event())
        for _ in range(2):
            misses = cache.misses
            (answer,) = await metrics(context, ["events"], Question(MARCH))
            assert answer.estimate.value == count
        assert cache.misses == misses
    await store(context, event())
    misses = cache.misses
    await metrics(context, ["ai_cost"], Question(MARCH))
    await store(context, event())
    await metrics(context, ["ai_cost"], Question(MARCH))
    assert cache.misses == misses + 1


@pytest.mark.parametrize(
    ("slugs", "question", "field"),
    [
        (["nothing"], Question(MARCH), "slug"),
        ([], Question(MARCH), "slugs"),
        (["events"] * 21, Question(MARCH), "slugs"),
        (["events"], Question(MARCH, by=("colour",)), "by"),
        (["events"], Question(MARCH, by=("channel", "channel")), "by"),
        (["events"], Question(MARCH, by=("channel", "plan", "model", "agent")), "by"),
        (["events"], Question(MARCH, top=0), "top"),
        (["events"], Question(MARCH, top=101), "top"),
        (["events"], Question(MARCH, granularity=Granularity.MINUTE), "granularity"),
        (["events"], Question(MARCH, timezone="Mars/Olympus"), "timezone"),
        (["events"], Question(PeriodRequest(start=END, end=START)), "period"),
        (["events"], Question(PeriodRequest()), "period"),
        (["events"], Question(PeriodRequest(last="30 days")), "period.last"),
    ],
)
async def test_a_question_that_cannot_be_answered_says_what_to_change(
    context: Context, slugs: list[str], question: Question, field: str
) -> None:
    with pytest.raises(BadInput) as refused:
        await metrics(context, slugs, question)
    assert refused.value.field == field


async def test_whoever_may_not_read_is_refused(context: Context) -> None:
    with pytest.raises(Unauthenticated):
        await metrics(Context(context.services, None), ["events"], Question(MARCH))
    assert context.principal is not None
    ingesting = Context(context.services, replace(context.principal, role=Role.INGEST))
    with pytest.raises(Forbidden):
        await metrics(ingesting, ["events"], Question(MARCH))


@pytest.mark.parametrize(
    ("slug", "question", "source"),
    [
        ("revenue", Question(MARCH), Source.ROLLUPS),
        ("revenue", Question(MARCH, timezone="Asia/Tokyo", granularity=Granularity.DAY), Source.ROLLUPS),
        ("revenue", Question(MARCH, timezone="Asia/Kolkata", granularity=Granularity.DAY), Source.ROLLUPS),
        ("revenue", Question(PeriodRequest(start=START + timedelta(minutes=1), end=END)), Source.ROLLUPS),
        ("revenue", Question(MARCH, granularity=Granularity.HOUR, timezone="Asia/Kolkata"), Source.LOG),
        ("revenue", Question(PeriodRequest(start=END - timedelta(minutes=90), end=END)), Source.LOG),
        ("revenue", Question(MARCH, where=DimensionIs("channel", Op.IN, ("a", "b"))), Source.ROLLUPS),
        ("revenue", Question(MARCH, where=DimensionIs("channel", Op.NOT_IN, ("a",))), Source.LOG),
        ("revenue", Question(MARCH, by=("channel",)), Source.ROLLUPS),
        ("revenue", Question(MARCH, by=("channel", "plan")), Source.LOG),
        ("revenue", Question(MARCH, by=("channel",), where=DimensionIs("plan", Op.IN, ("a",))), Source.LOG),
        ("average_order_value", Question(MARCH, by=("channel",)), Source.LOG),
        ("ai_success_rate", Question(MARCH), Source.ROLLUPS),
        ("unique_subjects", Question(MARCH), Source.LOG),
    ],
)
async def test_an_answer_says_what_it_was_read_from(
    context: Context, slug: str, question: Question, source: Source
) -> None:
    await store(context, *random_events(6))
    (planned,) = await metrics(context, [slug], question)
    assert planned.explain.source is source


@pytest.mark.parametrize(("by", "source"), [(("channel",), Source.JOURNEYS), (("channel", "plan"), Source.LOG)])
async def test_orders_of_an_average_come_from_ledgers_and_are_those_of_the_log(
    context: Context, by: tuple[str, ...], source: Source
) -> None:
    assert context.principal is not None
    await set_exchange_rates(context, [{"date": "2026-03-01", "base": "EUR", "currency": "USD", "rate": "1.1"}])
    question = Question(MARCH, granularity=Granularity.WEEK, by=by, top=3, compare=Compare.PREVIOUS_PERIOD)
    await store(context, *random_events(8))
    await fold(context.services.database, context.principal.tenant_id)
    await store(context, *random_events(9, 50))
    (found,) = await metrics(context, ["average_order_value"], question)
    assert found.explain.source is source
    with patch("resolvers.store.metrics.in_sales", return_value=False):
        # Another zone of the same hours is another question.
        (logged,) = await metrics(context, ["average_order_value"], replace(question, timezone="Etc/UTC"))
    assert logged.explain.source is Source.LOG
    assert [(one.keys, one.estimate.value, one.estimate.previous, one.series.value) for one in found.groups] == [
        (one.keys, one.estimate.value, one.estimate.previous, one.series.value) for one in logged.groups
    ]
    assert (found.estimate.value, found.group_count) == (logged.estimate.value, logged.group_count)


async def test_an_operation_asks_for_so_much_in_all_and_no_more(context: Context) -> None:
    minutes = Question(PeriodRequest(last="4900m"), granularity=Granularity.MINUTE)
    for _ in range(2):
        await metrics(context, ["events"], minutes)
    with pytest.raises(BadInput, match="points"):
        await metrics(context, ["events"], minutes)
    context.renew()
    with pytest.raises(BadInput, match="points"):
        await metrics(context, ["events"], replace(minutes, by=("channel",)))
    context.renew()
    await metrics(context, ["events"], minutes)


@pytest.mark.parametrize("top", [1, 3, 100])
@pytest.mark.parametrize("rated", [False, True])
async def test_what_adds_up_is_added_up_alike_here_and_by_the_database(context: Context, top: int, rated: bool) -> None:
    await store(context, *random_events(5))
    if rated:
        await set_exchange_rates(context, [{"date": "2026-03-01", "base": "USD", "currency": "EUR", "rate": "0.8"}])
    principal = context.require(Role.VIEWER)
    selection = Selection(principal.tenant_id, "USD", Period(START, END), EVERYTHING)
    paid = KindIs((Kind.CONVERSION, Kind.TOUCHPOINT))
    statistics = [
        Statistic(Aggregate.SUM, paid, "amount"),
        Statistic(Aggregate.SUM_OF_SQUARES, paid, "cost"),
        Statistic(Aggregate.COUNT, KindIs((Kind.AI_INTERACTION,)), "success"),
    ]

    async def asked() -> Statistics:
        async with context.services.database.tenant(principal.tenant_id) as session:
            repository = MetricRepository(session, context.services.memory, context.services.kept)
            return await repository.statistics(selection, statistics, by=("channel", "model"), top=top)

    here = await asked()
    with patch.object(log_metrics, "_MOST_ADDED", 0):
        there = await asked()
    assert len(here.groups) == min(top, here.group_count) > 0
    assert (here.total, list(here.groups), here.group_count) == (there.total, list(there.groups), there.group_count)
    assert here.by_group == there.by_group
    assert here.explanations[0].rows == there.explanations[0].rows
