"""Rollups of the days of a time zone: its whole hours as they are kept, and of the hours it halves the events.

An edition tells a day from what it was before: those of the days (UTC) that it lies in, since whoever changes rollups
draws another one for theirs. One statement compares them and reads the days that have another one.
"""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from resolvers.analysis.clocks import midnight, zone
from resolvers.analysis.histograms import difference
from resolvers.analysis.planning import hour_before
from resolvers.analysis.rollups import HOUR
from resolvers.store.rollups import BUCKET, FLAGS_OF_EVENT

_FIRST_DAY = date(1970, 1, 1)
_CLASS = "kind, name, currency, flags"
_N = 7
"""The place of the number of events in a row."""
_HELD = ("n", "amount_n", "amount_sum", "cost_n", "cost_sum", "duration_n")
_ADDED = ", ".join(f"sum(sign * {name}){'' if name.endswith('_sum') else '::bigint'}" for name in _HELD)
_OF_EVENTS = (
    "count(*) AS n, count(amount) AS amount_n, coalesce(sum(amount), 0) AS amount_sum, count(cost) AS cost_n,"
    " coalesce(sum(cost), 0) AS cost_sum, count(duration_ms) AS duration_n,"
    f" array_agg(({BUCKET})::bigint << 32 | 1) FILTER (WHERE duration_ms IS NOT NULL) AS histogram"
)
# Money is converted by the rate of its day of UTC, of which a day of a zone has parts of two.
_DATED = "CASE WHEN currency = '' THEN day ELSE ({} AT TIME ZONE 'UTC')::date - date '1970-01-01' END AS dated"
# The days are few, and so are the hours of each, whatever the planner expects of them. The hour in which a day begins
# counts in whole, less what was before; what was before belongs to another day, and is read once for both.
_CHANGED = f"""
WITH asked AS (
    SELECT * FROM unnest($2::integer[], $3::timestamptz[], $4::timestamptz[], $5::timestamptz[], $6::timestamptz[],
                         $7::text[]) AS asked (day, begins, first_hour, last_hour, ends, known)
), changed AS MATERIALIZED (
    SELECT asked.*, present.edition FROM asked CROSS JOIN LATERAL (
        SELECT string_agg(edition::text, ',' ORDER BY rollup_day.day) AS edition FROM rollup_day
        WHERE tenant_id = $1 AND rollup_day.day >= (begins AT TIME ZONE 'UTC')::date
        AND rollup_day.day <= ((ends - interval '1 microsecond') AT TIME ZONE 'UTC')::date
    ) AS present WHERE present.edition IS DISTINCT FROM known
), edge AS MATERIALIZED (
    SELECT day, first_hour AS hour, begins AS instant, -1 AS sign FROM changed WHERE begins > first_hour
    UNION ALL SELECT day, last_hour, ends, 1 FROM changed WHERE ends > last_hour
), part AS MATERIALIZED (
    SELECT instant, own.* FROM (SELECT DISTINCT hour, instant FROM edge) AS once CROSS JOIN LATERAL (
        SELECT kind, name, coalesce(currency, '') AS currency, {FLAGS_OF_EVENT}::smallint AS flags, {_OF_EVENTS}
        FROM (SELECT * FROM event WHERE tenant_id = $1 AND occurred_at >= hour AND occurred_at < instant OFFSET 0)
        AS event GROUP BY 1, 2, 3, 4 OFFSET 0
    ) AS own
), own AS (
    SELECT day, {_DATED.format("at")}, 1 AS sign, {_CLASS}, {", ".join(_HELD)}, histogram
    FROM changed CROSS JOIN LATERAL (
        SELECT at, {_CLASS}, {", ".join(_HELD)}, histogram FROM rollup
        WHERE tenant_id = $1 AND grain = {HOUR} AND dimension = 0 AND value = 0 AND at >= first_hour AND at < last_hour
        OFFSET 0
    ) AS kept
    UNION ALL
    SELECT day, {_DATED.format("hour")}, sign, {_CLASS}, {", ".join(_HELD)}, histogram
    FROM edge JOIN part USING (instant)
)
SELECT day, edition, dated, {_CLASS}, {_ADDED},
       strung_histograms(histogram) FILTER (WHERE sign > 0), strung_histograms(histogram) FILTER (WHERE sign < 0)
FROM changed LEFT JOIN own USING (day) GROUP BY day, edition, dated, {_CLASS}
"""  # noqa: S608  # constants only


async def changed_days(
    connection: Any, tenant_id: int, timezone: str, span: tuple[int, int], known: Mapping[int, str]
) -> list[tuple[Any, ...]]:
    """The rollups of the days of a zone that are in another edition than is ``known``.

    A row has day, edition, day of UTC that money is of, class and sums. Days count from 1970-01-01 by their dates, and
    ``span`` is the first of them and the one after the last. A day without rollups has one row of nothing; it has no
    edition where the days (UTC) it lies in have none.
    """
    local = zone(timezone)
    days = range(*span)
    edges = [midnight(_FIRST_DAY + timedelta(days=day), local) for day in (*days, span[1])]
    hours = list(map(hour_before, edges))
    asked = list(days), edges[:-1], hours[:-1], hours[1:], edges[1:], [known.get(day) for day in days]
    rows = await connection.fetch(_CHANGED, tenant_id, *asked)
    return list(map(_told, rows))


def _told(row: Sequence[Any]) -> tuple[Any, ...]:
    """A row with its histogram in one, as each hour and event has its own; of nothing where all was another day's."""
    *told, histogram, less = row
    if not told[_N]:
        return (*told[:2], None)
    return (*told, difference([histogram or ()], [less or ()]) or None)
