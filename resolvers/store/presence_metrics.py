"""Distinct subjects and orders, exactly, from the sets of each day and what the log has since."""

import asyncio
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from time import perf_counter
from typing import Any

import structlog

from resolvers.analysis.code_sets import EMPTY, CodeSet, shared, union
from resolvers.analysis.explanations import Explanation
from resolvers.analysis.filters import Filter
from resolvers.analysis.members import Members, chosen
from resolvers.analysis.metrics import Statistic
from resolvers.analysis.periods import Period, epoch_us
from resolvers.analysis.planning import ALL_DAY, Cuts, Part, RaggedPart, parts_of, ragged_parts_of
from resolvers.analysis.presence import Member, Sightings
from resolvers.errors import BadInput
from resolvers.store.presence import PresenceRepository, Sealed
from resolvers.store.presence_cache import PresenceCache
from resolvers.store.presence_wanted import Drawn, Key, Reading, Sizes, Tail, Wanted, wanted_among, wanted_of
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


@dataclass(frozen=True, slots=True)
class _Piece:
    """The codes wanted of a part of the period."""

    part: Part | RaggedPart
    key: Key
    codes: CodeSet


class PresenceMetrics:
    """Reads distinct statistics of one tenant."""

    def __init__(
        self, connection: Any, cache: PresenceCache, tenant_id: int, members: Mapping[int | str, Members]
    ) -> None:
        self.presence = PresenceRepository(connection, tenant_id)
        self.cache = cache
        self.members = members
        """Those of the segments that are named."""

    async def statistics(
        self, selection: Selection, scope: Scope, statistics: Sequence[Statistic], buckets: Sequence[datetime]
    ) -> Statistics | None:
        """All statistics in total and for each bucket; None where the log has to be asked.

        That is where too little is folded, or a row is damaged, which has it made anew.
        """
        wanted = [list(wanted_of(selection, scope, statistic)) for statistic in statistics]
        reading = await self._read(selection, scope, [one for each in wanted for one in each], buckets)
        return None if reading is None else reading.statistics(wanted, len(buckets))

    async def by_bucket(
        self, selection: Selection, scope: Scope, statistic: Statistic, buckets: Sequence[datetime]
    ) -> tuple[list[CodeSet], Explanation] | None:
        """The codes of a statistic of one member in each bucket; None where the log has to be asked."""
        (wanted,) = wanted_of(selection, scope, statistic)
        reading = await self._read(selection, scope, [wanted], buckets)
        if reading is None:
            return None
        drawn = reading.drawn[wanted.digest].by_bucket
        found = [drawn.get(bucket, EMPTY) for bucket in range(len(buckets))]
        for late, codes in reading.tail.of_wanted(wanted).items():
            if late is not None:
                found[late] = union([found[late], codes])
        if reading.among is not None:
            found = [shared(codes, reading.among) for codes in found]
        return found, reading.explanation()

    async def _read(
        self, selection: Selection, scope: Scope, wanted: Sequence[Wanted], buckets: Sequence[datetime]
    ) -> "Reading | None":
        """What is kept of each set that is wanted and what came since; None where the log has to be asked."""
        started, starts = perf_counter(), tuple(buckets)
        state = await self.presence.state()
        if not state.folded_to or state.version - state.folded_to > _LONGEST_TAIL:
            return None
        cuts = scope.plan.cuts
        seen: Sightings | None = None
        try:
            by_digest = {one.digest: one for one in wanted}
            drawn = await self._drawn(by_digest, cuts, selection.period, starts, state.edition)
            # The log comes last: what is folded meanwhile is met twice then, rather than not at all.
            if state.version > state.folded_to:
                seen = await self.presence.tail(state.folded_to, selection.period)
        except (Damaged, BadInput):
            return None
        tail = Tail.of(seen, starts, drawn.values())
        if scope.plan.members is None:
            return Reading(drawn, tail, started)
        among = self._among(scope.plan.members, drawn, seen)
        circle = scope.plan.members, *sorted((str(named), one.edition) for named, one in self.members.items())
        sizes = {
            digest: self._sizes(
                (*circle, by_digest[digest].key_of(state.edition, selection.period, starts)), one, among
            )
            for digest, one in drawn.items()
        }
        return Reading(drawn, tail, started, among, sizes)

    def _sizes(self, key: Key, drawn: Drawn, among: CodeSet) -> Sizes:
        """How many of what was drawn are among some subjects, counted once for those of one edition."""
        found: Sizes | None = self.cache.drawn(key)
        if found is None:
            found = Sizes.of(drawn, among)
            self.cache.draw(key, found)
        return found

    def _among(self, root: Filter, drawn: Mapping[bytes, Drawn], seen: Sightings | None) -> CodeSet:
        """The subjects, of those that there may be, who pass a condition on segments."""
        highest = max((one.whole.high for one in drawn.values()), default=0)
        late = 0 if seen is None else int(seen.subject.max(initial=0))
        return CodeSet.where(chosen(root, self.members, max(highest, late) + 1))

    async def _drawn(
        self,
        wanted: Mapping[bytes, Wanted],
        cuts: Cuts,
        period: Period,
        buckets: tuple[datetime, ...],
        edition: int,
    ) -> Mapping[bytes, Drawn]:
        """What is wanted of a period; raises Damaged."""
        keys = {digest: one.key_of(edition, period, buckets) for digest, one in wanted.items()}
        found = _recalled(self.cache, keys)
        missing = [one for digest, one in wanted.items() if digest not in found]
        if missing:
            parts, ragged = parts_of(cuts, period, buckets), ragged_parts_of(cuts, buckets)
            for digest, pieces in (await self._pieces(missing, parts, ragged)).items():
                own_buckets = groupby(pieces, key=lambda piece: piece.part.bucket)
                by_bucket = {bucket: self._union(list(own)) for bucket, own in own_buckets}
                stretches = groupby(pieces, key=lambda piece: piece.part.day // _STRETCH)
                rows = frozenset(piece.key[1] for piece in pieces)
                found[digest] = Drawn(by_bucket, union([self._union(list(own)) for _, own in stretches]), rows)
                self.cache.draw(keys[digest], found[digest])
        return found

    async def _pieces(
        self, wanted: Sequence[Wanted], parts: Sequence[Part], ragged: Sequence[RaggedPart]
    ) -> Mapping[bytes, list[_Piece]]:
        """What is wanted of each part, in the order of time; raises Damaged."""
        every: list[Part | RaggedPart] = [*parts, *ragged]
        if not every:
            return {one.digest: [] for one in wanted}
        days, members = [part.day for part in every], list({one.member for one in wanted})
        found, folded_to = await self.presence.folded(members, min(days), max(days))
        kept = {(leaf.member, leaf.day): leaf for leaf in found}
        pieces: dict[bytes, list[_Piece]] = {one.digest: [] for one in wanted}
        missing: dict[tuple[Member, int], list[tuple[Wanted, Part]]] = {}
        halved: dict[RaggedPart, list[tuple[Wanted, Key]]] = {}
        for one in {one.digest: one for one in wanted}.values():
            for part in every:
                leaf = kept.get((one.member, part.day))
                if leaf is None:
                    continue
                key = one.key(leaf, part.hours if isinstance(part, Part) else (part.start, part.end))
                codes = self.cache.get(key)
                if codes is not None:
                    pieces[one.digest].append(_Piece(part, key, codes))
                elif isinstance(part, Part):
                    missing.setdefault((one.member, part.day), []).append((one, part))
                else:
                    halved.setdefault(part, []).append((one, key))
        await self._load(missing, pieces)
        await self._halve(halved, folded_to, pieces)
        for own in pieces.values():
            own.sort(key=lambda piece: (piece.part.day, piece.part.bucket))
        return pieces

    async def _halve(
        self,
        missing: Mapping[RaggedPart, list[tuple[Wanted, Key]]],
        folded_to: int,
        pieces: Mapping[bytes, list[_Piece]],
    ) -> None:
        """Of parts of hours the log knows what the rows of their days hold, which are those up to a position."""
        parts = sorted(missing, key=lambda part: part.start)
        for first in range(0, len(parts), _ROWS):
            some = parts[first : first + _ROWS]
            seen = await self.presence.inside(folded_to, some)
            found = await asyncio.to_thread(_halves, seen, {part: missing[part] for part in some})
            for one, piece in found:
                self.cache.keep(piece.key, piece.codes)
                pieces[one.digest].append(piece)

    async def _load(
        self, missing: Mapping[tuple[Member, int], list[tuple[Wanted, Part]]], pieces: Mapping[bytes, list[_Piece]]
    ) -> None:
        keys = list(missing)
        hours = any(part.hours != ALL_DAY for each in missing.values() for _, part in each)
        for first in range(0, len(keys), _ROWS):
            rows = await self.presence.sealed(keys[first : first + _ROWS], hours=hours)
            wanted = [missing[row.leaf.member, row.leaf.day] for row in rows]
            opened = await asyncio.gather(
                *(asyncio.to_thread(_selected, *one) for one in zip(rows, wanted, strict=True))
            )
            for row, own, found in zip(rows, wanted, opened, strict=True):
                if isinstance(found, Damaged):
                    log.warning("presence.damaged", place=str(found))
                    await self.presence.empty(row.leaf)
                    raise found
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
    if not state.folded_to or state.version != state.folded_to or scope.plan.members:
        return None
    wanted = [list(wanted_of(selection, scope, statistic)) for statistic in statistics]
    keys = {one.digest: one.key_of(state.presence, selection.period, buckets) for each in wanted for one in each}
    drawn = _recalled(cache, keys)
    if len(drawn) < len(keys):
        return None
    return Reading(drawn, Tail.of(None, (), ()), started).statistics(wanted, len(buckets))


def _recalled(cache: PresenceCache, keys: Mapping[bytes, Hashable]) -> dict[bytes, Drawn]:
    found = {digest: cache.drawn(key) for digest, key in keys.items()}
    return {digest: one for digest, one in found.items() if one is not None}


def _selected(row: Sealed, wanted: Sequence[tuple[Wanted, Part]]) -> list[CodeSet] | Damaged:
    """What is wanted of a row; that it is damaged where it is."""
    try:
        sets = row.opened()
    except Damaged as damage:
        return damage
    return [sets.select(one.passing(row.leaf.day), part.hours) for one, part in wanted]


def _halves(seen: Sightings, wanted: Mapping[RaggedPart, list[tuple[Wanted, Key]]]) -> list[tuple[Wanted, _Piece]]:
    """What is wanted of parts of hours, given in the order of time."""
    inside = seen.parted([epoch_us(part.start) for part in wanted])
    return [
        (one, _Piece(part, key, wanted_among(one, own)))
        for (part, each), own in zip(wanted.items(), inside, strict=True)
        for one, key in each
    ]
