"""Entries of ledgers from plain rows, and rows to make them of."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from hypothesis import strategies as st

from resolvers.analysis.attribution_sales import UNIT
from resolvers.analysis.ledgers import Entries, number_of

HOUR_US = 3_600_000_000


@dataclass(frozen=True)
class Row:
    """One event; ``units`` of 1/UNIT are None where no amount is stated."""

    subject: int = 1
    at: int = 0
    name: int = 1
    currency: str = "USD"
    units: int | None = UNIT
    thing: int = 0
    times: int = 0
    steps: int = 0

    @property
    def amount(self) -> Decimal:
        return Decimal(self.units or 0).scaleb(-12)


AMOUNTS = st.none() | st.integers(0, 10**24) | st.integers(0, 500).map(lambda cents: cents * 10**10)
ROWS = st.builds(
    Row,
    subject=st.integers(1, 4),
    at=st.integers(0, 90).map(lambda hours: hours * HOUR_US) | st.integers(0, 10**12),
    name=st.integers(1, 3),
    currency=st.sampled_from(["USD", "EUR", "JPY"]),
    units=AMOUNTS,
    thing=st.just(0) | st.integers(-(2**63), 2**63 - 1) | st.integers(1, 2),
    times=st.sampled_from([0, 12, 365]),
    steps=st.integers(0, 1),
)


def entries(rows: Sequence[Row]) -> Entries:
    def column(values: Sequence[int], kind: type = np.int32) -> np.ndarray:
        return np.array(values, kind)

    return Entries(
        subject=column([row.subject for row in rows]),
        at=column([row.at for row in rows], np.int64),
        name=column([row.name for row in rows]),
        currency=column([0 if row.units is None else number_of(row.currency) for row in rows]),
        whole=column([(row.units or 0) // UNIT for row in rows], np.int64),
        fraction=column([(row.units or 0) % UNIT for row in rows], np.int64),
        thing=column([row.thing for row in rows], np.int64),
        times=column([row.times for row in rows], np.int16),
        steps=column([row.steps for row in rows], np.uint8),
        dimensions=np.empty((0, len(rows)), np.int32),
        measures=np.empty((0, len(rows))),
    )
