"""Scalars: exact on the way out, untouched on the way in."""

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from graphql import parse_value
from hypothesis import given
from hypothesis import strategies as st

from resolvers.analysis.periods import parse_duration
from schema import schema
from schema.scalars import big_integer, decimal_text, duration_text, instant_text

NUMBERS = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**15), max_value=10**15)


@given(NUMBERS)
def test_decimal_text_is_plain_and_equal_to_the_number(number: Decimal) -> None:
    text = decimal_text(number)
    assert Decimal(text) == number
    assert set(text) <= set("-0123456789.")
    assert "." not in text or text[-1] not in "0."


@given(NUMBERS, st.integers(0, 6))
def test_equal_decimals_are_equal_texts(number: Decimal, zeros: int) -> None:
    sign, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    longer = Decimal((sign, digits + (0,) * zeros, exponent - zeros))
    assert decimal_text(longer) == decimal_text(number)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "sNaN"])
def test_decimal_refuses_what_is_no_number(number: str) -> None:
    with pytest.raises(ValueError, match="NaN or infinity"):
        decimal_text(Decimal(number))


@pytest.mark.parametrize(
    ("number", "text"), [("1E+3", "1000"), ("-0.00", "0"), ("19.990", "19.99"), ("1E-12", "0.000000000001")]
)
def test_decimal_spelling(number: str, text: str) -> None:
    assert decimal_text(Decimal(number)) == text


def test_big_integer_is_a_number_as_long_as_every_reader_keeps_it() -> None:
    assert big_integer(2**53 - 1) == 9007199254740991
    for beyond in (2**53, -(2**53)):
        with pytest.raises(ValueError, match="exactly"):
            big_integer(beyond)


@given(st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1)), st.integers(-12, 14))  # noqa: DTZ001
def test_instants_go_out_in_utc(naive: datetime, hours: int) -> None:
    moment = naive.replace(tzinfo=timezone(timedelta(hours=hours)))
    text = instant_text(moment)
    assert text.endswith("Z")
    assert datetime.fromisoformat(text) == moment


def test_an_instant_without_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="without zone"):
        instant_text(datetime(2026, 1, 1, tzinfo=UTC).replace(tzinfo=None))


@given(st.integers(1, 10**6), st.sampled_from("smhd"))
def test_a_duration_comes_back_as_the_same_span(count: int, unit: str) -> None:
    given_span = timedelta(**{{"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}[unit]: count})
    text = duration_text(given_span)
    if given_span <= timedelta(days=3650):
        assert parse_duration(text).elapsed("window") == given_span


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (timedelta(days=7), "7d"),
        (timedelta(hours=36), "36h"),
        (timedelta(minutes=90), "90m"),
        (timedelta(milliseconds=1500), "1500ms"),
        (timedelta(0), "0s"),
    ],
)
def test_duration_spelling(span: timedelta, text: str) -> None:
    assert duration_text(span) == text


@pytest.mark.parametrize("name", ["Decimal", "BigInt"])
def test_a_number_in_the_document_keeps_its_digits(name: str) -> None:
    scalar = schema._schema.type_map[name]
    digits = "12345678901234567890.10" if name == "Decimal" else "9" * 5_000
    assert scalar.parse_literal(parse_value(digits)) == digits  # type: ignore[union-attr]


@pytest.mark.parametrize("value", ["2026-13-01", 5, ["x"], {"a": 1}, "", 1e300])
@pytest.mark.parametrize("name", ["DateTime", "Decimal", "BigInt", "Duration", "JSON"])
def test_input_passes_through_as_it_was_sent(name: str, value: object) -> None:
    scalar = schema._schema.type_map[name]
    assert scalar.parse_value(value) is value  # type: ignore[union-attr]
    literal = json.dumps(value) if not isinstance(value, dict) else "{a: 1}"
    if name in ("DateTime", "Duration", "JSON"):
        assert scalar.parse_literal(parse_value(literal)) == value  # type: ignore[union-attr]
