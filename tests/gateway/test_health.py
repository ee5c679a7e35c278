"""Live is about the process, ready about what it needs."""

import asyncio

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from gateway import health


def _client(
    *, ping: bool | Exception = True, gap: str | None = None, stopping: bool = False, hangs: bool = False
) -> TestClient:
    async def answer() -> bool:
        if hangs:
            await asyncio.Event().wait()
        if isinstance(ping, Exception):
            raise ping
        return ping

    async def difference() -> str | None:
        return gap

    return TestClient(Starlette(routes=list(health.health_routes(answer, difference, lambda: stopping))))


def test_ready() -> None:
    response = _client().get("/health/ready")
    assert (response.status_code, response.json()) == (200, {"status": "ready"})
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("client", "reason"),
    [
        (_client(ping=False), "The database does not answer."),
        (_client(ping=OSError("could not connect to 10.1.2.3")), "The database does not answer."),
        (_client(gap="Run `gateway migrate`."), "Run `gateway migrate`."),
        (_client(stopping=True), "The gateway is shutting down."),
    ],
)
def test_unready_says_why_while_live_stays(client: TestClient, reason: str) -> None:
    response = client.get("/health/ready")
    assert (response.status_code, response.json()) == (503, {"status": "unready", "reason": reason})
    assert client.get("/health/live").json() == {"status": "live"}


def test_a_database_that_hangs_is_unready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "READY_SECONDS", 0.01)
    assert _client(hangs=True).get("/health/ready").status_code == 503
