"""Rollups of days as a process last read them, with the edition of each day: only what changed is read again.

Whoever changes rollups draws another edition for their day in the same transaction. One statement compares editions
and reads the rows of days that have another one, so all of what is told is of one state of the log.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, timedelta
from typing import Any

from resolvers.analysis.classes import EventClass
from resolvers.analysis.periods import Period
from resolvers.analysis.rollup_table import RollupTable
from resolvers.analysis.rollups import DAY
from resolvers.store.zone_days import changed_days

BUDGET = 32 << 20
_SHARE = 4
"""One tenant may take so much of it: its fourth part."""
_AT_ONCE = 16
"""Days of a zone that are read by one statement: an hour of the log for each, where midnights halve hours."""
_SPANS = 16
_ABSENT = 1_000
_FIRST_DAY = date(1970, 1, 1)
_INSTANT = timedelta(microseconds=1)
_CHANGED = f"""
WITH known AS (
    SELECT * FROM unnest($4::date[], $5::bigint[]) AS known (day, edition)
), changed AS MATERIALIZED (
    SELECT day, present.edition, present.day IS NULL AS gone
    FROM (SELECT day, edition FROM rollup_day WHERE tenant_id = $1 AND day >= $2 AND day < $3) AS present
    FULL JOIN known USING (day) WHERE present.edition IS DISTINCT FROM known.edition
), span AS (
    SELECT min(day)::timestamp AT TIME ZONE 'UTC' AS first,
           (max(day) + 1)::timestamp AT TIME ZONE 'UTC' AS "end" FROM changed WHERE NOT gone
)
SELECT day - date '1970-01-01', edition, dated, kind, name, currency, flags,
       n, amount_n, amount_sum, cost_n, cost_sum, duration_n, histogram
FROM changed LEFT JOIN (
    SELECT (at AT TIME ZONE 'UTC')::date AS day, (at AT TIME ZONE 'UTC')::date - date '1970-01-01' AS dated,
           kind, name, currency, flags, n, amount_n, amount_sum, cost_n, cost_sum, duration_n, histogram
    FROM span CROSS JOIN LATERAL (
        SELECT * FROM rollup WHERE tenant_id = $1 AND grain = {DAY} AND dimension = 0 AND value = 0
        AND at >= span.first AND at < span."end" OFFSET 0
    ) AS rollup
) AS own USING (day)
"""  # noqa: S608  # constants only
_PRESENT = "SELECT day - date '1970-01-01' FROM rollup_day WHERE tenant_id = $1 AND day >= $2 AND day < $3"

Span = tuple[int, int]
"""A first day, and the one after the last."""
Whose = tuple[int, str]
"""A tenant, and the time zone that the days are of."""
Seen = tuple[int, int]
"""What tells that no rollup of a tenant has changed."""


@dataclass(frozen=True, slots=True)
class Held:
    """The rollups of some days, each in an edition; days count from 1970."""

    editions: Mapping[int, int | str]
    table: RollupTable
    seen: Mapping[Span, Seen] = field(default_factory=dict)
    """What was known of the log before some days were last read."""

    def within(self, span: Span) -> dict[int, Any]:
        """The editions of some days."""
        return {day: edition for day, edition in self.editions.items() if span[0] <= day < span[1]}


_NOTHING = Held({}, RollupTable.of(()))


@dataclass(slots=True)
class RollupDays:
    """Keeps the rollups of the tenants asked for last, within a budget of bytes."""

    budget: int = BUDGET
    size: int = 0
    """Bytes held."""
    _held: OrderedDict[Whose, Held] = field(default_factory=OrderedDict)
    _large: dict[Whose, int] = field(default_factory=dict)
    """The number of days that was too much to hold."""

    _absent: dict[int, tuple[Seen, frozenset[str]]] = field(default_factory=dict)
    """By tenant, names that no event had when so much was seen of the log."""

    def absent(self, tenant_id: int, seen: Seen) -> frozenset[str]:
        """Names that no event has, as far as is known."""
        known = self._absent.get(tenant_id)
        return known[1] if known is not None and known[0] == seen else frozenset()

    def miss(self, tenant_id: int, seen: Seen, names: frozenset[str]) -> None:
        """Remember names that were looked for in vain after so much was ``seen`` of the log."""
        known = self.absent(tenant_id, seen)
        if len(known) < _ABSENT:
            self._absent[tenant_id] = seen, known | names

    def fits(self, whose: Whose, span: Span) -> bool:
        """Whether so many days are less than what turned out to be too much."""
        return span[1] - span[0] < self._large.get(whose, 1 << 31)

    def recall(self, whose: Whose, span: Span, seen: Seen) -> RollupTable | None:
        """What is held of some days, where it was read when no more was ``seen`` of the log; None otherwise."""
        held = self._held.get(whose)
        if held is None or held.seen.get(span) != seen:
            return None
        self._held.move_to_end(whose)
        return held.table

    async def read(self, connection: Any, whose: Whose, span: Span, seen: Seen | None) -> RollupTable:
        """The rollups of some days, and perhaps of others.

        ``seen`` is what was known of the log before, if anything was.
        """
        tenant_id, timezone = whose
        if timezone != "UTC":
            await self._begin(connection, whose, span)
        held = self._held.get(whose, _NOTHING)
        known = held.within(span)
        if timezone == "UTC":
            days = [_date(day) for day in known]
            rows = await connection.fetch(_CHANGED, tenant_id, *map(_date, span), days, list(known.values()))
        else:
            rows = await changed_days(connection, tenant_id, timezone, span, known)
        if rows:
            held = _renewed(held, rows)
        if seen is not None:
            # The spans that questions are asked about now.
            known_spans = [one for one in held.seen.items() if one[1] == seen][-_SPANS:]
            held = replace(held, seen={**dict(known_spans), span: seen})
        self._keep(whose, held, span)
        return held.table

    async def _begin(self, connection: Any, whose: Whose, span: Span) -> None:
        """Where many days are not held read a few at a time, so that whoever is cut short need not begin anew.

        They may be of different states of the log, which the statement that follows sets right.
        """
        missing = [day for day in range(*span) if day not in self._held.get(whose, _NOTHING).editions]
        if len(missing) <= _AT_ONCE:
            return
        # A day lies in that of UTC with its date, and in the one before or after it.
        rows = await connection.fetch(_PRESENT, whose[0], _date(span[0] - 1), _date(span[1] + 1))
        present = {row[0] for row in rows}
        missing = [day for day in missing if not present.isdisjoint(range(day - 1, day + 2))]
        for place in range(0, len(missing) - _AT_ONCE, _AT_ONCE):
            block = missing[place], missing[place + _AT_ONCE - 1] + 1
            held = self._held.get(whose, _NOTHING)
            rows = await changed_days(connection, *whose, block, held.within(block))
            if not self.fits(whose, span):
                return
            self._keep(whose, _renewed(held, rows), span)

    def _keep(self, whose: Whose, held: Held, span: Span) -> None:
        if held.table.nbytes > self.budget // _SHARE:
            # What was asked for last, at least.
            others = held.editions.keys() - held.within(span).keys()
            table = held.table.replaced(others, _NOTHING.table)
            held = Held(held.within(span), table, {span: held.seen[span]} if span in held.seen else {})
        before = self._held.pop(whose, None)
        self.size -= 0 if before is None else before.table.nbytes
        if held.table.nbytes > self.budget // _SHARE:
            self._large[whose] = span[1] - span[0]
            return
        self._held[whose] = held
        self.size += held.table.nbytes
        while self.size > self.budget:
            self.size -= self._held.popitem(last=False)[1].table.nbytes


async def editions_of(connection: Any, tenant_id: int, period: Period) -> list[tuple[int, int]]:
    """The days (counted from 1970, UTC) of a period that have events, also those it has a part of, and their editions.

    They are the same again only where nothing was stored of these days since.
    """
    rows = await connection.fetch(
        "SELECT day - date '1970-01-01', edition FROM rollup_day"
        " WHERE tenant_id = $1 AND day >= $2 AND day <= $3 ORDER BY day",
        tenant_id,
        period.start.astimezone(UTC).date(),
        (period.end - _INSTANT).astimezone(UTC).date(),
    )
    return [(row[0], row[1]) for row in rows]


def _renewed(held: Held, rows: Any) -> Held:
    """What is held, with the days that were read; other days may be older than these."""
    editions = {**held.editions, **{row[0]: row[1] for row in rows}}
    table = RollupTable.of((row[0], row[2], EventClass(*row[3:7]), *row[7:]) for row in rows if row[2] is not None)
    return Held(
        {day: edition for day, edition in editions.items() if edition is not None},
        held.table.replaced({row[0] for row in rows}, table),
    )


def _date(day: int) -> date:
    return _FIRST_DAY + timedelta(days=day)
