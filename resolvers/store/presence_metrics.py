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
from resolvers.analysis.code_sets import EMPTY, CodeSet, Ints, union
from resolvers.analysis.columns import leaves
from resolvers.analysis.explanations import Explanation, Source
from resolvers.analysis.filters import NameIs
from resolvers.analysis.metrics import Statistic
from resolvers.analysis.periods import epoch_us
from resolvers.analysis.planning import ALL_DAY, Part, parts_of
from resolvers.analysis.presence import MEMBERS_OF, Member, Passing, Sightings
from resolvers.errors import BadInput
from resolvers.store.presence import Leaf, PresenceRepository, Sealed
from resolvers.store.presence_cache import PresenceCache
from resolvers.store.rollup_metrics import Scope
from resolvers.store.scans import Selection, Statistics
from resolvers.store.segment_codec import Damaged

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
        wanted = [list(_wanted(selection, scope, statistic)) for statistic in statistics]
        reading = await self._read(selection, scope, [one for each in wanted for one in each], buckets)
        if reading is None:
            return None
        pieces, tail = reading.pieces, reading.tail
        counted = [[self._counted(pieces[one.digest], tail.of_wanted(one)) for one in each] for each in wanted]
        explanation = reading.explanation()
        return Statistics(
            total=tuple(sum(total for total, _ in each) for each in counted),
            buckets={
                bucket: tuple(sum(by_bucket.get(bucket, 0) for _, by_bucket in each) for each in counted)
                for bucket in range(len(buckets))
            },
            explanations=(explanation,) * len(statistics),
        )

    async def by_bucket(
        self, selection: Selection, scope: Scope, statistic: Statistic, buckets: Sequence[datetime]
    ) -> tuple[list[CodeSet], Explanation] | None:
        """The codes of a statistic of one member in each bucket; None where the log has to be asked."""
        (wanted,) = _wanted(selection, scope, statistic)
        reading = await self._read(selection, scope, [wanted], buckets)
        if reading is None:
            return None
        found = [EMPTY] * len(buckets)
        for bucket, own in groupby(reading.pieces[wanted.digest], key=lambda piece: piece.part.bucket):
            found[bucket] = self._union(list(own))
        for late, codes in reading.tail.of_wanted(wanted).items():
            if late is not None:
                found[late] = union([found[late], codes])
        return found, reading.explanation()

    async def _read(
        self, selection: Selection, scope: Scope, wanted: Sequence[_Wanted], buckets: Sequence[datetime]
    ) -> "_Reading | None":
        """What is kept of each set that is wanted and what came since; None where the log has to be asked."""
        started = perf_counter()
        folded_to, version = await self.presence.state()
        if not folded_to or version - folded_to > _LONGEST_TAIL:
            return None
        ragged = scope.plan.cuts.ragged
        seen: Sightings | None = None
        try:
            pieces = await self._pieces(wanted, parts_of(scope.plan.cuts, selection.period, buckets))
            # The log comes last: what is folded meanwhile is met twice then, rather than not at all.
            if version > folded_to or ragged:
                seen = await self.presence.tail(folded_to, selection.period, ragged)
        except (Damaged, BadInput):
            return None
        return _Reading(pieces, _Tail.of(seen, buckets, pieces), started)

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

    def _counted(self, pieces: Sequence[_Piece], tail: Mapping[int | None, CodeSet]) -> tuple[int, dict[int, int]]:
        """How many codes there are in all and in each bucket."""
        by_bucket = {
            bucket: self._union(list(own)) for bucket, own in groupby(pieces, key=lambda piece: piece.part.bucket)
        }
        counts = {bucket: codes.size for bucket, codes in by_bucket.items()}
        for bucket, codes in tail.items():
            if bucket is not None:
                counts[bucket] = union([codes, *filter(None, [by_bucket.get(bucket)])]).size
        stretches = groupby(pieces, key=lambda piece: piece.part.day // _STRETCH)
        total = union([*(self._union(list(own)) for _, own in stretches), *filter(None, [tail.get(None)])])
        return total.size, counts

    def _union(self, pieces: Sequence[_Piece]) -> CodeSet:
        if len(pieces) == 1:
            return pieces[0].codes
        key = ("union", *(piece.key for piece in pieces))
        return self.cache.made(key, lambda: union([piece.codes for piece in pieces]))


@dataclass(frozen=True, slots=True, eq=False)
class _Tail:
    """Events that came from the log, and the bucket of each."""

    seen: Sightings | None
    buckets: Ints
    first_order: int
    """A code that no order has, nor any above it."""

    @classmethod
    def of(
        cls, seen: Sightings | None, buckets: Sequence[datetime], pieces: Mapping[bytes, Iterable[_Piece]]
    ) -> "_Tail":
        if seen is None:
            return cls(None, np.empty(0, np.int64), 0)
        starts = np.array([epoch_us(start) for start in buckets], np.int64)
        places = np.searchsorted(starts, seen.at, "right") - 1
        highest = max((piece.codes.high for own in pieces.values() for piece in own), default=0)
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


@dataclass(frozen=True, slots=True, eq=False)
class _Reading:
    """What was read of the sets that are wanted, by their digests, and of the log."""

    pieces: Mapping[bytes, list[_Piece]]
    tail: _Tail
    started: float

    def explanation(self) -> Explanation:
        read = {piece.key[1] for found in self.pieces.values() for piece in found}
        milliseconds = (perf_counter() - self.started) * 1e3
        return Explanation(Source.PRESENCE, len(read) + self.tail.size, milliseconds, tail=self.tail.size)


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
