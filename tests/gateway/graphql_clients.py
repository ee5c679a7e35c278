"""Clients of the test's endpoint, over real sockets."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from gateway.endpoint import Endpoint
from tests.gateway.graphql_world import World, make_endpoint, serving

RESPONSE_JSON = "application/graphql-response+json"
INIT = {"type": "connection_init", "payload": {"Authorization": "Bearer viewer"}}


class Client:
    """Posts documents and reads answers."""

    def __init__(self, http: httpx2.AsyncClient, world: World, endpoint: Endpoint) -> None:
        self.http = http
        self.world = world
        self.endpoint = endpoint

    async def post(
        self, body: object, *, key: str | None = "viewer", accept: str = RESPONSE_JSON, **headers: str
    ) -> httpx2.Response:
        authorization = {} if key is None else {"authorization": f"Bearer {key}"}
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.http.post(
            "/graphql",
            content=body if isinstance(body, bytes) else json.dumps(body).encode(),
            headers={"content-type": "application/json", "accept": accept, **authorization, **names},
        )

    async def ask(self, query: str, *, key: str | None = "viewer", **variables: Any) -> dict[str, Any]:
        response = await self.post({"query": query, "variables": variables}, key=key)
        answer: dict[str, Any] = response.json()
        return answer

    async def code(self, query: str, *, key: str | None = "viewer", **variables: Any) -> str:
        return str((await self.ask(query, key=key, **variables))["errors"][0]["extensions"]["code"])


@asynccontextmanager
async def client(**changes: Any) -> AsyncIterator[Client]:
    world = World()
    endpoint = make_endpoint(world, **changes)
    async with serving(endpoint) as host, httpx2.AsyncClient(base_url=f"http://{host}", timeout=20) as http:
        yield Client(http, world, endpoint)


class Socket:
    """A client's end."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def send(self, message: object) -> None:
        await self.connection.send(json.dumps(message))

    async def receive(self) -> dict[str, Any]:
        text = await asyncio.wait_for(self.connection.recv(), 10)
        assert isinstance(text, str)
        message: dict[str, Any] = json.loads(text)
        return message

    async def subscribe(self, id_: str, query: str, **variables: object) -> None:
        await self.send({"id": id_, "type": "subscribe", "payload": {"query": query, "variables": variables}})

    async def ask(self, query: str, **variables: object) -> list[dict[str, Any]]:
        """All messages that answer one operation."""
        await self.subscribe("1", query, **variables)
        messages = [await self.receive()]
        while messages[-1]["type"] == "next":
            messages.append(await self.receive())
        return messages

    async def closed(self) -> tuple[int, str]:
        """The code and reason of the close that must come now."""
        try:
            while True:
                await asyncio.wait_for(self.connection.recv(), 10)
        except ConnectionClosed as closed:
            return (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else (1006, "")


@asynccontextmanager
async def opened(host: str, *protocols: str, **options: Any) -> AsyncIterator[Socket]:
    offered = [Subprotocol(name) for name in protocols or ("graphql-transport-ws",)]
    async with connect(f"ws://{host}/graphql", subprotocols=offered, **options) as connection:
        yield Socket(connection)


@asynccontextmanager
async def ready(endpoint: Endpoint, init: object = INIT) -> AsyncIterator[Socket]:
    """A socket that is served and acknowledged."""
    async with serving(endpoint) as host, opened(host) as socket:
        await socket.send(init)
        assert await socket.receive() == {"type": "connection_ack"}
        yield socket
