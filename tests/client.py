"""The gateway as its clients meet it: a running server on loopback, GraphQL over HTTP, WebSocket and event streams."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
from websockets.asyncio.client import ClientConnection, connect

from gateway.app import Gateway, create_app
from gateway.server import Server, ServerConfig, bind
from gateway.settings import Settings


@asynccontextmanager
async def running_gateway(url: str, **settings: Any) -> AsyncIterator[tuple[str, Gateway]]:
    """A gateway over a database, as the command line would serve it; yields its ``host:port`` and itself."""
    chosen = Settings(_env_file=None, **settings)
    app = create_app(chosen, url)
    ready = asyncio.Event()
    gateway: Gateway = app.state.gateway
    server = Server(ServerConfig(app, chosen, gateway.crowd, gateway.rounds), ready.set, gateway.begin_stop)
    listener = bind("127.0.0.1", 0)
    host, port = listener.getsockname()
    serving = asyncio.create_task(server._serve([listener]))  # the public way would take the test run's signals
    try:
        async with asyncio.timeout(20):
            await ready.wait()
            await gateway.services.bus.ready.wait()
        yield f"{host}:{port}", gateway
    finally:
        server.should_exit = True
        await serving


@dataclass
class Client:
    """One key's view of a gateway."""

    address: str
    key: str
    http: httpx2.AsyncClient

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.key}"}

    async def send(self, query: str, **variables: Any) -> dict[str, Any]:
        """The whole answer to an operation."""
        response = await self.http.post(
            f"http://{self.address}/graphql", json={"query": query, "variables": variables}, headers=self.headers
        )
        return dict(response.json())

    async def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """The data of an operation that succeeds."""
        answer = await self.send(query, **variables)
        assert "errors" not in answer, answer["errors"]
        return dict(answer["data"])

    async def ingest(self, *events: dict[str, Any]) -> dict[str, Any]:
        """What became of events sent as lines."""
        response = await self.http.post(
            f"http://{self.address}/ingest",
            content="\n".join(map(json.dumps, events)),
            headers=self.headers | {"content-type": "application/x-ndjson"},
        )
        assert response.status_code == 200, response.text
        return dict(response.json())

    @asynccontextmanager
    async def socket(self) -> AsyncIterator["Socket"]:
        """A WebSocket that has introduced itself."""
        async with connect(f"ws://{self.address}/graphql", subprotocols=["graphql-transport-ws"]) as connection:  # type: ignore[list-item]
            socket = Socket(connection)
            await socket.put({"type": "connection_init", "payload": {"Authorization": f"Bearer {self.key}"}})
            assert (await socket.get())["type"] == "connection_ack"
            yield socket

    @asynccontextmanager
    async def stream(self, query: str, **variables: Any) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
        """The answers of a subscription over an event stream."""
        async with self.http.stream(
            "POST",
            f"http://{self.address}/graphql",
            json={"query": query, "variables": variables},
            headers=self.headers | {"accept": "text/event-stream"},
        ) as response:
            assert response.status_code == 200, await response.aread()
            yield _answers(response)


async def _answers(response: httpx2.Response) -> AsyncIterator[dict[str, Any]]:
    event = ""
    async for line in response.aiter_lines():
        if line.startswith("event:"):
            event = line.removeprefix("event:").strip()
        elif line.startswith("data:") and event == "next":
            yield json.loads(line.removeprefix("data:"))


class Socket:
    """A graphql-transport-ws conversation."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def put(self, message: dict[str, Any]) -> None:
        await self.connection.send(json.dumps(message))

    async def get(self) -> dict[str, Any]:
        async with asyncio.timeout(15):
            return dict(json.loads(await self.connection.recv()))

    async def subscribe(self, query: str, *, id: str = "1", **variables: Any) -> None:  # the protocol's word
        await self.put({"id": id, "type": "subscribe", "payload": {"query": query, "variables": variables}})

    async def next(self) -> dict[str, Any]:
        """The data of the next answer."""
        message = await self.get()
        assert message["type"] == "next", message
        assert "errors" not in message["payload"], message
        return dict(message["payload"]["data"])
