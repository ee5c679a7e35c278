"""Questions about whole days answered from what a process remembers, without a unit of work."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from resolvers.analysis.estimates import Money
from resolvers.analysis.filters import names_in
from resolvers.analysis.metrics import Statistic
from resolvers.analysis.planning import in_presence, in_rollups, plan_of
from resolvers.analysis.rollup_table import RollupTable
from resolvers.store.day_metrics import DayQuestion
from resolvers.store.presence_cache import PresenceCache
from resolvers.store.presence_metrics import recalled
from resolvers.store.rollup_days import RollupDays
from resolvers.store.rollup_metrics import Scope
from resolvers.store.rollup_reading import Which
from resolvers.store.scans import Selection, Statistics, joined
from resolvers.store.terms import TERMS, TermMemory
from resolvers.store.versions import LogState


@dataclass(frozen=True, slots=True)
class Remembered:
    """What was found, and the rollups it was found in."""

    found: Statistics
    asked: DayQuestion
    table: RollupTable | None
    """None where no statistic is a sum."""

    def unconverted(self, sums: Sequence[Statistic]) -> tuple[Money, ...]:
        """What sums of money leave out: the money in other currencies than the tenant's, per currency."""
        return () if self.table is None else self.asked.unconverted(self.table, sums)


def remembered(
    days: RollupDays,
    presence: PresenceCache,
    memory: TermMemory,
    state: LogState,
    selection: Selection,
    statistics: Sequence[Statistic],
    buckets: tuple[datetime, ...],
) -> Remembered | None:
    """All statistics in total and for each bucket; None unless all that they need is in memory and true in a state."""
    plan = plan_of(selection.where, selection.period, buckets, ())
    if plan is None or plan.dimension is not None:
        return None
    codes = memory.codes.get((selection.tenant_id, TERMS), {})
    texts = {*names_in(selection.where)}.union(*[one.names for one in statistics])
    names = {text: codes[text] for text in texts if text in codes}
    if not texts - names.keys() <= days.absent(selection.tenant_id, state.rollups):
        return None
    asked = DayQuestion.of(plan, names, selection.currency, selection.timezone)
    summed = [place for place, one in enumerate(statistics) if in_rollups(one)]
    distinct = [place for place, one in enumerate(statistics) if in_presence(one)]
    if asked is None or len(summed) + len(distinct) < len(statistics):
        return None
    scans: list[tuple[list[int], Statistics]] = []
    table = days.recall((selection.tenant_id, asked.timezone), asked.span, state.rollups) if summed else None
    if table is not None:
        scans.append((summed, asked.statistics(table, [statistics[place] for place in summed], buckets)))
    elif summed:
        return None
    if state.rates and any(one.in_currency for one in statistics) and not _at_home(table, selection.currency):
        return None
    if distinct:
        scope, own = Scope(plan, names, Which()), [statistics[place] for place in distinct]
        counted = recalled(presence, state, selection, scope, own, buckets)
        if counted is None:
            return None
        scans.append((distinct, counted))
    return Remembered(joined(scans, statistics), asked, table)


def _at_home(table: RollupTable | None, currency: str) -> bool:
    """Whether all money is known to be in one currency, so that no rate can matter."""
    return table is not None and {one.currency for one in table.classes} <= {currency, ""}
