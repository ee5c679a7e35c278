"""The benchmarks at toy size: each row tells its ratios, of equal answers. No figure is looked at."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import pytest
from rich.progress import Progress

from benchmarks import report
from benchmarks.__main__ import ROWS
from benchmarks.bench import PATIENT, Bench, gateway_within, new_log
from benchmarks.company import DAYS, Company
from benchmarks.loading import DAYS_OF_LOG
from benchmarks.loopback import ask, graphql
from benchmarks.processes import Served, cpu_seconds, gateway
from benchmarks.ratios import Line, Ratio, Reach, Skipped
from resolvers import upkeep
from resolvers.context import Role
from resolvers.events import ingest
from resolvers.store.database import Database
from tests.client import running_gateway
from tests.factories import new_principal

_LINES = {
    "singles": ["single events"],
    "batches": ["batches", "batches, in flight", "batches, whole intake"],
    "upkeep": ["upkeep"],
    "dashboard": ["dashboard", "dashboard, same rows", "dashboard, large log", "dashboard, repeated"],
    "funnel": ["funnel"],
    "attribution": ["attribution", "attribution, a month"],
    "cohorts": [f"cohorts, {basis}{what}" for basis in ("activity", "revenue") for what in ("", ", large log")],
    "segment": ["segment", "segment, large log", "segment, order value"],
    "roi": ["AI ROI, a month"],
    "providers": ["AI providers, a month", "AI providers, a quarter"],
    "recurring": ["recurring revenue, a month", "recurring revenue, after an event"],
    "experiment": ["experiment results", "experiment results, large log"],
    "assignment": ["assignment", "assignment, CPU", "assignment, bare", "assignment, bare, CPU"],
    "flags": ["flag evaluations"],
    "subscribers": ["subscribers", "subscribers, commit to client"],
    "list": ["list of objects"],
    "overload": [
        f"overload, {load}{what}" for load in ("events", "computed", "repeated", "mixed") for what in ("", ", recovery")
    ],
    "memory": ["memory", "memory, subscribers"],
}


@pytest.fixture(scope="session")
def bench(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A run of hardly anything."""
    return Bench(
        postgres_url,
        tmp_path_factory.mktemp("benchmarks"),
        Progress(disable=True),
        events=1_000,
        rounds=1,
        seconds=0.05,
        singles=10,
        batch=120,
        subscribers=3,
        objects=20,
    )


@asynccontextmanager
async def _gateway_here(url: str, settings: Mapping[str, float] = PATIENT) -> AsyncIterator[Served]:
    """A gateway that serves from this process, which takes a tenth of the time to start."""
    async with running_gateway(url, **settings) as (address, _):
        host, port = address.split(":")
        yield Served(host, int(port), os.getpid())


async def test_a_gateway_process_serves(bench: Bench) -> None:
    log = await new_log(await bench.fresh("serving"), "anybody")
    async with gateway(log.url) as served:
        answer = await ask(served, graphql(log.key, "{ tenant { slug } }"))
        assert answer == {"data": {"tenant": {"slug": "anybody"}}}
        assert cpu_seconds(served.pid) > 0


@pytest.mark.parametrize("name", ROWS)
async def test_a_row_tells_its_ratios(bench: Bench, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    served = (
        "analyses",
        "assignments",
        "attribution",
        "dashboard",
        "experiments",
        "flags",
        "funnels",
        "memory",
        "overload",
        "segmented",
    )
    for row in (*served, "subscribers", "subscriptions"):
        monkeypatch.setattr(f"benchmarks.{row}.gateway", _gateway_here)
    monkeypatch.setattr("benchmarks.subscribers._PAUSE", 0.15)
    monkeypatch.setattr("benchmarks.subscribers._PUSHES", 1)
    measured = await ROWS[name](bench)
    assert [line.name for line in measured] == _LINES[name]
    for line in measured:
        if isinstance(line, Skipped):
            assert find_spec("chdb") is None
            assert "chdb" in report.line(line)
        else:
            assert all(value >= 0 for value in line.values)
            assert any(line.values) or "recovery" in line.name
            assert f"{line.name} " in report.line(line)
            assert line.verdict in report.line(line)


async def test_a_loaded_log_is_what_the_writer_would_have_stored(bench: Bench) -> None:
    loaded = await bench.log(1_000)
    owner = await Database.open(loaded.url, owner=True, pool_size=1)
    written = await new_principal(owner, Role.ADMIN)
    await owner.close()
    async with gateway_within(loaded.url) as gateway:
        receipt = await ingest(gateway.context(written), list(Company(1_000).items()))
        assert receipt.accepted == 1_000
        for tenant_id in (loaded.principal.tenant_id, written.tenant_id):
            checked = [day async for day in upkeep.verify(gateway.services.database, tenant_id, DAYS_OF_LOG)]
            assert len(checked) == DAYS
            assert sum(day.rollups for day in checked) > 0
            assert sum(day.wrong for day in checked) == 0
    connection = await asyncpg.connect(loaded.url)
    logs = [await _log(connection, tenant_id) for tenant_id in (loaded.principal.tenant_id, written.tenant_id)]
    await connection.close()
    assert logs[0] == logs[1]


async def _log(connection: Any, tenant_id: int) -> list[dict[str, Any]]:
    """A tenant's events with their keys, codes replaced by what they stand for."""
    terms: dict[tuple[int, int], str] = {
        (space, code): value
        for space, code, value in await connection.fetch(
            "SELECT space, code, value FROM term WHERE tenant_id = $1", tenant_id
        )
    }
    rows = await connection.fetch(
        "SELECT e.*, k.key, k.content FROM event e JOIN event_key k USING (tenant_id, position)"
        " WHERE tenant_id = $1 ORDER BY position",
        tenant_id,
    )
    coded = {"name", "channel", "persona", "plan", "feature", "provider", "model", "cost_source"}
    found = []
    for row in map(dict, rows):
        row |= {name: terms[0, row[name]] for name in coded if row[name] is not None}
        row["subject"] = terms[1, row["subject"]]
        found.append({name: value for name, value in row.items() if name not in ("tenant_id", "received_at")})
    return found


async def test_a_log_is_loaded_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    first = await bench.log(1_000)

    async def again(*_: Any) -> None:
        raise AssertionError("loaded again")

    monkeypatch.setattr("benchmarks.bench.load", again)
    monkeypatch.setattr("benchmarks.bench.derive", again)
    second = await bench.log(1_000)
    assert second.url == first.url
    assert second.principal.tenant_id == first.principal.tenant_id


def test_a_ratio_is_judged_by_its_median() -> None:
    ratio = Ratio.of("speed", [4.0, 9.0, 16.0], [2.0, 3.0, 2.0], Reach(3), "so fast")
    assert ratio.values == (2.0, 3.0, 8.0)
    assert ratio.verdict == "met"
    assert Ratio.of("speed", [1.0], [2.0], Reach(3), "").verdict == "missed"
    assert Ratio.of("cost", [1.0], [2.0], Reach(0.7, at_least=False), "").verdict == "met"
    assert report.line(ratio).split() == ["speed", "3", "(2–8)", "≥", "3", "met", "so", "fast"]


def test_results_are_kept_as_json(bench: Bench, tmp_path: Path) -> None:
    lines: list[Line] = [Ratio("speed", (2.0,), None, "so fast"), Skipped("funnel", "no yardstick")]
    report.write(tmp_path / "results.json", bench, lines)
    told = orjson.loads((tmp_path / "results.json").read_bytes())
    assert told["run"]["events"] == 1_000
    assert [line["name"] for line in told["lines"]] == ["speed", "funnel"]
    assert told["lines"][0]["median"] == 2.0
