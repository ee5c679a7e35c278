"""Which pages of other origins may read what the gateway answers."""

from collections.abc import Sequence

from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

_READABLE = ("ETag", "Retry-After", "X-Request-ID")
"""What a page may read of an answer's head beside what every page may."""
_REMEMBERED = 600
"""Seconds for which a browser need not ask again."""


def cross_origin(allowed: Sequence[str]) -> list[Middleware]:
    """Lets pages of the allowed origins (``https://host[:port]``; ``*`` is any) send requests and read what comes.

    Keys come in headers and never in cookies, which is why no credentials are allowed and any header is.
    """
    if not allowed:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=tuple(allowed),
            allow_methods=("GET", "POST"),
            allow_headers=("*",),
            expose_headers=_READABLE,
            max_age=_REMEMBERED,
        )
    ]
