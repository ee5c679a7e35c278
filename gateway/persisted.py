"""Automatic persisted queries: a client sends a document's hash, and the document itself only where it is not known.

https://github.com/apollographql/apollo-link-persisted-queries#protocol

A document is kept under the hash of its own text, so nobody can put one in another's place. Each process keeps its
own; one that does not know a document asks for it, whatever the others know.
"""

import re
from collections import OrderedDict
from collections.abc import Mapping
from hashlib import sha256

NOT_FOUND = "PERSISTED_QUERY_NOT_FOUND"
MESSAGE = "PersistedQueryNotFound"
"""Older clients look for this message, newer ones for the code."""

_HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)


def referred(extensions: Mapping[str, object], query: object) -> str | None:
    """The hash under which a request refers to its document; ValueError if it is none or not the document's."""
    reference = extensions.get("persistedQuery")
    if reference is None:
        return None
    if not isinstance(reference, dict) or reference.get("version") != 1:
        raise ValueError("Unsupported persisted query version")
    digest = reference.get("sha256Hash")
    if not isinstance(digest, str) or not _HASH.fullmatch(digest):
        raise ValueError("'sha256Hash' must be 64 hexadecimal digits in lower case.")
    if isinstance(query, str) and sha256(query.encode()).hexdigest() != digest:
        raise ValueError("provided sha does not match query")
    return digest


class PersistedQueries:
    """The documents that clients may refer to, the least recently used dropped first; bounded in characters."""

    def __init__(self, characters: int) -> None:
        self._most = characters
        self._characters = 0
        self._kept: OrderedDict[str, str] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, digest: str) -> str | None:
        """The document of this hash, None where it is not known."""
        source = self._kept.get(digest)
        if source is not None:
            self._kept.move_to_end(digest)
        return source

    def keep(self, digest: str, source: str) -> None:
        """Know the document ``source`` by its hash from now on."""
        if digest in self._kept:
            return
        self._kept[digest] = source
        self._characters += _weight(source)
        while self._characters > self._most:
            _, dropped = self._kept.popitem(last=False)
            self._characters -= _weight(dropped)


def _weight(source: str) -> int:
    # The hash and the entry take memory too.
    return len(source) + 256
