"""Pages of other origins: who may read answers from a browser, and who may not."""

from collections.abc import AsyncIterator

import httpx2
import pytest

from resolvers.store.database import Database
from tests.client import Client, running_gateway
from tests.conftest import new_client
from tests.gateway.test_flags import CREATE, done

APP, EVIL = "https://app.example", "https://evil.example"
QUERY = {"query": "{ revenue { orders } }"}
PATHS = ("/graphql", "/ofrep/v1/evaluate/flags", "/ofrep/v1/evaluate/flags/a", "/flags/production.json", "/ingest")


@pytest.fixture
async def shared(database_url: str, owner: Database, http: httpx2.AsyncClient) -> AsyncIterator[Client]:
    """A client of a gateway that pages of another origin may use."""
    async with running_gateway(database_url, upkeep=False, allowed_origins=(APP,)) as (address, _):
        yield await new_client(address, owner, http)


async def preflight(client: Client, path: str, origin: str, method: str = "POST") -> httpx2.Response:
    asked = {"access-control-request-method": method, "access-control-request-headers": "authorization,content-type"}
    return await client.http.options(f"http://{client.address}{path}", headers={"origin": origin} | asked)


async def test_an_allowed_page_asks_before_and_reads_after(shared: Client) -> None:
    for path in PATHS:
        answer = await preflight(shared, path, APP)
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, APP)
        assert "authorization" in answer.headers["access-control-allow-headers"]
        assert "access-control-allow-credentials" not in answer.headers
    await done(shared, CREATE, key="a")
    headers = shared.headers | {"origin": APP}
    found = await shared.http.post(f"http://{shared.address}/graphql", json=QUERY, headers=headers)
    assert (found.json()["data"]["revenue"], found.headers["access-control-allow-origin"]) == ({"orders": 0}, APP)
    assert {part.strip() for part in found.headers["vary"].split(",")} == {"Accept", "Origin"}
    flags = f"http://{shared.address}/ofrep/v1/evaluate/flags"
    first = await shared.http.post(flags, json={}, headers=headers)
    assert "etag" in first.headers["access-control-expose-headers"].lower()
    again = await shared.http.post(flags, json={}, headers=headers | {"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.headers["access-control-allow-origin"]) == (304, APP)
    refused = await shared.http.post(flags, json={}, headers={"origin": APP})
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, APP)


async def test_any_other_page_reads_nothing(shared: Client, client: Client) -> None:
    for one, origin in ((shared, EVIL), (client, APP), (client, EVIL), (shared, "null")):
        asked = await preflight(one, "/graphql", origin)
        assert asked.status_code >= 400
        assert "access-control-allow-origin" not in asked.headers
        answer = await one.http.post(
            f"http://{one.address}/graphql", json=QUERY, headers=one.headers | {"origin": origin}
        )
        assert "access-control-allow-origin" not in answer.headers
    assert (await preflight(shared, "/graphql", APP, "DELETE")).status_code == 400


async def test_any_page_may_where_it_is_said(database_url: str, owner: Database, http: httpx2.AsyncClient) -> None:
    async with running_gateway(database_url, upkeep=False, allowed_origins=("*",)) as (address, _):
        one = await new_client(address, owner, http)
        assert (await preflight(one, "/graphql", EVIL)).headers["access-control-allow-origin"] == "*"
