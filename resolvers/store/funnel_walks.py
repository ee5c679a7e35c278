"""Reading journeys and walking them through a funnel."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.columns import Coded
from resolvers.analysis.explanations import Explanation
from resolvers.analysis.filters import Filter
from resolvers.analysis.funnel_groups import Breakdown
from resolvers.analysis.funnel_kernel import FunnelWalk, joined_walks, walk
from resolvers.analysis.funnel_rules import Rules
from resolvers.analysis.funnels import Constant, Counting, FunnelDefinition, Trait
from resolvers.analysis.journeys import Journeys
from resolvers.analysis.periods import Period
from resolvers.store.journeys import JourneyRepository


@dataclass(frozen=True, slots=True, eq=False)
class Walked:
    """The walks through a period, without the rows they took."""

    walk: FunnelWalk
    subject: NDArray[np.int32]
    """Whose each walk is, as the code that the tenant's dictionary has for it."""
    breakdowns: list[Breakdown]
    explain: Explanation


@dataclass(frozen=True, slots=True)
class _Layout:
    """Which rows of a journey's dimensions mean what."""

    dimensions: tuple[str, ...]
    """Those to break down by, and then those that are held constant."""
    constant: tuple[Constant, ...]
    """What else is held constant, in the rows that follow."""
    held: tuple[int, ...]
    """The rows that are held constant, that of the session first where sessions are counted."""

    @classmethod
    def of(cls, definition: FunnelDefinition, by: tuple[str, ...]) -> "_Layout":
        session = (Constant(trait=Trait.SESSION),) if definition.counting is Counting.SESSIONS else ()
        wanted = tuple(dict.fromkeys((*session, *definition.constant)))
        dimensions = tuple(dict.fromkeys((*by, *(one.dimension for one in wanted if one.dimension is not None))))
        others = tuple(one for one in wanted if one.dimension is None)
        held = (
            len(dimensions) + others.index(one) if one.dimension is None else dimensions.index(one.dimension)
            for one in wanted
        )
        return cls(dimensions, others, tuple(held))


async def walked(
    repository: JourneyRepository,
    tenant_id: int,
    definition: FunnelDefinition,
    where: Filter,
    period: Period,
    by: tuple[str, ...] = (),
    by_step: int | None = 0,
) -> Walked:
    """The walks that enter in a period, with the dimensions of the events that ``by_step`` took, None for the last."""
    reach = Period(period.start, period.end + definition.window)
    layout = _Layout.of(definition, by)
    work = partial(_walked, Rules.of(definition, period.end), layout, len(by), by_step)
    conditions = definition.conditions()
    reading = await repository.by_subject(tenant_id, reach, where, conditions, layout.dimensions, work, layout.constant)
    breakdowns = []
    for place, name in enumerate(by):
        column = Coded.of(np.concatenate([part.codes[place] for part in reading.parts]))
        texts = await repository.texts(tenant_id, [code for code in column.codes.tolist() if code])
        breakdowns.append(Breakdown(name, column.index, [texts.get(code) for code in column.codes.tolist()]))
    return Walked(
        joined_walks([part.walk for part in reading.parts]),
        np.concatenate([part.subject for part in reading.parts]),
        breakdowns,
        reading.explain,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    walk: FunnelWalk
    subject: NDArray[np.int32]
    codes: NDArray[np.int32]
    """A row for each dimension to break down by."""


def _walked(rules: Rules, layout: _Layout, by: int, by_step: int | None, journeys: Journeys) -> _Part:
    """The walks of some subjects; all events but those that say something of them have done their part."""
    held = journeys.dimensions[list(layout.held)] if layout.held else None
    found = walk(journeys.subject, journeys.at, journeys.steps, rules, held=held, ordered=journeys.ordered)
    rows = _rows(found, rules, by_step)
    codes = journeys.dimensions[:by, rows]
    if by_step:
        codes[:, rows < 0] = 0
    taken = tuple(replace(one, row=one.row[:0]) for one in found.taken)
    return _Part(replace(found, entry=found.entry[:0], taken=taken), journeys.subject[found.entry], codes)


def _rows(found: FunnelWalk, rules: Rules, by_step: int | None) -> NDArray[np.int64]:
    """The row that each walk's step took, -1 where it took none."""
    if by_step == 0:
        return found.entry
    rows = found.entry.copy() if by_step is None else np.full(found.entry.size, -1)
    wanted: Sequence[int] = range(1, rules.steps) if by_step is None else [by_step]
    for step in wanted:
        if by_step is not None or step not in rules.optional:
            taken = found.taken[step - 1]
            rows[taken.walk] = taken.row
    return rows
