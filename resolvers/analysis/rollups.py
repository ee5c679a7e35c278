"""What a batch of events adds to the rollups: sums over columns, never a walk event by event.

Money is summed as whole numbers of its smallest unit in the batch, so that no sum is ever rounded.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Context, Decimal
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.events import DIMENSIONS
from resolvers.analysis.histograms import buckets

HOUR, DAY = 0, 1
"""Grains: a row covers an hour or a day, both of UTC."""
FLAGS = ("recurring", "success", "assisted")
"""Each takes a digit of base 3 in ``flags``, the first the lowest: 0 not said, 1 false, 2 true."""

_SECONDS = {HOUR: 3_600, DAY: 86_400}
_DIGITS = {None: 0, False: 1, True: 2}
_SAID = {
    said: sum(3**place * _DIGITS[flag] for place, flag in enumerate(said))
    for said in product(_DIGITS, repeat=len(FLAGS))
}
_LARGEST = 1 << 62
_EXACT = Context(prec=80)
"""Wide enough for any sum of the amounts that an event may have."""

Ints = NDArray[np.int64]
Columns = Mapping[str, Sequence[Any]]
Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class _Money:
    """A measure in money: which events carry it, and its values as whole multiples of 10^-places."""

    at: Ints
    values: NDArray[Any]
    places: int

    @classmethod
    def of(cls, column: Sequence[Decimal | None]) -> "_Money":
        at = np.flatnonzero([value is not None for value in column])
        given = [value for value in column if value is not None]
        places = max((-int(value.as_tuple().exponent) for value in given), default=0)
        places = max(places, 0)
        whole = [int(value.scaleb(places, _EXACT)) for value in given]
        greatest = max(map(abs, whole), default=0)
        # Numbers that a sum could carry out of 64 bits stay Python's own: slower, and of any size.
        exact = np.int64 if greatest * max(len(whole), 1) < _LARGEST else object
        return cls(at, np.array(whole, dtype=exact), places)

    def decimal(self, value: Any) -> Decimal:
        return Decimal(int(value)).scaleb(-self.places, _EXACT)


@dataclass(frozen=True, slots=True)
class _Durations:
    at: Ints
    values: NDArray[np.float64]
    buckets: Ints

    @classmethod
    def of(cls, column: Sequence[float | None]) -> "_Durations":
        at = np.flatnonzero([value is not None for value in column])
        values = np.array([value for value in column if value is not None], dtype=np.float64)
        return cls(at, values, buckets(values))


def deltas(columns: Columns) -> Iterator[Row]:
    """The rows to add: (grain, dimension, value, kind, name, currency, flags, at), then the aggregates.

    ``columns`` are those of the log by name, texts as codes, each as long as the batch. The aggregates are n; for
    amount, cost and duration n, Σx, Σx², least and greatest; and the histogram of durations, or None.
    """
    classes: dict[tuple[Any, ...], int] = {}
    flags = [_SAID[said] for said in zip(*(columns[flag] for flag in FLAGS), strict=True)]
    of_class = np.array(
        [
            classes.setdefault((kind, name, currency or "", flag), len(classes))
            for kind, name, currency, flag in zip(
                columns["kind"], columns["name"], columns["currency"], flags, strict=True
            )
        ]
    )
    moneys = (_Money.of(columns["amount"]), _Money.of(columns["cost"]))
    durations = _Durations.of(columns["duration_ms"])
    present = [
        (place, np.array([code or 0 for code in columns[name]], dtype=np.int64))
        for place, name in enumerate(DIMENSIONS, 1)
        if any(columns[name])
    ]
    known = list(classes)
    times = np.array([int(at.timestamp()) for at in columns["occurred_at"]])
    for grain, seconds in _SECONDS.items():
        span = times // seconds
        first = int(span.min())
        base = (span - first) * len(known) + of_class
        size = int(base.max()) + 1
        for place, codes in [(0, np.zeros(len(span), np.int64)), *present]:
            covered = np.flatnonzero(codes) if place else np.arange(len(span))
            keys, group = np.unique(codes[covered] * size + base[covered], return_inverse=True)
            slot = np.full(len(span), -1)
            slot[covered] = group
            aggregates = zip(
                np.bincount(group, minlength=len(keys)).tolist(),
                *(column for money in moneys for column in _summed(money, slot, len(keys))),
                *_spread(durations, slot, len(keys)),
                strict=True,
            )
            for key, row in zip(keys.tolist(), aggregates, strict=True):
                code, rest = divmod(key, size)
                steps, which = divmod(rest, len(known))
                yield (grain, place, code, *known[which], datetime.fromtimestamp((first + steps) * seconds, UTC), *row)


def _chosen(at: Ints, slot: Ints) -> tuple[Ints, Ints]:
    """Which of a measure's values fall into a group, and into which."""
    groups = slot[at]
    inside = np.flatnonzero(groups >= 0)
    return inside, groups[inside]


def _summed(money: _Money, slot: Ints, size: int) -> Iterator[Sequence[Any]]:
    inside, groups = _chosen(money.at, slot)
    values = money.values[inside]
    count = np.bincount(groups, minlength=size)
    total = np.zeros(size, dtype=values.dtype)
    np.add.at(total, groups, values)
    least = np.full(size, _LARGEST if values.dtype == np.int64 else 1 << 200, dtype=values.dtype)
    greatest = -least
    np.minimum.at(least, groups, values)
    np.maximum.at(greatest, groups, values)
    squares = np.bincount(groups, (values.astype(np.float64) * 10.0**-money.places) ** 2, minlength=size)
    yield count.tolist()
    yield [money.decimal(value) for value in total.tolist()]
    yield squares.tolist()
    for extreme in (least, greatest):
        yield [money.decimal(value) if n else None for value, n in zip(extreme.tolist(), count.tolist(), strict=True)]


def _spread(durations: _Durations, slot: Ints, size: int) -> Iterator[Sequence[Any]]:
    inside, groups = _chosen(durations.at, slot)
    values = durations.values[inside]
    count = np.bincount(groups, minlength=size)
    yield count.tolist()
    yield np.bincount(groups, values, minlength=size).tolist()
    yield np.bincount(groups, values * values, minlength=size).tolist()
    least, greatest = np.full(size, np.inf), np.full(size, -np.inf)
    np.minimum.at(least, groups, values)
    np.maximum.at(greatest, groups, values)
    for extreme in (least, greatest):
        yield [value if n else None for value, n in zip(extreme.tolist(), count.tolist(), strict=True)]
    yield _histograms(groups, durations.buckets[inside], size)


def _histograms(groups: Ints, bucket: Ints, size: int) -> list[list[int] | None]:
    if not len(groups):
        return [None] * size
    lowest = int(bucket.min())
    width = int(bucket.max()) - lowest + 1
    pairs, count = np.unique(groups * width + (bucket - lowest), return_counts=True)
    found: list[list[int] | None] = [None] * size
    parts = (pairs % width + lowest << 32 | count).tolist()
    edges = np.searchsorted(pairs // width, np.arange(size + 1)).tolist()
    for place in range(size):
        if edges[place] < edges[place + 1]:
            found[place] = parts[edges[place] : edges[place + 1]]
    return found
