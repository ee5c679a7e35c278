"""Distinct people and orders over the wire: exact before, between and after foldings, and told where from."""

from typing import Any

from gateway.app import Gateway
from resolvers.store.folding import fold
from tests.client import Client
from tests.factories import NOON, event, purchase

ASKED = """
{
  metrics(
    slugs: ["unique_subjects", "average_order_value"]
    period: {from: "2026-03-01T00:00:00Z", to: "2026-04-01T00:00:00Z"}, timezone: "Asia/Tokyo"
  ) { estimate { value } explain { source rows tail } }
  revenue(period: {from: "2026-03-01T00:00:00Z", to: "2026-04-01T00:00:00Z"}) {
    customers orders explain { source }
  }
}"""


async def told(client: Client) -> list[Any]:
    answer = await client.ask(ASKED)
    metrics = [(one["estimate"]["value"], *one["explain"].values()) for one in answer["metrics"]]
    return [*metrics, tuple(answer["revenue"].values())]


async def test_answers_are_of_this_moment_whatever_is_folded(
    client: Client, stranger: Client, gateway: tuple[str, Gateway]
) -> None:
    await client.ingest(
        event(subject="ann"), purchase("3", subject="bob", orderId="o1"), purchase("5", subject="bob", orderId="o1")
    )
    await stranger.ingest(*(purchase("1", subject=f"s{n}", orderId=f"o{n}") for n in range(7)))
    log = {"source": "LOG"}
    assert await told(client) == [("2", "LOG", 3, 0), ("8", "LOG", 2, 0), (1, 1, log)]
    principal = await gateway[1].authenticate(client.key)
    assert principal is not None
    await fold(gateway[1].services.database, principal.tenant_id)
    # The log is as it was, and so is what was kept of the answer; a new event makes it anew.
    await client.ingest(purchase("1", subject="cleo", orderId="o2", occurredAt=NOON))
    sets = {"source": "PRESENCE"}
    assert await told(client) == [("3", "PRESENCE", 3, 1), ("4.5", "PRESENCE", 3, 1), (2, 2, sets)]
    await fold(gateway[1].services.database, principal.tenant_id)
    await client.ingest(purchase("1", subject="cleo", orderId="o1", occurredAt=NOON))
    assert [value for value, *_ in await told(client)] == ["3", "5", 2]
    assert [value for value, *_ in await told(stranger)] == ["7", "1", 7]
