"""Local evaluation of flags, as docs/flags.md tells an SDK's author, and nothing of the gateway's own."""

from datetime import datetime
from decimal import Decimal
from hashlib import sha256
from typing import Any

SPAN = 2**64
Evaluated = tuple[Any, str | None, str, int | None]
"""Value, variation, reason or error, and the place of the rule."""


class KeyMissing(Exception):
    pass


def evaluate(
    document: dict[str, Any], key: str, subject: str | None, context: dict[str, Any], at: datetime
) -> Evaluated:
    flag = document["flags"].get(key)
    if flag is None:
        return None, None, "FLAG_NOT_FOUND", None
    try:
        variation, reason, rule = _decided(document, flag, subject, context, at)
    except KeyMissing:
        return None, None, "TARGETING_KEY_MISSING", None
    return flag["variations"][variation], variation, reason, rule


def _decided(
    document: dict[str, Any], flag: dict[str, Any], subject: str | None, context: dict[str, Any], at: datetime
) -> tuple[str, str, int | None]:
    whole = document["whole"]
    if not _at(flag["on"], at)["on"]:
        return flag["offVariation"], "DISABLED", None
    for one in flag["prerequisites"]:
        needed = document["flags"].get(one["flag"])
        if needed is None or _decided(document, needed, subject, context, at)[0] not in one["variations"]:
            return flag["offVariation"], "DISABLED", None
    for index, rule in enumerate(flag["rules"]):
        if not holds(rule["where"], subject, context):
            continue
        parts = _at(rule["reach"], at)["parts"]
        if parts < whole and place("rollout", flag["salt"], subject) * whole >= parts * SPAN:
            continue
        variation, split = _served(rule["serve"], flag["salt"], subject, whole)
        return variation, "SPLIT" if split or parts < whole else "TARGETING_MATCH", index
    variation, split = _served(flag["default"], flag["salt"], subject, whole)
    dynamic = flag["rules"] or flag["prerequisites"] or len(flag["on"]) > 1
    return variation, "SPLIT" if split else "DEFAULT" if dynamic else "STATIC", None


def _at(timeline: list[dict[str, Any]], at: datetime) -> dict[str, Any]:
    """The last entry of a timeline that has come."""
    come = [one for one in timeline if one["from"] is None or datetime.fromisoformat(one["from"]) <= at]
    return come[-1]


def _served(serve: list[dict[str, Any]], salt: str, subject: str | None, whole: int) -> tuple[str, bool]:
    given = [share for share in serve if share["parts"]]
    if len(given) == 1:
        return given[0]["variation"], False
    where, reached = place("variant", salt, subject), 0
    for share in serve:
        reached += share["parts"]
        if where * whole < reached * SPAN:
            return share["variation"], True
    raise AssertionError("the shares are not whole")


def place(purpose: str, salt: str, subject: str | None) -> int:
    if subject is None:
        raise KeyMissing
    return int.from_bytes(sha256("\0".join(("mg1", purpose, salt, subject)).encode()).digest()[:8], "big")


def holds(where: dict[str, Any], subject: str | None, context: dict[str, Any]) -> bool:
    ((name, inner),) = where.items()
    match name:
        case "all":
            return all(holds(part, subject, context) for part in inner)
        case "any":
            return any(holds(part, subject, context) for part in inner)
        case "not":
            return not holds(inner, subject, context)
        case "subject":
            return subject in inner
        case "dimension":
            words = inner["dimension"].lower().split("_")
            value = context.get(words[0] + "".join(word.title() for word in words[1:]))
        case "property":
            value = context
            for key in inner["path"]:
                value = value.get(key) if isinstance(value, dict) else None
    return _compares(value, {op: of for op, of in inner.items() if op not in ("dimension", "path")})


def _compares(value: Any, condition: dict[str, Any]) -> bool:
    ((op, of),) = condition.items()
    if op == "exists":
        return (value is not None) is of
    if value is None:
        return False
    if op in ("in", "notIn"):
        items = value if isinstance(value, list) else [value]
        return any(_same(item, other) for item in items for other in of) is (op == "in")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    left, right = Decimal(repr(value)), Decimal(of)
    return {"gt": left > right, "gte": left >= right, "lt": left < right, "lte": left <= right}[op]


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, str) or isinstance(other, str):
        return isinstance(one, str) and one == other
    return one is not None and other is not None and one == other
