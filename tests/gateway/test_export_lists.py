"""Lists as files, however long: of one moment, page by page, for those who may have them."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from gateway.answers import Answer
from gateway.app import Gateway
from gateway.callers import Callers
from gateway.endpoint import Endpoint
from gateway.export_streams import ExportStreams
from gateway.limits import Limits
from gateway.operations import Operation, Operations
from resolvers.context import Context, Principal, Role
from resolvers.errors import Overloaded, RateLimited
from resolvers.keys import Authenticator
from resolvers.store.database import Database
from schema import schema
from tests.client import Client
from tests.factories import NOON, event
from tests.gateway.exported import LOG, MARCH, colleague, error, get, revoke, table


async def test_lists_of_people_are_for_analysts(client: Client, owner: Database) -> None:
    await client.ingest(*LOG)
    viewer, analyst = [await colleague(client, owner, role) for role in (Role.VIEWER, Role.ANALYST)]
    ingest = await colleague(client, owner, Role.INGEST)
    assert (await get(viewer, "/export/revenue.csv")).status_code == 200
    assert (await get(ingest, "/export/revenue.csv")).status_code == 403
    for name in ("events", "subjectsAtRisk"):
        refused = await get(viewer, f"/export/{name}.csv")
        assert (refused.status_code, error(refused)["code"]) == (403, "FORBIDDEN")
        assert (await get(analyst, f"/export/{name}.csv")).status_code == 200


MANY = 1_500


def many() -> list[dict[str, Any]]:
    return [event(id=f"e{n}", subject=f"s{n % 900}", occurredAt=NOON + timedelta(seconds=n)) for n in range(MANY)]


class Gate:
    """Holds the third page of a list until it is let through, or fails it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached, self.opened = asyncio.Event(), asyncio.Event()
        self.failure: Exception | None = None
        self.pages = 0
        real = Operations.page

        async def page(operations: Operations, operation: Operation, context: Context, *, patient: bool) -> Answer:
            self.pages += 1
            if self.pages == 3:
                self.reached.set()
                await self.opened.wait()
                if self.failure is not None:
                    raise self.failure
            return await real(operations, operation, context, patient=patient)

        monkeypatch.setattr(Operations, "page", page)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    return Gate(monkeypatch)


async def read(client: Client, path: str, gate: Gate, meanwhile: Any) -> bytes:
    """The whole body of a file, ``meanwhile`` done when a part of it is there."""
    body = b""
    async with client.http.stream("GET", f"http://{client.address}{path}", headers=client.headers) as response:
        assert response.status_code == 200
        async for part in response.aiter_bytes():
            body += part
            if not gate.opened.is_set():
                await gate.reached.wait()
                await meanwhile()
                gate.opened.set()
    return body


async def test_a_list_is_of_one_moment_however_long_it_takes(client: Client, gate: Gate) -> None:
    await client.ingest(*many())

    async def meanwhile() -> None:
        # Pages are read no further ahead than they are sent.
        assert gate.pages == 3
        await client.ingest(event(id="late", occurredAt=NOON - timedelta(days=1)))

    body = await read(client, "/export/events.ndjson", gate, meanwhile)
    ids = [json.loads(line)["eventId"] for line in body.splitlines()]
    assert ids == [f"e{n}" for n in reversed(range(MANY))]
    assert gate.pages > 3
    assert len((await get(client, "/export/events.ndjson")).text.splitlines()) == MANY + 1


async def test_a_list_that_breaks_off_is_seen_to_be_broken(client: Client, gate: Gate) -> None:
    await client.ingest(*many())

    async def meanwhile() -> None:
        gate.failure = RuntimeError("SELECT secret")

    with pytest.raises(httpx2.RemoteProtocolError):
        await read(client, "/export/events.csv", gate, meanwhile)
    assert len(await table(client, "/export/events.csv")) == MANY


async def test_the_end_of_a_key_ends_what_it_downloads(client: Client, owner: Database, gate: Gate) -> None:
    await client.ingest(*many())
    other = await colleague(client, owner, Role.ANALYST)

    with pytest.raises(httpx2.RemoteProtocolError):
        async with asyncio.timeout(20):
            await asyncio.gather(read_to_the_end(other, gate), meanwhile_reached(gate, owner, other))


async def read_to_the_end(client: Client, gate: Gate) -> None:
    async with client.http.stream(
        "GET", f"http://{client.address}/export/events.csv", headers=client.headers
    ) as response:
        async for _ in response.aiter_bytes():
            pass


async def meanwhile_reached(gate: Gate, owner: Database, client: Client) -> None:
    await gate.reached.wait()
    await revoke(client, owner)


async def test_a_rate_that_is_used_up_is_waited_for(
    client: Client, gateway: tuple[str, Gateway], monkeypatch: pytest.MonkeyPatch
) -> None:
    await client.ingest(*many())
    callers = gateway[1]._callers
    assert callers is not None
    charged, refusals = [], [RateLimited("Too much.", retry_after=0.001)]

    def charge(principal: Any, cost: int, *, apart: bool = False) -> None:
        charged.append(cost)
        if len(charged) == 3:
            raise refusals.pop()

    monkeypatch.setattr(callers, "charge", charge)
    assert len(await table(client, "/export/events.csv")) == MANY
    assert not refusals
    refusals.append(RateLimited("Too much.", retry_after=7))
    charged += [0, 0]
    del charged[2:]
    first = await get(client, "/export/events.csv")
    assert (first.status_code, error(first)["code"], first.headers["retry-after"]) == (429, "RATE_LIMITED", "7")


async def test_an_export_takes_nothing_from_what_a_key_may_ask_beside_it() -> None:
    callers = Callers(Authenticator(None, b""), Limits(key_cost_rate=1))  # type: ignore[arg-type]
    holder = Principal(1, "acme", "USD", "UTC", 1, Role.ADMIN)
    callers.charge(holder, 1_000, apart=True)
    callers.charge(holder, 1_000)
    for apart in (True, False):
        with pytest.raises(RateLimited):
            callers.charge(holder, 1, apart=apart)


async def test_only_so_many_lists_at_a_time(gateway: tuple[str, Gateway]) -> None:
    streams = ExportStreams(Endpoint(schema, None, None, gateway[1].sessions), None, None)  # type: ignore[arg-type]
    with streams._place(1), streams._place(1):
        with pytest.raises(Overloaded), streams._place(1):
            pass
        with streams._place(2), streams._place(2), pytest.raises(Overloaded), streams._place(3):
            pass
    with streams._place(3):
        assert streams._running == {3: 1}


async def test_subjects_of_a_funnel_are_walked_once(client: Client, gate: Gate) -> None:
    gate.opened.set()
    await client.ingest(*many())
    arguments = {"steps": [{"name": "page_view"}, {"name": "purchase"}], "step": 1, "period": MARCH}
    rows = await table(client, "/export/funnelSubjects.csv", arguments=arguments)
    assert [row["subject"] for row in rows] == [f"s{n}" for n in range(900)]
    assert gate.pages == 2
