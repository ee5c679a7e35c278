"""``gateway serve`` and ``gateway demo`` from their start to their stop, as processes of their own."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from gateway.commands.serving import first_key
from gateway.settings import Settings, load_settings, variable
from resolvers import keys, tenants
from resolvers.store.database import Database
from resolvers.store.schema_version import migrate
from tests.conftest import fresh_database

ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+")


@contextmanager
def _running(command: str, folder: Path, **environment: str) -> Iterator[list[str]]:
    """What the command prints until it serves; ended by SIGTERM, which must end it well."""
    outside = {name: value for name, value in os.environ.items() if name not in map(variable, Settings.model_fields)}
    arguments = [sys.executable, "-m", "gateway", command, "--port", "0", "--data-dir", str(folder)]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env={**outside, **environment}, cwd="/")
    assert process.stdout is not None
    try:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "/graphiql" in line:
                break
        yield lines
    finally:
        process.send_signal(signal.SIGTERM)
        lines += process.stdout
        process.stdout.close()
        process.wait()
    assert process.returncode == 0
    assert not (folder / "postgres" / "postmaster.pid").exists()


def _get(address: str, path: str) -> tuple[int, str]:
    try:
        with urlopen(f"{address}{path}") as response:
            return response.status, response.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()


def _ask(address: str, key: str, query: str) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    with urlopen(Request(f"{address}/graphql", json.dumps({"query": query}).encode(), headers)) as response:
        answer: dict[str, Any] = json.load(response)
    return answer


def _address(lines: list[str]) -> str:
    found = ADDRESS.search("".join(lines))
    assert found is not None
    return found[0]


def test_the_first_start_prints_a_key_that_the_next_one_knows(tmp_path: Path) -> None:
    with _running("serve", tmp_path) as first:
        address = _address(first)
        assert _get(address, "/health/ready") == (200, '{"status":"ready"}')
        assert _get(address, "/metrics")[0] == 200
        assert _get(address, "/graphiql")[0] == 200
    key = re.search(r"Admin key\s+(\S+)", "\n".join(first))
    assert key is not None
    with _running("serve", tmp_path) as second:
        assert _ask(_address(second), key[1], "{ tenant { slug role } }") == {
            "data": {"tenant": {"slug": "default", "role": "ADMIN"}}
        }
    assert "Admin key" not in "\n".join(second)


def test_a_key_from_outside_is_taken_and_not_shown(tmp_path: Path) -> None:
    with _running("serve", tmp_path, GATEWAY_BOOTSTRAP_KEY="a-key-from-outside") as lines:
        assert _ask(_address(lines), "a-key-from-outside", "{ tenant { slug } }") == {
            "data": {"tenant": {"slug": "default"}}
        }
    assert "a-key-from-outside" not in "\n".join(lines)


@pytest.fixture
async def url(postgres_url: str) -> str:
    made = await fresh_database(postgres_url, "gateway_serving")
    await migrate(made)
    return made


@pytest.fixture
async def opened(url: str) -> Any:
    database = await Database.open(url, owner=True)
    yield database
    await database.close()


async def test_only_the_first_start_makes_a_tenant(url: str, opened: Database) -> None:
    settings = load_settings()
    assert await first_key(url, settings) is not None
    assert await first_key(url, settings) is None
    assert [tenant.slug for tenant in await tenants.tenants(opened)] == ["default"]


@pytest.mark.parametrize("given", [None, "a-key-from-outside"])
async def test_gateways_that_start_together_make_one_key(
    url: str, opened: Database, given: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, create, others = load_settings(bootstrap_key=given), keys.create_key, list[asyncio.Task[str | None]]()

    async def meanwhile(*arguments: Any, **named: Any) -> keys.NewKey:
        """Makes a key only once another start has gone as far as it can."""
        if not others:
            others.append(asyncio.create_task(first_key(url, settings)))
            await asyncio.wait(others, timeout=0.5)
        return await create(*arguments, **named)

    monkeypatch.setattr(keys, "create_key", meanwhile)
    shown = [await first_key(url, settings), await others[0]]
    assert sum(secret is not None for secret in shown) == (given is None)
    (tenant,) = await tenants.tenants(opened)
    assert len(await keys.keys(opened, tenant.id)) == 1


async def test_a_start_cut_short_before_its_key_is_completed(url: str, opened: Database) -> None:
    await tenants.create_tenant(opened, "default")
    assert await first_key(url, load_settings()) is not None


async def test_a_revoked_first_key_stays_revoked(url: str, opened: Database) -> None:
    settings = load_settings(bootstrap_key="a-key-from-outside")
    await first_key(url, settings)
    (tenant,) = await tenants.tenants(opened)
    (key,) = await keys.keys(opened, tenant.id)
    await keys.revoke_key(opened, tenant.id, key.id)
    await first_key(url, settings)
    assert [key.revoked_at is None for key in await keys.keys(opened, tenant.id)] == [False]


async def test_tenants_that_exist_get_no_first_key(url: str, opened: Database) -> None:
    await tenants.create_tenant(opened, "acme")
    assert await first_key(url, load_settings()) is None
