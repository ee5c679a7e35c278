"""The pages for people: GraphiQL and what it is made of, all served from here and nothing from elsewhere."""

import re
from pathlib import Path

from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

DASHBOARD = Path(__file__).parent / "dashboard"

_HOST = re.compile(r"[A-Za-z0-9.-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?")
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-cache"),
)


def page_routes() -> list[Route | Mount]:
    """``/graphiql``, its files below ``/assets``, the icon, and ``/`` leading there."""
    guarded = [Middleware(_PageHeaders)]
    return [
        Route("/", _home),
        Route("/graphiql", _graphiql, middleware=guarded),
        Route("/favicon.ico", _favicon, middleware=guarded),
        Mount("/assets", StaticFiles(directory=DASHBOARD), middleware=guarded),
    ]


def content_security_policy(host: str) -> str:
    """What the pages may load and talk to: this gateway.

    Styles may be inline because GraphiQL's dialogs and editors position themselves so; its fonts are part of
    its style sheet. WebSockets are named because not every browser counts them as ``'self'``.
    """
    sockets = f" ws://{host} wss://{host}" if _HOST.fullmatch(host) else ""
    return (
        "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self' data:; "
        f"img-src 'self' data:; connect-src 'self'{sockets}; object-src 'none'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'"
    )


async def _home(request: Request) -> Response:
    return RedirectResponse("/graphiql")


async def _graphiql(request: Request) -> Response:
    return FileResponse(DASHBOARD / "graphiql.html")


async def _favicon(request: Request) -> Response:
    return FileResponse(DASHBOARD / "favicon.svg")


class _PageHeaders:
    """Adds the headers that keep a page to itself."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        host = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
        headers = [*_HEADERS, (b"content-security-policy", content_security_policy(host).encode("ascii"))]

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *headers]
            await send(message)

        await self.app(scope, receive, guarded)
