"""How fast a list of objects becomes an answer: the gateway's executor against plain Strawberry."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from time import process_time

import orjson
import strawberry
from strawberry.schema.config import StrawberryConfig

from benchmarks.bench import Bench
from benchmarks.ratios import Line, Ratio, Reach, in_turns, milliseconds
from gateway.endpoint import Endpoint
from gateway.operations import Operations
from gateway.parameters import Parameters
from gateway.sessions import Sessions
from resolvers.context import Principal, Role
from schema.scalars import SCALARS

_DOCUMENT = "query List { items { id name colour count score note amount at } }"
_REPEATS = 30
"""So that either side computes for about as long."""
_START = datetime(2025, 1, 1, tzinfo=UTC)


@strawberry.enum
class Colour(Enum):
    """What an item looks like."""

    RED = "red"
    GREEN = "green"


@strawberry.type
@dataclass
class Item:
    """An object of eight fields."""

    id: strawberry.ID
    name: str
    colour: Colour
    count: int
    score: float
    note: str | None
    amount: Decimal
    at: datetime


def _item(number: int) -> Item:
    return Item(
        id=strawberry.ID(str(number)),
        name=f"item {number}",
        colour=Colour.RED if number % 2 else Colour.GREEN,
        count=number,
        score=number / 7,
        note=None if number % 3 else "a note",
        amount=Decimal(number) / 4,
        at=_START + timedelta(minutes=number),
    )


async def list_of_objects(bench: Bench) -> list[Line]:
    """The same objects, document and scalars on both sides, from the document's text to encoded JSON."""
    items = [_item(number) for number in range(bench.objects)]

    @strawberry.type
    class Query:
        @strawberry.field
        async def items(self) -> list[Item]:
            return items

    plain, ours = (strawberry.Schema(query=Query, config=StrawberryConfig(scalar_map=SCALARS)) for _ in range(2))
    bodies: list[bytes] = []
    operations = Operations(Endpoint(ours, _nobody, lambda _: object(), Sessions()))
    principal = Principal(1, "benchmark", "USD", "UTC", 1, Role.ADMIN)

    async def by_strawberry() -> float:
        started = process_time()
        result = await plain.execute(_DOCUMENT)
        bodies.append(orjson.dumps({"data": result.data}))
        return process_time() - started

    async def by_gateway() -> float:
        started = process_time()
        for _ in range(_REPEATS):
            operation = operations.match(Parameters(_DOCUMENT, None, {}), principal)
            body = (await operations.execute(operation)).body
        seconds = process_time() - started
        bodies.append(body)
        return seconds / _REPEATS

    tick = bench.ticks("List of objects", bench.rounds + 1)
    theirs, own = await in_turns(bench.rounds, tick, by_strawberry, by_gateway)
    assert len(set(bodies)) == 1, "the two executors answer differently"
    assert len(orjson.loads(bodies[0])["data"]["items"]) == bench.objects
    detail = f"{milliseconds(own)} of CPU against {milliseconds(theirs)}, {bench.objects:,} objects of 8 fields"
    return [Ratio.of("list of objects", theirs, own, Reach(30), detail)]


async def _nobody(token: str | None, address: str = "") -> None:
    """Nobody is asked for a key here."""
