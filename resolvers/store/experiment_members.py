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
_SUMS = {"x": "x", "y": "y", "c": "c", "xx": "x * x", "yy": "y * y", "cc": "c * c", "xy": "x * y", "xc": "x * c"}
"""What is summed up of the arrays that a unit has, an element of each for a metric."""
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
sums AS (
    SELECT phase, variant, multiple, places, count(*) AS n, {{sums}} FROM inside WHERE places > 0 GROUP BY 1, 2, 3, 4
),
fine AS (
    SELECT phase, variant, multiple, places, 0 AS slot, n, {", ".join(f"0 AS {name}" for name in _SUMS)} FROM sums
    UNION ALL
    SELECT phase, variant, multiple, places, v.slot::integer, 0, {", ".join(f"v.{name}" for name in _SUMS)}
    FROM sums CROSS JOIN LATERAL unnest({", ".join(_SUMS)}) WITH ORDINALITY AS v ({", ".join(_SUMS)}, slot)
)
SELECT phase, {BY_SEGMENT}, place, variant, multiple, slot, sum(n)::bigint,
    {", ".join(f"coalesce(sum({name}), 0)" for name in _SUMS)}
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
    slots = range(1, len(coded.scheme.metrics) + 1)
    sums = ", ".join(
        f"ARRAY[{', '.join(f'sum({_element(of, slot)})' for slot in slots)}] AS {name}" for name, of in _SUMS.items()
    )
    kept = "true" if reach.folded_to else "false"
    text = _ASK.format(fresh=fresh, kept=kept, inside=f"({inside})", sums=sums, **places)
    return [Cell(*row) for row in await (await driver(units.session)).fetch(text, *arguments, *given.values())]


def _element(of: str, slot: int) -> str:
    """``x * y`` of a metric: ``x[3] * y[3]``."""
    return " * ".join(f"{name}[{slot}]" for name in of.split(" * "))
