"""Who is asking, as a request or a WebSocket's opening says it: tokens, addresses and origins."""

from collections.abc import Collection, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope, Send

from resolvers.errors import Unauthenticated


def address_of(scope: Scope) -> str:
    """The address that a request comes from; empty where there is none, as over a Unix socket."""
    return scope["client"][0] if scope.get("client") else ""


def bearer_token(header: str | None) -> str | None:
    """The token of an Authorization header, None without one; ``Unauthenticated`` for another scheme."""
    if header is None:
        return None
    scheme, _, token = header.strip().partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated("The Authorization header must be 'Bearer' and a key.")
    return token.strip()


def init_token(payload: Mapping[str, Any], header: str | None) -> str | None:
    """The token of connection_init's ``payload`` or else of the handshake's Authorization ``header``."""
    for name, value in payload.items():
        if value is not None and name.lower() == "authorization":
            return bearer_token(value if isinstance(value, str) else "")
        if value is not None and name in ("token", "apiKey"):
            return bearer_token(f"Bearer {value}" if isinstance(value, str) else "")
    return bearer_token(header)


def is_allowed(headers: Headers, allowed: Collection[str]) -> bool:
    """Whether the page that opens a WebSocket may: one of the gateway's own host or of an ``allowed`` origin."""
    # A browser lets any page open one, and says which does; other clients say nothing.
    origin = headers.get("origin")
    if origin is None or "*" in allowed or origin in allowed:
        return True
    try:
        host = urlsplit(origin).netloc.lower()
    except ValueError:
        return False
    return host != "" and host == headers.get("host", "").lower()


async def deny(scope: Scope, send: Send, status: HTTPStatus) -> None:
    """Answer a WebSocket's opening with an HTTP ``status``, where the server can send one, else with 403."""
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close"})
        return
    headers = [(b"content-length", b"0")]
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        headers.append((b"retry-after", b"5"))
    await send({"type": "websocket.http.response.start", "status": int(status), "headers": headers})
    await send({"type": "websocket.http.response.body", "body": b""})
