"""The free properties of an event: any JSON object that a database and an aggregate can bear."""

import re
from json.encoder import encode_basestring as quoted
from typing import Any

from resolvers.analysis.intake_values import Invalid

GREATEST_INTEGER = 2**63 - 1
KEY_LENGTH = 200
PROPERTIES_BYTES = 32 * 1024
PROPERTIES_DEPTH = 32

_UNFIT_FOR_JSON = re.compile("[\x00\ud800-\udfff]")
_TOO_LARGE = f"must have at most {PROPERTIES_BYTES} bytes as JSON"


def properties(value: Any) -> tuple[dict[str, Any], str]:
    """A JSON object and its canonical text: keys sorted, whole numbers without a fraction."""
    if type(value) is not dict:
        raise Invalid("must be a JSON object")
    pieces: list[str] = []
    plain: dict[str, Any] = _plain(value, 1, pieces)
    canonical = "".join(pieces)
    if len(canonical.encode()) > PROPERTIES_BYTES:
        raise Invalid(_TOO_LARGE)
    return plain, canonical


def _plain(value: Any, depth: int, pieces: list[str]) -> Any:
    """``value`` in its simplest JSON spelling, which is appended to ``pieces`` piece by piece."""
    kind = type(value)
    if kind is dict or kind is list:
        return _plain_container(value, depth, pieces)
    if kind is str:
        pieces.append(_quoted(value))
    elif value is None:
        pieces.append("null")
    elif kind is bool:
        pieces.append("true" if value else "false")
    elif kind is int or kind is float:
        value = _plain_number(value)
        pieces.append(repr(value))
    else:
        raise Invalid("must be JSON: text, numbers, booleans, null, lists and objects")
    return value


def _plain_container(value: Any, depth: int, pieces: list[str]) -> Any:
    if depth > PROPERTIES_DEPTH:
        raise Invalid(f"must be nested at most {PROPERTIES_DEPTH} deep")
    if len(value) > PROPERTIES_BYTES or len(pieces) > PROPERTIES_BYTES:
        # Each piece is a byte at least: what cannot fit is not walked.
        raise Invalid(_TOO_LARGE)
    opening, closing = "[]" if type(value) is list else "{}"
    pieces.append(opening)
    plain: Any
    if type(value) is list:
        plain = []
        for item in value:
            plain.append(_plain(item, depth + 1, pieces))
            pieces.append(",")
    else:
        plain = {}
        for quoted_key, key in sorted([(_quoted_key(key), key) for key in value]):
            pieces.append(quoted_key)
            item = value[key]
            if type(item) is str:
                pieces.append(_quoted(item))
                plain[key] = item
            else:
                plain[key] = _plain(item, depth + 1, pieces)
            pieces.append(",")
    if value:
        pieces.pop()
    pieces.append(closing)
    return plain


def _plain_number(value: float) -> float:
    if type(value) is float:
        if value - value != 0:
            raise Invalid("must hold finite numbers")
        if value.is_integer() and abs(value) < 2**53:
            return int(value)
    # A parser may have made a float of an integer that was too long for it, and rounded it silently.
    if not -GREATEST_INTEGER <= value <= GREATEST_INTEGER:
        raise Invalid("must hold numbers of at most 2^63 - 1; send a longer one as text")
    return value


def _quoted(value: str) -> str:
    if len(value) > PROPERTIES_BYTES:
        raise Invalid(_TOO_LARGE)
    if not value.isprintable() and _UNFIT_FOR_JSON.search(value):
        raise Invalid("must not hold NUL or surrogates")
    return quoted(value)


def _quoted_key(key: Any) -> str:
    if type(key) is not str:
        raise Invalid("must have text as keys")
    if len(key) > KEY_LENGTH:
        raise Invalid(f"must have keys of at most {KEY_LENGTH} characters")
    return _quoted(key) + ":"
