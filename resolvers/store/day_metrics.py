"""Statistics over whole days, from the rollups that a process has in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from time import perf_counter

import numpy as np

from resolvers.analysis.estimates import Money
from resolvers.analysis.explanations import Explanation, Source
from resolvers.analysis.filters import Filter, names_in
from resolvers.analysis.metrics import Aggregate, Statistic
from resolvers.analysis.periods import Period
from resolvers.analysis.planning import Plan, dated, pieces_of
from resolvers.analysis.rollup_spans import Pieces, Spread
from resolvers.analysis.rollup_table import Mask, RollupTable
from resolvers.analysis.series import Column
from resolvers.store.rollup_columns import column_of
from resolvers.store.scans import Statistics

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)
_MASKS = 512
_ENDS = 2


@dataclass(frozen=True, slots=True)
class DayQuestion:
    """A question about whole days and events of any dimension, its texts turned into codes."""

    where: Filter
    timezone: str
    """Whose days they are."""
    days: tuple[Period, ...]
    """As if they were days of UTC."""
    names: Mapping[str, int]
    currency: str
    named: tuple[int | None, ...]
    """The codes of the names that ``where`` names."""

    @classmethod
    def of(cls, plan: Plan, names: Mapping[str, int], currency: str, timezone: str) -> "DayQuestion | None":
        """None where a plan is of something else than whole days of UTC or of a zone."""
        cuts = plan.cuts
        if plan.dimension is not None or plan.members is not None or len(cuts.edges) < _ENDS:
            return None
        days = cuts.days
        if cuts.hours or cuts.ragged:
            dates = dated(cuts.edges, timezone)
            if dates is None:
                return None
            days = (Period(dates[0], dates[-1]),)
        else:
            timezone = "UTC"
        named = tuple([names.get(name) for name in names_in(plan.where)])
        return cls(plan.where, timezone, days, names, currency, named)

    @property
    def span(self) -> tuple[int, int]:
        """The first day and that after the last one, counted from 1970."""
        return (self.days[0].start - _EPOCH) // _DAY, (self.days[-1].end - _EPOCH) // _DAY

    def statistics(
        self, table: RollupTable, statistics: Sequence[Statistic], buckets: tuple[datetime, ...]
    ) -> Statistics:
        """All statistics in total and for each bucket."""
        started = perf_counter()
        pieces = self._pieces(buckets)
        spreads: dict[bytes, Spread] = {}
        total: list[Decimal | int | float | None] = []
        columns: list[Column] = []
        for statistic in statistics:
            mask = self._mask(table, statistic, self.currency)
            if statistic.aggregate is Aggregate.QUANTILE:
                if (key := mask.tobytes()) not in spreads:
                    spreads[key] = table.spread(mask, pieces)
                columns.append(Column(spreads[key].quantile(statistic.q or 0.0)))
                total += spreads[key].total().quantile(statistic.q or 0.0)
            else:
                columns.append(_added(table, statistic, mask, pieces))
                total.append(columns[-1].total())
        explanation = Explanation(Source.ROLLUPS, table.rows(pieces), (perf_counter() - started) * 1e3)
        return Statistics(tuple(total), columns if buckets else (), (explanation,) * len(statistics))

    def unconverted(self, table: RollupTable, sums: Sequence[Statistic]) -> tuple[Money, ...]:
        """What sums of money leave out without any rates: the money in other currencies, per currency."""
        pieces = self._pieces(())
        found = []
        for currency in sorted({one.currency for one in table.classes} - {"", self.currency}):
            parts = [_added(table, one, self._mask(table, one, currency), pieces).total() for one in sums]
            found.append(Money(sum(map(Decimal, parts), Decimal()), currency))
        return tuple(money for money in found if money.amount)

    def _pieces(self, buckets: tuple[datetime, ...]) -> Pieces:
        starts = buckets if self.timezone == "UTC" else dated(buckets, self.timezone)
        assert starts is not None
        return pieces_of(self.days, starts)

    def _mask(self, table: RollupTable, statistic: Statistic, currency: str) -> Mask:
        """The classes that a statistic counts; a name is told with its code, as it may get that only later."""
        names = self.names
        key = statistic, currency, self.where, self.named, tuple([names.get(name) for name in statistic.names])
        found = table.masks.get(key)
        if found is None:
            if len(table.masks) > _MASKS:
                table.masks.clear()
            passing = [
                one.passes(self.where, names) and one.counts(statistic, names, (currency,)) for one in table.classes
            ]
            found = table.masks[key] = np.array(passing, np.bool_)
        return found


def _added(table: RollupTable, statistic: Statistic, mask: Mask, pieces: Pieces) -> Column:
    name = column_of(statistic)
    return (table.summed if statistic.aggregate is Aggregate.SUM else table.counted)(name, mask, pieces)
