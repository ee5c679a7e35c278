"""Recurring revenue as its users meet it: subscriptions sent by mutation and line, asked over HTTP, watched."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from tests.client import Client

QUARTER = '{from: "2026-01-01T00:00:00Z", to: "2026-04-01T00:00:00Z"}'
MOVEMENTS = """start new expansion contraction churn reactivation ending
  customersAtStart newCustomers expandedCustomers contractedCustomers churnedCustomers reactivatedCustomers customers"""
ESTIMATE = "{value n quality numerator denominator previous currency}"
FIGURES = f"""mrr {ESTIMATE} arr {ESTIMATE} customers growth {ESTIMATE} grossChurn {ESTIMATE} netChurn {ESTIMATE}
  grossRetention {ESTIMATE} netRetention {ESTIMATE} customerChurn {ESTIMATE} arpu {ESTIMATE} lifetimeValue {ESTIMATE}
  quickRatio {ESTIMATE} movements {{{MOVEMENTS}}} series {{granularity timezone currency at {MOVEMENTS}}}"""
ANSWER = f"""{FIGURES} acquisitionCost {ESTIMATE} payback {ESTIMATE} previousMovements {{new}}
  period {{from to}} previousPeriod {{from to}} groupCount unconverted {{amount currency}} asOf
  groups {{keys {{dimension value}} other {FIGURES}}} explain {{source rows milliseconds}}"""


def said(name: str, day: str, amount: str | None = None, interval: str | None = "MONTH", **more: Any) -> dict[str, Any]:
    """A subscription's event as a line; ``day`` is one of 2026 such as 02-01."""
    event = {"kind": "SUBSCRIPTION", "name": name, "subject": "acme", "occurredAt": f"2026-{day}T00:00:00Z"}
    if amount is not None:
        event |= {"amount": amount, "interval": interval}
    return event | more


STORY = [
    said("started", "01-01", "2000", "YEAR", subscription="gold", dimensions={"plan": "gold", "channel": "ads"}),
    said("started", "01-15", "60", subscription="silver", dimensions={"plan": "silver", "channel": "ads"}),
    said("ended", "02-10", subscription="silver"),
    said("started", "02-03", "90", "QUARTER", subject="bolt", dimensions={"plan": "silver", "channel": "email"}),
    said("ended", "02-20", subscription="gold"),
    said("changed", "03-01", "10", subject="bolt", dimensions={"plan": "basic", "channel": "email"}),
    said("started", "03-05", "150", subscription="gold", dimensions={"plan": "gold", "channel": "ads"}),
    said("started", "03-06", "0", subject="trial"),
    said("started", "03-07", "44", subject="euro", currency="EUR"),
]


async def asked(client: Client, arguments: str = "", fields: str = ANSWER) -> dict[str, Any]:
    data = await client.ask(f"{{recurringRevenue(period: {QUARTER}, granularity: MONTH {arguments}) {{{fields}}}}}")
    return dict(data["recurringRevenue"])


def identity(told: dict[str, Any]) -> None:
    """The MRR identity of every bucket and of the period, and that one begins where the other ended."""
    series, whole = told["series"], told["movements"]
    rows = [
        {name: column[place] for name, column in series.items() if isinstance(column, list)}
        for place in range(len(series["at"]))
    ]
    for row in (whole, *rows):
        money = {name: Decimal(row[name]) for name in MOVEMENTS.split()[:7]}
        gains, losses = money["new"] + money["expansion"] + money["reactivation"], money["contraction"] + money["churn"]
        assert money["ending"] == money["start"] + gains - losses
        came = row["newCustomers"] + row["reactivatedCustomers"]
        assert row["customers"] == row["customersAtStart"] + came - row["churnedCustomers"]
    for name in MOVEMENTS.split():
        if name in ("start", "ending", "customersAtStart", "customers"):
            continue
        assert sum(Decimal(row[name]) for row in rows) == Decimal(whole[name])
    assert [row["start"] for row in rows[1:]] == [row["ending"] for row in rows[:-1]]


async def test_a_quarter_is_told_whole(client: Client) -> None:
    assert (await client.ingest(*STORY))["accepted"] == len(STORY)
    told = await asked(client)
    identity(told)
    assert told["series"]["new"] == ["166.666666666667", "30", "0"]
    assert told["series"]["expansion"] == ["60", "0", "0"]
    assert told["series"]["contraction"] == ["0", "60", "20"]
    assert told["series"]["churn"] == ["0", "166.666666666667", "0"]
    assert told["series"]["reactivation"] == ["0", "0", "150"]
    assert told["series"]["ending"] == ["226.666666666667", "30", "160"]
    assert told["series"]["customers"] == [1, 1, 2]
    assert told["mrr"]["value"] == "160"
    assert told["arr"] == told["mrr"] | {"value": "1920"}
    assert told["arpu"]["value"] == "80"
    assert told["unconverted"] == [{"amount": "44", "currency": "EUR"}]
    assert told["grossChurn"]["value"] is None
    assert told["quickRatio"]["numerator"] == "256.666666666667"
    assert told["explain"]["source"] == "LOG"
    assert told["explain"]["rows"] == len(STORY)
    assert told["groups"] == []


async def test_ratios_are_over_the_start_of_a_month_and_compare(client: Client) -> None:
    await client.ingest(*STORY)
    march = '{recurringRevenue(period: {from: "2026-02-01T00:00:00Z", to: "2026-03-01T00:00:00Z"}, costPerCustomer: 5, '
    data = await client.ask(f"{march} compare: PREVIOUS_PERIOD, granularity: WEEK) {{{ANSWER}}}}}")
    told = data["recurringRevenue"]
    identity(told)
    start = Decimal("226.666666666667")
    lost = start
    for name, numerator in {
        "growth": 30 - start,
        "grossChurn": lost,
        "netChurn": lost,
        "grossRetention": start - lost,
        "netRetention": start - lost,
    }.items():
        assert Decimal(told[name]["numerator"]) == numerator, name
        assert Decimal(told[name]["denominator"]) == start, name
    assert (told["customerChurn"]["value"], told["customerChurn"]["n"]) == ("1", 1)
    assert told["lifetimeValue"]["value"] == "25"
    assert told["mrr"]["previous"] == "226.666666666667"
    assert told["previousPeriod"]["from"] == "2026-01-04T00:00:00Z"


async def test_each_group_is_a_business_of_its_own_and_the_rest_is_one(client: Client) -> None:
    await client.ingest(*STORY)
    told = await asked(client, ", by: [PLAN]")
    for group in told["groups"]:
        identity(group)
    shown = {group["keys"][0]["value"]: group["movements"] for group in told["groups"]}
    assert [(plan, moved["ending"]) for plan, moved in shown.items()] == [
        ("gold", "150"),
        ("basic", "10"),
        ("silver", "0"),
    ]
    assert (shown["silver"]["new"], shown["silver"]["churn"]) == ("90", "90")
    assert shown["basic"]["new"] == "10"
    assert (told["groupCount"], told["movements"]["contraction"]) == (3, "80")
    few = await asked(client, ", by: [PLAN, CHANNEL], top: 1")
    assert [group["other"] for group in few["groups"]] == [False, True]
    assert [one["value"] for one in few["groups"][0]["keys"]] == ["gold", "ads"]
    rest = few["groups"][1]
    identity(rest)
    assert (rest["keys"], rest["movements"]["ending"]) == ([], "10")
    assert few["groupCount"] == 4


async def test_where_narrows_it_to_what_subscriptions_state(client: Client) -> None:
    await client.ingest(*STORY)
    told = await asked(client, ', where: {dimension: {dimension: PLAN, in: ["silver"]}}')
    identity(told)
    assert told["series"]["new"] == ["60", "30", "0"]
    assert told["series"]["churn"] == ["0", "60", "30"]
    nobody = await asked(client, ', where: {dimension: {dimension: PLAN, in: ["none"]}}')
    assert nobody["movements"]["ending"] == "0"


async def test_late_repeated_and_shuffled_events_come_to_the_same(client: Client, stranger: Client) -> None:
    await client.ingest(*({**event, "id": str(place)} for place, event in enumerate(STORY)))
    now = await asked(client)
    for place in (4, 8, 0, 6, 2, 1, 3, 7, 5):
        await stranger.ingest({**STORY[place], "id": str(place)})
    await stranger.ingest(*({**event, "id": str(place)} for place, event in enumerate(STORY)))
    late = await asked(stranger)
    for answer in (now, late):
        del answer["asOf"], answer["explain"]["milliseconds"]
    assert now == late


async def test_no_subscriptions_are_zero_and_ratios_null(client: Client) -> None:
    told = await asked(client, ", by: [PLAN], compare: PREVIOUS_YEAR")
    identity(told)
    assert set(told["series"]["ending"]) == {"0"}
    assert (told["mrr"]["value"], told["customers"], told["groups"], told["unconverted"]) == ("0", 0, [], [])
    for name in (*FIGURES.replace(ESTIMATE, "").split()[3:11], "acquisitionCost", "payback"):
        assert (told[name]["value"], told[name]["quality"]) == (None, "INSUFFICIENT"), name


async def test_when_everybody_churned_all_is_lost(client: Client) -> None:
    await client.ingest(said("started", "01-01", "10"), said("ended", "02-01"))
    data = await client.ask(
        f'{{recurringRevenue(period: {{from: "2026-02-01T00:00:00Z", to: "2026-03-01T00:00:00Z"}}) {{{FIGURES}}}}}'
    )
    # What happens at the first instant of a period happens in it.
    told = data["recurringRevenue"]
    assert (told["grossChurn"]["value"], told["netRetention"]["value"], told["customerChurn"]["value"]) == (
        "1",
        "0",
        "1",
    )
    assert (told["mrr"]["value"], told["arpu"]["value"], told["lifetimeValue"]["value"]) == ("0", None, None)
    assert told["quickRatio"]["value"] == "0"


async def test_amounts_of_any_size_are_exact(client: Client) -> None:
    least, most = "0.000000000001", "1000000000000"
    await client.ingest(
        *(said("started", "02-01", most, "DAY", subject=f"whale-{n}") for n in range(30)),
        said("started", "02-02", least, subject="mite"),
    )
    told = await asked(client)
    identity(told)
    assert told["mrr"]["value"] == "912500000000000.000000000011"


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (", costPerCustomer: -1", "costPerCustomer"),
        (', costPerCustomer: "x"', "costPerCustomer"),
        (", by: [PLAN, PLAN]", "by"),
        (", top: 0", "top"),
        (', timezone: "Mars"', "timezone"),
    ],
)
async def test_a_question_that_cannot_be_read_names_the_argument(client: Client, arguments: str, field: str) -> None:
    answer = await client.send(f"{{recurringRevenue(period: {QUARTER} {arguments}) {{groupCount}}}}")
    (error,) = answer["errors"]
    assert (error["extensions"]["code"], error["extensions"]["field"]) == ("BAD_USER_INPUT", field)


async def test_what_new_customers_cost_is_not_known_where_nothing_says_it(client: Client) -> None:
    await client.ingest(*STORY)
    for where in ("", ", by: [PLAN]"):
        told = await asked(client, where)
        assert told["movements"]["newCustomers"] > 0
        assert (told["acquisitionCost"]["value"], told["payback"]["value"]) == (None, None)
    await client.ingest({"kind": "SPEND", "cost": "0", "currency": "USD", "occurredAt": "2026-02-01T00:00:00Z"})
    told = await asked(client)
    assert (told["acquisitionCost"]["value"], told["payback"]["value"]) == ("0", "0")


async def test_new_customers_cost_what_was_spent_on_touching_them(client: Client) -> None:
    day = {"occurredAt": "2026-02-01T00:00:00Z"}
    await client.ingest(
        *STORY,
        {"kind": "SPEND", "cost": "400", "currency": "USD", **day},
        {"kind": "TOUCHPOINT", "subject": "bolt", "cost": "20", "dimensions": {"channel": "ads"}, **day},
        {"kind": "PRODUCT", "name": "view", "subject": "bolt", "amount": "7", **day},
    )
    told = await asked(client, ", compare: PREVIOUS_YEAR, costPerCustomer: 10")
    assert (told["acquisitionCost"]["value"], told["acquisitionCost"]["n"]) == ("210", 2)
    assert (told["payback"]["value"], told["payback"]["previous"]) == ("3", None)
    assert told["previousMovements"] == {"new": "0"}
    never = await asked(client, ", costPerCustomer: 80")
    assert (never["payback"]["value"], never["acquisitionCost"]["value"]) == (None, "210")


GROUPS = f"groups {{keys {{value}} other acquisitionCost {ESTIMATE} payback {ESTIMATE} lifetimeValue {ESTIMATE}}}"


async def test_a_group_s_new_customers_cost_the_spend_that_carries_its_values(client: Client) -> None:
    def joins(who: str, channel: str | None, amount: str) -> dict[str, Any]:
        return said("started", "02-01", amount, subject=who, dimensions={"channel": channel} if channel else {})

    def spent(cost: str, channel: str | None, day: str = "02-01") -> dict[str, Any]:
        made = {"kind": "SPEND", "cost": cost, "currency": "USD", "occurredAt": f"2026-{day}T00:00:00Z"}
        return made | {"dimensions": {"channel": channel} if channel else {}}

    await client.ingest(
        joins("ann", "ads", "100"),
        joins("bob", "ads", "100"),
        joins("cleo", "fair", "50"),
        joins("dan", None, "40"),
        joins("eve", "mail", "3"),
        joins("fay", "post", "2"),
        spent("60", "ads"),
        spent("20", None),
        spent("12", "post"),
        spent("4", "radio"),
        spent("30", "ads", "01-15"),
    )
    period = 'period: {from: "2026-02-01T00:00:00Z", to: "2026-03-01T00:00:00Z"}'
    ask = f"{{recurringRevenue({period}, by: [CHANNEL], top: 3, compare: PREVIOUS_PERIOD) {{{GROUPS}}}}}"
    groups = (await client.ask(ask))["recurringRevenue"]["groups"]
    costs = [
        (group["keys"][0]["value"] if group["keys"] else "(other)", group["acquisitionCost"]["value"])
        for group in groups
    ]
    assert costs == [("ads", "30"), ("fair", None), (None, "20"), ("(other)", "8")]
    assert [group["payback"]["value"] for group in groups] == ["0.3", None, "0.5", "3.2"]
    whole = await client.ask(f"{{recurringRevenue({period}) {{acquisitionCost {ESTIMATE}}}}}")
    assert whole["recurringRevenue"]["acquisitionCost"]["value"] == "16"


TRACK = """mutation ($input: TrackSubscriptionInput!) {trackSubscription(input: $input) {
  ... on TrackPayload {accepted eventId} ... on InvalidInput {field message}}}"""


async def test_what_a_mutation_sends_is_read_back_and_counts(client: Client, stranger: Client) -> None:
    sent = {
        "id": "s-1",
        "name": "started",
        "subject": "acme",
        "subscription": "seat",
        "amount": "1200",
        "interval": "YEAR",
        "plan": "pro",
        "occurredAt": "2026-02-01T00:00:00Z",
    }
    data = await client.ask(TRACK, input=sent)
    assert data["trackSubscription"] == {"accepted": 1, "eventId": "s-1"}
    again = await client.ask(TRACK, input={**sent, "amount": "1300"})
    assert again["trackSubscription"]["accepted"] == 0
    for wrong, field in (
        ({"name": "paused"}, "name"),
        ({"interval": None}, "interval"),
        ({"currency": "ZZZ"}, "currency"),
    ):
        refused = await client.ask(TRACK, input={**sent, "id": None, **wrong})
        assert refused["trackSubscription"]["field"] == field
    assert "errors" in await client.send(TRACK, input={**sent, "interval": "FORTNIGHT"})
    assert (await asked(client, fields="mrr {value currency}"))["mrr"] == {"value": "100", "currency": "USD"}
    shown = await client.ask(
        "{events {edges {node {kind name subscription amount interval currency dimensions {plan}}}}}"
    )
    assert [edge["node"] for edge in shown["events"]["edges"]] == [
        {
            "kind": "SUBSCRIPTION",
            "name": "started",
            "subscription": "seat",
            "amount": "1200",
            "interval": "YEAR",
            "currency": "USD",
            "dimensions": {"plan": "pro"},
        }
    ]
    assert (await asked(stranger, fields="mrr {value} customers")) == {"mrr": {"value": "0"}, "customers": 0}


async def test_lines_of_a_bad_interval_or_currency_are_refused_by_themselves(client: Client) -> None:
    receipt = await client.ingest(
        said("started", "02-01", "10"),
        said("started", "02-01", "10", "FORTNIGHT", subject="b"),
        said("started", "02-01", "10", subject="c", currency="GOLD"),
        said("started", "02-01", subject="d"),
    )
    assert receipt["accepted"] == 1
    assert [(one["index"], one["field"]) for one in receipt["rejected"]] == [
        (1, "interval"),
        (2, "currency"),
        (3, "amount"),
    ]


async def test_a_subscription_to_it_tells_what_a_late_event_changes(client: Client) -> None:
    await client.ingest(said("started", "01-10", "10"))
    arguments = f'period: {QUARTER}, granularity: MONTH, every: "100ms"'
    query = f"subscription {{recurringRevenue({arguments}) {{series {{ending}}}}}}"
    async with asyncio.timeout(20), client.stream(query) as answers:
        first = await anext(answers)
        assert first["data"]["recurringRevenue"]["series"]["ending"] == ["10", "10", "10"]
        await client.ingest(said("started", "02-10", "5", subject="late"))
        second = await anext(answers)
        assert second["data"]["recurringRevenue"]["series"]["ending"] == ["10", "15", "15"]
