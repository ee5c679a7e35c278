"""Files of answers, asked for as by somebody who downloads them."""

import csv
import io
import json
from typing import Any

import httpx2

from resolvers.context import Role
from resolvers.keys import create_key, keys, pepper, revoke_key
from resolvers.store.database import Database
from resolvers.tenants import tenants
from tests.client import Client
from tests.factories import event, purchase

MARCH = {"from": "2026-03-01T00:00:00Z", "to": "2026-04-01T00:00:00Z"}
STEPS = [{"name": "page_view"}, {"name": "purchase"}]
LOG = [
    event(subject="ann", dimensions={"channel": "email"}),
    event(subject="bob", dimensions={"channel": "ads"}),
    event(subject="cat"),
    purchase("49.90", subject="ann", occurredAt="2026-03-10T13:00:00Z", dimensions={"channel": "email"}),
]


async def get(client: Client, path: str, **parameters: Any) -> httpx2.Response:
    """A file asked for with the client's key; arguments as JSON."""
    if "arguments" in parameters:
        parameters["arguments"] = json.dumps(parameters["arguments"])
    return await client.http.get(f"http://{client.address}{path}", params=parameters, headers=client.headers)


async def table(client: Client, path: str, **parameters: Any) -> list[dict[str, str]]:
    """The rows of a file of comma-separated values."""
    response = await get(client, path, **parameters)
    assert response.status_code == 200, response.text
    return list(csv.DictReader(io.StringIO(response.text, newline="")))


def error(response: httpx2.Response) -> dict[str, Any]:
    assert response.headers["content-type"] == "application/json"
    return dict(response.json()["error"])


async def colleague(client: Client, owner: Database, role: Role) -> Client:
    """Another key of the client's tenant."""
    slug = (await client.ask("{tenant {slug}}"))["tenant"]["slug"]
    number = await tenant_id(owner, slug)
    made = await create_key(owner, number, role, "colleague", pepper=await pepper(owner))
    return Client(client.address, made.secret, client.http)


async def tenant_id(owner: Database, slug: str) -> int:
    return {tenant.slug: tenant.id for tenant in await tenants(owner)}[slug]


async def revoke(client: Client, owner: Database) -> None:
    slug = (await client.ask("{tenant {slug}}"))["tenant"]["slug"]
    number = await tenant_id(owner, slug)
    (key,) = [
        key for key in await keys(owner, number) if client.key.startswith(key.prefix) and key.label == "colleague"
    ]
    await revoke_key(owner, number, key.id)
