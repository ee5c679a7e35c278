"""Distinct orders and customers, by dimensions too, from ledgers of sales."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import perf_counter

import numpy as np
from numpy.typing import NDArray
from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.analysis.columns import columns_of
from resolvers.analysis.exchange_rates import Rates
from resolvers.analysis.explanations import Explanation
from resolvers.analysis.ledgers import Entries, exchanged, number_of
from resolvers.analysis.metrics import Aggregate, Statistic
from resolvers.analysis.periods import epoch_us
from resolvers.analysis.sums import Values
from resolvers.errors import BadInput
from resolvers.store.ledgers import LedgerQuestion, LedgerRepository
from resolvers.store.scans import Keys, Selection, Statistics, by_bucket
from resolvers.store.segment_cache import SegmentCache
from resolvers.store.terms import TERMS, TermMemory, TermRepository
from resolvers.store.turns import Heavy, turn

_DAY = timedelta(days=1)
Cells = NDArray[np.integer]
Ints = NDArray[np.integer]


def in_sales(statistics: Sequence[Statistic], selection: Selection) -> bool:
    """Whether ledgers hold statistics, and are worth reading for them: of a few hours the log has less to read."""
    wheres = (selection.where, *(one.where for one in statistics))
    return (
        all(one.aggregate is Aggregate.DISTINCT and one.field in ("order", "customer") for one in statistics)
        and selection.period.end - selection.period.start >= _DAY
        and columns_of(*wheres) is not None
    )


class SaleMetrics:
    """Reads who bought and what was ordered from the ledgers of one tenant."""

    def __init__(self, session: AsyncSession, memory: TermMemory, cache: SegmentCache, heavy: Heavy) -> None:
        self.ledgers = LedgerRepository(session, memory, cache)
        self.terms = TermRepository(session, memory)
        self.heavy = heavy

    async def statistics(
        self,
        selection: Selection,
        statistics: Sequence[Statistic],
        buckets: Sequence[datetime],
        by: Sequence[str],
        groups: Sequence[Keys],
    ) -> Statistics | None:
        """All statistics in total, for each bucket and each group; None where the sales are too many to be held."""
        wheres = [one.where for one in statistics]
        question = LedgerQuestion(selection.tenant_id, "sales", selection.period, selection.where, wheres, by)
        codes = await self.terms.codes(
            selection.tenant_id, TERMS, {text for keys in groups for text in keys if text is not None}
        )
        coded = [tuple(0 if text is None else codes.get(text, -1) for text in keys) for keys in groups]
        cells = _Cells(selection.currency, selection.rates, bool(by), coded, tuple(map(epoch_us, buckets)))

        async def sold(entries: Entries) -> _Sold:
            return await asyncio.to_thread(cells.sold, statistics, entries)

        async with turn(self.heavy):
            began = perf_counter()
            try:
                made = await self.ledgers.made(question, sold)
            except BadInput:
                return None
            read = sum(part.entries for part in made.parts)
            explanation = Explanation(made.source, read, 1e3 * (perf_counter() - began), tail=made.late)
            return await asyncio.to_thread(cells.counted, statistics, groups, made.parts, explanation)


@dataclass(frozen=True, slots=True)
class _Few:
    """What some entries say of one statistic: in which cells those are that come once, and who is in which cell."""

    once: Cells
    """How many there are in each cell."""
    who: Ints
    cell: Cells


@dataclass(frozen=True, slots=True)
class _Sold:
    """What some entries say of each statistic."""

    entries: int
    found: list[_Few]


@dataclass(frozen=True, slots=True)
class _Cells:
    """Where entries are counted: in a cell for each group and bucket, and one for each bucket of no group shown."""

    currency: str
    rates: Rates
    grouped: bool
    groups: Sequence[tuple[int, ...]]
    starts: Sequence[int]

    @property
    def wide(self) -> int:
        """Cells of a group."""
        return max(len(self.starts), 1)

    @property
    def size(self) -> int:
        return (len(self.groups) + 1) * self.wide

    def sold(self, statistics: Sequence[Statistic], entries: Entries) -> _Sold:
        """What some of the entries say."""
        known, cell = self._known(entries), self._cell(entries)
        found: list[_Few] = []
        for place, statistic in enumerate(statistics):
            mask = known & entries.step(place)
            who, alone = entries.subject, np.zeros(entries.size, np.bool_)
            if statistic.field == "order":
                # Events of one name are one order, each without a name is one of its own.
                who, alone = entries.thing, entries.thing == 0
            others = mask & ~alone
            once = np.bincount(cell[mask & alone], minlength=self.size)
            found.append(_Few(once, who[others], cell[others]))
        return _Sold(entries.size, found)

    def counted(
        self, statistics: Sequence[Statistic], keys: Sequence[Keys], parts: Sequence[_Sold], explanation: Explanation
    ) -> Statistics:
        """All parts together."""
        wide, buckets = self.wide, len(self.starts)
        columns = [self._different([part.found[place] for part in parts]) for place in range(len(statistics))]
        of_bucket = dict(_values([of_bucket for _, of_bucket, _, _ in columns]))
        of_group = dict(_values([of_group for _, _, of_group, _ in columns]))
        of_cell = {divmod(cell, wide): values for cell, values in _values([of_cell for _, _, _, of_cell in columns])}
        return Statistics(
            total=tuple(count for count, _, _, _ in columns),
            columns=by_bucket(statistics, buckets, of_bucket),
            explanations=(explanation,) * len(statistics),
            groups=keys,
            group_count=len(keys),
            by_group=of_group if self.grouped else {},
            by_group_and_bucket=of_cell if self.grouped and buckets else {},
        )

    def _different(self, parts: Sequence[_Few]) -> tuple[int, Cells, Cells, Cells]:
        """How many there are in all, in each bucket, each group and each cell."""
        wide, groups = self.wide, len(self.groups) + 1
        once = sum((part.once for part in parts), np.zeros(self.size, np.int64)).reshape(groups, wide)
        who, cell = (np.concatenate([getattr(part, name) for part in parts]) for name in ("who", "cell"))
        count, (of_bucket, of_group, of_cell) = _different(
            who, [(cell % wide, wide), (cell // wide, groups), (cell, self.size)]
        )
        return count + int(once.sum()), of_bucket + once.sum(0), of_group + once.sum(1), of_cell + once.ravel()

    def _known(self, entries: Entries) -> NDArray[np.bool_]:
        """Which of them state an amount in a currency that counts on their day."""
        known: NDArray[np.bool_] = entries.currency == number_of(self.currency)
        for rows, _ in exchanged(entries, self.rates):
            known[rows] = True
        return known

    def _cell(self, entries: Entries) -> Cells:
        """The cell of each; of groups given twice it is the first's, and the last one's where it is none of those."""
        cell = np.full(entries.size, len(self.groups) * self.wide)
        for place, codes in reversed(list(enumerate(self.groups))):
            cell[np.all(entries.dimensions == np.array(codes, np.int32)[:, None], axis=0)] = place * self.wide
        if self.starts:
            cell += np.searchsorted(np.asarray(self.starts), entries.at, side="right") - 1
        return cell.astype(np.int32)


def _different(who: Ints, columns: Sequence[tuple[Cells, int]]) -> tuple[int, list[Cells]]:
    """How many different ``who`` there are, and how many of each row of columns that have so many rows.

    Most are there once: all are counted, and what those that are there again were counted too often is taken off.
    """
    order = np.argsort(who)
    again = np.diff(who[order]) == 0
    several = np.zeros(who.size, bool)
    several[1:] = again
    several[:-1] |= again
    places = order[several]
    number = np.cumsum(np.diff(who[places], prepend=0) != 0)
    found: list[Cells] = []
    for row, rows in columns:
        pairs = np.sort(number * rows + row[places])
        twice = pairs[1:][np.diff(pairs) == 0] % rows
        found.append(np.bincount(row, minlength=rows) - np.bincount(twice, minlength=rows))
    return who.size - int(np.count_nonzero(again)), found


def _values(columns: Sequence[Cells]) -> Iterator[tuple[int, Values]]:
    """The statistics of each row that has any."""
    for place in np.flatnonzero(np.any(columns, axis=0)).tolist():
        yield place, tuple(int(column[place]) for column in columns)
