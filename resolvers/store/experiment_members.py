"""Sums over those units of an experiment that are in segments: read unit by unit, as members come and go."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from resolvers.analysis.experiment_cells import BY_SEGMENT, Cell
from resolvers.analysis.members import Members
from resolvers.store.database import driver
from resolvers.store.experiment_sums import OF_UNIT, Reach, UnitRepository
from resolvers.store.experiment_unit_sql import Coded

_OF_UNIT = ", ".join(OF_UNIT)
# One pass over the units: what each is in is a number with a bit for each segment. Made of constants alone, and of the
# lengths of the bitmaps; whatever is asked is passed beside it.
_ASK = f"""WITH fresh ({_OF_UNIT}) AS MATERIALIZED ({{fresh}}),
units AS (
    SELECT {_OF_UNIT} FROM fresh
    UNION ALL
    SELECT {_OF_UNIT} FROM experiment_unit
    WHERE tenant_id = {{tenant}}::integer AND experiment_id = {{experiment}}::integer AND {{kept}}
        AND subject NOT IN (SELECT subject FROM fresh)
),
inside AS (SELECT phase, variant, multiple, x, y, c, {{inside}} AS places FROM units WHERE phase > 0),
fine AS (
    SELECT phase, variant, multiple, places, 0 AS slot, count(*) AS n, 0 AS x, 0 AS y, 0 AS c,
        0 AS xx, 0 AS yy, 0 AS cc, 0 AS xy, 0 AS xc
    FROM inside WHERE places > 0 GROUP BY 1, 2, 3, 4
    UNION ALL
    SELECT phase, variant, multiple, places, v.slot::integer, 0, sum(v.x), sum(v.y), sum(v.c),
        sum(v.x * v.x), sum(v.y * v.y), sum(v.c * v.c), sum(v.x * v.y), sum(v.x * v.c)
    FROM inside CROSS JOIN LATERAL unnest(x, y, c) WITH ORDINALITY AS v (x, y, c, slot)
    WHERE places > 0 AND (v.x IS NOT NULL OR v.y IS NOT NULL OR v.c IS NOT NULL)
    GROUP BY 1, 2, 3, 4, 5
)
SELECT phase, {BY_SEGMENT}, place, variant, multiple, slot, sum(n)::bigint, coalesce(sum(x), 0), coalesce(sum(y), 0),
    coalesce(sum(c), 0), coalesce(sum(xx), 0), coalesce(sum(yy), 0), coalesce(sum(cc), 0), coalesce(sum(xy), 0),
    coalesce(sum(xc), 0)
FROM fine CROSS JOIN generate_series(0, {{last}}::integer) AS place
WHERE places & (1 << place) <> 0
GROUP BY phase, place, variant, multiple, slot"""  # noqa: S608  # constants only


@dataclass(frozen=True, slots=True)
class Cuts:
    """How sums are cut: as they are kept, and by the segments that have these members, in their order."""

    kept: Sequence[int]
    members: Sequence[Members] = ()


async def cells_by_segment(units: UnitRepository, coded: Coded, reach: Reach, members: Sequence[Members]) -> list[Cell]:
    """The sums over the units in each segment as the log up to ``reach.version`` has them; ``value`` is its place.

    To be asked in the transaction that read the reach.
    """
    if coded.experiment is None or not members:
        return []
    subjects = await units.touched(coded, reach.folded_to, reach.version) if reach.folded_to else None
    fresh, arguments = coded.statement(reach.version, subjects)
    given: dict[str, Any] = {
        "tenant": units.tenant_id,
        "experiment": coded.scheme.experiment_id,
        "last": len(members) - 1,
    }
    given |= {f"bits_{place}": one.bits for place, one in enumerate(members)}
    places = {name: f"${place}" for place, name in enumerate(given, len(arguments) + 1)}
    inside = " | ".join(
        f"CASE WHEN subject < {len(one.bits) * 8} THEN get_bit({places[f'bits_{place}']}::bytea, subject) << {place}"
        " ELSE 0 END"
        for place, one in enumerate(members)
    )
    kept = "true" if reach.folded_to else "false"
    text = _ASK.format(fresh=fresh, kept=kept, inside=f"({inside})", **places)
    return [Cell(*row) for row in await (await driver(units.session)).fetch(text, *arguments, *given.values())]
