"""Events as columns, and filters evaluated over all rows at once.

What repeats (names, dimension values, flags) is held as a small index into the distinct codes of its column, so that
a condition is decided once per distinct code and then spread over the rows.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.ascending import Ascending
from resolvers.analysis.events import DIMENSIONS
from resolvers.analysis.filters import (
    All,
    Any,
    DimensionIs,
    Filter,
    FlagIs,
    InSegment,
    KindIs,
    NameIs,
    Not,
    Op,
    SubjectIs,
    leaves,
)
from resolvers.analysis.members import Members

FLAGS = ("success", "assisted", "recurring")
CODED = ("kind", "name", *FLAGS, *DIMENSIONS)
"""The columns of codes, 0 where an event carries none: a flag is 1 for false and 2 for true, a kind its number."""

Truth = NDArray[np.bool_] | bool
"""One answer a row, or the same for all rows."""
_FEW = 3


@dataclass(frozen=True, slots=True, eq=False)
class Coded:
    """A column of codes: row i carries ``codes[index[i]]``; ``codes`` are distinct and ascending."""

    codes: NDArray[np.int32]
    index: NDArray[np.unsignedinteger]

    @classmethod
    def of(cls, values: NDArray[np.int32]) -> "Coded":
        """The column of these codes, none of them negative."""
        present = np.zeros(int(values.max(initial=0)) + 1, np.bool_)
        present[values] = True
        codes = np.flatnonzero(present).astype(np.int32)
        places = np.zeros(present.size, np.min_scalar_type(max(0, codes.size - 1)))
        places[codes] = np.arange(codes.size)
        return cls(codes, places[values])

    @property
    def nbytes(self) -> int:
        return self.codes.nbytes + self.index.nbytes

    @property
    def blank(self) -> bool:
        """Whether no row carries anything."""
        return not self.codes.any()

    def values(self, rows: "NDArray[np.intp] | slice" = slice(None)) -> NDArray[np.int32]:
        """The codes of rows."""
        return self.codes.take(self.index[rows])

    def part(self, start: int, end: int) -> "Coded":
        return replace(self, index=self.index[start:end])

    def chosen(self, rows: NDArray[np.intp]) -> "Coded":
        return replace(self, index=self.index[rows])


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Times as ticks: row i is at ``start_us + ticks[i] * unit_us`` microseconds since 1970 (UTC)."""

    ticks: NDArray[np.unsignedinteger]
    start_us: int
    unit_us: int

    @classmethod
    def of(cls, at: NDArray[np.int64], start_us: int) -> "Moments":
        """Times at or after ``start_us``, in milliseconds if that loses nothing."""
        since = at - start_us
        milliseconds = since // 1000
        if milliseconds.max(initial=0) <= np.iinfo(np.uint32).max and np.array_equal(milliseconds * 1000, since):
            return cls(milliseconds.astype(np.uint32), start_us, 1000)
        return cls(since.astype(np.uint64), start_us, 1)

    @property
    def nbytes(self) -> int:
        return self.ticks.nbytes

    def microseconds(self, rows: "NDArray[np.intp] | slice" = slice(None)) -> NDArray[np.int64]:
        at: NDArray[np.int64] = np.multiply(self.ticks[rows], self.unit_us, dtype=np.int64, casting="unsafe")
        at += self.start_us
        return at

    def part(self, start: int, end: int) -> "Moments":
        return replace(self, ticks=self.ticks[start:end])

    def within(self, start_us: int, end_us: int) -> Truth:
        """The rows with start_us <= time < end_us."""
        largest = np.iinfo(self.ticks.dtype).max
        first = -((self.start_us - start_us) // self.unit_us)
        beyond = -((self.start_us - end_us) // self.unit_us)
        passing: Truth = True
        if first > 0:
            passing = self.ticks >= self.ticks.dtype.type(first) if first <= largest else False
        if beyond <= largest:
            passing = both(passing, self.ticks < self.ticks.dtype.type(beyond) if beyond > 0 else False)
        return passing

    def count(self, start_us: int, end_us: int) -> int:
        """How many rows have start_us <= time < end_us."""
        passing = self.within(start_us, end_us)
        return int(np.count_nonzero(passing)) if isinstance(passing, np.ndarray) else self.ticks.size * passing


@dataclass(frozen=True, slots=True, eq=False)
class EventColumns:
    """Events as columns of one length; a coded column that no event carries is None or left out."""

    subject: NDArray[np.int32]
    moments: Moments
    coded: Mapping[str, Coded | None]

    def chosen(self, rows: NDArray[np.intp], names: Collection[str]) -> "EventColumns":
        """Some rows, with the coded columns named."""
        coded = {name: column and column.chosen(rows) for name, column in self.coded.items() if name in names}
        moments = replace(self.moments, ticks=self.moments.ticks[rows])
        return EventColumns(self.subject[rows], moments, coded)


@dataclass(frozen=True, slots=True, eq=False)
class EventRun:
    """Columns of events in the order of their subjects."""

    subject: Ascending
    moments: Moments
    coded: Mapping[str, Coded | None]

    @property
    def size(self) -> int:
        return self.subject.size

    @property
    def nbytes(self) -> int:
        coded = sum(0 if column is None else column.nbytes for column in self.coded.values())
        return self.subject.nbytes + self.moments.nbytes + coded

    def part(self, start: int, end: int) -> EventColumns:
        """The rows from ``start`` to before ``end``; only subjects are copied."""
        coded = {name: column and column.part(start, end) for name, column in self.coded.items()}
        return EventColumns(self.subject.part(start, end), self.moments.part(start, end), coded)


Test = Callable[[EventColumns], Truth]
"""Which rows pass, asked of some rows of the columns that it was made for."""


@dataclass(frozen=True, slots=True)
class Coding:
    """The codes of the texts that a question names; a text without a code is carried by no event."""

    terms: Mapping[str, int]
    subjects: Mapping[str, int]
    members: Mapping[int | str, Members] = field(default_factory=dict)
    """Those of the segments that are named."""


def columns_of(*roots: Filter) -> frozenset[str] | None:
    """The coded columns that filters look at; None where they look at more than columns hold."""
    found = set[str]()
    for leaf in (leaf for root in roots for leaf in leaves(root)):
        match leaf:
            case KindIs():
                found.add("kind")
            case NameIs():
                found.add("name")
            case SubjectIs() | InSegment():
                pass
            case DimensionIs(name) | FlagIs(name):
                found.add(name)
            case _:
                return None
    return frozenset(found)


def bound(root: Filter, columns: Mapping[str, Coded | None], coding: Coding) -> Test:
    """A filter whose ``columns_of`` are among the coded columns, made ready to be asked of any rows of them."""
    match root:
        case All(of):
            return _joined([bound(part, columns, coding) for part in of], True, both)
        case Any(of):
            return _joined([bound(part, columns, coding) for part in of], False, either)
        case Not(of):
            inner = bound(of, columns, coding)
            return lambda part: opposite(inner(part))
        case SubjectIs(subjects):
            people = [coding.subjects[who] for who in subjects if who in coding.subjects]
            return lambda part: np.isin(part.subject, people) if people else False
        case InSegment(segment, op):
            members, inside = coding.members[segment], op is Op.IN
            return lambda part: members.among(part.subject) == inside
        case KindIs(kinds):
            return _coded("kind", columns, Op.IN, [int(kind) for kind in kinds])
        case NameIs(names):
            return _coded("name", columns, Op.IN, _codes(names, coding))
        case FlagIs(flag, value):
            return _coded(flag, columns, Op.IN, [1 + value])
        case DimensionIs(name, op, values):
            return _coded(name, columns, op, _codes(values, coding))
        case _:
            raise ValueError(f"columns do not hold what {root} asks for")


def both(one: Truth, other: Truth) -> Truth:
    """Rows that pass both."""
    if isinstance(one, bool):
        return other if one else False
    if isinstance(other, bool):
        return one if other else False
    return one & other


def either(one: Truth, other: Truth) -> Truth:
    """Rows that pass one or the other."""
    if isinstance(one, bool):
        return True if one else other
    if isinstance(other, bool):
        return True if other else one
    return one | other


def opposite(one: Truth) -> Truth:
    """Rows that do not pass."""
    return not one if isinstance(one, bool) else ~one


def least(values: NDArray[np.integer]) -> NDArray[np.unsignedinteger]:
    """Values, none of them negative, in the smallest type that holds them."""
    return values.astype(np.min_scalar_type(int(values.max(initial=0))))


def thin(values: NDArray[np.unsignedinteger]) -> NDArray[np.unsignedinteger]:
    """The same; where there is nothing but 0, of which there need be only one in memory."""
    return values if values.any() else np.broadcast_to(np.zeros(1, np.uint8), values.shape)


def _joined(tests: Sequence[Test], start: Truth, join: Callable[[Truth, Truth], Truth]) -> Test:
    return lambda part: reduce(join, (test(part) for test in tests), start)


def _codes(values: tuple[str, ...], coding: Coding) -> list[int]:
    return [coding.terms[value] for value in values if value in coding.terms]


def _coded(name: str, columns: Mapping[str, Coded | None], op: Op, wanted: list[int]) -> Test:
    """A condition on a column of codes, decided here for each of its codes."""
    column = columns.get(name)
    codes = np.zeros(1, np.int32) if column is None else column.codes
    match op:
        case Op.IN:
            passing = np.isin(codes, wanted)
        case Op.NOT_IN:
            passing = (codes != 0) & ~np.isin(codes, wanted)
        case Op.EXISTS:
            passing = codes != 0
        case Op.MISSING:
            passing = codes == 0
        case _:
            raise ValueError(f"a dimension has no {op}")
    chosen: list[int] = np.flatnonzero(passing).tolist()
    if len(chosen) in (0, passing.size):
        every = bool(chosen)
        return lambda part: every
    if len(chosen) <= _FEW:
        # Comparing small numbers is tens of times faster than looking each one up.
        return lambda part: reduce(np.logical_or, [_index(part, name) == place for place in chosen])
    return lambda part: passing.take(_index(part, name))


def _index(part: EventColumns, name: str) -> NDArray[np.unsignedinteger]:
    column = part.coded[name]
    assert column is not None
    return column.index
