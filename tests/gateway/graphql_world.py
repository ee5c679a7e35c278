"""A small schema behind the GraphQL endpoint, served in process on a loopback port, for the protocol's tests."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import Enum
from typing import Any

import strawberry
import uvicorn
from starlette.applications import Starlette
from strawberry.scalars import JSON

from gateway.endpoint import Endpoint
from gateway.limits import Limits
from gateway.routes import graphql_routes
from gateway.server import ServerConfig
from gateway.sessions import Sessions
from gateway.settings import load_settings
from resolvers.context import Principal, Role
from resolvers.errors import BadInput, Forbidden, Overloaded, Unauthenticated, Unavailable
from schema.one_of import checked_by_graphql

OWN_SERVER = False
"""Whether the endpoint is served as the gateway runs uvicorn, and not as uvicorn comes."""
KEYS = {role.name.lower(): role for role in Role}


@dataclass
class World:
    """What the test's schema acts on, and what happened to it."""

    keys: dict[str, Principal] = field(default_factory=dict)
    contexts: "list[Context]" = field(default_factory=list)
    happened: Counter[str] = field(default_factory=Counter)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def note(self, event: str) -> None:
        """Count ``event`` and wake whoever waits for it."""
        async with self.changed:
            self.happened[event] += 1
            self.changed.notify_all()

    async def until(self, event: str, times: int = 1) -> None:
        """Return once ``event`` has happened so often."""
        async with self.changed, asyncio.timeout(10):
            await self.changed.wait_for(lambda: self.happened[event] >= times)


@dataclass
class Context:
    """What a resolver is given."""

    world: World
    principal: Principal | None


Info = strawberry.Info[Context, None]


@strawberry.enum
class Colour(Enum):
    """A colour."""

    RED = "red"
    GREEN = "green"


@strawberry.input(one_of=True)
class Choice:
    """One of two."""

    number: strawberry.Maybe[int]
    text: strawberry.Maybe[str]


@strawberry.type
class Item:
    """A thing that holds things."""

    name: str

    @strawberry.field
    def items(self, first: int = 3) -> "list[Item]":
        """The things in it."""
        return [Item(name=f"{self.name}.{index}") for index in range(first)]

    @strawberry.field
    def owner(self) -> "Item":
        """The thing that holds it."""
        return Item(name="owner")


ERRORS: dict[str, Exception] = {
    "input": BadInput("The period ends before it starts.", field="period"),
    "forbidden": Forbidden("Analysts only."),
    "overloaded": Overloaded("Too much at once.", retry_after=7),
    "unavailable": Unavailable("The database is away.", retry_after=2),
    "timeout": TimeoutError(),
    "crash": RuntimeError("SELECT secret FROM /etc/passwd"),
}


@strawberry.type
class Query:
    """What may be asked."""

    @strawberry.field
    def hello(self, name: str = "world", colour: Colour = Colour.RED) -> str:
        """A greeting."""
        return f"hello {name}"

    @strawberry.field
    def whoami(self, info: Info) -> str | None:
        """The role of the key."""
        return info.context.principal.role.name if info.context.principal else None

    @strawberry.field
    def item(self) -> Item:
        """A thing."""
        return Item(name="item")

    @strawberry.field
    def choose(self, choice: Choice) -> str:
        """What was chosen."""
        return "number" if choice.number else "text"

    @strawberry.field
    def integer(self, value: int) -> int:
        """The same number."""
        return value

    @strawberry.field
    def json(self) -> JSON:
        """Values that JSON has no words for."""
        return JSON({"nan": float("nan"), "deep": [1]})

    @strawberry.field
    def unprintable(self) -> JSON:
        """A value that JSON cannot hold."""
        return JSON({"surrogate": "\ud800", "big": 2**80, "decimal": Decimal(1)})

    @strawberry.field
    def not_a_number(self) -> float | None:
        """No number."""
        return float("nan")

    @strawberry.field
    def fail(self, how: str) -> str | None:
        """Never an answer."""
        raise ERRORS[how]

    @strawberry.field
    def must_fail(self, how: str) -> str:
        """Never an answer, and no null either."""
        raise ERRORS[how]

    @strawberry.field
    async def wait(self, info: Info) -> str:
        """An answer once the gate is open."""
        return await pass_gate(info.context.world, "query")


@strawberry.type
class Mutation:
    """What may be changed."""

    @strawberry.mutation
    async def write(self, info: Info) -> str:
        """Written once the gate is open."""
        return await pass_gate(info.context.world, "write")


async def pass_gate(world: World, what: str) -> str:
    """Wait for the gate, noting the start and how it ended."""
    await world.note(f"{what} started")
    try:
        await world.gate.wait()
    except asyncio.CancelledError:
        await world.note(f"{what} cancelled")
        raise
    await world.note(f"{what} done")
    return what


@strawberry.type
class Subscription:
    """What may be watched."""

    @strawberry.subscription
    async def count(self, to: int) -> AsyncIterator[int]:
        """One, two, and so on."""
        for number in range(1, to + 1):
            yield number

    @strawberry.subscription
    async def forever(self, info: Info) -> AsyncIterator[int]:
        """Zero, and nothing more; its clean-up takes more than one step."""
        world = info.context.world
        try:
            yield 0
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            await world.note("cleaned up")

    @strawberry.subscription
    async def flood(self, info: Info) -> AsyncIterator[str]:
        """Text without end."""
        try:
            while True:
                yield "x" * 65_536
                await asyncio.sleep(0)
        finally:
            await info.context.world.note("cleaned up")

    @strawberry.subscription
    async def breaks(self, how: str, after: int = 0) -> AsyncIterator[int]:
        """Some numbers, then an error."""
        for number in range(after):
            yield number
        raise ERRORS[how]


@dataclass
class Record:
    """An observer that remembers."""

    operations: list[tuple[str | None, str, str | None]] = field(default_factory=list)
    open_subscriptions: int = 0
    closed_subscriptions: int = 0

    def operation(self, name: str | None, kind: str, seconds: float, code: str | None) -> None:
        self.operations.append((name, kind, code))

    def subscription_opened(self, name: str | None) -> None:
        self.open_subscriptions += 1

    def subscription_closed(self, name: str | None, seconds: float, code: str | None) -> None:
        self.open_subscriptions -= 1
        self.closed_subscriptions += 1


def make_endpoint(world: World | None = None, /, **changes: Any) -> Endpoint:
    """An endpoint over ``world`` with a key for each role, named like it; ``changes`` are of its limits or itself."""
    world = world or World()
    for number, (name, role) in enumerate(KEYS.items(), 1):
        world.keys[name] = Principal(1, "acme", "USD", "UTC", number, role)

    async def authenticate(token: str | None, address: str = "") -> Principal | None:
        if token is None:
            return None
        if token not in world.keys:
            raise Unauthenticated("The key is unknown.")
        return world.keys[token]

    def context(principal: Principal | None) -> Context:
        world.contexts.append(Context(world, principal))
        return world.contexts[-1]

    names = set(Limits.__dataclass_fields__)
    limits = replace(Limits(), **{name: value for name, value in changes.items() if name in names})
    others = {name: value for name, value in changes.items() if name not in names}
    schema = checked_by_graphql(strawberry.Schema(query=Query, mutation=Mutation, subscription=Subscription))
    return Endpoint(schema, authenticate, context, Sessions(limits), limits, **others)


def make_app(endpoint: Endpoint) -> Starlette:
    """An application with nothing but the endpoint."""
    return Starlette(routes=graphql_routes(endpoint))


@asynccontextmanager
async def serving(endpoint: Endpoint) -> AsyncIterator[str]:
    """The ``host:port`` under which the endpoint is served, over real sockets, until the block is left."""
    app = make_app(endpoint)
    config = ServerConfig(app, load_settings()) if OWN_SERVER else uvicorn.Config(app, log_config=None)
    config.port, config.lifespan, config.ws_max_size = 0, "off", 2**20
    config.load()
    server = uvicorn.Server(config)
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    try:
        host, port = server.servers[0].sockets[0].getsockname()[:2]
        yield f"{host}:{port}"
    finally:
        await endpoint.sessions.shutdown(2)
        await server.shutdown()
