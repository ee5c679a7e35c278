"""The one way into the log: what an event must be, whichever door it comes through.

An event arrives as a plain mapping with the field names of the API and JSON values. A null is the same as
an absent field. Text is never trimmed: text with white space at its ends is refused, so that no two ids or
subjects become one behind the sender's back.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any, Final

from resolvers.analysis.events import DIMENSIONS, Event, Interval, Kind
from resolvers.analysis.intake_properties import properties
from resolvers.analysis.intake_values import (
    GREATEST_DURATION,
    Invalid,
    count,
    currency,
    dimensions,
    flag,
    instant,
    money,
    number,
    shown,
    text,
)
from resolvers.analysis.subscriptions import STEPS, Step


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an item is no event: ``field`` is a path such as ``dimensions.channel``."""

    field: str
    message: str


def camel(attribute: str) -> str:
    """The API's name of an attribute: ``request_type`` is ``requestType``."""
    first, *rest = attribute.split("_")
    return first + "".join(word.title() for word in rest)


Field = tuple[str, str, Callable[[Any], Any]]
"""A field's name in the API, its attribute of Event, and what turns its JSON value into the attribute's."""

_SUBJECT: Final = text(500)
_ENVELOPE: Final = {
    "id": text(200),
    "name": text(200),
    "subject": _SUBJECT,
    "occurred_at": instant,
    "session": text(200),
}
_GENERAL: Final = {
    "duration_ms": number(GREATEST_DURATION),
    "score": number(1),
    "success": flag,
    "assisted": flag,
}
_SALE: Final = {"order_id": text(200), "amount": money, "currency": currency}
_INTERVALS: Final = frozenset(Interval)


def _interval(value: Any) -> Interval:
    if isinstance(value, str) and value.upper() in _INTERVALS:
        return Interval(value.upper())
    raise Invalid(f"must be one of {', '.join(Interval)}")


_CONTRACT: Final = {"subscription": text(200), "amount": money, "currency": currency, "interval": _interval}
_EXPENSE: Final = {"cost": money, "currency": currency}
_RECURRING_NAMES: Final = frozenset({"subscription", "upgrade", "invoice"})
_AHEAD: Final = timedelta(days=1)
_TOKENS: Final = {
    "input_tokens": count,
    "output_tokens": count,
    "cache_read_tokens": count,
    "cache_write_tokens": count,
}


@dataclass(frozen=True, slots=True)
class _Rules:
    """What one kind of event may carry, must carry and takes for granted."""

    kind: Kind
    fields: tuple[Field, ...]
    known: frozenset[str]
    default_name: str | None
    default_subject: str | None
    required_dimensions: tuple[str, ...]
    complete: Callable[[dict[str, Any]], None]


def _rules(
    kind: Kind,
    measures: Mapping[str, Callable[[Any], Any]],
    default_name: str | None = None,
    default_subject: str | None = None,
    required_dimensions: tuple[str, ...] = (),
    complete: Callable[[dict[str, Any]], None] = lambda values: None,
) -> _Rules:
    fields = tuple((camel(name), name, parse) for name, parse in {**_ENVELOPE, **measures}.items())
    known = frozenset({"kind", "dimensions", "properties"}.union(field for field, _, _ in fields))
    return _Rules(kind, fields, known, default_name, default_subject, required_dimensions, complete)


class _Refused(Exception):
    def __init__(self, field: str, message: str) -> None:
        self.refusal = Refusal(field, message)


def _subject_or_nobody(value: Any) -> str:
    return "" if value == "" else _SUBJECT(value)


def _complete_conversion(values: dict[str, Any]) -> None:
    if "recurring" not in values:
        if values["name"] in _RECURRING_NAMES:
            values["recurring"] = True
        elif "amount" in values:
            values["recurring"] = False


def _check_tokens(values: dict[str, Any]) -> None:
    cached = values.get("cache_read_tokens", 0) + values.get("cache_write_tokens", 0)
    if cached > values.get("input_tokens", cached):
        raise _Refused("inputTokens", "must count the tokens read from and written to the cache too")


def _check_spend(values: dict[str, Any]) -> None:
    if "cost" not in values:
        raise _Refused("cost", "is required of an event of kind SPEND")


def _check_subscription(values: dict[str, Any]) -> None:
    step = STEPS.get(values["name"])
    if step is None:
        raise _Refused("name", f"must be one of {', '.join(STEPS)}")
    for name in ("amount", "interval"):
        if step is not Step.ENDED and name not in values:
            raise _Refused(name, f"is required where a subscription is {values['name']}; an amount of 0 pays nothing")


_RULES: Final = {
    rules.kind.name: rules
    for rules in (
        _rules(Kind.CONVERSION, {**_SALE, **_GENERAL, "recurring": flag}, complete=_complete_conversion),
        _rules(
            Kind.AI_INTERACTION,
            {**_EXPENSE, **_GENERAL, **_TOKENS},
            "ai_interaction",
            required_dimensions=("provider", "model"),
            complete=_check_tokens,
        ),
        _rules(Kind.TOUCHPOINT, {**_EXPENSE, **_GENERAL}, "touchpoint", required_dimensions=("channel",)),
        _rules(Kind.EXPOSURE, {}, "exposure", required_dimensions=("experiment", "variant")),
        _rules(Kind.PRODUCT, {**_SALE, **_GENERAL}),
        _rules(Kind.SPEND, {**_EXPENSE, "subject": _subject_or_nobody}, "spend", "", complete=_check_spend),
        _rules(Kind.SUBSCRIPTION, _CONTRACT, complete=_check_subscription),
    )
}
_ALL_KNOWN: Final = frozenset[str]().union(*(rules.known for rules in _RULES.values()))
_KNOWN_DIMENSIONS: Final[dict[tuple[tuple[str, str | None], ...], tuple[Mapping[str, str], str]]] = {}
"""Sound dimension values as they were given, all of them text or None, which equals nothing else."""
_REMEMBERED: Final = 4_096
_SHORT: Final = 400
"""Characters of dimension values that are worth remembering."""
_MOST_DIMENSIONS: Final = 2 * len(DIMENSIONS)
_DIMENSION_NAMES: Final = {camel(name): name for name in DIMENSIONS}


def validate(raw: Mapping[str, Any], *, now: datetime, new_id: Callable[[datetime], str]) -> Event | Refusal:
    """The event that ``raw`` describes, normalised, or why it is none; never raises on JSON values.

    ``now`` (aware, UTC) is the time of an event that names none, and no event may lie more than a day after
    it; ``new_id`` makes the id of one that has none from its time. Money without a currency keeps None: the
    tenant's is filled in later. ``inputTokens`` counts all that the model read, cached or not, so the cached
    counts are parts of it.
    """
    try:
        return _event(raw, now, new_id)
    except _Refused as refused:
        return refused.refusal


def _event(raw: Mapping[str, Any], now: datetime, new_id: Callable[[datetime], str]) -> Event:
    rules = _rules_for(raw)
    values, digest = _parsed(raw, rules)
    if "subject" not in values:
        if rules.default_subject is None:
            raise _Refused("subject", "is required")
        values["subject"] = rules.default_subject
    if "name" not in values:
        if rules.default_name is None:
            raise _Refused("name", f"is required of an event of kind {rules.kind.name}")
        values["name"] = rules.default_name
    occurred_at = values.setdefault("occurred_at", now)
    if occurred_at > now and occurred_at - now > _AHEAD:
        raise _Refused("occurredAt", "must not be more than a day ahead")
    for name in rules.required_dimensions:
        if name not in values.get("dimensions", ()):
            raise _Refused(f"dimensions.{name}", f"is required of an event of kind {rules.kind.name}")
    rules.complete(values)
    if "id" not in values:
        values["id"] = new_id(occurred_at)
    return Event(kind=rules.kind, content=digest, **values)


def _rules_for(raw: Mapping[str, Any]) -> _Rules:
    given = raw.get("kind")
    rules = _RULES.get(given) if type(given) is str else None
    if rules is None:
        raise _Refused("kind", f"must be one of {', '.join(_RULES)}")
    if not raw.keys() <= rules.known:
        for key, value in raw.items():
            if key not in _ALL_KNOWN:
                raise _Refused(shown(key), "is not a field of an event")
            if key not in rules.known and value is not None:
                raise _Refused(key, f"does not apply to an event of kind {given}")
    return rules


def _dimensions(given: Any) -> tuple[Mapping[str, str], str]:
    """Dimension values by attribute, and what they add to the content; most events carry what another one did."""
    items: Any = None
    if type(given) is dict and len(given) <= _MOST_DIMENSIONS:
        items = tuple(given.items())
        try:
            known = _KNOWN_DIMENSIONS.get(items)
        except TypeError:
            # A list or an object among the values, which is refused below.
            items = None
        else:
            if known is not None:
                return known
    found = dimensions(given, _DIMENSION_NAMES)
    told = found, "\x1e".join([f".{name}\x1f{value}" for name, value in found.items()])
    if items is not None and len(told[1]) <= _SHORT:
        if len(_KNOWN_DIMENSIONS) >= _REMEMBERED:
            _KNOWN_DIMENSIONS.clear()
        _KNOWN_DIMENSIONS[items] = told
    return told


def _parsed(raw: Mapping[str, Any], rules: _Rules) -> tuple[dict[str, Any], bytes]:
    """The attributes that ``raw`` gives, and the digest of all of them but the id."""
    get = raw.get
    values: dict[str, Any] = {}
    content = [rules.kind.name]
    key = ""
    try:
        for key, attribute, parse in rules.fields:
            value = get(key)
            if value is not None:
                values[attribute] = value = parse(value)
                content.append(f"{key}\x1f{value!s}")
        if "id" in values:
            # The id leads the envelope, hence the content.
            del content[1]
        key = "dimensions"
        given = get(key)
        if given is not None:
            values[key], part = _dimensions(given)
            if part:
                content.append(part)
        key = "properties"
        given = get(key)
        if given is not None:
            values[key], canonical = properties(given)
            content.append(canonical)
    except Invalid as bad:
        raise _Refused(key + bad.path, bad.message) from None
    # No value holds the separators: text is free of control characters and JSON escapes them.
    return values, blake2b("\x1e".join(content).encode(), digest_size=16).digest()
