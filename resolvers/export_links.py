"""Links to exports: what a key may download, sealed for a while, so that a browser needs no header.

A link is the question itself under an HMAC of the installation's secret. It binds the tenant, the key, the role the key
had and the time at which it ends; whoever uses it is the key's holder, as long as the key lives.
"""

import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b, sha256
from typing import Any

import orjson

from resolvers.errors import BadInput, Unauthenticated

LIFETIME = timedelta(minutes=15)
LONGEST = 8_000
"""Characters of a link: longer ones do not get through every proxy."""
_SIGNATURE = 32


@dataclass(frozen=True, slots=True)
class ExportLink:
    """A download that somebody may have."""

    tenant_id: int
    key_id: int
    role: int
    expires: int
    """Seconds since 1970."""
    field: str
    format: str
    table: str | None
    arguments: Mapping[str, Any]


class ExportLinks:
    """Seals links and opens them, alike in every process of an installation."""

    def __init__(self, secret: bytes | None = None) -> None:
        self._key = blake2b(secret or secrets.token_bytes(32), person=b"export links").digest()

    def seal(self, link: ExportLink) -> str:
        """The link as text that fits a URL; raises BadInput where its arguments are too long."""
        content = orjson.dumps(astuple(link))
        sealed = urlsafe_b64encode(self._signature(content) + content).decode().rstrip("=")
        if len(sealed) > LONGEST:
            raise BadInput("The arguments are too long for a link: export by POST.", field="arguments")
        return sealed

    def open(self, text: str, now: datetime) -> ExportLink:
        """The link that was sealed; raises Unauthenticated for any other text, and once its time is over."""
        try:
            sealed = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
        except (NotBase64, UnicodeError, ValueError):
            sealed = b""
        signature, content = sealed[:_SIGNATURE], sealed[_SIGNATURE:]
        if not hmac.compare_digest(signature, self._signature(content)):
            raise Unauthenticated("The link is not one of this gateway.")
        link = ExportLink(*orjson.loads(content))
        if datetime.fromtimestamp(link.expires, UTC) <= now:
            raise Unauthenticated("The link's time is over; ask for another one.")
        return link

    def _signature(self, content: bytes) -> bytes:
        return hmac.digest(self._key, content, sha256)
