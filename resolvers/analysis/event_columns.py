"""A batch of events as columns: one pass over them, and what follows is arithmetic on whole columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Context, Decimal
from itertools import chain
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.events import Event

TEXTS = ("id", "name", "subject", "session", "order_id", "currency", "cost_source", "subscription", "interval")
FLAGS = ("recurring", "success", "assisted")
"""Where they are one number, each takes a digit of base 3, the first the lowest: 0 not said, 1 false, 2 true."""
COUNTS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
FLOATS = ("duration_ms", "score")
MONEY = ("amount", "cost")

_GETTERS = {name: attrgetter(name) for name in (*TEXTS, *FLAGS, *COUNTS, *FLOATS, *MONEY)}
_KIND, _MICROSECOND = attrgetter("kind"), attrgetter("microsecond")
_DIMENSIONS, _PROPERTIES = attrgetter("dimensions"), attrgetter("properties")
_DIGITS = {None: 0, False: 1, True: 2}
_FITS = 1 << 62
_EXACT = Context(prec=80)
"""Wide enough for any sum of the amounts that an event may have."""

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Some:
    """What only some events carry: which ones, in order, and their values."""

    at: Ints
    values: NDArray[Any]

    @classmethod
    def of(cls, column: Sequence[Any], kind: Any) -> "Some":
        """The values of a column that are not None."""
        at, given = _given(column)
        return cls(at, np.array(given, kind))


@dataclass(frozen=True, slots=True)
class Money:
    """A measure in money: which events carry it, and its values as whole multiples of 10^-places."""

    at: Ints
    values: NDArray[Any]
    """Python's own integers where a sum could leave 64 bits: slower, and of any size."""
    places: int
    scales: Ints
    """How many decimal places each value was given with."""

    @classmethod
    def of(cls, column: Sequence[Decimal | None]) -> "Money":
        """The amounts of a column that are not None."""
        at, given = _given(column)
        scales = np.array([max(-int(value.as_tuple().exponent), 0) for value in given], np.int64)
        places = int(scales.max(initial=0))
        whole = [int(value.scaleb(places, _EXACT)) for value in given]
        small = max(map(abs, whole), default=0) * max(len(whole), 1) < _FITS
        return cls(at, np.array(whole, dtype=np.int64 if small else object), places, scales)

    def decimal(self, value: int) -> Decimal:
        """A sum of values as an amount."""
        return Decimal(value).scaleb(-self.places, _EXACT)


@dataclass(frozen=True, slots=True)
class EventColumns:
    """The events of a batch, column by column; what an event does not have is None or left out."""

    size: int
    at: Ints
    """Microseconds since 1970."""
    kind: Ints
    texts: Mapping[str, Sequence[str | None]]
    dimensions: Mapping[str, tuple[Ints, Sequence[str]]]
    """Of those that some event has: which events have it, and the values."""
    flags: Mapping[str, NDArray[np.int8]]
    """0 not said, 1 false, 2 true."""
    counts: Mapping[str, Some]
    floats: Mapping[str, Some]
    money: Mapping[str, Money]
    properties: Sequence[Mapping[str, Any]]

    @classmethod
    def of(cls, events: Sequence[Event], at: Ints) -> "EventColumns":
        """The columns of events, ``at`` being those of their times."""
        columns = {name: list(map(get, events)) for name, get in _GETTERS.items()}
        return cls(
            size=len(events),
            at=at,
            kind=np.fromiter(map(_KIND, events), np.int64, len(events)),
            texts={name: columns[name] for name in TEXTS},
            dimensions=_dimensions(events),
            flags={name: _flags(columns[name]) for name in FLAGS},
            counts={name: Some.of(columns[name], np.int64) for name in COUNTS},
            floats={name: Some.of(columns[name], np.float64) for name in FLOATS},
            money={name: Money.of(columns[name]) for name in MONEY},
            properties=list(map(_PROPERTIES, events)),
        )


def microseconds(times: Sequence[datetime]) -> Ints:
    """Aware times as microseconds since 1970, exactly."""
    # A double holds the whole seconds of any year, but not always their millionths too.
    seconds = np.floor(np.fromiter(map(datetime.timestamp, times), np.float64, len(times))).astype(np.int64)
    return seconds * 1_000_000 + np.fromiter(map(_MICROSECOND, times), np.int64, len(times))


def _given(column: Sequence[Any]) -> tuple[Ints, Sequence[Any]]:
    """Which values of a column are not None, and those."""
    if column.count(None) == len(column):
        return np.empty(0, np.int64), ()
    return np.flatnonzero([value is not None for value in column]), [value for value in column if value is not None]


def _flags(column: Sequence[bool | None]) -> NDArray[np.int8]:
    if column.count(None) == len(column):
        return np.zeros(len(column), np.int8)
    return np.array([_DIGITS[said] for said in column], np.int8)


def _dimensions(events: Sequence[Event]) -> dict[str, tuple[Ints, Sequence[str]]]:
    given = list(map(_DIMENSIONS, events))
    names = list(chain.from_iterable(given))
    values = np.array(list(chain.from_iterable(one.values() for one in given)), object)
    at = np.repeat(np.arange(len(given)), list(map(len, given)))
    known = {name: place for place, name in enumerate(dict.fromkeys(names))}
    which = np.array([known[name] for name in names], np.int64)
    found = {}
    for name, place in known.items():
        chosen = which == place
        found[name] = (at[chosen], values[chosen].tolist())
    return found
