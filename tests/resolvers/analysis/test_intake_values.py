"""Money and times of events that come in: exact, or refused."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.resolvers.analysis.intake_events import (
    NOW,
    SALE,
    TOUCH,
    VIEW,
    accept,
    refuse,
)


@pytest.mark.parametrize(
    "amount",
    [
        "-1",
        -1,
        -0.01,
        "1000000000000.01",
        10**13,
        10**4000,
        1e13,
        "NaN",
        "sNaN",
        "Infinity",
        float("nan"),
        float("inf"),
        "1e999999999",
        "1e-999999999",
        "0.0000000000001",
        "1_000",
        " 1",
        "",
        "1,5",
        "٣",
        True,
        [],
        {},
        "1" * 5000,
        0.1 + 0.2,
        Decimal("NaN"),
        Decimal("-1"),
        Decimal("1E+999999"),
    ],
)
def test_refused_money(amount: Any) -> None:
    assert refuse({**SALE, "amount": amount}).field == "amount"
    assert refuse({**TOUCH, "cost": amount}).field == "cost"


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        ("19.90", "19.9"),
        ("0", "0"),
        (-0.0, "0"),
        ("1e3", "1000"),
        (7, "7"),
        (19.99, "19.99"),
        (1e-7, "0.0000001"),
        ("1000000000000", "1000000000000"),
        ("0.000000000001", "0.000000000001"),
        ("+.5", "0.5"),
        ("007.", "7"),
        (Decimal("1.50"), "1.5"),
        ("999999999999.999999999999", "999999999999.999999999999"),
    ],
)
def test_money_is_exact_and_plain(amount: Any, expected: str) -> None:
    found = accept({**SALE, "amount": amount}).amount
    assert found is not None
    assert f"{found:f}" == expected


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("2026-01-01T00:00:00", "zone"),
        ("2026-01-01", "RFC 3339"),
        ("2026-W01-1T00:00:00Z", "RFC 3339"),
        ("20260101T000000Z", "RFC 3339"),
        ("2026-01-01T00:00Z", "RFC 3339"),
        ("2026-01-01T00:00:00,5Z", "RFC 3339"),
        ("2026-01-01T00:00:00.1234567890Z", "RFC 3339"),
        ("2026-01-01T00:00:00Z\n", "RFC 3339"),
        (1767225600, "RFC 3339"),
        ("2016-12-31T23:59:60Z", "leap second"),
        ("2026-02-30T00:00:00Z", "exists"),
        ("2026-01-01T24:00:00Z", "exists"),
        ("2026-01-01T00:00:00+24:00", "exists"),
        ("0000-01-01T00:00:00Z", "exists"),
        ("0001-01-01T00:00:00+14:00", "before 2000"),
        ("9999-12-31T23:59:59-14:00", "before 2100"),
        ("1999-12-31T23:59:59Z", "before 2000"),
        ("2000-01-01T00:00:00+00:01", "before 2000"),
        ("2026-06-02T12:00:00.000001Z", "ahead"),
        ("2027-01-01T00:00:00Z", "ahead"),
    ],
)
def test_refused_times(text: Any, word: str) -> None:
    refusal = refuse({**VIEW, "occurredAt": text})
    assert refusal.field == "occurredAt"
    assert word in refusal.message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-01t00:00:00z", datetime(2026, 1, 1, tzinfo=UTC)),
        ("2026-01-01 00:00:00.5+05:30", datetime(2025, 12, 31, 18, 30, 0, 500000, tzinfo=UTC)),
        ("2000-01-01T00:00:00Z", datetime(2000, 1, 1, tzinfo=UTC)),
        ("1999-12-31T23:59:59-01:00", datetime(2000, 1, 1, 0, 59, 59, tzinfo=UTC)),
        ("2026-06-02T12:00:00Z", NOW + timedelta(days=1)),
        ("2026-01-01T00:00:00.1234569Z", datetime(2026, 1, 1, 0, 0, 0, 123456, tzinfo=UTC)),
    ],
)
def test_times(text: str, expected: datetime) -> None:
    assert accept({**VIEW, "occurredAt": text}).occurred_at == expected
