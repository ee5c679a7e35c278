"""Whether the gateway lives, and whether it can answer: two questions an orchestrator asks apart."""

import asyncio
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

READY_SECONDS = 2.0
LIVE_PATH = "/health/live"
_HEADERS = {"cache-control": "no-store"}
LIVE = JSONResponse({"status": "live"}, headers=_HEADERS)
"""What there is to say of a process that answers at all."""


def health_routes(
    ping: Callable[[], Awaitable[bool]],
    revision_gap: Callable[[], Awaitable[str | None]],
    is_stopping: Callable[[], bool] = lambda: False,
    redis: Callable[[], str | None] = lambda: None,
) -> list[Route]:
    """``/health/live`` and ``/health/ready``.

    Live answers as long as the process does, whatever the database does, so that nobody restarts a healthy
    gateway because its database is away. Ready is 503 while the database does not answer, while its schema is
    not the one this version knows (``revision_gap`` says how they differ), and during shutdown. How ``redis`` does is
    told, where there is one, and decides nothing: without it answers are slower, and the same.
    """

    async def live(request: Request) -> Response:
        return LIVE

    async def ready(request: Request) -> Response:
        reason = "The gateway is shutting down." if is_stopping() else await _reason(ping, revision_gap)
        word = redis()
        detail = {} if word is None else {"redis": word}
        if reason is None:
            return JSONResponse({"status": "ready", **detail}, headers=_HEADERS)
        return JSONResponse({"status": "unready", "reason": reason, **detail}, status_code=503, headers=_HEADERS)

    return [Route(LIVE_PATH, live), Route("/health/ready", ready)]


async def _reason(ping: Callable[[], Awaitable[bool]], revision_gap: Callable[[], Awaitable[str | None]]) -> str | None:
    away = "The database does not answer."
    try:
        async with asyncio.timeout(READY_SECONDS):
            return await revision_gap() if await ping() else away
    except Exception:
        # Whatever keeps the database from answering is the same to the asker, and its text is not for the
        # public.
        return away
