"""Cohorts and refunds as their users meet them: over HTTP, for activity and for revenue."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from tests.client import Client

QUARTER = '{from: "2026-01-10T00:00:00Z", to: "2026-04-01T00:00:00Z"}'
ANSWER = """of period {from to} granularity timezone currency subjects partial unconverted {amount currency} asOf
  cohorts {at size retained rate revenue cumulative perMember} repeat {value n numerator quality}
  explain {source rows milliseconds}"""


def seen(subject: str, day: str, **more: Any) -> dict[str, Any]:
    """An event as a line; ``day`` is one of 2026 such as 02-01."""
    return {"kind": "PRODUCT", "name": "view", "subject": subject, "occurredAt": f"2026-{day}T12:00:00Z"} | more


def paid(subject: str, day: str, amount: str, **more: Any) -> dict[str, Any]:
    return seen(subject, day, **{"kind": "CONVERSION", "name": "purchase", "amount": amount} | more)


GRID = "cohorts {size rate perMember}"
STORY = [
    seen("old", "01-01") | {"occurredAt": "2025-12-31T23:59:59Z"},
    seen("old", "02-01"),
    seen("ann", "01-02"),
    seen("ann", "03-02"),
    seen("bob", "01-31"),
    seen("bob", "02-01"),
    seen("bob", "02-02"),
    seen("cleo", "03-31"),
]


async def asked(client: Client, arguments: str, fields: str = ANSWER) -> dict[str, Any]:
    data = await client.ask(f"{{cohorts({arguments}) {{{fields}}}}}")
    return dict(data["cohorts"])


async def test_activity_by_month_and_what_is_unknown_is_null(client: Client) -> None:
    await client.ingest(*STORY)
    told = await asked(client, f"period: {QUARTER}")
    assert told["period"] == {"from": "2026-01-01T00:00:00Z", "to": "2026-04-01T00:00:00Z"}
    assert [cohort["size"] for cohort in told["cohorts"]] == [2, 0, 1]
    assert [cohort["retained"] for cohort in told["cohorts"]] == [[2, 1, 1], [0, 0, None], [1, None, None]]
    assert [cohort["rate"] for cohort in told["cohorts"]] == [["1", "0.5", "0.5"], [None] * 3, ["1", None, None]]
    assert told["cohorts"][0]["revenue"] == ["0", "0", "0"]
    assert (told["subjects"], told["partial"], told["unconverted"]) == (3, False, [])
    assert (told["repeat"]["numerator"], told["repeat"]["n"]) == ("2", 3)


async def test_buckets_follow_the_time_zone_and_a_cut_one_is_said(client: Client) -> None:
    await client.ingest(*STORY)
    period = '{from: "2026-01-01T00:00:00Z", to: "2026-03-09T00:00:00Z"}'
    told = await asked(client, f'period: {period}, timezone: "Asia/Tokyo"')
    # In Tokyo the old one came on the first of January, and the period begins within that month's first day.
    assert told["period"]["from"] == "2025-12-31T15:00:00Z"
    assert [cohort["size"] for cohort in told["cohorts"]] == [3, 0, 0]
    assert told["cohorts"][0]["retained"] == [3, 2, 1]
    assert told["partial"] is True
    weeks = await asked(client, f"period: {period}, granularity: WEEK", "cohorts {at} partial")
    assert weeks["cohorts"][0]["at"] == "2025-12-29T00:00:00Z"
    assert weeks["partial"] is False
    days = await asked(client, 'granularity: DAY, period: {from: "2026-01-30T07:00:00Z", to: "2026-02-02T00:00:00Z"}')
    assert [cohort["retained"] for cohort in days["cohorts"]] == [[0, 0, 0], [1, 1, None], [0, None, None]]


async def test_what_has_not_begun_is_no_cohort(client: Client) -> None:
    told = await asked(client, 'period: {from: "2090-01-01T00:00:00Z", to: "2090-03-01T00:00:00Z"}')
    assert (told["cohorts"], told["subjects"], told["repeat"]["value"], told["partial"]) == ([], 0, None, False)
    year = await asked(client, 'period: {last: "3mo"}', "cohorts {retained} partial")
    assert [cohort["retained"].count(None) for cohort in year["cohorts"]] == list(range(len(year["cohorts"])))


async def test_revenue_is_net_of_refunds_and_orders_are_counted_once(client: Client) -> None:
    await client.ingest(
        paid("old", "01-05", "1") | {"occurredAt": "2025-06-01T00:00:00Z"},
        paid("old", "01-05", "100"),
        paid("ann", "01-05", "10", orderId="o1"),
        paid("ann", "01-05", "0.5", orderId="o1"),
        paid("ann", "03-05", "4", name="refund"),
        paid("bob", "01-06", "20"),
        paid("bob", "01-07", "5"),
        paid("bob", "02-07", "90", name="refund"),
        paid("cleo", "02-01", "7", name="refund"),
        paid("cleo", "03-01", "7"),
        paid("dan", "01-09", "8", currency="EUR"),
        seen("eve", "01-01"),
        seen("eve", "01-02", kind="CONVERSION", name="churn", amount="99"),
    )
    told = await asked(client, f"of: REVENUE, period: {QUARTER}")
    first, second, third = told["cohorts"]
    assert (first["size"], first["retained"]) == (2, [2, 0, 0])
    assert first["revenue"] == ["35.5", "-90", "-4"]
    assert first["cumulative"] == ["35.5", "-54.5", "-58.5"]
    assert first["perMember"] == ["17.75", "-27.25", "-29.25"]
    assert (second["size"], second["perMember"]) == (0, [None, None, None])
    # What was given back to Cleo before she paid anything is of no cohort.
    assert (third["size"], third["revenue"]) == (1, ["7", None, None])
    assert told["unconverted"] == [{"amount": "8", "currency": "EUR"}]
    assert (told["repeat"]["numerator"], told["repeat"]["n"]) == ("1", 3)


async def test_refunds_above_payments_leave_revenue_below_nothing(client: Client) -> None:
    await client.ingest(paid("ann", "02-01", "10"), paid("ann", "03-01", "25", name="refund", currency="USD"))
    data = await client.ask(
        f"""{{revenue(period: {QUARTER}, granularity: MONTH) {{total {{amount}} refunds {{amount}} net {{amount}} orders
          growth {{value}} series {{total refunds}}}}
          metric(slug: "refunds", period: {QUARTER}) {{estimate {{value}} explain {{source}}}}
          conversions: metric(slug: "conversions", period: {QUARTER}) {{estimate {{value}}}}}}"""
    )
    revenue = data["revenue"]
    assert [revenue[name]["amount"] for name in ("total", "refunds", "net")] == ["10", "25", "-15"]
    assert (revenue["orders"], revenue["growth"]["value"]) == (1, None)
    assert revenue["series"] == {"total": ["0", "10", "0"], "refunds": ["0", "0", "25"]}
    assert data["metric"] == {"estimate": {"value": "25"}, "explain": {"source": "ROLLUPS"}}
    assert data["conversions"]["estimate"]["value"] == "1"


async def test_no_data_is_a_grid_of_nobody(client: Client) -> None:
    for of in ("ACTIVITY", "REVENUE"):
        told = await asked(client, f"of: {of}, period: {QUARTER}")
        assert [cohort["size"] for cohort in told["cohorts"]] == [0, 0, 0]
        assert [cohort["retained"] for cohort in told["cohorts"]] == [[0, 0, 0], [0, 0, None], [0, None, None]]
        assert (told["repeat"]["value"], told["repeat"]["quality"]) == (None, "INSUFFICIENT")


@pytest.mark.parametrize("of", ["ACTIVITY", "REVENUE"])
async def test_a_tenant_sees_its_own_and_late_events_come_to_the_same(
    client: Client, stranger: Client, of: str
) -> None:
    events = [*STORY, *(paid(who, day, "3") for who, day in (("ann", "01-03"), ("bob", "02-03"), ("ann", "03-03")))]
    await client.ingest(*events)
    empty = await asked(stranger, f"of: {of}, period: {QUARTER}", "subjects")
    assert empty == {"subjects": 0}
    for event in reversed(events):
        await stranger.ingest(event)
    told = [await asked(one, f"of: {of}, period: {QUARTER}") for one in (client, stranger)]
    for answer in told:
        del answer["asOf"], answer["explain"]["milliseconds"]
    assert told[0] == told[1]
    assert told[0]["subjects"] > 0


async def test_where_narrows_cohorts(client: Client) -> None:
    await client.ingest(*STORY, paid("ann", "02-02", "3", dimensions={"channel": "ads"}))
    told = await asked(client, f'period: {QUARTER}, where: {{dimension: {{dimension: CHANNEL, in: ["ads"]}}}}')
    assert [cohort["size"] for cohort in told["cohorts"]] == [0, 1, 0]
    paying = await asked(
        client, f'of: REVENUE, period: {QUARTER}, where: {{dimension: {{dimension: CHANNEL, in: ["x"]}}}}'
    )
    assert paying["subjects"] == 0


BEFORE = f"{GRID} subjects repeat {{value}}"
COMPARED = f"""previousPeriod {{from to}} {BEFORE} previousSubjects repeat {{previous change}} cohorts {{previousSize
  previousRate previousPerMember}} groups {{keys {{value}} {BEFORE} previousSubjects repeat {{previous}} cohorts {{
  previousSize previousRate}}}}"""


@pytest.mark.parametrize("of", ["ACTIVITY", "REVENUE"])
async def test_cohorts_are_held_against_as_many_before(client: Client, of: str) -> None:
    ads, mail = ({"dimensions": {"channel": name}} for name in ("ads", "mail"))
    await client.ingest(
        *(
            paid("ann", day, "5", **ads) | {"occurredAt": f"2025-{day}T12:00:00Z"}
            for day in ("11-03", "11-20", "12-05")
        ),
        *(paid(who, "11-09", "9", **mail) | {"occurredAt": "2025-11-09T12:00:00Z"} for who in ("bob", "cleo")),
        *(paid("dan", day, "7", **ads) for day in ("01-03", "02-20")),
        *(paid(who, "02-03", "1", **mail) for who in ("eve", "fay")),
    )
    quarter = 'period: {from: "2026-01-01T00:00:00Z", to: "2026-03-15T00:00:00Z"}'
    before = 'period: {from: "2025-10-01T00:00:00Z", to: "2025-12-15T00:00:00Z"}'
    told = await asked(client, f"of: {of}, {quarter}, compare: PREVIOUS_PERIOD, by: [CHANNEL]", COMPARED)
    then = await asked(client, f"of: {of}, {before}, by: [CHANNEL]", f"{BEFORE} groups {{keys {{value}} {BEFORE}}}")
    assert told["previousPeriod"] == {"from": "2025-10-01T00:00:00Z", "to": "2025-12-15T00:00:00Z"}
    groups = {str(group["keys"]): group for group in then["groups"]}
    for now, earlier in [(told, then), *((group, groups[str(group["keys"])]) for group in told["groups"])]:
        assert now["previousSubjects"] == earlier["subjects"] > 0
        assert now["repeat"]["previous"] == earlier["repeat"]["value"]
        for cohort, of_then in zip(now["cohorts"], earlier["cohorts"], strict=True):
            assert (cohort["previousSize"], cohort["previousRate"]) == (of_then["size"], of_then["rate"])
    assert [one["previousPerMember"] for one in told["cohorts"]] == [one["perMember"] for one in then["cohorts"]]
    alone = await asked(client, f"of: {of}, {quarter}, by: [CHANNEL]", COMPARED)
    assert alone["previousPeriod"] is alone["previousSubjects"] is alone["repeat"]["previous"] is None
    assert {one["previousRate"] for one in alone["cohorts"]} == {None}
    year = await asked(client, f"of: {of}, {quarter}, compare: PREVIOUS_YEAR", COMPARED)
    assert (year["previousPeriod"]["from"], year["previousSubjects"]) == ("2025-01-01T00:00:00Z", 0)
    assert [one["previousRate"] for one in year["cohorts"]] == [[None] * 3] * 3
    assert (year["repeat"]["previous"], year["subjects"]) == (None, 3)


@pytest.mark.parametrize("of", ["ACTIVITY", "REVENUE"])
async def test_what_was_before_all_time_is_nobody(client: Client, of: str) -> None:
    await client.ingest(paid("ann", "01-01", "1") | {"occurredAt": "2000-02-01T00:00:00Z"})
    period = 'period: {from: "2000-01-01T00:00:00Z", to: "2000-04-01T00:00:00Z"}'
    told = await asked(client, f"of: {of}, {period}, compare: PREVIOUS_PERIOD", COMPARED)
    assert (told["subjects"], told["previousSubjects"], told["cohorts"][0]["previousSize"]) == (1, 0, None)
    to_come = await asked(
        client,
        f'of: {of}, compare: PREVIOUS_YEAR, period: {{from: "2090-01-01T00:00:00Z", to: "2090-03-01T00:00:00Z"}}',
        COMPARED,
    )
    assert (to_come["cohorts"], to_come["previousSubjects"], to_come["repeat"]["previous"]) == ([], 0, None)


async def test_a_width_that_is_no_calendar_period_is_refused(client: Client) -> None:
    answer = await client.send("{cohorts(granularity: HOUR) {subjects}}")
    assert answer["errors"][0]["extensions"]["field"] == "granularity"
    large = await client.send('{cohorts(granularity: DAY, period: {last: "200d"}) {subjects}}')
    assert large["errors"][0]["extensions"]["field"] == "granularity"


async def test_cohorts_are_watched(client: Client) -> None:
    query = (
        f'subscription {{cohorts(of: REVENUE, period: {QUARTER}, every: "100ms") {{subjects cohorts {{cumulative}}}}}}'
    )
    async with asyncio.timeout(20), client.stream(query) as answers:
        assert (await anext(answers))["data"]["cohorts"]["subjects"] == 0
        await client.ingest(paid("ann", "02-01", "10"))
        told = (await anext(answers))["data"]["cohorts"]
        assert told["subjects"] == 1
        assert [Decimal(value) for value in told["cohorts"][1]["cumulative"][:2]] == [10, 10]
