"""Metrics, revenue and funnels: the question that the arguments ask, the answer's shape, and the live twins."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from resolvers import catalogue
from resolvers.analysis.estimates import Estimate, Interval, Money, Quality, Unit
from resolvers.analysis.events import Kind
from resolvers.analysis.explanations import Explanation, Source
from resolvers.analysis.filters import EVERYTHING, All, KindIs, NameIs
from resolvers.analysis.funnels import (
    Entry,
    FunnelAnswer,
    FunnelDefinition,
    FunnelGroup,
    FunnelSeries,
    Step,
    StepAnswer,
    TimeToConvert,
)
from resolvers.analysis.metrics import DimensionValue, Form, MetricAnswer, MetricGroup, Series
from resolvers.analysis.periods import Compare, Granularity, Period, PeriodRequest
from resolvers.analysis.questions import Question
from resolvers.analysis.revenue import RevenueAnswer, RevenueSeries
from resolvers.analysis.series import Column
from resolvers.answers import Kinds
from resolvers.context import Context, Role
from resolvers.errors import BadInput
from resolvers.store.versions import EXCHANGE_RATES
from schema import schema
from tests.schema.conftest import Recorder, answer, context, failure

MARCH = Period(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC))
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
RATE = Estimate(
    value=Decimal("0.25"),
    unit=Unit.RATIO,
    n=4,
    as_of=NOON,
    definition="One by four.",
    quality=Quality.LOW,
    numerator=Decimal(1),
    denominator=Decimal(4),
    interval=Interval(Decimal("0.05"), Decimal("0.7"), Decimal("0.95"), "Wilson score"),
    previous=Decimal("0.5"),
    change=Decimal("-0.5"),
)
NONE = Estimate(
    value=None, unit=Unit.MONEY, n=0, as_of=NOON, definition="", quality=Quality.INSUFFICIENT, currency="EUR"
)
SERIES = Series(Granularity.DAY, "UTC", (NOON,), Form.TOTAL, Column((Decimal("1E+2"),)), Column((2**40,)))
METRIC = MetricAnswer(
    metric=catalogue.METRICS[0],
    period=MARCH,
    previous_period=None,
    estimate=RATE,
    series=SERIES,
    groups=(
        MetricGroup((DimensionValue("request_type", None),), other=False, estimate=NONE, series=SERIES),
        MetricGroup((), other=True, estimate=NONE, series=SERIES),
    ),
    group_count=9,
    unconverted=(Money(Decimal("0.10"), "JPY"),),
    explain=Explanation(Source.ROLLUPS, 3, 0.5),
)
ESTIMATE = """{value unit currency numerator denominator n interval {low high level method} previous change asOf
  definition quality}"""
METRIC_FIELDS = f"""metric {{slug title definition unit direction dimensions}} period {{from to}}
  previousPeriod {{from to}} estimate {ESTIMATE} series {{granularity timezone at value exact n}}
  groups {{keys {{dimension value}} other estimate {{value quality}}}} groupCount unconverted {{amount currency}}"""


async def test_a_metric_is_shown_whole(record: Callable[[str, Any], Recorder]) -> None:
    metrics = record("resolvers.metrics.metrics", (METRIC,))
    shown = (await answer(f'{{metric(slug: "events") {{{METRIC_FIELDS}}}}}', role=Role.VIEWER))["metric"]
    assert metrics.args == (["events"], Question(PeriodRequest(last="30d")))
    assert shown["metric"]["slug"] == "events"
    assert "REQUEST_TYPE" in shown["metric"]["dimensions"]
    assert shown["period"] == {"from": "2026-03-01T00:00:00Z", "to": "2026-04-01T00:00:00Z"}
    assert shown["previousPeriod"] is None
    assert shown["estimate"] == {
        "value": "0.25",
        "unit": "RATIO",
        "currency": None,
        "numerator": "1",
        "denominator": "4",
        "n": 4,
        "interval": {"low": "0.05", "high": "0.7", "level": "0.95", "method": "Wilson score"},
        "previous": "0.5",
        "change": "-0.5",
        "asOf": "2026-03-10T12:00:00Z",
        "definition": "One by four.",
        "quality": "LOW",
    }
    assert shown["series"] == {
        "granularity": "DAY",
        "timezone": "UTC",
        "at": ["2026-03-10T12:00:00Z"],
        "value": [100.0],
        "exact": ["100"],
        "n": [2**40],
    }
    assert shown["groups"] == [
        {
            "keys": [{"dimension": "REQUEST_TYPE", "value": None}],
            "other": False,
            "estimate": {"value": None, "quality": "INSUFFICIENT"},
        },
        {"keys": [], "other": True, "estimate": {"value": None, "quality": "INSUFFICIENT"}},
    ]
    assert shown["groupCount"] == 9
    assert shown["unconverted"] == [{"amount": "0.1", "currency": "JPY"}]


async def test_every_argument_is_part_of_the_question(record: Callable[[str, Any], Recorder]) -> None:
    metrics = record("resolvers.metrics.metrics", (METRIC, METRIC))
    data = await answer(
        """{metrics(slugs: ["events", "revenue"], period: {last: "12w"}, timezone: "Europe/Berlin", granularity: WEEK,
          by: [CHANNEL, REQUEST_TYPE], where: {kind: PRODUCT}, compare: PREVIOUS_YEAR, top: 3) {groupCount}}"""
    )
    assert data["metrics"] == [{"groupCount": 9}] * 2
    assert metrics.args == (
        ["events", "revenue"],
        Question(
            period=PeriodRequest(last="12w"),
            timezone="Europe/Berlin",
            granularity=Granularity.WEEK,
            by=("channel", "request_type"),
            where=KindIs((Kind.PRODUCT,)),
            compare=Compare.PREVIOUS_YEAR,
            top=3,
        ),
    )


async def test_the_catalogue_lists_every_metric() -> None:
    data = await answer("{metricCatalogue {slug}}", role=Role.VIEWER)
    assert [metric["slug"] for metric in data["metricCatalogue"]] == [metric.slug for metric in catalogue.METRICS]


async def test_an_unknown_metric_is_refused() -> None:
    error = await failure('{metric(slug: "nonsense") {groupCount}}')
    assert isinstance(error.original_error, BadInput)
    assert error.original_error.field == "slug"


REVENUE = RevenueAnswer(
    period=MARCH,
    previous_period=MARCH,
    total=Money(Decimal("30.00"), "EUR"),
    recurring=Money(Decimal("20.00"), "EUR"),
    one_time=Money(Decimal("10.00"), "EUR"),
    refunds=Money(Decimal("31.00"), "EUR"),
    net=Money(Decimal("-1.00"), "EUR"),
    orders=2**40,
    customers=2,
    average_order_value=NONE,
    growth=RATE,
    series=RevenueSeries(
        Granularity.MONTH,
        "UTC",
        "EUR",
        (NOON,),
        (Decimal(30),),
        (Decimal(20),),
        (Decimal(10),),
        (3,),
        (2,),
        (Decimal(31),),
    ),
    groups=(),
    group_count=0,
    unconverted=(),
    as_of=NOON,
    explain=Explanation(Source.LOG, 7, 0.25),
)


async def test_revenue(record: Callable[[str, Any], Recorder]) -> None:
    revenue = record("resolvers.revenue.revenue", REVENUE)
    data = await answer(
        """{revenue(granularity: MONTH) {previousPeriod {from} total {amount currency} recurring {amount}
          oneTime {amount} refunds {amount} net {amount} orders customers
          averageOrderValue {value currency} growth {value} unconverted {amount} asOf
          explain {source rows milliseconds tail}
          series {granularity timezone currency at total recurring oneTime orders customers refunds}}}"""
    )
    assert revenue.args == (
        Question(PeriodRequest(last="30d"), granularity=Granularity.MONTH, compare=Compare.PREVIOUS_PERIOD),
    )
    assert data["revenue"] == {
        "previousPeriod": {"from": "2026-03-01T00:00:00Z"},
        "total": {"amount": "30", "currency": "EUR"},
        "recurring": {"amount": "20"},
        "oneTime": {"amount": "10"},
        "refunds": {"amount": "31"},
        "net": {"amount": "-1"},
        "orders": 2**40,
        "customers": 2,
        "averageOrderValue": {"value": None, "currency": "EUR"},
        "growth": {"value": "0.25"},
        "unconverted": [],
        "asOf": "2026-03-10T12:00:00Z",
        "explain": {"source": "LOG", "rows": 7, "milliseconds": 0.25, "tail": 0},
        "series": {
            "granularity": "MONTH",
            "timezone": "UTC",
            "currency": "EUR",
            "at": ["2026-03-10T12:00:00Z"],
            "total": ["30"],
            "recurring": ["20"],
            "oneTime": ["10"],
            "orders": [3],
            "customers": [2],
            "refunds": ["31"],
        },
    }


DEFINITION = FunnelDefinition(
    (Step("view", NameIs(("view",))), Step("buy", KindIs((Kind.CONVERSION,)))), timedelta(days=7), Entry.ANY
)
TIMES = TimeToConvert(2, Decimal("1.5"), None, Decimal(3), (0.0, 1.0, 2.0), (1, 1))
STEP = StepAnswer(0, "view", False, 2**40, 1, RATE, RATE, NONE, None)
LATER = StepAnswer(1, "buy", True, 1, 2, RATE, RATE, NONE, TIMES)
FUNNEL = FunnelAnswer(
    definition=DEFINITION,
    period=MARCH,
    steps=(STEP,),
    conversion=RATE,
    time_to_convert=TIMES,
    biggest_leak=LATER,
    series=FunnelSeries(Granularity.DAY, "UTC", (MARCH.start,), (0.5,), ((2**40,), (1,))),
    groups=(FunnelGroup((DimensionValue("plan", "pro"),), False, (STEP,), RATE, TIMES),),
    group_count=1,
    as_of=NOON,
    explain=Explanation(Source.JOURNEYS, 900, 1.5, tail=3),
)
FUNNEL_FIELDS = """definition {steps {name where} window entry} period {from} previousPeriod {from}
  steps {index name optional count dropped stepRate {value} overallRate {value} dropOff {value}
    timeFromPrevious {converters}}
  biggestLeak {index optional timeFromPrevious {converters}} series {granularity timezone at conversion counts}
  conversion {value}
  timeToConvert {converters mean median p90 edges histogram}
  groups {keys {dimension value} other steps {count} conversion {value} timeToConvert {converters}} groupCount asOf
  explain {source rows milliseconds tail}"""
SHOWN_FUNNEL = {
    "definition": {
        "steps": [{"name": "view", "where": {"name": ["view"]}}, {"name": "buy", "where": {"kind": ["CONVERSION"]}}],
        "window": "7d",
        "entry": "ANY",
    },
    "period": {"from": "2026-03-01T00:00:00Z"},
    "previousPeriod": None,
    "steps": [
        {
            "index": 0,
            "name": "view",
            "optional": False,
            "count": 2**40,
            "dropped": 1,
            "stepRate": {"value": "0.25"},
            "overallRate": {"value": "0.25"},
            "dropOff": {"value": None},
            "timeFromPrevious": None,
        }
    ],
    "biggestLeak": {"index": 1, "optional": True, "timeFromPrevious": {"converters": 2}},
    "series": {
        "granularity": "DAY",
        "timezone": "UTC",
        "at": ["2026-03-01T00:00:00Z"],
        "conversion": [0.5],
        "counts": [[2**40], [1]],
    },
    "conversion": {"value": "0.25"},
    "timeToConvert": {
        "converters": 2,
        "mean": "1.5",
        "median": None,
        "p90": "3",
        "edges": [0.0, 1.0, 2.0],
        "histogram": [1, 1],
    },
    "groups": [
        {
            "keys": [{"dimension": "PLAN", "value": "pro"}],
            "other": False,
            "steps": [{"count": 2**40}],
            "conversion": {"value": "0.25"},
            "timeToConvert": {"converters": 2},
        }
    ],
    "groupCount": 1,
    "asOf": "2026-03-10T12:00:00Z",
    "explain": {"source": "JOURNEYS", "rows": 900, "milliseconds": 1.5, "tail": 3},
}


async def test_a_funnel_is_shown_whole(record: Callable[[str, Any], Recorder]) -> None:
    funnel = record("resolvers.funnels.funnel", FUNNEL)
    arguments = 'steps: [{name: "view"}, {name: "buy", kind: CONVERSION}], entry: ANY, by: PLAN'
    data = await answer(f"{{funnel({arguments}) {{{FUNNEL_FIELDS}}}}}")
    assert funnel.args == (DEFINITION, Question(PeriodRequest(last="30d"), by=("plan",)))
    assert data["funnel"] == SHOWN_FUNNEL


@pytest.mark.parametrize(
    ("step", "meaning"),
    [
        ('{name: "view"}', Step("view", NameIs(("view",)))),
        ('{event: "view"}', Step("view", NameIs(("view",)))),
        ('{event: "view", name: "See it"}', Step("See it", NameIs(("view",)))),
        ("{kind: SPEND}", Step("SPEND", KindIs((Kind.SPEND,)))),
        ('{name: "x", where: {all: []}}', Step("x", EVERYTHING)),
        (
            '{kind: SPEND, event: "ad", where: {name: "b"}}',
            Step("ad", All((KindIs((Kind.SPEND,)), NameIs(("ad",)), NameIs(("b",))))),
        ),
    ],
)
async def test_a_step_may_be_said_shortly(step: str, meaning: Step, record: Callable[[str, Any], Recorder]) -> None:
    funnel = record("resolvers.funnels.funnel", FUNNEL)
    await answer(f'{{funnel(steps: [{step}, {{event: "end"}}], window: "90m") {{groupCount}}}}')
    definition = funnel.args[0]
    assert definition.steps[0] == meaning
    assert definition.window == timedelta(minutes=90)
    assert definition.entry is Entry.FIRST


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ('steps: [{event: "a"}, {}]', "steps[1]"),
        ("steps: [{where: {all: []}}]", "steps[0].name"),
        ('steps: [{event: "a\\u0000"}]', "steps[0].event"),
        ('steps: [{event: "a", where: {measure: {measure: COST}}}]', "steps[0].where.measure"),
        ('steps: [{event: "a"}]', "steps"),
        ('steps: [{event: "a"}, {event: "b"}], window: "1mo"', "window"),
        ('steps: [{event: "a"}, {event: "b"}], window: 7', "window"),
        ('steps: [{event: "a"}, {event: "b"}], window: "7 days"', "window"),
    ],
)
async def test_a_funnel_that_cannot_be_read_is_refused(arguments: str, field: str) -> None:
    error = await failure(f"{{funnel({arguments}) {{groupCount}}}}")
    assert isinstance(error.original_error, BadInput)
    assert error.original_error.field == field


class Live:
    """Stands in for the live answers: gives the present answer twice, and keeps what it was asked."""

    def __init__(self) -> None:
        self.kinds: Kinds = frozenset()
        self.every = timedelta(0)

    async def __call__(
        self, _context: Context, kinds: Kinds, ask: Callable[[], Awaitable[Any]], every: timedelta
    ) -> AsyncIterator[Any]:
        self.kinds, self.every = kinds, every
        yield await ask()
        yield await ask()


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch, record: Callable[[str, Any], Recorder]) -> Live:
    live = Live()
    monkeypatch.setattr("resolvers.answers.live", live.__call__)
    record("resolvers.metrics.metrics", (METRIC,))
    record("resolvers.revenue.revenue", REVENUE)
    record("resolvers.funnels.funnel", FUNNEL)
    return live


CONVERSIONS = frozenset({int(Kind.CONVERSION)})
EARNINGS = CONVERSIONS | {EXCHANGE_RATES}


@pytest.mark.parametrize(
    ("field", "shown", "kinds"),
    [
        ('metric(slug: "revenue") {groupCount}', {"metric": {"groupCount": 9}}, EARNINGS),
        ('metrics(slugs: ["revenue"]) {groupCount}', {"metrics": [{"groupCount": 9}]}, EARNINGS),
        ("revenue {orders}", {"revenue": {"orders": 2**40}}, EARNINGS),
        (
            "funnel(steps: [{kind: SPEND}, {kind: CONVERSION}]) {groupCount}",
            {"funnel": {"groupCount": 1}},
            CONVERSIONS | {int(Kind.SPEND)},
        ),
    ],
)
async def test_a_live_twin_answers_again(field: str, shown: dict[str, Any], kinds: Kinds, live: Live) -> None:
    results = await schema.subscribe(f"subscription {{{field}}}", context_value=context(Role.VIEWER))
    received = [result async for result in results]
    assert [result.errors for result in received] == [None, None]
    assert [result.data for result in received] == [shown, shown]
    assert live.kinds == kinds
    assert live.every == timedelta(seconds=1)


@pytest.mark.parametrize(
    ("every", "interval"),
    [("100ms", timedelta(milliseconds=100)), ("2m", timedelta(minutes=2)), ("1h", timedelta(hours=1))],
)
async def test_every(every: str, interval: timedelta, live: Live) -> None:
    results = await schema.subscribe(f'subscription {{revenue(every: "{every}") {{orders}}}}', context_value=context())
    await anext(results)
    await results.aclose()
    assert live.every == interval


@pytest.mark.parametrize(
    ("query", "role", "code"),
    [
        *(
            (f"revenue(every: {every}) {{orders}}", Role.VIEWER, "BAD_USER_INPUT")
            for every in ('"99ms"', '"2h"', '"soon"', '""', "5", "[1]")
        ),
        ('metric(slug: "nonsense") {groupCount}', Role.VIEWER, "BAD_USER_INPUT"),
        ("events(where: {measure: {measure: COST}}) {id}", Role.VIEWER, "BAD_USER_INPUT"),
        ("revenue {orders}", Role.INGEST, "FORBIDDEN"),
        ("events {id}", None, "UNAUTHENTICATED"),
    ],
)
async def test_a_subscription_is_refused_before_it_begins(query: str, role: Role | None, code: str, live: Live) -> None:
    results = await schema.subscribe(f"subscription {{{query}}}", context_value=context(role))
    received = [result async for result in results]
    (result,) = received
    assert result.errors is not None
    (error,) = result.errors
    assert getattr(error.original_error, "code", None) == code
    assert error.path == [query.split("(")[0].split(" ")[0]]
    assert live.every == timedelta(0)
