"""Distinct orders and customers, by dimensions too, from ledgers of sales."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

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
        async with turn(self.heavy):
            try:
                reading = await self.ledgers.read(question)
            except BadInput:
                return None
            sales = _Sales(reading.entries, selection.currency, selection.rates, coded, tuple(map(epoch_us, buckets)))
            return await asyncio.to_thread(sales.told, statistics, groups, reading.explain)


@dataclass(frozen=True, slots=True)
class _Sales:
    entries: Entries
    currency: str
    rates: Rates
    groups: Sequence[tuple[int, ...]]
    starts: Sequence[int]

    def told(self, statistics: Sequence[Statistic], keys: Sequence[Keys], explanation: Explanation) -> Statistics:
        counted, group, bucket = self._counted(), self._group(), self._bucket()
        buckets, wide = len(self.starts), max(len(self.starts), 1)
        rows = group.astype(np.int64) * wide + bucket
        size = (len(self.groups) + 1) * wide
        grouped = self.entries.dimensions.shape[0] > 0
        columns: list[tuple[int, list[Cells]]] = []
        for place, statistic in enumerate(statistics):
            mask = counted & self.entries.step(place)
            who = self._orders() if statistic.field == "order" else self.entries.subject.astype(np.int64)
            pairs = rows[mask]
            columns.append(
                _different(who[mask], [(pairs % wide, wide), (pairs // wide, len(self.groups) + 1), (pairs, size)])
            )
        of_bucket = dict(_values([of_bucket for _, (of_bucket, _, _) in columns]))
        of_cell = _values([of_cell for _, (_, _, of_cell) in columns])
        return Statistics(
            total=tuple(count for count, _ in columns),
            columns=by_bucket(statistics, buckets, of_bucket),
            explanations=(explanation,) * len(statistics),
            groups=keys,
            group_count=len(keys),
            by_group=dict(_values([of_group for _, (_, of_group, _) in columns])) if grouped else {},
            by_group_and_bucket={divmod(cell, wide): values for cell, values in of_cell} if grouped and buckets else {},
        )

    def _counted(self) -> NDArray[np.bool_]:
        """Which of them state an amount in a currency that counts on their day."""
        counted: NDArray[np.bool_] = self.entries.currency == number_of(self.currency)
        for rows, _ in exchanged(self.entries, self.rates):
            counted[rows] = True
        return counted

    def _group(self) -> Cells:
        """The group of each, the last one where it is none of those shown; of groups given twice it is the first."""
        group = np.full(self.entries.size, len(self.groups))
        for place, codes in reversed(list(enumerate(self.groups))):
            group[np.all(self.entries.dimensions == np.array(codes, np.int32)[:, None], axis=0)] = place
        return group

    def _bucket(self) -> Cells:
        if not self.starts:
            return np.zeros(self.entries.size, np.int64)
        return np.searchsorted(np.asarray(self.starts), self.entries.at, side="right") - 1

    def _orders(self) -> NDArray[np.int64]:
        """A number for each order: events of one name have the same, one without a name has its own."""
        thing = self.entries.thing.astype(np.int64)
        named = thing != 0
        # Names are odd, so that an even number is none of theirs.
        return np.where(named, thing, 2 * np.arange(thing.size))


def _different(who: NDArray[np.int64], columns: Sequence[tuple[Cells, int]]) -> tuple[int, list[Cells]]:
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
