"""Sums over the units of an experiment by day of first exposure: how many came when, and what some of them did."""

from typing import Any

from resolvers.analysis.experiment_cells import BY_DAY, Cell
from resolvers.store.database import driver
from resolvers.store.experiment_sums import COLUMNS, SIGNED, SUMS, Reach, UnitRepository
from resolvers.store.experiment_unit_sql import Coded

_HELD = f"""SELECT {COLUMNS} FROM experiment_statistics
    WHERE tenant_id = {{tenant}}::integer AND experiment_id = {{experiment}}::integer AND cut = {BY_DAY}
        AND {{kept}}"""  # noqa: S608  # constants only
_FRESH = f" UNION ALL SELECT {COLUMNS} FROM cells"  # noqa: S608  # constants only
_ASK = f"""SELECT phase, {BY_DAY}, {{value}}, variant, multiple, slot, sum(n)::bigint,
    {", ".join(f"sum({name})" for name in SUMS)}
FROM ({{source}}) AS every WHERE cut = {BY_DAY} AND {{which}}
GROUP BY 1, 3, 4, 5, 6"""  # noqa: S608  # constants only


async def units_by_day(units: UnitRepository, coded: Coded, reach: Reach) -> list[Cell]:
    """How many units were first exposed on each day, and no other sums.

    To be asked in the transaction that read the reach, as what follows.
    """
    return await _asked(units, coded, reach, "value", "slot = 0", {})


async def cells_through(units: UnitRepository, coded: Coded, reach: Reach, day: int) -> list[Cell]:
    """The sums over units first exposed up to and including a day, all as of the day 0."""
    return await _asked(units, coded, reach, "0", "value <= {day}::integer", {"day": day})


async def _asked(
    units: UnitRepository, coded: Coded, reach: Reach, value: str, which: str, more: dict[str, Any]
) -> list[Cell]:
    if coded.experiment is None:
        return []
    subjects = await units.touched(coded, reach.folded_to, reach.version) if reach.folded_to else None
    fresh, arguments = coded.statement(reach.version, subjects) if subjects != [] else ("", [])
    text = _ASK.format(value=value, which=which, source=_HELD + _FRESH if fresh else _HELD)
    given = {"tenant": units.tenant_id, "experiment": coded.scheme.experiment_id} | more
    places = {name: f"${place}" for place, name in enumerate(given, len(arguments) + 1)}
    kept = "true" if reach.folded_to else "false"
    text = (f"WITH {SIGNED} " if fresh else "") + text
    found = await (await driver(units.session)).fetch(
        text.format(fresh=fresh, kept=kept, **places), *arguments, *given.values()
    )
    return [Cell(*row) for row in found]
