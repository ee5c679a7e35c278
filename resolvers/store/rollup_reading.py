"""Reading rollups: sums by class of events, bucket and dimension value, and of the hours that a period cuts the log.

Statements are put together from constants alone and sent as they are, since compiling expressions would take longer
than the database does.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from resolvers.analysis.classes import EventClass
from resolvers.analysis.events import DIMENSIONS
from resolvers.analysis.exchange_rates import NO_RATES, Rates
from resolvers.analysis.histograms import quantile
from resolvers.analysis.metrics import MONEY_FIELDS, Aggregate, Statistic
from resolvers.analysis.periods import Period
from resolvers.analysis.planning import Cuts
from resolvers.analysis.rollups import DAY, HOUR
from resolvers.analysis.sums import Sums, collected
from resolvers.store.rollup_columns import OF_EVENT, column_of, summed_column
from resolvers.store.rollups import FLAGS_OF_EVENT

_CLASSES = f"""
SELECT DISTINCT kind, name, currency, flags FROM rollup
WHERE tenant_id = $1 AND grain = {DAY} AND dimension = 0 AND value = 0 AND at > $2 AND at < $3
"""  # noqa: S608  # constants only
_RATE = ("text[]", "date[]", "numeric[]")
_CONVERTED = {
    **{f"{name}_sum": f"{name}_sum * coalesce(factor, 1) AS {name}_sum" for name in MONEY_FIELDS},
    **{
        f"{name}_squares": f"{name}_squares * coalesce(factor * factor, 1)::double precision AS {name}_squares"
        for name in MONEY_FIELDS
    },
}
"""How the columns that hold money become another currency's."""
_FEW = 4

Marked = Mapping[EventClass, int]
"""The classes that a question is about, and which of its statistics count their events, as bits."""


@dataclass(frozen=True, slots=True)
class Which:
    """Rollups of one dimension, or of none: of all its values, or of some."""

    dimension: str | None = None
    values: Sequence[int] | None = None


@dataclass(slots=True)
class _Arguments:
    values: list[Any] = field(default_factory=list)

    def add(self, value: Any, kind: str) -> str:
        self.values.append(value)
        return f"${len(self.values)}::{kind}"


@dataclass(frozen=True, slots=True)
class Portion:
    """The rollups of a segment, which add up its members' events up to a position of the log."""

    segment_id: int
    rolled_to: int
    bits: bytes
    """A bit for each code of a subject from 0 on, set for members."""

    def inside(self, arguments: "_Arguments") -> str:
        """A condition on events: that their subject is a member."""
        bits = arguments.add(self.bits, "bytea")
        return f"CASE WHEN subject < {len(self.bits) * 8} THEN get_bit({bits}, subject) = 1 ELSE false END"


class RollupReader:
    """Reads the rollups of one tenant, or of a portion of its subjects, and counts what it reads."""

    def __init__(
        self,
        connection: Any,
        tenant_id: int,
        rates: Rates = NO_RATES,
        *,
        unconverted: bool = False,
        portion: Portion | None = None,
    ) -> None:
        self.connection = connection
        self.tenant_id = tenant_id
        self.rates = rates
        """By which money of some currencies becomes that of another one; money of any other stays as it is."""
        self.unconverted = unconverted
        """Whether it is what there is no rate for that is read."""
        self.portion = portion
        """Of whom, where not of all."""
        self.rows = 0
        """Rows read so far, rollups and events."""
        self.events = 0
        """The events among them."""

    async def classes(self, period: Period) -> list[EventClass]:
        """The classes of events that may lie in a period."""
        day_before = period.start - timedelta(days=1)
        rows = await self.connection.fetch(_CLASSES, self.tenant_id, day_before, period.end)
        return [EventClass(*row) for row in rows]

    async def sums(
        self,
        statistics: Sequence[Statistic],
        marked: Marked,
        cuts: Cuts,
        which: Which,
        buckets: Sequence[datetime],
        shown: Sequence[int] = (),
    ) -> dict[tuple[int, int], Sums]:
        """What statistics add up to, by dimension value and bucket; values not among those shown go under 0."""
        columns = list(dict.fromkeys(["n", *map(column_of, statistics)]))
        arguments = _Arguments()
        part = self._part(arguments, statistics, marked, cuts, which, columns)
        value = bucket = "0"
        if shown:
            value = f"CASE WHEN value = ANY({arguments.add(list(shown), 'integer[]')}) THEN value ELSE 0 END"
        if buckets:
            bucket = f"width_bucket(at, {arguments.add(list(buckets), 'timestamptz[]')}) - 1"
        query = (
            f"SELECT mask, {value}, {bucket}, count(*), sum(is_event),"  # noqa: S608
            f" {', '.join(map(summed_column, columns))} FROM ({part}) AS part GROUP BY 1, 2, 3"
        )
        rows = await self.connection.fetch(query, *arguments.values)
        self._count(rows)
        held = {name: [row[place] for row in rows] for place, name in enumerate(columns, 5)}
        if "histogram" in held:
            # Made into arrays once, however many quantiles are told from them.
            held["histogram"] = [np.array(parts or (), np.int64) for parts in held["histogram"]]
        values = zip(*(held[column_of(statistic)] for statistic in statistics), strict=True)
        keyed = zip(rows, values, strict=True)
        return collected(statistics, ((row[0], (row[1], row[2]), own, row[5]) for row, own in keyed))

    async def largest(
        self, statistic: Statistic, marked: Marked, cuts: Cuts, which: Which, top: int
    ) -> tuple[list[tuple[int, Any]], int, Any, int]:
        """The values of a dimension where the first statistic is largest, with it: the ``top`` of them.

        Also how many values there are in all, and what the statistic and the events of all of them add up to.
        """
        column = column_of(statistic)
        arguments = _Arguments()
        part = self._part(arguments, [statistic], marked, cuts, which, list(dict.fromkeys(["n", column])))
        if statistic.aggregate is Aggregate.QUANTILE:
            return await self._largest_quantile(statistic, part, arguments.values, top)
        rank = f"coalesce(sum({column}) FILTER (WHERE mask & 1 = 1), 0)"
        query = (
            f"SELECT value, {rank}, count(*) OVER (), sum({rank}) OVER (), sum(sum(n)) OVER ()"  # noqa: S608
            f", sum(count(*)) OVER (), sum(sum(is_event)) OVER ()"
            f" FROM ({part}) AS part GROUP BY value ORDER BY 2 DESC, value LIMIT {int(top)}"
        )
        rows = await self.connection.fetch(query, *arguments.values)
        if not rows:
            return [], 0, 0, 0
        self.rows += int(rows[0][5])
        self.events += int(rows[0][6])
        return [(row[0], row[1]) for row in rows], rows[0][2], rows[0][3], int(rows[0][4])

    async def _largest_quantile(
        self, statistic: Statistic, part: str, arguments: Sequence[Any], top: int
    ) -> tuple[list[tuple[int, Any]], int, Any, int]:
        query = (
            "SELECT value, strung_histograms(histogram) FILTER (WHERE mask & 1 = 1), sum(n), count(*), sum(is_event)"  # noqa: S608
            f" FROM ({part}) AS part GROUP BY value"
        )
        rows = await self.connection.fetch(query, *arguments)
        self.rows += sum(row[3] for row in rows)
        self.events += sum(row[4] for row in rows)
        ranked = [(row[0], quantile(statistic.q or 0.0, [row[1] or ()])) for row in rows]
        ranked.sort(key=lambda one: (one[1] is None, -(one[1] or 0), one[0]))
        return ranked[:top], len(rows), [row[1] or () for row in rows], int(sum(row[2] for row in rows))

    def _part(
        self,
        arguments: _Arguments,
        statistics: Sequence[Statistic],
        marked: Marked,
        cuts: Cuts,
        which: Which,
        columns: Sequence[str],
    ) -> str:
        """The rows to be added up, their money converted."""
        foreign = self.rates.factors.keys() & {one.currency for one in marked}
        money = sum(statistic.in_currency << place for place, statistic in enumerate(statistics))
        if not foreign or not money:
            return self._plain(arguments, marked, cuts, which, columns)
        plain = self._plain(arguments, marked, cuts, which, ["class.currency", *columns])
        rates = zip(*(row for row in self.rates.rows() if row[0] in foreign), strict=True)
        given = ", ".join(arguments.add(list(column), kind) for column, kind in zip(rates, _RATE, strict=True))
        mask, known = "mask", " WHERE factor IS NULL"
        if not self.unconverted:
            # Nothing that is taken over money counts what there is no rate for.
            missing = f"factor IS NULL AND currency = ANY({arguments.add(sorted(foreign), 'text[]')})"
            mask, known = f"CASE WHEN {missing} THEN mask & ~{arguments.add(money, 'bigint')} ELSE mask END AS mask", ""
        return (
            f"SELECT {mask}, at, value, is_event, {', '.join(_CONVERTED.get(name, name) for name in columns)}"  # noqa: S608
            f" FROM ({plain}) AS plain LEFT JOIN unnest({given}) AS rate (of, day, factor)"
            f" ON of = currency AND day = (at AT TIME ZONE 'UTC')::date{known}"
        )

    def _plain(self, arguments: _Arguments, marked: Marked, cuts: Cuts, which: Which, columns: Sequence[str]) -> str:
        """Rollups, and of ragged hours events that look like them."""
        tenant = arguments.add(self.tenant_id, "integer")
        kinds, names, currencies, flags = ([one[place] for one in marked] for place in range(4))
        classes = (
            f'(SELECT kind, name, currency COLLATE "C" AS currency, flags, mask FROM'  # noqa: S608
            f" unnest({arguments.add(kinds, 'smallint[]')}, {arguments.add(names, 'integer[]')},"
            f" {arguments.add(currencies, 'text[]')}, {arguments.add(flags, 'smallint[]')},"
            f" {arguments.add(list(marked.values()), 'bigint[]')}) AS c (kind, name, currency, flags, mask)) AS class"
        )
        place = 0 if which.dimension is None else 1 + DIMENSIONS.index(which.dimension)
        some = None if place else "= 0"
        if which.values is not None:
            some = f"= ANY({arguments.add(list(which.values), 'integer[]')})"
        parts = []
        kept = "rollup"
        if self.portion is not None:
            segment = arguments.add(self.portion.segment_id, "integer")
            kept = f"(SELECT *, 0 AS dimension, 0 AS value FROM segment_rollup WHERE segment_id = {segment}) AS rollup"  # noqa: S608
        for grain, spans in ((DAY, cuts.days), (HOUR, cuts.hours)):
            for within in _ranges(arguments, spans):
                rows = f"tenant_id = {tenant} AND grain = {grain} AND dimension = {place} AND {within}"
                parts.append(_of_rollups(kept, ", ".join(columns), classes, rows, some))
        value = which.dimension or "0"
        carried = "true" if which.dimension is None else f"{which.dimension} {some or 'IS NOT NULL'}"
        inside = "true" if self.portion is None else self.portion.inside(arguments)
        of_events = (
            f"SELECT mask, occurred_at, {value}, 1, {', '.join(OF_EVENT.get(name, name) for name in columns)} FROM %s"  # noqa: S608
            f" AS event JOIN {classes} ON class.kind = event.kind AND class.name = event.name"
            f" AND class.currency = coalesce(event.currency, '') AND class.flags = {FLAGS_OF_EVENT}"
        )
        for spans, more in ((cuts.ragged, "true"), ((*cuts.days, *cuts.hours), self._since(arguments))):
            if spans and more is not None:
                begins = arguments.add([span.start for span in spans], "timestamptz[]")
                ends = arguments.add([span.end for span in spans], "timestamptz[]")
                parts.append(
                    of_events % f"unnest({begins}, {ends}) AS span (begins, ends) CROSS JOIN LATERAL (SELECT * FROM"  # noqa: S608
                    f" event WHERE tenant_id = {tenant} AND occurred_at >= begins AND occurred_at < ends AND {carried}"
                    f" AND {inside} AND {more} OFFSET 0)"
                )
        return " UNION ALL ".join(parts)

    def _since(self, arguments: _Arguments) -> str | None:
        """A condition on the events of whole hours that rollups do not hold; None where they hold all."""
        if self.portion is None:
            return None
        return f"position > {arguments.add(self.portion.rolled_to, 'bigint')}"

    def _count(self, rows: Sequence[Any]) -> None:
        self.rows += sum(row[3] for row in rows)
        self.events += sum(row[4] for row in rows)


def _ranges(arguments: _Arguments, spans: Sequence[Period]) -> Iterator[str]:
    """Conditions on time, one after the other met by rows of the spans: few of them are looked up each by itself."""
    parts = [[span] for span in spans] if len(spans) <= _FEW else [spans]
    for part in parts:
        begins = arguments.add(part[0].start, "timestamptz")
        within = f"at >= {begins} AND at < {arguments.add(part[-1].end, 'timestamptz')}"
        if len(part) > 1:
            edges = arguments.add([edge for span in part for edge in (span.start, span.end)], "timestamptz[]")
            within += f" AND width_bucket(at, {edges}) % 2 = 1"
        yield within


def _of_rollups(kept: str, columns: str, classes: str, rows: str, some: str | None) -> str:
    """Rollups of classes; those of known values are looked up class by class, whatever the planner expects of them."""
    plain = f"SELECT mask, at, value, 0 AS is_event, {columns} FROM {classes}"  # noqa: S608  # constants only
    if some is None:
        return f"{plain} JOIN {kept} USING (kind, name, currency, flags) WHERE {rows}"
    return (
        f"{plain} CROSS JOIN LATERAL (SELECT * FROM {kept} WHERE {rows} AND value {some} AND kind = class.kind"  # noqa: S608
        f" AND name = class.name AND currency = class.currency AND flags = class.flags OFFSET 0) AS looked_up"
    )
