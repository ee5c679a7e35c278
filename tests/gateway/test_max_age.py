"""``maxAge`` as a client meets it: an older answer that says how old it is, and nothing else changed."""

from typing import Any

import httpx2
import pytest

from gateway.app import Gateway
from resolvers.context import Role
from resolvers.store.database import Database
from tests.client import Client
from tests.conftest import new_client
from tests.factories import purchase

PERIOD = 'period: {from: "2026-03-01T00:00:00Z", to: "2026-04-01T00:00:00Z"}'
HOUR = ', maxAge: "1h"'
STEPS = 'steps: [{name: "purchase"}, {name: "churn"}]'
ASKED = {
    "metric": f'metric(slug: "conversions", {PERIOD}%s) {{estimate {{n asOf}}}}',
    "metrics": f'metrics(slugs: ["conversions", "revenue"], {PERIOD}%s) {{estimate {{n asOf}}}}',
    "revenue": f"revenue({PERIOD}%s) {{n: orders asOf}}",
    "funnel": f"funnel({STEPS}, {PERIOD}%s) {{conversion {{n asOf}}}}",
    "attribution": f"attribution({PERIOD}, models: [LAST_TOUCH]%s) {{n: conversions asOf}}",
}
"""Analyses of which a purchase changes a number."""


def told(answer: dict[str, Any]) -> dict[str, tuple[int, str]]:
    """The number and the moment of each answer."""

    def pair(one: Any) -> tuple[int, str]:
        one = one[0] if isinstance(one, list) else one
        one = one.get("estimate") or one.get("conversion") or one
        return one["n"], one["asOf"]

    return {name: pair(one) for name, one in answer.items()}


def all_of(argument: str = "") -> str:
    return f"{{ {' '.join(asked % argument for asked in ASKED.values())} }}"


async def buy(client: Client, number: int) -> None:
    await client.ingest(purchase("10", id=str(number), subject=f"s{number}"))


async def test_an_older_answer_tells_its_age_and_the_present_is_told_to_all_others(client: Client) -> None:
    older = all_of(', maxAge: "1d"')
    first = told(await client.ask(all_of()))
    assert {n for n, _ in first.values()} == {0}
    await buy(client, 1)
    for _ in range(2):
        assert told(await client.ask(older)) == first
    present = told(await client.ask(all_of()))
    assert {n for n, _ in present.values()} == {1}
    assert all(present[name][1] > first[name][1] for name in ASKED)
    await buy(client, 2)
    # The document as a whole was accepted for a day.
    assert told(await client.ask(older)) == first
    # Asked in other words, it is the last answer there is.
    assert told(await client.ask(all_of(', maxAge: "24h"'))) == present
    assert {n for n, _ in told(await client.ask(all_of())).values()} == {2}


async def test_one_field_may_be_older_than_another(client: Client) -> None:
    query = f"{{ old: {ASKED['revenue'] % HOUR} new: {ASKED['revenue'] % ''} }}"
    await client.ask(query)
    for number in range(1, 4):
        await buy(client, number)
        answer = told(await client.ask(query))
        assert answer["new"][0] == number
        # The one computed for the other a commit ago, or before.
        assert answer["old"][0] < number
        assert answer["old"][1] < answer["new"][1]


async def test_each_document_answers_for_the_age_that_its_variables_say(client: Client) -> None:
    query = f"query ($age: Duration) {{ {ASKED['revenue'] % ', maxAge: $age'} }}"
    first = told(await client.ask(query, age="1h"))
    await buy(client, 1)
    assert told(await client.ask(query, age="1h")) == first
    for variables in ({}, {"age": None}):
        assert told(await client.ask(query, **variables))["revenue"][0] == 1


async def test_other_tenants_have_their_own_and_other_roles_the_same(
    client: Client, stranger: Client, gateway: tuple[str, Gateway], owner: Database, http: httpx2.AsyncClient
) -> None:
    older = all_of(', maxAge: "1d"')
    await buy(client, 1)
    mine = told(await client.ask(older))
    assert {n for n, _ in mine.values()} == {1}
    await buy(stranger, 1)
    await buy(stranger, 2)
    assert {n for n, _ in told(await stranger.ask(older)).values()} == {2}
    assert told(await client.ask(older)) == mine
    sender = await new_client(gateway[0], owner, http, Role.INGEST)
    refused = await sender.send(older)
    assert set(refused["data"].values()) == {None}
    assert {error["extensions"]["code"] for error in refused["errors"]} == {"FORBIDDEN"}


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.parametrize(
    "age",
    ['"2d"', '"25h"', '"0s"', '"-1s"', '"1"', '"soon"', '""', '"1mo"', '"1y"', '"500ms"', "30", "true", '"1s\\u0000"'],
)
async def test_what_is_no_age_is_refused_by_name(client: Client, name: str, age: str) -> None:
    answer = await client.send(f"{{ {ASKED[name] % f', maxAge: {age}'} }}")
    (error,) = answer["errors"]
    assert (error["extensions"]["code"], error["extensions"]["field"]) == ("BAD_USER_INPUT", "maxAge")


@pytest.mark.parametrize("name", ASKED)
async def test_a_subscription_has_no_such_argument(client: Client, name: str) -> None:
    async with client.socket() as socket:
        await socket.subscribe(f"subscription {{ {ASKED[name] % HOUR} }}")
        message = await socket.get()
    assert message["type"] == "error"
    assert "maxAge" in message["payload"][0]["message"]


async def test_a_kept_funnel_takes_it_too(client: Client) -> None:
    saved = await client.ask(
        f'mutation {{ saveFunnel(input: {{name: "sales", {STEPS}}}) {{ ... on SaveFunnelPayload {{funnel {{id}}}} }} }}'
    )
    query = "query ($id: ID!) {node(id: $id) {... on SavedFunnel {answer(%s) {conversion {n}}}}}"
    for arguments, n in ((PERIOD, 0), (f'{PERIOD}, maxAge: "1h"', 0), (PERIOD, 1)):
        answer = await client.ask(query % arguments, id=saved["saveFunnel"]["funnel"]["id"])
        assert answer["node"]["answer"]["conversion"]["n"] == n
        await buy(client, 1)
