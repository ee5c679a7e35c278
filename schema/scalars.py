"""Custom scalars: exact on the way out, taken as they are on the way in.

What a client sends for one of them reaches the resolver unparsed, because the validators of the resolvers say more
about a bad value than a scalar could: its item, its field and what to change, without refusing the whole request. What
the gateway sends is exact: no exponent, no rounding, no NaN; a value that its scalar cannot carry is an error.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, NewType

import orjson
import strawberry
from graphql import FloatValueNode, IntValueNode, ValueNode, value_from_ast_untyped
from strawberry.scalars import JSON
from strawberry.types.scalar import ScalarDefinition

BigInt = NewType("BigInt", int)
"""An integer that may pass 2³¹."""

_EXACT_INTEGERS = 2**53
_UNITS = (
    ("d", timedelta(days=1)),
    ("h", timedelta(hours=1)),
    ("m", timedelta(minutes=1)),
    ("s", timedelta(seconds=1)),
    ("ms", timedelta(milliseconds=1)),
)


def instant_text(value: datetime) -> str:
    """RFC 3339 in UTC with ``Z``; a fraction only where there is one."""
    if value.tzinfo is None:
        raise ValueError("DateTime cannot carry a time without zone")
    # isoformat takes four times as long, and lists are long.
    return orjson.dumps(value.astimezone(UTC), option=orjson.OPT_UTC_Z)[1:-1].decode()


def decimal_text(value: Decimal) -> str:
    """All digits, no exponent, no trailing zero, so that equal numbers are equal texts."""
    digits = str(value)
    # Most are texts already, and lists are long.
    if digits.isdigit() or ("." in digits and digits[-1] != "0" and "E" not in digits):
        return digits
    if not value.is_finite():
        raise ValueError("Decimal cannot carry NaN or infinity")
    if not value:
        return "0"
    if "E" in digits:
        digits = format(value, "f")
    return digits.rstrip("0").rstrip(".") if "." in digits else digits


def big_integer(value: int) -> int:
    """The integer itself where every JSON reader keeps it exactly."""
    if not -_EXACT_INTEGERS < value < _EXACT_INTEGERS:
        raise ValueError("BigInt cannot carry an integer of 2^53 or more exactly")
    return int(value)


def duration_text(value: timedelta | str) -> str:
    """The span in the widest unit that holds it whole, e.g. ``36h``; an argument's default is text already."""
    if isinstance(value, str):
        return value
    for unit, width in _UNITS:
        if value and not value % width:
            return f"{value // width}{unit}"
    if value:
        raise ValueError("Duration cannot carry less than a millisecond")
    return "0s"


def _plain_json(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value


def _as_sent(value: Any) -> Any:
    return value


def _digits_as_sent(node: ValueNode, variables: dict[str, Any] | None = None) -> Any:
    """A number written in the document keeps its digits: ``10.10`` is not first rounded to a float."""
    if isinstance(node, IntValueNode | FloatValueNode):
        return node.value
    return value_from_ast_untyped(node, variables)


SCALARS: dict[object, ScalarDefinition] = {
    datetime: strawberry.scalar(
        name="DateTime",
        description=(
            "An instant, RFC 3339 text. Sent in UTC with up to microseconds, e.g. `2026-01-31T12:00:00Z`. "
            "Accepted with any offset (`2026-01-31T13:00:00+01:00`), never without one; years 2000 to 2100."
        ),
        serialize=instant_text,
        parse_value=_as_sent,
    ),
    date: strawberry.scalar(
        name="Date",
        description="A calendar day, ISO 8601 text, e.g. `2026-01-31`.",
        serialize=date.isoformat,
        parse_value=_as_sent,
    ),
    Decimal: strawberry.scalar(
        name="Decimal",
        description=(
            'An exact decimal number as text, e.g. `"19.99"`: never an exponent, never a trailing zero, never NaN. '
            "Accepted as text or as a number; send money as text, because most JSON writers round numbers."
        ),
        serialize=decimal_text,
        parse_value=_as_sent,
        parse_literal=_digits_as_sent,
    ),
    BigInt: strawberry.scalar(
        name="BigInt",
        description=(
            "An integer that may pass 2³¹, always a JSON number and always within ±(2⁵³ - 1), which every JSON reader "
            "keeps exactly. Accepted as a number or as text of digits."
        ),
        serialize=big_integer,
        parse_value=_as_sent,
        parse_literal=_digits_as_sent,
    ),
    timedelta: strawberry.scalar(
        name="Duration",
        description=(
            "A span of time: a whole number and a unit, one of `ms`, `s`, `m` (minutes), `h`, `d` (24 hours), "
            "`w` (7 days), e.g. `500ms`, `36h` or `30d`; for a period also `mo` (months) and `y` (years), which follow "
            "the calendar."
        ),
        serialize=duration_text,
        parse_value=_as_sent,
    ),
    JSON: strawberry.scalar(
        name="JSON",
        description="Any JSON value: object, list, text, number, boolean or null.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc8259",
        serialize=_plain_json,
        parse_value=_as_sent,
    ),
}
"""Each scalar by the Python type that stands for it; ``build`` hands them to Strawberry."""
