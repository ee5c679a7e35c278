"""What a batch of events adds to the rollups: sums over columns, never a walk event by event.

Money is summed as whole numbers of its smallest unit in the batch, so that no sum is ever rounded.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.event_columns import FLAGS, EventColumns, Ints, Money
from resolvers.analysis.events import DIMENSIONS
from resolvers.analysis.histograms import buckets

HOUR, DAY = 0, 1
"""Grains: a row covers an hour or a day, both of UTC."""

_SECONDS = {HOUR: 3_600, DAY: 86_400}
_HOURS = 24
_SECOND = 1_000_000
_PLACES = {dimension: place for place, dimension in enumerate(DIMENSIONS, 1)}
_LARGEST = 1 << 62
_NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True)
class Deltas:
    """The rows to add, as columns, those of a grain in the order of their keys."""

    columns: Mapping[str, Sequence[Any]]
    """grain, dimension, value, kind, name, currency, flags, at (where the span begins, in seconds since 1970); n; for
    amount, cost and duration ``_n``, ``_sum``, ``_squares``, ``_least`` and ``_greatest``; histogram, of durations."""
    days: Sequence[date]
    """The days that they lie in."""


@dataclass(frozen=True, slots=True)
class _Measured:
    """A measure's values where events that carry it meet a row: at which place among all such, and the value."""

    inside: Ints
    values: NDArray[Any]

    @classmethod
    def of(cls, at: Ints, values: NDArray[Any], events: Ints, size: int) -> "_Measured":
        """``events`` are the events of all places, each a number below ``size``."""
        place_of = np.full(size, -1)
        place_of[at] = np.arange(len(at))
        places = place_of[events]
        inside = np.flatnonzero(places >= 0)
        return cls(inside, values[places[inside]])


def deltas(columns: EventColumns, codes: Mapping[str, Ints]) -> Deltas:
    """The rows that a batch adds; ``codes`` holds the numbers of its names and dimension values, 0 for none."""
    kinds, names, currencies, flags, of_class = _classes(columns, codes["name"])
    hours = columns.at // (_SECONDS[HOUR] * _SECOND)
    first, spans = int(hours.min()), int(hours.max() - hours.min()) + 1
    bases, of_base = np.unique(of_class * spans + (hours - first), return_inverse=True)
    # An event meets the rows of its class for all events, and for each of its dimension values.
    events, labels = _met(columns.size, codes)
    label, of_label = np.unique(labels, return_inverse=True)
    keys, group = np.unique(of_label * len(bases) + of_base[events], return_inverse=True)
    which, base = keys // len(bases), bases[keys % len(bases)]
    hour_class, hour = base // spans, first + base % spans
    day = hour // _HOURS
    day_first, day_spans = int(day.min()), int(day.max() - day.min()) + 1
    day_keys, day_of = np.unique((which * len(kinds) + hour_class) * day_spans + (day - day_first), return_inverse=True)
    day_which, day_class = day_keys // day_spans // len(kinds), day_keys // day_spans % len(kinds)
    of_row = label[np.concatenate([which, day_which])]
    row_class = np.concatenate([hour_class, day_class])
    row_day = day_first + day_keys % day_spans
    found: dict[str, Sequence[Any]] = {
        "grain": [HOUR] * len(keys) + [DAY] * len(day_keys),
        "dimension": (of_row >> 32).tolist(),
        "value": (of_row & 0xFFFFFFFF).tolist(),
        "kind": kinds[row_class].tolist(),
        "name": names[row_class].tolist(),
        "currency": [currencies[place] for place in row_class.tolist()],
        "flags": flags[row_class].tolist(),
        "at": np.concatenate([hour * _SECONDS[HOUR], row_day * _SECONDS[DAY]]).tolist(),
    }
    money = {
        name: (column, _Measured.of(column.at, column.values, events, columns.size))
        for name, column in columns.money.items()
    }
    durations = columns.floats["duration_ms"]
    lasting = _Measured.of(durations.at, durations.values, events, columns.size)
    in_bucket = _Measured(lasting.inside, buckets(lasting.values))
    grains = [
        _aggregates(group, len(keys), money, lasting, in_bucket),
        _aggregates(day_of[group], len(day_keys), money, lasting, in_bucket),
    ]
    for name in grains[0]:
        found[name] = [*grains[0][name], *grains[1][name]]
    return Deltas(found, np.unique(row_day).astype("datetime64[D]").tolist())


def _classes(columns: EventColumns, name: Ints) -> tuple[Ints, Ints, list[str], Ints, Ints]:
    """Kind, name, currency and flags of each class, in order, and the class of each event."""
    given = columns.texts["currency"]
    known = sorted({currency or "" for currency in set(given)})
    place = {currency or None: number for number, currency in enumerate(known)}
    currency = np.array([place[one] for one in given])
    flags = sum(columns.flags[flag].astype(np.int64) * 3**digit for digit, flag in enumerate(FLAGS))
    keys = ((columns.kind << 32 | name) * len(known) + currency) * 32 + flags
    classes, of_class = np.unique(keys, return_inverse=True)
    rest = classes // 32 // len(known)
    return (
        rest >> 32,
        rest & 0xFFFFFFFF,
        [known[number] for number in (classes // 32 % len(known)).tolist()],
        classes % 32,
        of_class,
    )


def _met(size: int, codes: Mapping[str, Ints]) -> tuple[Ints, Ints]:
    """Which event meets which row of a class: the place of a dimension, 0 for all events, above the value's code."""
    events, labels = [np.arange(size)], [np.zeros(size, np.int64)]
    for dimension, place in _PLACES.items():
        if dimension in codes:
            carrying = np.flatnonzero(codes[dimension])
            events.append(carrying)
            labels.append(place << 32 | codes[dimension][carrying])
    return np.concatenate(events), np.concatenate(labels)


def _aggregates(
    group: Ints, size: int, money: Mapping[str, tuple[Money, _Measured]], lasting: _Measured, in_bucket: _Measured
) -> dict[str, Sequence[Any]]:
    found: dict[str, Sequence[Any]] = {"n": np.bincount(group, minlength=size).tolist()}
    for name, (column, measured) in money.items():
        for part, values in _summed(column, measured.values, group[measured.inside], size):
            found[f"{name}_{part}"] = values
    groups = group[lasting.inside]
    for part, values in _spread(lasting.values, groups, size):
        found[f"duration_{part}"] = values
    found["histogram"] = _histograms(groups, in_bucket.values, size)
    return found


def _summed(money: Money, values: NDArray[Any], groups: Ints, size: int) -> Iterator[tuple[str, Sequence[Any]]]:
    count = np.bincount(groups, minlength=size)
    total = np.zeros(size, dtype=values.dtype)
    np.add.at(total, groups, values)
    least = np.full(size, _LARGEST if values.dtype == np.int64 else 1 << 200, dtype=values.dtype)
    greatest = -least
    np.minimum.at(least, groups, values)
    np.maximum.at(greatest, groups, values)
    squares = np.bincount(groups, (values.astype(np.float64) * 10.0**-money.places) ** 2, minlength=size)
    there = count.tolist()
    yield "n", there
    yield "sum", [money.decimal(v) if n else _NOTHING for v, n in zip(total.tolist(), there, strict=True)]
    yield "squares", squares.tolist()
    for part, extreme in (("least", least), ("greatest", greatest)):
        yield part, [money.decimal(v) if n else None for v, n in zip(extreme.tolist(), there, strict=True)]


def _spread(values: NDArray[np.float64], groups: Ints, size: int) -> Iterator[tuple[str, Sequence[Any]]]:
    there = np.bincount(groups, minlength=size).tolist()
    yield "n", there
    yield "sum", np.bincount(groups, values, minlength=size).tolist()
    yield "squares", np.bincount(groups, values * values, minlength=size).tolist()
    least, greatest = np.full(size, np.inf), np.full(size, -np.inf)
    np.minimum.at(least, groups, values)
    np.maximum.at(greatest, groups, values)
    for part, extreme in (("least", least), ("greatest", greatest)):
        yield part, [value if n else None for value, n in zip(extreme.tolist(), there, strict=True)]


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
