"""Metrics that are capped at a quantile of all units' values: what their caps are, and what they take from the sums.

Sums hold values as they are. The largest are found by an index, so that only those above the quantile are read;
a value below 0 counts as 0 for the quantile.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from math import floor

import numpy as np

from resolvers.analysis.experiment_cells import ALL, BY_DAY, BY_DIMENSION, BY_SEGMENT, Cell
from resolvers.analysis.experiments import UnitMetric
from resolvers.store.database import driver
from resolvers.store.experiment_members import Cuts
from resolvers.store.experiment_sums import OF_UNIT, Reach, UnitRepository
from resolvers.store.experiment_unit_sql import Coded

_COLUMNS = "subject, phase, variant, multiple, day, parts, x[{place}], y[{place}], c[{place}]"
# The first reads as many as are wanted in the order of an index.
_TOP = f"""WITH fresh ({", ".join(OF_UNIT)}) AS MATERIALIZED ({{fresh}}),
held AS (
    SELECT t.x AS top, u.subject, u.phase, u.variant, u.multiple, u.day, u.parts, u.x, u.y, u.c
    FROM experiment_top t JOIN experiment_unit u USING (tenant_id, experiment_id, subject)
    WHERE t.tenant_id = {{tenant}} AND t.experiment_id = {{experiment}} AND t.slot = {{slot}}::integer AND t.x > 0
        AND {{kept}} AND u.phase > 0 AND ({{phase}}::integer IS NULL OR u.phase = {{phase}})
        AND NOT (u.multiple AND {{once}}::boolean) AND t.subject NOT IN (SELECT subject FROM fresh)
    ORDER BY t.x DESC LIMIT {{count}}::integer
),
late AS (
    SELECT {{of}}[{{place}}] AS top, subject, phase, variant, multiple, day, parts, x, y, c FROM fresh
    WHERE {{of}}[{{place}}] > 0 AND phase > 0 AND ({{phase}} IS NULL OR phase = {{phase}})
        AND NOT (multiple AND {{once}})
)
SELECT top, {_COLUMNS} FROM (SELECT * FROM held UNION ALL SELECT * FROM late) AS every
ORDER BY top DESC LIMIT {{count}}"""  # noqa: S608  # constants only
_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Among:
    """The units whose values make the quantile: of a phase, or of all; those of several variants not if ``once``."""

    phase: int | None
    once: bool

    def count(self, cells: Iterable[Cell]) -> int:
        """How many they are."""
        return sum(
            cell.n
            for cell in cells
            if cell.cut == ALL and cell.phase in ({self.phase} if self.phase else range(1, 1 << 15))
            if not (cell.multiple and self.once)
        )


@dataclass(frozen=True, slots=True)
class _Unit:
    """A unit, and what a metric comes to for it."""

    phase: int
    variant: int
    multiple: bool
    day: int
    parts: tuple[int, ...]
    x: Decimal
    y: Decimal
    c: Decimal

    def places(self, cuts: Sequence[int]) -> list[tuple[int, int]]:
        """The cuts, each with the value that the unit has in it."""
        at = {ALL: 0, BY_DAY: self.day} | {BY_DIMENSION + place: code for place, code in enumerate(self.parts)}
        return [(cut, at[cut]) for cut in cuts]

    def less(self, slot: int, x: Decimal, c: Decimal, places: Iterable[tuple[int, int]]) -> Iterator[Cell]:
        """What the sums at places change by where value and covariate are these instead."""
        first = Cell(
            phase=self.phase,
            cut=ALL,
            value=0,
            variant=self.variant,
            multiple=self.multiple,
            slot=slot,
            n=0,
            x=x - self.x,
            y=_ZERO,
            c=c - self.c,
            xx=x * x - self.x * self.x,
            yy=_ZERO,
            cc=c * c - self.c * self.c,
            xy=(x - self.x) * self.y,
            xc=x * c - self.x * self.c,
        )
        return (replace(first, cut=cut, value=value) for cut, value in places)


async def capped(
    units: UnitRepository, coded: Coded, reach: Reach, cells: Sequence[Cell], among: Among, cuts: Cuts
) -> tuple[list[Cell], dict[int, Decimal]]:
    """Cells to add to those there are, and the cap of each such metric by its place."""
    count = among.count(cells)
    found: list[Cell] = []
    caps: dict[int, Decimal] = {}
    for place, metric in enumerate(coded.scheme.metrics):
        if metric.cap_at is None or count == 0:
            continue
        more, caps[place] = await _of_metric(units, coded, reach, metric, place + 1, count, among, cuts)
        found += more
    return found, caps


async def _of_metric(
    units: UnitRepository,
    coded: Coded,
    reach: Reach,
    metric: UnitMetric,
    slot: int,
    count: int,
    among: Among,
    cuts: Cuts,
) -> tuple[list[Cell], Decimal]:
    assert metric.cap_at is not None
    place = (count - 1) * metric.cap_at
    wanted = count - floor(place)
    above: dict[int, _Unit] = {}
    bounds = [_ZERO, _ZERO]
    for number, name in enumerate(("x", "c") if metric.before is not None else ("x",)):
        tops, largest = await _top(units, coded, reach, name, slot, wanted, among)
        ends = [tops[at] if 0 <= at < len(tops) else _ZERO for at in (wanted - 1, wanted - 2)]
        bounds[number] = ends[0] + (place - floor(place)) * (ends[1] - ends[0]) if wanted > 1 else ends[0]
        above |= largest
    cells: list[Cell] = []
    subjects = np.fromiter(above, np.int32, len(above))
    inside = [one.among(subjects) for one in cuts.members]
    for number, unit in enumerate(above.values()):
        c = min(unit.c, bounds[1]) if metric.before is not None else unit.c
        segments = [(BY_SEGMENT, place) for place, of in enumerate(inside) if of[number]]
        cells += unit.less(slot, min(unit.x, bounds[0]), c, [*unit.places(cuts.kept), *segments])
    return cells, bounds[0]


async def _top(
    units: UnitRepository, coded: Coded, reach: Reach, name: str, slot: int, wanted: int, among: Among
) -> tuple[list[Decimal], dict[int, _Unit]]:
    """The largest values in descending order, and the units that have them by subject."""
    subjects = await units.touched(coded, reach.folded_to, reach.version) if reach.folded_to else None
    fresh, arguments = coded.statement(reach.version, subjects)
    given = {
        "tenant": units.tenant_id,
        "experiment": coded.scheme.experiment_id,
        "slot": slot if name == "x" else -slot,
        "phase": among.phase,
        "once": among.once,
        "count": wanted,
    }
    places = {key: f"${place}" for place, key in enumerate(given, len(arguments) + 1)}
    text = _TOP.format(fresh=fresh, of=name, place=slot, kept="true" if reach.folded_to else "false", **places)
    rows = await (await driver(units.session)).fetch(text, *arguments, *given.values())
    found = {
        row[1]: _Unit(row[2], row[3], row[4], row[5], tuple(row[6]), row[7] or _ZERO, row[8] or _ZERO, row[9] or _ZERO)
        for row in rows
    }
    return [row[0] for row in rows], found
