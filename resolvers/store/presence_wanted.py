"""What distinct statistics want of the sets of each day and of the log, and how many that are together."""

from collections.abc import Callable, Container, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from hashlib import blake2b
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.code_sets import CodeSet, Ints, shared, union
from resolvers.analysis.exchange_rates import DAY_US, NO_RATES, Rates
from resolvers.analysis.explanations import Explanation, Source
from resolvers.analysis.filters import names_in
from resolvers.analysis.metrics import Statistic
from resolvers.analysis.periods import Period, epoch_us
from resolvers.analysis.presence import MEMBERS_OF, Member, Passing, Sightings
from resolvers.analysis.series import Column
from resolvers.store.presence import Leaf
from resolvers.store.rollup_metrics import Scope
from resolvers.store.scans import Selection, Statistics

Key = tuple[Hashable, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Wanted:
    """The codes of one member among events of classes that pass, and what tells this from whatever else is kept."""

    member: Member
    passing_in: Callable[[Container[str]], Passing]
    """Which classes pass, of money in some currencies."""
    currency: str
    rates: Rates
    digest: bytes

    def passing(self, day: int) -> Passing:
        """Which classes pass on a day: money counts in the currencies that can be converted then."""
        return self.passing_in({self.currency, *self.rates.on(day)})

    def key(self, leaf: Leaf, hours: Hashable) -> Key:
        """What tells the codes of some hours of a day, or of some other part of it."""
        return self.digest, leaf, self.rates.on(leaf.day), hours

    def key_of(self, edition: int, period: Period, buckets: tuple[datetime, ...]) -> Key:
        """What tells the codes of a period."""
        covered = tuple([(currency, *by_day) for currency, by_day in self.rates.factors.items()])
        return self.digest, edition, period, buckets, covered


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """The codes wanted of a period: by bucket, and all of them."""

    by_bucket: Mapping[int, CodeSet]
    whole: CodeSet
    rows: frozenset[Hashable]
    """The rows they come from."""
    _sizes: dict[int, tuple[int, ...]] = field(default_factory=dict)

    def sizes(self, buckets: int) -> tuple[int, ...]:
        """How many codes there are in each of so many buckets."""
        if buckets not in self._sizes:
            sizes = [0] * max(buckets, 1)
            for bucket, codes in self.by_bucket.items():
                sizes[bucket] = codes.size
            self._sizes[buckets] = tuple(sizes)
        return self._sizes[buckets]


@dataclass(frozen=True, slots=True, eq=False)
class Sizes:
    """How many codes there are by bucket, and in all."""

    by_bucket: Mapping[int, int]
    whole: int

    @classmethod
    def of(cls, drawn: Drawn, among: CodeSet | None) -> "Sizes":
        """Those of what was drawn, of the codes ``among`` where there are such."""
        by_bucket = {bucket: _size(codes, among) for bucket, codes in drawn.by_bucket.items()}
        return cls(by_bucket, _size(drawn.whole, among))


@dataclass(frozen=True, slots=True, eq=False)
class Tail:
    """Events that came from the log, and the bucket of each."""

    seen: Sightings | None
    buckets: Ints
    first_order: int
    """A code that no order has, nor any above it."""

    @classmethod
    def of(cls, seen: Sightings | None, buckets: Sequence[datetime], drawn: Iterable[Drawn]) -> "Tail":
        if seen is None:
            return cls(None, np.empty(0, np.int64), 0)
        starts = np.array([epoch_us(start) for start in buckets], np.int64)
        places = np.searchsorted(starts, seen.at, "right") - 1
        highest = max((one.whole.high for one in drawn), default=0)
        return cls(seen, places, max(highest, int(seen.order.max(initial=0))) + 1)

    @property
    def size(self) -> int:
        return 0 if self.seen is None else self.seen.at.size

    def of_wanted(self, wanted: Wanted) -> Mapping[int | None, CodeSet]:
        """The codes that are wanted, by bucket, and under None all of them; nothing where there are none."""
        if self.seen is None:
            return {}
        rows, codes = self.seen.of(wanted.member)
        passing = _passing(wanted, self.seen, rows)
        codes, places = codes[passing], self.buckets[rows[passing]]
        codes = np.where(codes < 0, self.first_order - codes, codes)
        found: dict[int | None, CodeSet] = {
            place: CodeSet.holding(codes[places == place]) for place in np.unique(places).tolist()
        }
        return found | {None: CodeSet.holding(codes)} if found else {}


def wanted_among(wanted: Wanted, seen: Sightings) -> CodeSet:
    """The codes that are wanted of events; orders that have none yet are left out."""
    rows, codes = seen.of(wanted.member)
    codes = codes[_passing(wanted, seen, rows)]
    return CodeSet.holding(codes[codes > 0])


def _passing(wanted: Wanted, seen: Sightings, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Which of the rows pass."""
    # Without rates all days are alike.
    day = seen.at[rows] // DAY_US if wanted.rates else np.zeros(rows.size, np.int64)
    days, place = np.unique(day, return_inverse=True)
    by_day = np.array([[*map(wanted.passing(one), seen.classes)] for one in days.tolist()], np.bool_)
    found: NDArray[np.bool_] = by_day.reshape(days.size, len(seen.classes))[place, seen.of_class[rows]]
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """What was read of the sets that are wanted, by their digests, and of the log."""

    drawn: Mapping[bytes, Drawn]
    tail: Tail
    started: float
    among: CodeSet | None = None
    """Whom alone to count, where not all."""
    sizes: Mapping[bytes, Sizes] = field(default_factory=dict)
    """What was drawn, counted so, as far as that is known."""

    def explanation(self) -> Explanation:
        read = len(frozenset[Hashable]().union(*(one.rows for one in self.drawn.values())))
        milliseconds = (perf_counter() - self.started) * 1e3
        return Explanation(Source.PRESENCE, read + self.tail.size, milliseconds, tail=self.tail.size)

    def statistics(self, wanted: Sequence[Sequence[Wanted]], buckets: int) -> Statistics:
        """How many codes there are of what each statistic wants, in total and in each bucket."""
        tail = self.tail
        counted = [[self._counted(one.digest, tail.of_wanted(one), buckets) for one in each] for each in wanted]
        columns = [Column(_together([column for _, column in each])) for each in counted]
        return Statistics(
            total=tuple(sum(total for total, _ in each) for each in counted),
            columns=columns if buckets else [],
            explanations=(self.explanation(),) * len(counted),
        )

    def _counted(self, digest: bytes, tail: Mapping[int | None, CodeSet], buckets: int) -> tuple[int, Sequence[int]]:
        """How many codes there are in all and in each bucket."""
        drawn, among = self.drawn[digest], self.among
        if not tail and among is None:
            return drawn.whole.size, drawn.sizes(buckets)
        sizes = self.sizes.get(digest) or Sizes.of(drawn, among)
        counts = [sizes.by_bucket.get(bucket, 0) for bucket in range(max(buckets, 1))]
        for place, codes in tail.items():
            if place is not None and buckets:
                counts[place] = _size(union([codes, *filter(None, [drawn.by_bucket.get(place)])]), among)
        late = tail.get(None)
        return sizes.whole if late is None else _size(union([drawn.whole, late]), among), counts


def _together(counts: Sequence[Sequence[int]]) -> tuple[int, ...]:
    return tuple(counts[0]) if len(counts) == 1 else tuple(map(sum, zip(*counts, strict=True)))


def _size(codes: CodeSet, among: CodeSet | None) -> int:
    return codes.size if among is None else shared(codes, among).size


def wanted_of(selection: Selection, scope: Scope, statistic: Statistic) -> Iterator[Wanted]:
    """The sets whose sizes add up to a statistic."""
    where = scope.plan.where
    named = tuple([(name, scope.names.get(name)) for name in sorted({*names_in(where), *statistic.names})])

    def passing_in(currencies: Container[str]) -> Passing:
        return lambda one: one.passes(where, scope.names) and one.counts(statistic, scope.names, currencies)

    rates = selection.rates if statistic.in_currency else NO_RATES
    for member in MEMBERS_OF[statistic.field or ""]:
        digest = _digest(selection.tenant_id, int(member), where, statistic, selection.currency, named)
        yield Wanted(member, passing_in, selection.currency, rates, digest)


@lru_cache(maxsize=1_024)
def _digest(*told: Hashable) -> bytes:
    return blake2b(repr(told).encode(), digest_size=16).digest()
