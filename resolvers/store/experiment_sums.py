"""What is kept of the units of experiments, in sum: exact as of a position of the log, and of now with its tail.

Sums hold a row for each phase, variant and metric, over all units, by day of first exposure and by each dimension that
results are broken down by. To bring them further, the units that new events are about are reckoned anew from the log,
and what that changes of them is added; an answer adds the same for what came since.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.analysis.experiment_cells import Cell
from resolvers.analysis.experiments import Scheme
from resolvers.store.database import driver, rows
from resolvers.store.events import EVENT
from resolvers.store.experiment_unit_sql import Coded
from resolvers.store.terms import TermMemory, TermRepository
from resolvers.store.versions import EXCHANGE_RATES, SEGMENTS, WHOLE_LOG

SUMS = ("x", "y", "c", "xx", "yy", "cc", "xy", "xc")
_KEYS = ("phase", "cut", "value", "variant", "multiple", "slot")
OF_UNIT = ("subject", "phase", "variant", "multiple", "exposed_at", "day", "parts", "x", "y", "c")

_DEPENDS = (WHOLE_LOG, EXCHANGE_RATES, SEGMENTS)
"""The versions of data that tell how far the log goes, and whether what is kept is right still."""
_WAIT = "SELECT edition, folded_to FROM experiment_state WHERE tenant_id = $1 AND experiment_id = $2 FOR UPDATE"
_HOLD = f"{_WAIT} SKIP LOCKED"
_REACH = f"""SELECT edition, folded_to, {
    ", ".join(f"(SELECT version FROM data_version WHERE tenant_id = $1 AND kind = {kind})" for kind in _DEPENDS)
} FROM (SELECT) AS one LEFT JOIN experiment_state ON tenant_id = $1 AND experiment_id = $2"""  # noqa: S608  # constants only
_SOME = " + ".join(f"coalesce(num_nonnulls(VARIADIC signed.{name}), 0)" for name in ("x", "y", "c"))
"""How many numbers a unit has: most have none, and need not be taken apart."""
SIGNED = """
fresh (subject, phase, variant, multiple, exposed_at, day, parts, x, y, c) AS MATERIALIZED ({fresh}),
signed AS (
    SELECT 1 AS sign, phase, variant, multiple, day, parts, x, y, c FROM fresh
    UNION ALL
    SELECT -1, u.phase, u.variant, u.multiple, u.day, u.parts, u.x, u.y, u.c
    FROM fresh CROSS JOIN LATERAL (
        SELECT * FROM experiment_unit u
        WHERE u.tenant_id = {tenant} AND u.experiment_id = {experiment} AND u.subject = fresh.subject AND {kept}
        OFFSET 0
    ) AS u
),
fine AS (
    SELECT phase, variant, multiple, day, parts, 0 AS slot, sum(sign) AS n, 0 AS x, 0 AS y, 0 AS c,
        0 AS xx, 0 AS yy, 0 AS cc, 0 AS xy, 0 AS xc
    FROM signed GROUP BY 1, 2, 3, 4, 5
    UNION ALL
    SELECT phase, variant, multiple, day, parts, v.slot::integer, 0, sum(sign * v.x), sum(sign * v.y), sum(sign * v.c),
        sum(sign * v.x * v.x), sum(sign * v.y * v.y), sum(sign * v.c * v.c), sum(sign * v.x * v.y),
        sum(sign * v.x * v.c)
    FROM signed CROSS JOIN LATERAL unnest(signed.x, signed.y, signed.c) WITH ORDINALITY AS v (x, y, c, slot)
    WHERE {some} AND (v.x IS NOT NULL OR v.y IS NOT NULL OR v.c IS NOT NULL)
    GROUP BY 1, 2, 3, 4, 5, 6
),
cells AS (
    SELECT phase, k.cut, k.value, variant, multiple, slot, sum(n)::bigint AS n, coalesce(sum(x), 0) AS x,
        coalesce(sum(y), 0) AS y, coalesce(sum(c), 0) AS c, coalesce(sum(xx), 0) AS xx, coalesce(sum(yy), 0) AS yy,
        coalesce(sum(cc), 0) AS cc, coalesce(sum(xy), 0) AS xy, coalesce(sum(xc), 0) AS xc
    FROM fine CROSS JOIN LATERAL (
        SELECT 0 AS cut, 0 AS value UNION ALL SELECT 1, day
        UNION ALL SELECT 1 + part.place::integer, part.code FROM unnest(parts) WITH ORDINALITY AS part (code, place)
    ) AS k
    GROUP BY 1, 2, 3, 4, 5, 6
)""".replace("{some}", f"{_SOME} > 0")
_NOT_ZERO = "(n, x, y, c, xx, yy, cc, xy, xc) IS DISTINCT FROM (0, 0, 0, 0, 0, 0, 0, 0, 0)"
COLUMNS = ", ".join(("phase", "cut", "value", "variant", "multiple", "slot", "n", *SUMS))
# Made of the names above alone; whatever is asked is passed beside it.
_FOLD = f"""WITH {SIGNED},
added AS (
    INSERT INTO experiment_statistics AS s (tenant_id, experiment_id, {COLUMNS})
    SELECT {{tenant}}, {{experiment}}, {COLUMNS} FROM cells WHERE {_NOT_ZERO}
    ON CONFLICT (tenant_id, experiment_id, phase, cut, value, variant, multiple, slot)
    DO UPDATE SET {", ".join(f"{name} = s.{name} + excluded.{name}" for name in ("n", *SUMS))}
),
tops AS (
    INSERT INTO experiment_top AS t (tenant_id, experiment_id, slot, subject, x)
    SELECT {{tenant}}, {{experiment}}, v.slot, subject, coalesce(v.x, 0)
    FROM fresh CROSS JOIN unnest({{slots}}::integer[]) AS place
    CROSS JOIN LATERAL (VALUES (place, fresh.x[place]), (-place, fresh.c[place])) AS v (slot, x)
    WHERE v.x IS NOT NULL OR EXISTS (
        SELECT FROM experiment_top o
        WHERE (o.tenant_id, o.experiment_id, o.slot, o.subject) = ({{tenant}}, {{experiment}}, v.slot, fresh.subject)
            AND {{kept}}
    )
    ON CONFLICT (tenant_id, experiment_id, slot, subject) DO UPDATE SET x = excluded.x WHERE t.x <> excluded.x
)
INSERT INTO experiment_unit (tenant_id, experiment_id, {", ".join(OF_UNIT)})
SELECT {{tenant}}, {{experiment}}, {", ".join(OF_UNIT)} FROM fresh
ON CONFLICT (tenant_id, experiment_id, subject)
DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in OF_UNIT[1:])}"""  # noqa: S608  # constants only
# A table that was empty when it was last looked at is read whole for each unit, and has a million rows by the end. So
# units that are told are looked up by an index, in a plan that knows how large everything is now.
_PLANNED = "SELECT set_config('plan_cache_mode', $1, true), set_config('enable_seqscan', $2, true)"
_HELD = f"""SELECT {COLUMNS} FROM experiment_statistics
    WHERE tenant_id = {{tenant}} AND experiment_id = {{experiment}} AND cut = ANY({{cuts}}::integer[])
        AND {{kept}}"""  # noqa: S608  # constants only
_ASK = f"""WITH {SIGNED}
SELECT {", ".join(_KEYS)}, sum(n)::bigint, {", ".join(f"sum({name})" for name in SUMS)}
FROM (SELECT {COLUMNS} FROM cells WHERE cut = ANY({{cuts}}::integer[]) UNION ALL {_HELD}) AS every
GROUP BY {", ".join(_KEYS)}"""  # noqa: S608  # constants only

_DIFFERING = f"""WITH {SIGNED},
kept AS (
    SELECT {COLUMNS} FROM experiment_statistics
    WHERE tenant_id = {{tenant}} AND experiment_id = {{experiment}} AND {_NOT_ZERO}
),
made AS (SELECT {COLUMNS} FROM cells WHERE {_NOT_ZERO})
SELECT count(*) FROM made FULL JOIN kept USING ({", ".join(_KEYS)})
WHERE to_jsonb(made) IS DISTINCT FROM to_jsonb(kept)"""  # noqa: S608  # constants only


@dataclass(frozen=True, slots=True)
class Reach:
    """How far the units of an experiment are kept, 0 where they are not, and how far the log goes."""

    folded_to: int
    version: int


class UnitRepository:
    """Keeps and reads the units of one tenant's experiments."""

    def __init__(self, session: AsyncSession, memory: TermMemory, tenant_id: int) -> None:
        self.session = session
        self.terms = TermRepository(session, memory)
        self.tenant_id = tenant_id

    async def begin(self, experiment_id: int) -> None:
        """Have upkeep keep the units of an experiment from now on, or anew if it does."""
        connection = await driver(self.session)
        await connection.execute(
            "INSERT INTO experiment_state (tenant_id, experiment_id, edition, folded_to) VALUES ($1, $2, '', 0)"
            " ON CONFLICT (tenant_id, experiment_id) DO UPDATE SET edition = '', folded_to = 0",
            self.tenant_id,
            experiment_id,
        )

    async def drop(self, experiment_id: int) -> None:
        """Keep nothing any more of the units of an experiment; they are read from the log."""
        connection = await driver(self.session)
        for table in ("experiment_state", "experiment_unit", "experiment_statistics", "experiment_top"):
            await connection.execute(
                f"DELETE FROM {table} WHERE tenant_id = $1 AND experiment_id = $2",  # noqa: S608  # of those above
                self.tenant_id,
                experiment_id,
            )

    async def reach(self, scheme: Scheme) -> Reach:
        """How far what is kept by a scheme goes."""
        kept, folded_to, edition, version = await self._state(scheme)
        return Reach(folded_to if kept == edition else 0, version)

    async def _state(self, scheme: Scheme) -> tuple[str | None, int, str, int]:
        """Of which edition what is kept is and how far it goes; of which it has to be, and how far the log goes."""
        connection = await driver(self.session)
        found = await connection.fetchrow(_REACH, self.tenant_id, scheme.experiment_id)
        kept, folded_to, version, rates, segments = (found[0], *(place or 0 for place in found[1:]))
        edition = f"{scheme.edition}.{rates if scheme.money else 0}.{segments if scheme.segments else 0}"
        return kept, folded_to, edition, version

    async def hold(self, experiment_id: int, *, wait: bool = False) -> bool:
        """Have nobody else change what is kept of an experiment until the transaction ends.

        False where nothing is to be kept or, unless it is to ``wait``, somebody is at it. What is to be kept is then to
        be read: a phase may have been added meanwhile.
        """
        connection = await driver(self.session)
        found = await connection.fetchrow(_WAIT if wait else _HOLD, self.tenant_id, experiment_id)
        return found is not None

    async def fold(self, scheme: Scheme, *, batch: int, wait: bool = False) -> tuple[int, bool]:
        """Take the next events into what is kept; return how many units that was about, and whether more are left.

        Does nothing where another process is at it, unless it is to ``wait``. What another scheme kept is dropped.
        """
        connection = await driver(self.session)
        held = await connection.fetchrow(_WAIT if wait else _HOLD, self.tenant_id, scheme.experiment_id)
        if held is None:
            return 0, False
        kept, folded_to, edition, version = await self._state(scheme)
        if kept != edition:
            await self.drop(scheme.experiment_id)
            await self.begin(scheme.experiment_id)
            folded_to = 0
        coded = await Coded.of(self.terms, self.tenant_id, scheme)
        through = min(version, folded_to + batch) if folded_to else version
        subjects = await self.touched(coded, folded_to, through) if folded_to else None
        count = await self._take(coded, through, subjects)
        await connection.execute(
            "UPDATE experiment_state SET edition = $3, folded_to = $4 WHERE tenant_id = $1 AND experiment_id = $2",
            self.tenant_id,
            scheme.experiment_id,
            edition,
            through,
        )
        return count, through < version

    async def parted(self, scheme: Scheme, since: datetime) -> None:
        """Bring what is kept to a scheme that has another phase, or an end, ``since`` then."""
        await self.hold(scheme.experiment_id, wait=True)
        reach = await self.reach(scheme)
        if not reach.folded_to:
            return
        coded = await Coded.of(self.terms, self.tenant_id, scheme)
        exposed = select(EVENT.subject).where(
            EVENT.tenant_id == self.tenant_id,
            EVENT.position <= reach.folded_to,
            EVENT.occurred_at >= since,
            EVENT.subject.is_not(None),
            coded.exposure(),
        )
        await self._take(coded, reach.folded_to, [row[0] for row in await rows(self.session, exposed.distinct())])

    async def touched(self, coded: Coded, after: int, through: int) -> list[int]:
        """Whom the events of a stretch of the log are about, of those that matter."""
        if after >= through:
            return []
        query = select(EVENT.subject).where(
            EVENT.tenant_id == self.tenant_id,
            EVENT.position > after,
            EVENT.position <= through,
            EVENT.subject.is_not(None),
            coded.relevant(),
        )
        return [row[0] for row in await rows(self.session, query.distinct())]

    async def _take(self, coded: Coded, through: int, subjects: Sequence[int] | None) -> int:
        """Reckon units anew and take what that changes into the sums; return how many they are."""
        if coded.experiment is None or subjects == []:
            return 0
        slots = [place for place, metric in enumerate(coded.scheme.metrics, 1) if metric.cap_at is not None]
        text, arguments = self._statement(_FOLD, coded, through, subjects, {"slots": slots}, kept=subjects is not None)
        connection = await driver(self.session)
        await connection.execute(_PLANNED, "force_custom_plan", "on" if subjects is None else "off")
        status = await connection.execute(text, *arguments)
        await connection.execute(_PLANNED, "auto", "on")
        return int(status.split()[-1])

    async def cells(self, coded: Coded, reach: Reach, cuts: Iterable[int]) -> list[Cell]:
        """The sums as the log up to ``reach.version`` has them; to be asked in the transaction that read the reach."""
        connection = await driver(self.session)
        wanted = {"cuts": list(cuts)}
        if coded.experiment is None:
            return []
        subjects = await self.touched(coded, reach.folded_to, reach.version) if reach.folded_to else None
        if subjects == []:
            text = _HELD.format(tenant="$1::integer", experiment="$2::integer", cuts="$3", kept="true")
            arguments: list[Any] = [self.tenant_id, coded.scheme.experiment_id, wanted["cuts"]]
        else:
            text, arguments = self._statement(_ASK, coded, reach.version, subjects, wanted, kept=bool(reach.folded_to))
        return [Cell(*row) for row in await connection.fetch(text, *arguments)]

    async def differing_sums(self, coded: Coded, reach: Reach) -> int:
        """How many sums are not what the log comes to up to where they reach."""
        text, arguments = self._statement(_DIFFERING, coded, reach.folded_to, None, {}, kept=False)
        return int(await (await driver(self.session)).fetchval(text, *arguments))

    def _statement(
        self,
        text: str,
        coded: Coded,
        through: int,
        subjects: Sequence[int] | None,
        more: dict[str, Any],
        *,
        kept: bool,
    ) -> tuple[str, list[Any]]:
        fresh, arguments = coded.statement(through, subjects)
        names = {"tenant": self.tenant_id, "experiment": coded.scheme.experiment_id} | more
        places = {name: f"${place}" for place, name in enumerate(names, len(arguments) + 1)}
        for name in ("tenant", "experiment"):
            places[name] += "::integer"
        return text.format(fresh=fresh, kept=str(kept).lower(), **places), [*arguments, *names.values()]
