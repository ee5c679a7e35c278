"""The main job as its users do it: send, ask, watch, over the wire."""

import asyncio
from typing import Any

import httpx2
import pytest
from sqlalchemy import event as sqlalchemy_event

from gateway.app import Gateway
from resolvers.context import Role
from resolvers.keys import keys, revoke_key
from resolvers.store.database import Database
from schema import schema
from tests.client import Client, running_gateway
from tests.conftest import new_client
from tests.factories import event, purchase

PERIOD = '{from: "2026-03-01T00:00:00Z", to: "2026-04-01T00:00:00Z"}'
TRACK = """
mutation ($input: TrackConversionInput!) {
  trackConversion(input: $input) {
    __typename
    ... on TrackPayload { eventId accepted duplicates conflicts { eventId firstOccurredAt } }
    ... on InvalidInput { code field message }
    ... on Error { code message }
  }
}
"""
REVENUE = f"{{ revenue(period: {PERIOD}) {{ total {{ amount currency }} orders }} }}"
STEPS = f'steps: [{{name: "view"}}, {{name: "buy"}}], period: {PERIOD}'
FUNNEL = f"funnel({STEPS}) {{ steps {{ name count }} }}"
CORRELATIONS = f"funnelCorrelations({STEPS})"


def conversion(**fields: Any) -> dict[str, Any]:
    made = {"name": "purchase", "subject": "ann", "amount": "10", "occurredAt": "2026-03-10T12:00:00Z"}
    return made | fields


async def test_a_sent_event_is_in_the_next_answer(client: Client) -> None:
    for count in range(1, 4):
        sent = await client.ask(TRACK, input=conversion(id=f"c{count}", amount="0.10"))
        assert sent["trackConversion"]["accepted"] == 1
        asked = await client.ask(REVENUE)
        assert asked["revenue"] == {"total": {"amount": f"0.{count}", "currency": "USD"}, "orders": count}


async def test_a_retry_is_harmless_and_a_conflict_is_told(client: Client) -> None:
    for accepted in (1, 0):
        sent = (await client.ask(TRACK, input=conversion(id="same")))["trackConversion"]
        assert (sent["accepted"], sent["duplicates"], sent["conflicts"]) == (accepted, 1 - accepted, [])
    sent = (await client.ask(TRACK, input=conversion(id="same", amount="11")))["trackConversion"]
    assert sent["conflicts"] == [{"eventId": "same", "firstOccurredAt": "2026-03-10T12:00:00Z"}]
    assert (await client.ask(REVENUE))["revenue"]["total"]["amount"] == "10"


async def test_a_thousand_mutations_at_once_lose_and_double_nothing(
    database_url: str, owner: Database, http: httpx2.AsyncClient
) -> None:
    # On a busy machine some would be refused for want of time, which is another matter.
    limits = ("operation_seconds", "statement_seconds", "lock_seconds", "pool_wait_seconds", "queue_seconds")
    patient: dict[str, Any] = dict.fromkeys(limits, 60.0)
    async with running_gateway(database_url, upkeep=False, **patient) as (address, _):
        client = await new_client(address, owner, http)
        asked = (client.ask(TRACK, input=conversion(id=f"c{n}", amount="1")) for n in range(1_000))
        answers = [answer["trackConversion"] for answer in await asyncio.gather(*asked)]
        assert [answer.get("accepted", answer) for answer in answers] == [1] * 1_000
        told = (await client.ask(REVENUE))["revenue"]
    assert told == {"total": {"amount": "1000", "currency": "USD"}, "orders": 1_000}


@pytest.mark.parametrize("transport", ["socket", "stream"])
async def test_a_watcher_sees_revenue_change(client: Client, transport: str) -> None:
    async def totals(answers: Any) -> None:
        assert (await answers())["revenue"]["total"]["amount"] == "0"
        for total in ("10", "20"):
            await client.ingest(purchase("10"))
            assert (await answers())["revenue"]["total"]["amount"] == total

    watch = f'subscription {{ revenue(period: {PERIOD}, every: "100ms") {{ total {{ amount }} }} }}'
    async with asyncio.timeout(20):
        if transport == "socket":
            async with client.socket() as socket:
                await socket.subscribe(watch)
                await totals(socket.next)
        else:
            async with client.stream(watch) as stream:

                async def following() -> dict[str, Any]:
                    return dict((await anext(stream))["data"])

                await totals(following)


async def test_every_live_twin_answers_at_once_and_after_a_change(client: Client) -> None:
    twins = {
        "metric": f'metric(slug: "events", period: {PERIOD}) {{ estimate {{ value }} }}',
        "metrics": f'metrics(slugs: ["events"], period: {PERIOD}) {{ estimate {{ value }} }}',
        "revenue": f"revenue(period: {PERIOD}) {{ orders }}",
        "funnel": FUNNEL,
        "funnelCorrelations": f"{CORRELATIONS} {{ entered converted }}",
    }
    async with client.socket() as socket:
        for name, field in twins.items():
            every = field.replace("period:", 'every: "100ms", period:')
            await socket.subscribe(f"subscription {{ {every} }}", id=name)
            before = await socket.next()
            assert before == await client.ask(f"{{ {field} }}")
            await client.ingest(event(name="view", subject=name), purchase("1", name="buy", subject=name))
            after = await socket.next()
            assert after == await client.ask(f"{{ {field} }}")
            assert after != before
            await socket.put({"id": name, "type": "complete"})


async def test_events_are_watched_as_they_come(client: Client, stranger: Client) -> None:
    async with client.socket() as socket:
        await socket.subscribe('subscription { events(where: {name: ["view"]}) { id name subject } }')
        await socket.put({"type": "ping"})
        assert (await socket.get())["type"] == "pong"
        waiting = asyncio.create_task(socket.get())
        count = 0
        while not waiting.done():
            count += 1
            await stranger.ingest(event(name="view", subject="stranger"))
            await client.ingest(event(name="click"), event(name="view", subject=f"s{count}"))
        first = (await waiting)["payload"]["data"]["events"][0]
        assert first["name"] == "view"
        assert first["subject"].startswith("s")


async def test_tenants_with_the_same_ids_see_nothing_of_each_other(client: Client, stranger: Client) -> None:
    everything = f"""
      query ($node: ID!) {{
        tenant {{ slug }}
        events {{ edges {{ node {{ id subject }} }} }}
        node(id: $node) {{ ... on Event {{ subject }} }}
        nodes(ids: [$node]) {{ ... on Event {{ subject }} }}
        metric(slug: "events", period: {PERIOD}, by: [CHANNEL]) {{ estimate {{ value }} groups {{ keys {{ value }} }} }}
        revenue(period: {PERIOD}) {{ total {{ amount }} }}
        {FUNNEL}
        {CORRELATIONS} {{ entered untested }}
        funnelSubjects({STEPS}, step: 0, outcome: REACHED) {{ edges {{ node {{ subject }} }} }}
        funnels {{ edges {{ node {{ name }} }} }}
      }}
    """
    watch = f'subscription {{ metric(slug: "events", period: {PERIOD}, every: "100ms") {{ estimate {{ value }} }} }}'
    async with client.socket() as mine, stranger.socket() as theirs:
        for socket in (mine, theirs):
            await socket.subscribe(watch)
            assert (await socket.next())["metric"]["estimate"]["value"] == "0"
        await client.ingest(
            event(id="same", name="view", dimensions={"channel": "mine"}), purchase("5", id="p", name="buy")
        )
        await client.ask(
            'mutation { saveFunnel(input: {name: "mine", steps: [{name: "view"}, {name: "buy"}]}) { __typename } }'
        )
        assert (await mine.next())["metric"]["estimate"]["value"] == "2"
        listed = await client.ask("{ events { edges { node { id clientId: id } } } }")
        node = next(edge["node"]["id"] for edge in listed["events"]["edges"])
        seen = await stranger.ask(everything, node=node)
        assert seen.pop("tenant")["slug"] != (await client.ask("{ tenant { slug } }"))["tenant"]["slug"]
        assert seen == {
            "events": {"edges": []},
            "node": None,
            "nodes": [None],
            "metric": {"estimate": {"value": "0"}, "groups": []},
            "revenue": {"total": {"amount": "0"}},
            "funnel": {"steps": [{"name": "view", "count": 0}, {"name": "buy", "count": 0}]},
            "funnelCorrelations": {"entered": 0, "untested": 0},
            "funnelSubjects": {"edges": []},
            "funnels": {"edges": []},
        }
        await stranger.ingest(event(id="same", subject="theirs"))
        assert (await theirs.next())["metric"]["estimate"]["value"] == "1"
        assert (await stranger.ask(everything, node=node))["events"]["edges"][0]["node"]["subject"] == "theirs"


async def test_pages_of_events_cost_as_many_statements_whatever_they_hold(
    client: Client, gateway: tuple[str, Gateway]
) -> None:
    kinds = ["a", "b", "c"]
    await client.ingest(*(event(subject=f"s{n}", dimensions={"channel": kinds[n % 3]}) for n in range(300)))
    page = "{ events(first: %d) { edges { node { id name subject dimensions { channel plan } } } } }"
    statements: list[str] = []
    engine = gateway[1].services.database.engine.sync_engine

    def count(_c: Any, _k: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    sqlalchemy_event.listen(engine, "before_cursor_execute", count)
    try:
        costs = []
        for size in (1, 300):
            statements.clear()
            await client.ask(page % size)
            costs.append(len(statements))
    finally:
        sqlalchemy_event.remove(engine, "before_cursor_execute", count)
    assert costs[0] == costs[1] <= 6


async def test_nodes_are_fetched_together(client: Client, gateway: tuple[str, Gateway]) -> None:
    await client.ingest(*(event(id=f"e{n}") for n in range(50)))
    listed = await client.ask("{ events(first: 50) { edges { node { id } } } }")
    ids = [edge["node"]["id"] for edge in listed["events"]["edges"]]
    statements: list[str] = []
    engine = gateway[1].services.database.engine.sync_engine

    def count(_c: Any, _k: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    sqlalchemy_event.listen(engine, "before_cursor_execute", count)
    try:
        found = await client.ask("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=ids)
    finally:
        sqlalchemy_event.remove(engine, "before_cursor_execute", count)
    assert [node["id"] for node in found["nodes"]] == ids
    assert len(statements) <= 6


@pytest.mark.parametrize(
    ("role", "query", "code"),
    [
        ("INGEST", "{ tenant { slug } }", "FORBIDDEN"),
        ("INGEST", "{ __schema { queryType { name } } }", "FORBIDDEN"),
        ("VIEWER", "{ tenant { slug } }", None),
        ("VIEWER", "{ __schema { queryType { name } } }", None),
        (None, "{ tenant { slug } }", "UNAUTHENTICATED"),
        (None, "{ __typename }", None),
    ],
)
async def test_what_a_role_may_ask(
    gateway: tuple[str, Gateway], owner: Database, http: Any, role: str | None, query: str, code: str | None
) -> None:
    one = await new_client(gateway[0], owner, http, Role[role or "VIEWER"])
    headers = one.headers if role else {}
    answer = (await http.post(f"http://{one.address}/graphql", json={"query": query}, headers=headers)).json()
    codes = [error["extensions"]["code"] for error in answer.get("errors", [])]
    assert codes == ([code] if code else [])


async def test_a_viewer_may_not_write(gateway: tuple[str, Gateway], owner: Database, http: Any) -> None:
    viewer = await new_client(gateway[0], owner, http, Role.VIEWER)
    sent = (await viewer.ask(TRACK, input=conversion()))["trackConversion"]
    assert (sent["__typename"], sent["code"]) == ("Forbidden", "FORBIDDEN")
    saved = await viewer.ask(
        'mutation { saveFunnel(input: {name: "f", steps: [{name: "a"}, {name: "b"}]}) { __typename } }'
    )
    assert saved["saveFunnel"]["__typename"] == "Forbidden"


BAD: list[tuple[dict[str, Any], str]] = [
    ({"subject": None}, "subject"),
    ({"name": None}, "name"),
    ({"subject": ""}, "subject"),
    ({"subject": "a\0b"}, "subject"),
    ({"amount": "NaN"}, "amount"),
    ({"amount": "1e400"}, "amount"),
    ({"amount": "-1"}, "amount"),
    ({"amount": "1000000000001"}, "amount"),
    ({"currency": "XXY"}, "currency"),
    ({"occurredAt": "2026-03-10T12:00:00"}, "occurredAt"),
    ({"occurredAt": "0001-01-01T00:00:00Z"}, "occurredAt"),
    ({"occurredAt": "9999-12-31T23:59:59-23:59"}, "occurredAt"),
    ({"occurredAt": "2099-01-01T00:00:00Z"}, "occurredAt"),
    ({"properties": {"x": "y" * 40_000}}, "properties"),
]


@pytest.mark.parametrize(("change", "field"), BAD)
async def test_a_bad_item_is_named_and_the_good_ones_of_its_batch_are_stored(
    client: Client, change: dict[str, Any], field: str
) -> None:
    batch = """
      mutation ($input: IngestEventsInput!) {
        ingestEvents(input: $input) {
          __typename
          ... on IngestEventsPayload { accepted rejected { index field message } }
        }
      }
    """
    items = [
        {"conversion": conversion(id="a")},
        {"conversion": conversion(**change)},
        {"conversion": conversion(id="b")},
    ]
    receipt = (await client.ask(batch, input={"events": items}))["ingestEvents"]
    assert receipt["accepted"] == 2
    ((index, named, message),) = [tuple(one.values()) for one in receipt["rejected"]]
    assert (index, named) == (1, field)
    assert message
    alone = (await client.ask(TRACK, input=conversion(**change)))["trackConversion"]
    assert (alone["__typename"], alone["field"]) == ("InvalidInput", field)
    assert (await client.ask(REVENUE))["revenue"]["orders"] == 2


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ('{ metric(slug: "none") { estimate { value } } }', "slug"),
        ('{ metric(slug: "events", timezone: "Mars/Olympus") { estimate { value } } }', "timezone"),
        ('{ metric(slug: "events", period: {last: "x"}) { estimate { value } } }', "period.last"),
        ('{ revenue(period: {from: "2026-02-01T00:00:00Z", to: "2026-01-01T00:00:00Z"}) { orders } }', "period"),
        ('{ revenue(period: {from: "2026-02-01", to: "2026-03-01"}) { orders } }', "period.from"),
        ('{ funnel(steps: [{name: "a"}]) { steps { count } } }', "steps"),
        ("{ events(first: 0) { edges { cursor } } }", "first"),
        ('{ events(after: "bm90aGluZw") { edges { cursor } } }', "after"),
    ],
)
async def test_a_bad_question_gets_one_typed_error(client: Client, query: str, field: str) -> None:
    (error,) = (await client.send(query))["errors"]
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert error["extensions"]["field"] == field


async def test_a_bad_question_costs_those_beside_it_nothing(client: Client) -> None:
    await client.ingest(event(**conversion(kind="CONVERSION")))
    bad = "funnel(steps: []) { steps { count } } events(first: 501) { edges { cursor } }"
    answer = await client.send(f"{{ {bad} {REVENUE.strip('{}')} {FUNNEL.replace('funnel', 'good: funnel', 1)} }}")
    assert {error["path"][0]: error["extensions"]["code"] for error in answer["errors"]} == {
        "funnel": "BAD_USER_INPUT",
        "events": "BAD_USER_INPUT",
    }
    data = answer["data"]
    assert (data["funnel"], data["events"]) == (None, None)
    assert data["revenue"]["total"]["amount"] == "10"
    assert [step["count"] for step in data["good"]["steps"]] == [0, 0]


async def test_a_cursor_of_another_list_is_refused(client: Client) -> None:
    await client.ingest(event(), event())
    page = await client.ask("{ events(first: 1) { pageInfo { endCursor hasNextPage } } }")
    cursor = page["events"]["pageInfo"]["endCursor"]
    (error,) = (await client.send("query ($c: String) { funnels(after: $c) { edges { cursor } } }", c=cursor))["errors"]
    assert error["extensions"] == {"code": "BAD_USER_INPUT", "field": "after"}


async def test_a_revoked_key_is_shut_out_at_once(client: Client, gateway: tuple[str, Gateway], owner: Database) -> None:
    principal = await gateway[1].authenticate(client.key)
    assert principal is not None
    async with client.socket() as socket:
        await socket.subscribe(f"subscription {{ revenue(period: {PERIOD}) {{ orders }} }}")
        await socket.next()
        (key,) = await keys(owner, principal.tenant_id)
        await revoke_key(owner, principal.tenant_id, key.id)
        async with asyncio.timeout(10):
            await socket.connection.wait_closed()
        assert socket.connection.close_code == 4403
    answer = await client.send("{ tenant { slug } }")
    assert answer["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_open_things_are_counted_and_the_count_returns_to_zero(
    client: Client, gateway: tuple[str, Gateway]
) -> None:
    watch = f"subscription {{ revenue(period: {PERIOD}) {{ orders }} }}"

    def gauge(name: str) -> float | None:
        return gateway[1].metrics.registry.get_sample_value(name)

    async with client.socket() as socket, client.stream(watch) as stream:
        await socket.subscribe(watch)
        await socket.next()
        await anext(stream)
        assert (gauge("gateway_subscriptions"), gauge("gateway_sockets")) == (2, 1)
    async with asyncio.timeout(10):
        while (gauge("gateway_subscriptions"), gauge("gateway_sockets")) != (0, 0):
            await client.ask("{ __typename }")
    assert gateway[1].services.bus.listening == 0


async def test_the_schema_is_served_as_it_is_printed(client: Client) -> None:
    served = await client.http.get(f"http://{client.address}/schema.graphql")
    assert served.text.strip() == schema.as_str().strip()
