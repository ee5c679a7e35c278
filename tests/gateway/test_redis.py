"""Gateways that share a database and a Redis: each answers what the other wrote, and Redis makes it no other answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import httpx2
import pytest
from graphql import is_required_argument

from gateway.app import Gateway
from resolvers.context import Role, utc_now
from resolvers.keys import create_key, pepper
from resolvers.live import shared
from resolvers.store.database import Database
from schema import schema
from tests.client import Client, running_gateway
from tests.factories import new_principal, purchase
from tests.foretelling_contract import LEAST_EVERY as FORETOLD
from tests.gateway.test_experiments import started
from tests.gateway.test_max_age import ASKED, all_of, told
from tests.redis_server import RedisServer, eventually

Pair = tuple[tuple[Client, Gateway], tuple[Client, Gateway]]
WATCH = ASKED["revenue"] % ', every: "100ms"'


@asynccontextmanager
async def gateways(redis_url: str, database_url: str, owner: Database, http: httpx2.AsyncClient) -> AsyncIterator[Pair]:
    """One tenant's admin at two gateways."""
    principal = await new_principal(owner)
    made = await create_key(owner, principal.tenant_id, Role.ADMIN, "test", pepper=await pepper(owner))
    one = running_gateway(database_url, redis_url=redis_url, upkeep=False, pool_size=4)
    other = running_gateway(database_url, redis_url=redis_url, upkeep=False, pool_size=4)
    async with one as (here, first), other as (there, second):
        yield (Client(here, made.secret, http), first), (Client(there, made.secret, http), second)


@pytest.fixture
async def pair(redis: RedisServer, database_url: str, owner: Database, http: httpx2.AsyncClient) -> AsyncIterator[Pair]:
    async with gateways(redis.url, database_url, owner, http) as pair:
        for _, gateway in pair:
            await eventually(lambda gateway=gateway: gateway.redis() == "up")  # type: ignore[misc]
        yield pair


def stop_clocks(pair: Pair) -> None:
    """Have it be the same minute for as long as a test takes: what an answer is about moves on with it."""
    moment = utc_now()
    for _, gateway in pair:
        gateway._services = replace(gateway.services, now=lambda: moment)


async def health(client: Client) -> tuple[int, object]:
    response = await client.http.get(f"http://{client.address}/health/ready")
    return response.status_code, response.json()


async def sample(client: Client, name: str) -> float:
    """A number that Prometheus would read."""
    lines = (await client.http.get(f"http://{client.address}/metrics")).text.splitlines()
    return float(next(line for line in lines if line.startswith(f"{name} ")).rpartition(" ")[2])


@pytest.mark.parametrize("redis_seconds", [shared._SECONDS])
async def test_a_write_through_one_is_seen_through_the_other_at_once(pair: Pair, redis: RedisServer) -> None:
    (here, _), (there, _) = pair
    async with there.socket() as socket:
        await socket.subscribe(f"subscription {{ {WATCH} }}")
        assert (await socket.next())["revenue"]["n"] == 0
        for number in range(1, 13):
            if number == 5:
                redis.pause()
            elif number == 7:
                await redis.kill()
            elif number == 10:
                await redis.start()
            await here.ingest(purchase("1", id=str(number)))
            answers = await asyncio.gather(there.ask(all_of()), here.ask(all_of()))
            assert [told(answer)["revenue"][0] for answer in answers] == [number, number]
            seen = 0
            while seen < number:
                now = (await socket.next())["revenue"]["n"]
                assert seen < now <= number
                seen = now


async def test_every_analysis_is_shared(pair: Pair) -> None:
    (here, first), (there, second) = pair
    await here.ingest(purchase("1"))
    stop_clocks(pair)
    mine = await here.ask(all_of())
    await first.services.cache.settled()
    assert await there.ask(all_of()) == mine
    assert second.services.cache.misses == 0
    assert second.services.cache.shared_hits == len(ASKED)


GIVEN = {
    "slug": '"revenue"',
    "slugs": '["revenue"]',
    "steps": '[{name: "view"}, {name: "purchase"}]',
    "rules": "{all: []}",
    "segment": '"Buyers"',
    "segments": '["Buyers"]',
    "experiment": '"button"',
    "step": "1",
    "key": '"calls"',
}
"""What analyses have to be told, as far as that is alike."""
QUERIES = schema._schema.query_type.fields  # type: ignore[union-attr]
OTHERS = sorted(name for name, field in QUERIES.items() if "maxAge" in field.args and name not in {*ASKED, *FORETOLD})


async def test_every_other_analysis_is_shared(pair: Pair) -> None:
    (here, first), (there, second) = pair
    await here.ingest(purchase("1"))
    await started(here)
    keep = """mutation ($rules: SegmentRuleInput!) {
      one: saveSegment(input: {name: "Buyers", rules: $rules}) { __typename }
      two: saveSegment(input: {name: "Everybody", rules: {all: []}}) { __typename }
      who: savePersona(input: {slug: "buyer", name: "Buyer", rules: $rules}) { __typename }
      budget: setAiBudget(input: {amount: "5"}) { __typename }
      slo: createSlo(input: {key: "calls", metric: "ai_success_rate", objective: "0.9"}) { __typename } }"""
    done = await here.ask(keep, rules={"did": {"where": {"kind": ["CONVERSION"]}}})
    assert all(one["__typename"].endswith("Payload") for one in done.values()), done
    stop_clocks(pair)
    special = {"personaProfile": {"slug": '"buyer"'}, "segmentOverlap": {"segments": '["Buyers", "Everybody"]'}}
    for name in OTHERS:
        given = GIVEN | special.get(name, {})
        wanted = [key for key, of in QUERIES[name].args.items() if is_required_argument(of)]
        arguments = ", ".join(f"{key}: {given[key]}" for key in wanted)
        asked = f"{{ {name}{f'({arguments})' if arguments else ''} {{ __typename }} }}"
        mine = await here.ask(asked)
        await first.services.cache.settled()
        assert await there.ask(asked) == mine
        # Some are made of answers that others have brought here already.
        assert second.services.cache.misses == 0, name
    assert second.services.cache.shared_hits > len(OTHERS) // 2


async def test_what_is_foretold_is_shared(pair: Pair) -> None:
    (here, first), (there, second) = pair
    await here.ingest(purchase("1"))
    stop_clocks(pair)
    asked = " ".join(f"{name} {{asOf explain {{rows}}}}" for name in FORETOLD)
    mine = await here.ask(f"{{{asked}}}")
    await first.services.cache.settled()
    assert await there.ask(f"{{{asked}}}") == mine
    assert (second.services.cache.misses, second.services.cache.shared_hits) == (0, len(FORETOLD))


async def test_an_older_answer_computed_by_the_other_is_taken(pair: Pair) -> None:
    (here, first), (there, _) = pair
    older = all_of(', maxAge: "1h"')
    mine = told(await here.ask(all_of()))
    await first.services.cache.settled()
    await here.ingest(purchase("1"))
    assert told(await there.ask(older)) == mine
    assert {n for n, _ in told(await there.ask(all_of())).values()} == {1}


async def test_how_redis_does_is_told_and_decides_nothing(pair: Pair, redis: RedisServer) -> None:
    (here, gateway), _ = pair
    assert await health(here) == (200, {"status": "ready", "redis": "up"})
    assert await sample(here, "gateway_redis_up") == 1
    before = await sample(here, 'gateway_answers{source="computed"}')
    await redis.kill()
    await here.ask(all_of())
    assert gateway.redis() == "away"
    assert await health(here) == (200, {"status": "ready", "redis": "away"})
    assert await sample(here, "gateway_redis_up") == 0
    assert await sample(here, 'gateway_answers{source="computed"}') == before + len(ASKED)
    await redis.start()
    await eventually(lambda: gateway.redis() == "up")


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1", "unix:///nowhere/at/all", "rediss://:word@127.0.0.1:1/0"])
async def test_gateways_start_and_answer_without_redis(
    url: str, database_url: str, owner: Database, http: httpx2.AsyncClient
) -> None:
    async with gateways(url, database_url, owner, http) as ((here, _), (there, _)):
        await here.ingest(purchase("1"))
        assert told(await there.ask(all_of()))["revenue"][0] == 1
        assert await health(here) == (200, {"status": "ready", "redis": "away"})


async def test_where_there_is_no_redis_nothing_is_said_of_it(gateway: tuple[str, Gateway], client: Client) -> None:
    assert await health(client) == (200, {"status": "ready"})
    assert "gateway_redis_up" not in (await client.http.get(f"http://{gateway[0]}/metrics")).text
