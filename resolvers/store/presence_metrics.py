"""Distinct subjects and orders, exactly, from the sets of each day and what the log has since."""

import asyncio
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from itertools import groupby
from time import perf_counter
from typing import Any

import numpy as np
import structlog

from resolvers.analysis.classes import EventClass
from resolvers.analysis.code_sets import CodeSet, Ints, union
from resolvers.analysis.columns import leaves
from resolvers.analysis.explanations import Explanation, Source
from resolvers.analysis.filters import NameIs
from resolvers.analysis.metrics import Statistic
from resolvers.analysis.periods import Period, epoch_us
from resolvers.analysis.planning import ALL_DAY, Cuts, Part, parts_of
from resolvers.analysis.presence import MEMBERS_OF, Member, Passing, Sightings
from resolvers.analysis.series import Column
from resolvers.errors import BadInput
from resolvers.store.presence import Leaf, PresenceRepository, Sealed
from resolvers.store.presence_cache import PresenceCache
from resolvers.store.rollup_metrics import Scope
from resolvers.store.scans import Selection, Statistics
from resolvers.store.segment_codec import Damaged
from resolvers.store.versions import LogState

_LONGEST_TAIL = 200_000
"""Events since the last folding up to which sets are of use: reading so many takes some tenths of a second."""
_ROWS = 32
"""Rows that are read at once."""
_STRETCH = 32
"""Days whose union is kept, so that a long period is made of few sets."""

log = structlog.get_logger(__name__)

Key = tuple[Hashable, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Wanted:
    """The codes of one member among events of classes that pass, and what tells this from whatever else is kept."""

    member: Member
    passing: Passing
    digest: bytes

    def key(self, leaf: Leaf, hours: int) -> Key:
        return self.digest, leaf, hours


@dataclass(frozen=True, slots=True, eq=False)
class _Drawn:
    """The codes wanted of a period: by bucket, and in a few sets that hold all of them."""

    by_bucket: Mapping[int, CodeSet]
    stretches: Sequence[CodeSet]
    rows: frozenset[Hashable]
    """The rows they come from."""

    @property
    def high(self) -> int:
        """No code is above it."""
        return max((codes.high for codes in self.stretches), default=0)


@dataclass(frozen=True, slots=True)
class _Piece:
    """The codes wanted of a part of the period."""

    part: Part
    key: Key
    codes: CodeSet


class PresenceMetrics:
    """Reads distinct statistics of one tenant."""

    def __init__(self, connection: Any, cache: PresenceCache, tenant_id: int) -> None:
        self.presence = PresenceRepository(connection, tenant_id)
        self.cache = cache

    async def statistics(
        self, selection: Selection, scope: Scope, statistics: Sequence[Statistic], buckets: Sequence[datetime]
    ) -> Statistics | None:
        """All statistics in total and for each bucket; None where the log has to be asked.

        That is where too little is folded, or a row is damaged, which has it made anew.
        """
        started = perf_counter()
        state = await self.presence.state()
        if not state.folded_to or state.version - state.folded_to > _LONGEST_TAIL:
            return None
        starts = tuple(buckets)
        wanted = [list(_wanted(selection, scope, statistic)) for statistic in statistics]
        ragged = scope.plan.cuts.ragged
        seen: Sightings | None = None
        try:
            flat = {one.digest: one for each in wanted for one in each}
            drawn = await self._drawn(flat, scope.plan.cuts, selection.period, starts, state.edition)
            # The log comes last: what is folded meanwhile is met twice then, rather than not at all.
            if state.version > state.folded_to or ragged:
                seen = await self.presence.tail(state.folded_to, selection.period, ragged)
        except (Damaged, BadInput):
            return None
        return _answer(drawn, wanted, _Tail.of(seen, starts, drawn.values()), len(starts), started)

    async def _drawn(
        self,
        wanted: Mapping[bytes, _Wanted],
        cuts: Cuts,
        period: Period,
        buckets: tuple[datetime, ...],
        edition: int,
    ) -> Mapping[bytes, _Drawn]:
        """What is wanted of a period; raises Damaged."""
        keys = {digest: (digest, edition, period, buckets) for digest in wanted}
        found = _recalled(self.cache, keys)
        missing = [one for digest, one in wanted.items() if digest not in found]
        if missing:
            for digest, pieces in (await self._pieces(missing, parts_of(cuts, period, buckets))).items():
                by_bucket = {
                    bucket: self._union(list(own))
                    for bucket, own in groupby(pieces, key=lambda piece: piece.part.bucket)
                }
                stretches = groupby(pieces, key=lambda piece: piece.part.day // _STRETCH)
                rows = frozenset(piece.key[1] for piece in pieces)
                found[digest] = _Drawn(by_bucket, [self._union(list(own)) for _, own in stretches], rows)
                self.cache.draw(keys[digest], found[digest])
        return found

    async def _pieces(self, wanted: Sequence[_Wanted], parts: Sequence[Part]) -> Mapping[bytes, list[_Piece]]:
        """What is wanted of each part, in the order of time; raises Damaged."""
        kept: dict[tuple[Member, int], Leaf] = {}
        if parts:
            members = list({one.member for one in wanted})
            found = await self.presence.leaves(members, parts[0].day, parts[-1].day)
            kept = {(leaf.member, leaf.day): leaf for leaf in found}
        pieces: dict[bytes, list[_Piece]] = {one.digest: [] for one in wanted}
        missing: dict[tuple[Member, int], list[tuple[_Wanted, Part]]] = {}
        for one in {one.digest: one for one in wanted}.values():
            for part in parts:
                leaf = kept.get((one.member, part.day))
                if leaf is None:
                    continue
                key = one.key(leaf, part.hours)
                codes = self.cache.get(key)
                if codes is None:
                    missing.setdefault((one.member, part.day), []).append((one, part))
                else:
                    pieces[one.digest].append(_Piece(part, key, codes))
        if missing:
            await self._load(missing, pieces)
            for own in pieces.values():
                own.sort(key=lambda piece: (piece.part.day, piece.part.bucket))
        return pieces

    async def _load(
        self, missing: Mapping[tuple[Member, int], list[tuple[_Wanted, Part]]], pieces: Mapping[bytes, list[_Piece]]
    ) -> None:
        keys = list(missing)
        hours = any(part.hours != ALL_DAY for each in missing.values() for _, part in each)
        for first in range(0, len(keys), _ROWS):
            for row in await self.presence.sealed(keys[first : first + _ROWS], hours=hours):
                own = missing[row.leaf.member, row.leaf.day]
                try:
                    found = await asyncio.to_thread(_selected, row, own)
                except Damaged as damage:
                    log.warning("presence.damaged", place=str(damage))
                    await self.presence.empty(row.leaf)
                    raise
                for (one, part), codes in zip(own, found, strict=True):
                    key = one.key(row.leaf, part.hours)
                    self.cache.keep(key, codes)
                    pieces[one.digest].append(_Piece(part, key, codes))

    def _union(self, pieces: Sequence[_Piece]) -> CodeSet:
        if len(pieces) == 1:
            return pieces[0].codes
        key = ("union", *(piece.key for piece in pieces))
        return self.cache.made(key, lambda: union([piece.codes for piece in pieces]))


def recalled(
    cache: PresenceCache,
    state: LogState,
    selection: Selection,
    scope: Scope,
    statistics: Sequence[Statistic],
    buckets: tuple[datetime, ...],
) -> Statistics | None:
    """The same from what is in memory, where that is all there is in a state of the log; else None."""
    started = perf_counter()
    if not state.folded_to or state.version != state.folded_to or scope.plan.cuts.ragged:
        return None
    wanted = [list(_wanted(selection, scope, statistic)) for statistic in statistics]
    keys = {one.digest: (one.digest, state.presence, selection.period, buckets) for each in wanted for one in each}
    drawn = _recalled(cache, keys)
    if len(drawn) < len(keys):
        return None
    return _answer(drawn, wanted, _Tail.of(None, (), ()), len(buckets), started)


def _recalled(cache: PresenceCache, keys: Mapping[bytes, Hashable]) -> dict[bytes, _Drawn]:
    found = {digest: cache.drawn(key) for digest, key in keys.items()}
    return {digest: one for digest, one in found.items() if one is not None}


def _answer(
    drawn: Mapping[bytes, _Drawn], wanted: Sequence[Sequence[_Wanted]], tail: "_Tail", buckets: int, started: float
) -> Statistics:
    counted = [[_counted(drawn[one.digest], tail.of_wanted(one), buckets) for one in each] for each in wanted]
    read = len(frozenset[Hashable]().union(*(one.rows for one in drawn.values())))
    explanation = Explanation(Source.PRESENCE, read + tail.size, (perf_counter() - started) * 1e3, tail=tail.size)
    columns = [Column(tuple(map(sum, zip(*(column for _, column in each), strict=True)))) for each in counted]
    return Statistics(
        total=tuple(sum(total for total, _ in each) for each in counted),
        columns=columns if buckets else [],
        explanations=(explanation,) * len(counted),
    )


def _counted(drawn: _Drawn, tail: Mapping[int | None, CodeSet], buckets: int) -> tuple[int, list[int]]:
    """How many codes there are in all and in each bucket."""
    counts = [0] * max(buckets, 1)
    for bucket, codes in drawn.by_bucket.items():
        counts[bucket] = codes.size
    for place, codes in tail.items():
        if place is not None and buckets:
            counts[place] = union([codes, *filter(None, [drawn.by_bucket.get(place)])]).size
    return union([*drawn.stretches, *filter(None, [tail.get(None)])]).size, counts


@dataclass(frozen=True, slots=True, eq=False)
class _Tail:
    """Events that came from the log, and the bucket of each."""

    seen: Sightings | None
    buckets: Ints
    first_order: int
    """A code that no order has, nor any above it."""

    @classmethod
    def of(cls, seen: Sightings | None, buckets: Sequence[datetime], drawn: Iterable[_Drawn]) -> "_Tail":
        if seen is None:
            return cls(None, np.empty(0, np.int64), 0)
        starts = np.array([epoch_us(start) for start in buckets], np.int64)
        places = np.searchsorted(starts, seen.at, "right") - 1
        highest = max((one.high for one in drawn), default=0)
        return cls(seen, places, max(highest, int(seen.order.max(initial=0))) + 1)

    @property
    def size(self) -> int:
        return 0 if self.seen is None else self.seen.at.size

    def of_wanted(self, wanted: _Wanted) -> Mapping[int | None, CodeSet]:
        """The codes that are wanted, by bucket, and under None all of them; nothing where there are none."""
        if self.seen is None:
            return {}
        rows, codes = self.seen.of(wanted.member)
        passing = np.array([wanted.passing(one) for one in self.seen.classes], np.bool_)[self.seen.of_class[rows]]
        codes, places = codes[passing], self.buckets[rows[passing]]
        codes = np.where(codes < 0, self.first_order - codes, codes)
        found: dict[int | None, CodeSet] = {
            place: CodeSet.of(np.unique(codes[places == place])) for place in np.unique(places).tolist()
        }
        return found | {None: CodeSet.of(np.unique(codes))} if found else {}


def _wanted(selection: Selection, scope: Scope, statistic: Statistic) -> Iterator[_Wanted]:
    """The sets whose sizes add up to a statistic."""
    where = scope.plan.where
    named = {
        name: scope.names.get(name)
        for root in (where, statistic.where)
        for leaf in leaves(root)
        if isinstance(leaf, NameIs)
        for name in leaf.names
    }

    def passing(one: EventClass) -> bool:
        return one.passes(where, scope.names) and one.counts(statistic, scope.names, selection.currency)

    for member in MEMBERS_OF[statistic.field or ""]:
        told = repr((selection.tenant_id, int(member), where, statistic, selection.currency, sorted(named.items())))
        yield _Wanted(member, passing, blake2b(told.encode(), digest_size=16).digest())


def _selected(row: Sealed, wanted: Sequence[tuple[_Wanted, Part]]) -> list[CodeSet]:
    """What is wanted of a row; raises Damaged."""
    sets = row.opened()
    return [sets.select(one.passing, part.hours) for one, part in wanted]
