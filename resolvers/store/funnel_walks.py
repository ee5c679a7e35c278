"""Reading journeys and walking them through a funnel."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
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
from resolvers.store.journeys import Held, JourneyRepository, Reading
from resolvers.store.logged_journeys import JourneyQuestion


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


@dataclass(frozen=True, slots=True)
class WalkQuestion:
    """The walks that enter in a period, with the dimensions of the events that ``by_step`` took, None for the last."""

    definition: FunnelDefinition
    where: Filter
    period: Period
    by: tuple[str, ...] = ()
    by_step: int | None = 0

    def journeys(self) -> JourneyQuestion:
        """The events that tell of them."""
        layout, window = _Layout.of(self.definition, self.by), self.definition.window
        reach, steps = Period(self.period.start, self.period.end + window), self.definition.conditions()
        return JourneyQuestion(reach, self.where, steps, layout.dimensions, layout.constant)

    def work(self) -> "Callable[[Journeys], _Part]":
        """What makes walks of these."""
        rules, layout = Rules.of(self.definition, self.period.end), _Layout.of(self.definition, self.by)
        return partial(_walked, rules, layout, len(self.by), self.by_step)


async def walked(repository: JourneyRepository, tenant_id: int, asked: WalkQuestion) -> Walked:
    """The walks that are asked for."""
    held = await repository.hold(tenant_id, [asked.journeys()])
    found = _Found.of(asked, await asyncio.to_thread(held.made, 0, asked.work()))
    return found.walked(await repository.texts(tenant_id, sorted(found.codes())))


@dataclass(frozen=True, slots=True, eq=False)
class Walks:
    """Several questions about walks whose events, and the texts they carry, are in memory."""

    asked: Sequence[WalkQuestion]
    held: Held
    texts: Mapping[int, str]

    @classmethod
    async def held_for(cls, repository: JourneyRepository, tenant_id: int, asked: Sequence[WalkQuestion]) -> "Walks":
        """Read what all of them take, in as many statements as those of one."""
        held = await repository.hold(tenant_id, [one.journeys() for one in asked])
        return cls(asked, held, await repository.texts(tenant_id, sorted(held.codes())))

    def walked(self, place: int) -> Walked:
        """The walks of one of the questions; takes its time, and no more of the database."""
        one = self.asked[place]
        return _Found.of(one, self.held.made(place, one.work())).walked(self.texts)


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    walk: FunnelWalk
    subject: NDArray[np.int32]
    codes: NDArray[np.int32]
    """A row for each dimension to break down by."""


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """The walks of a question in parts, by codes."""

    asked: WalkQuestion
    reading: "Reading[_Part]"
    columns: list[Coded]
    """A column for each dimension to break down by."""

    @classmethod
    def of(cls, asked: WalkQuestion, reading: "Reading[_Part]") -> "_Found":
        places = range(len(asked.by))
        return cls(
            asked,
            reading,
            [Coded.of(np.concatenate([part.codes[place] for part in reading.parts])) for place in places],
        )

    def codes(self) -> set[int]:
        """Those of the dimension values."""
        return set[int]().union(*(column.codes.tolist() for column in self.columns)) - {0}

    def walked(self, texts: Mapping[int, str]) -> Walked:
        """The walks as one, codes replaced by what they stand for."""
        parts = self.reading.parts
        breakdowns = [
            Breakdown(name, column.index, [texts.get(code) for code in column.codes.tolist()])
            for name, column in zip(self.asked.by, self.columns, strict=True)
        ]
        return Walked(
            joined_walks([part.walk for part in parts]),
            np.concatenate([part.subject for part in parts]),
            breakdowns,
            self.reading.explain,
        )


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
