"""The bare things that answers are held against: Starlette, a select by asyncpg, orjson.

``python -m benchmarks.bare`` serves it by uvicorn with the gateway's own settings, in a process of its own.
"""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from benchmarks.company import FIRST_DAY
from gateway import server
from gateway.settings import load_settings

NUMBERS = "SELECT slug, at, value, n FROM benchmark_numbers ORDER BY slug, at"
"""The finished numbers of the dashboard."""
ROLLUPS = (
    "SELECT at, kind, name, currency, flags, n, amount_n, amount_sum::double precision, cost_n,"
    " cost_sum::double precision, duration_n, histogram FROM rollup"
    " WHERE tenant_id = $1 AND grain = 1 AND dimension = 0 AND value = 0 AND at >= $2"
)
"""The rollups that the dashboard is made from."""


def application(url: str, tenant_id: int) -> Starlette:
    """``/numbers`` and ``/rollups`` of a tenant, and ``/nothing``, which asks nobody."""
    pools: list[asyncpg.Pool] = []

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        settings = {"jit": "off", "timezone": "UTC"}
        async with asyncpg.create_pool(url, min_size=10, max_size=10, server_settings=settings) as pool:
            pools.append(pool)
            yield

    async def numbers(_: Request) -> Response:
        return _json(await pools[0].fetch(NUMBERS))

    async def rollups(_: Request) -> Response:
        return _json(await pools[0].fetch(ROLLUPS, tenant_id, FIRST_DAY))

    async def nothing(_: Request) -> Response:
        return _json([])

    paths = {"/numbers": numbers, "/rollups": rollups, "/nothing": nothing}
    return Starlette(routes=[Route(path, endpoint) for path, endpoint in paths.items()], lifespan=lifespan)


def _json(rows: list[asyncpg.Record]) -> Response:
    return Response(orjson.dumps([tuple(row) for row in rows]), media_type="application/json")


def main(url: str, tenant_id: str) -> None:
    """Serve until a signal comes."""
    settings = load_settings(port=0)
    with server.bind(settings.host, settings.port) as listener:
        address = f"http://{settings.host}:{listener.getsockname()[1]}"
        app = application(url, int(tenant_id))
        server.run(app, settings, listener, on_ready=lambda: print(address, flush=True))


if __name__ == "__main__":
    main(*sys.argv[1:])
