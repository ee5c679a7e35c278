"""Sightings: what events show of subjects and orders, read from the log.

Orders have codes in the tenant's dictionary, in a space of their own, given in the order in which they come.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.classes import EventClass
from resolvers.analysis.periods import Period
from resolvers.analysis.planning import RaggedPart
from resolvers.analysis.presence import Sightings
from resolvers.store.copying import EPOCH_US, copied_rows
from resolvers.store.rollups import FLAGS_OF_EVENT
from resolvers.store.terms import ORDERS

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIELDS = (
    ("position", ">i8"),
    ("at", ">i8"),
    *((name, ">i4") for name in ("kind", "name", "currency", "flags", "subject", "paid", "order")),
)
_COLUMNS = "position, occurred_at, kind, name, currency, recurring, success, assisted, subject, amount, order_id"
_KNOWN = f"""known AS (
    SELECT value COLLATE "C" AS order_id, code FROM term_codes($1, {ORDERS}::smallint, ARRAY(
        SELECT DISTINCT order_id FROM seen WHERE amount IS NOT NULL AND order_id IS NOT NULL))
)"""  # noqa: S608  # constants only
# Orders that have no code yet are numbered among themselves.
_SEEN = f"""
WITH seen AS (%s), {_KNOWN}
SELECT position, occurred_at, kind::integer, name,
       coalesce(ascii(currency) * 65536 + ascii(substr(currency, 2)) * 256 + ascii(substr(currency, 3)), 0),
       {FLAGS_OF_EVENT}::integer, coalesce(subject, 0), (amount IS NOT NULL)::integer,
       CASE WHEN amount IS NULL OR order_id IS NULL THEN 0
            ELSE coalesce(code, -dense_rank() OVER (ORDER BY order_id))::integer END
FROM seen LEFT JOIN known USING (order_id)
"""  # noqa: S608  # constants only
_WANTED = f"SELECT {_COLUMNS} FROM event WHERE tenant_id = $1 AND position > $2"  # noqa: S608  # constants only
_BY_POSITION = _SEEN % f"{_WANTED} AND position <= $3"
_OF_DAY = _SEEN % f"{_WANTED} AND position <= $3 AND occurred_at >= $4 AND occurred_at < $5"
_TAIL = _SEEN % f"{_WANTED} AND occurred_at >= $3 AND occurred_at < $4"
# The spans are few and short, whatever the planner expects of them.
_IN_SPANS = (
    _SEEN
    % f"""SELECT {_COLUMNS} FROM unnest($3::timestamptz[], $4::timestamptz[]) AS span (begins, ends)
    CROSS JOIN LATERAL (SELECT * FROM event
        WHERE tenant_id = $1 AND position <= $2 AND occurred_at >= begins AND occurred_at < ends OFFSET 0) AS inside"""  # noqa: S608
)
# In the order in which they come first, so that the orders of a day have codes near each other.
_NUMBER_ORDERS = f"""
WITH seen AS (
    {_WANTED} AND position <= $3 AND amount IS NOT NULL AND order_id IS NOT NULL
), {_KNOWN}, new AS (
    SELECT order_id, min(position) AS first FROM seen LEFT JOIN known USING (order_id) WHERE code IS NULL
    GROUP BY order_id
), last AS (
    SELECT code FROM term WHERE tenant_id = $1 AND space = {ORDERS} ORDER BY code DESC LIMIT 1
)
INSERT INTO term (tenant_id, space, code, value)
SELECT $1, {ORDERS}, coalesce((SELECT code FROM last), 0) + row_number() OVER (ORDER BY first), order_id FROM new
"""  # noqa: S608  # constants only


class SightingsReader:
    """Reads the sightings of one tenant, by an asyncpg connection within a transaction."""

    def __init__(self, connection: Any, tenant_id: int) -> None:
        self.connection = connection
        self.tenant_id = tenant_id

    async def number_orders(self, after: int, through: int) -> None:
        """Give a code to each order that has none; by whoever holds the state, as nobody else gives any."""
        await self.connection.execute(_NUMBER_ORDERS, self.tenant_id, after, through)

    async def seen(self, after: int, through: int) -> Sightings:
        """The events with after < position <= through."""
        return await self._sightings(_BY_POSITION, after, through)

    async def seen_on(self, day: int, through: int) -> Sightings:
        """The events of a day up to a position."""
        start = _EPOCH + timedelta(days=day)
        return await self._sightings(_OF_DAY, 0, through, start, start + timedelta(days=1))

    async def tail(self, after: int, period: Period) -> Sightings:
        """The events of a period after a position."""
        return await self._sightings(_TAIL, after, period.start, period.end)

    async def inside(self, through: int, spans: Sequence[RaggedPart]) -> Sightings:
        """The events of some spans up to a position."""
        starts, ends = [span.start for span in spans], [span.end for span in spans]
        return await self._sightings(_IN_SPANS, through, starts, ends)

    async def _sightings(self, query: str, *arguments: Any) -> Sightings:
        return _columns(await copied_rows(self.connection, query, (self.tenant_id, *arguments), _FIELDS))


def _columns(rows: NDArray[np.void]) -> Sightings:
    column: Mapping[str, NDArray[np.int64]] = {name: rows[name].astype(np.int64) for name, _ in _FIELDS}
    currencies, place = np.unique(column["currency"], return_inverse=True)
    # Kinds and flags take few bits, currencies are few hundred, and names are as many as 32 bits count.
    key = column["name"] << 24 | place << 14 | column["kind"] << 6 | column["flags"]
    keys, of_class = np.unique(key, return_inverse=True)
    texts = [_text(code) for code in currencies.tolist()]
    classes = [EventClass(one >> 6 & 255, one >> 24, texts[one >> 14 & 1023], one & 63) for one in keys.tolist()]
    return Sightings(
        classes,
        of_class.astype(np.int64),
        column["at"] + EPOCH_US,
        column["position"],
        column["subject"],
        column["paid"] > 0,
        column["order"],
    )


def _text(code: int) -> str:
    return code.to_bytes(3, "big").decode() if code else ""
