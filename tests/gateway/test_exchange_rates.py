"""A tenant's exchange rates, over the wire."""

from typing import Any

import pytest

from tests.client import Client
from tests.factories import purchase

SET = """
mutation ($input: SetExchangeRatesInput!) {
  setExchangeRates(input: $input) {
    __typename
    ... on SetExchangeRatesPayload { stated changed }
    ... on InvalidInput { field }
  }
}
"""
LISTED = """
query ($currency: String, $base: String, $period: PeriodInput, $first: Int! = 50, $after: String) {
  exchangeRates(currency: $currency, base: $base, period: $period, first: $first, after: $after) {
    edges { node { id date base currency rate } } pageInfo { endCursor hasNextPage }
  }
}
"""
DELETE = """
mutation ($id: ID!) {
  deleteExchangeRate(input: {id: $id}) { __typename ... on DeleteExchangeRatePayload { deletedId rate { rate } } }
}
"""
NODE = "query ($id: ID!) { node(id: $id) { ... on ExchangeRate { base currency date rate } } }"
MARCH = 'period: {from: "2026-03-01T00:00:00Z", to: "2026-04-01T00:00:00Z"}'
REVENUE = f"revenue({MARCH}) {{ total {{ amount currency }} unconverted {{ amount currency }} }}"


def rate(**fields: Any) -> dict[str, Any]:
    return {"date": "2026-03-09", "base": "EUR", "currency": "USD", "rate": "1.25"} | fields


async def put(client: Client, *rates: dict[str, Any]) -> dict[str, Any]:
    return dict((await client.ask(SET, input={"rates": list(rates)}))["setExchangeRates"])


async def listed(client: Client, **variables: Any) -> list[tuple[str, str, str, str]]:
    found = (await client.ask(LISTED, **variables))["exchangeRates"]
    nodes = [edge["node"] for edge in found["edges"]]
    return [(one["currency"], one["base"], one["date"], one["rate"]) for one in nodes]


async def test_rates_are_set_listed_paged_and_found_again(client: Client, stranger: Client) -> None:
    some = [rate(), rate(date="2026-03-06", rate=1.2), rate(currency="JPY", rate="157.10"), rate(base="CHF")]
    assert await put(client, *some) == {"__typename": "SetExchangeRatesPayload", "stated": 4, "changed": 4}
    assert await put(client, rate(rate="1.250"), rate(date="2026-03-06", rate="1.21")) == {
        "__typename": "SetExchangeRatesPayload",
        "stated": 2,
        "changed": 1,
    }
    everything = [
        ("JPY", "EUR", "2026-03-09", "157.1"),
        ("USD", "CHF", "2026-03-09", "1.25"),
        ("USD", "EUR", "2026-03-06", "1.21"),
        ("USD", "EUR", "2026-03-09", "1.25"),
    ]
    assert await listed(client) == everything
    assert await listed(client, currency="usd", base="EUR") == everything[2:]
    monday = {"from": "2026-03-07T00:00:00Z", "to": "2026-03-10T00:00:00Z"}
    assert await listed(client, base="EUR", period=monday) == [everything[0], everything[3]]
    first = (await client.ask(LISTED, first=3))["exchangeRates"]
    assert first["pageInfo"]["hasNextPage"]
    assert await listed(client, first=3, after=first["pageInfo"]["endCursor"]) == everything[3:]

    found = first["edges"][0]["node"]
    assert (await client.ask(NODE, id=found["id"]))["node"]["rate"] == "157.1"
    assert (await stranger.ask(NODE, id=found["id"]))["node"] is None
    assert await listed(stranger) == []


async def test_money_counts_by_the_rates_and_what_has_none_is_told(client: Client) -> None:
    at = "2026-03-10T12:00:00Z"
    await client.ingest(*(purchase("8", currency=one, occurredAt=at) for one in ("EUR", "USD", "CHF")))
    await put(client, rate())
    found = (await client.ask(f"{{ {REVENUE} }}"))["revenue"]
    assert found["total"] == {"amount": "18", "currency": "USD"}
    assert found["unconverted"] == [{"amount": "8", "currency": "CHF"}]


async def test_a_rate_that_is_deleted_holds_no_more(client: Client, stranger: Client) -> None:
    await client.ingest(purchase("8", currency="EUR", occurredAt="2026-03-10T12:00:00Z"))
    await put(client, rate(), rate(date="2026-03-06", rate="2"))
    assert (await client.ask(f"{{ {REVENUE} }}"))["revenue"]["total"]["amount"] == "10"
    last = (await client.ask(LISTED))["exchangeRates"]["edges"][1]["node"]
    assert (await stranger.ask(DELETE, id=last["id"]))["deleteExchangeRate"] == {"__typename": "NotFound"}
    deleted = {"__typename": "DeleteExchangeRatePayload", "deletedId": last["id"], "rate": {"rate": "1.25"}}
    assert (await client.ask(DELETE, id=last["id"]))["deleteExchangeRate"] == deleted
    assert (await client.ask(DELETE, id=last["id"]))["deleteExchangeRate"] == {"__typename": "NotFound"}
    assert (await client.ask(f"{{ {REVENUE} }}"))["revenue"]["total"]["amount"] == "16"


async def test_who_watches_is_told_of_a_new_rate(client: Client) -> None:
    await client.ingest(purchase("8", currency="EUR", occurredAt="2026-03-10T12:00:00Z"))
    watched = REVENUE.replace("revenue(", 'revenue(every: "100ms" ')
    async with client.socket() as socket:
        await socket.subscribe(f"subscription {{ {watched} }}")
        assert (await socket.next())["revenue"]["total"]["amount"] == "0"
        await put(client, rate())
        assert (await socket.next())["revenue"]["total"]["amount"] == "10"
        await put(client, rate(rate="2"))
        assert (await socket.next())["revenue"]["total"]["amount"] == "16"


@pytest.mark.parametrize(
    ("rates", "field"),
    [
        ([], "rates"),
        ([rate(), rate(currency="JPY", rate="0")], "rates[1].rate"),
        ([rate(rate="-1.25")], "rates[0].rate"),
        ([rate(rate="NaN")], "rates[0].rate"),
        ([rate(rate=True)], "rates[0].rate"),
        ([rate(date="2206-03-09")], "rates[0].date"),
        ([rate(date=20260309)], "rates[0].date"),
        ([rate(currency="EUR")], "rates[0].currency"),
        ([rate(base="euro")], "rates[0].base"),
        ([rate(), rate()], "rates[1]"),
    ],
)
async def test_bad_rates_are_refused_by_place_and_none_is_set(
    client: Client, rates: list[dict[str, Any]], field: str
) -> None:
    assert await put(client, *rates) == {"__typename": "InvalidInput", "field": field}
    assert await listed(client) == []


@pytest.mark.parametrize(
    ("variables", "field"),
    [
        ({"currency": "dollar"}, "currency"),
        ({"base": "\0"}, "base"),
        ({"first": 0}, "first"),
        ({"after": "RXhjaGFuZ2VSYXRlQ3Vyc29yOlVTRC9FVVI"}, "after"),
        ({"period": {"last": "30 days"}}, "period.last"),
    ],
)
async def test_a_list_that_cannot_be_given_says_what_to_change(
    client: Client, variables: dict[str, Any], field: str
) -> None:
    (error,) = (await client.send(LISTED, **variables))["errors"]
    assert (error["extensions"]["code"], error["extensions"]["field"]) == ("BAD_USER_INPUT", field)


async def test_ten_thousand_rates_are_set_at_once(client: Client) -> None:
    codes = "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD".split()
    days = [f"{2000 + month // 12}-{month % 12 + 1:02}-{day:02}" for month in range(20) for day in range(1, 22)]
    many = [rate(date=day, currency=code) for day in days for code in codes][:10_000]
    assert await put(client, *many) == {
        "__typename": "SetExchangeRatesPayload",
        "stated": 10_000,
        "changed": 10_000,
    }
