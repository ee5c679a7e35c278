"""Distinct subjects by or among events of any dimensions, from journeys."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import numpy as np
from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.analysis.distinct import DistinctCounts, by_value, counted, together
from resolvers.analysis.explanations import Explanation, dearest
from resolvers.analysis.metrics import Statistic
from resolvers.analysis.periods import epoch_us
from resolvers.analysis.series import Column
from resolvers.analysis.sums import Values
from resolvers.errors import BadInput
from resolvers.store.journeys import JourneyRepository
from resolvers.store.rollup_metrics import NONE
from resolvers.store.scans import Keys, Selection, Statistics
from resolvers.store.segment_cache import SegmentCache
from resolvers.store.segments import SegmentRepository
from resolvers.store.terms import TERMS, TermMemory
from resolvers.store.turns import Heavy, turn

_LONGEST_TAIL = 200_000
"""Events since the last folding up to which journeys are quicker than the log."""


class JourneyMetrics:
    """Reads distinct subjects of one tenant from its journeys."""

    def __init__(self, session: AsyncSession, memory: TermMemory, segments: SegmentCache, heavy: Heavy) -> None:
        self.session = session
        self.journeys = JourneyRepository(session, memory, segments)
        self.heavy = heavy

    async def statistics(
        self,
        selection: Selection,
        statistics: Sequence[Statistic],
        buckets: Sequence[datetime],
        by: str | None,
        groups: Sequence[Keys] | None,
        existing: Sequence[int] | None,
        possible: Sequence[int] | None,
        nobodys: Sequence[int],
        top: int,
    ) -> Statistics | None:
        """All statistics in total, for each bucket and each value of a dimension; None where the log has to be asked.

        ``existing`` are the values (as codes) that any event carries, also one of nobody, which journeys do not know;
        None where there is one statistic, and ``nobodys`` are those that events of nobody carry, as far as they count.
        ``possible`` are those that there may be at most, where that is known.
        Raises Overloaded where too many read journeys.
        """
        state = await SegmentRepository(self.session).state(selection.tenant_id)
        manifest = state.manifest
        if not manifest.runs or manifest.behind or state.version - manifest.folded_to > _LONGEST_TAIL:
            return None
        try:
            async with turn(self.heavy):
                return await self._counted(selection, statistics, buckets, by, groups, existing, possible, nobodys, top)
        except BadInput:
            return None

    async def _counted(
        self,
        selection: Selection,
        statistics: Sequence[Statistic],
        buckets: Sequence[datetime],
        by: str | None,
        groups: Sequence[Keys] | None,
        existing: Sequence[int] | None,
        possible: Sequence[int] | None,
        nobodys: Sequence[int],
        top: int,
    ) -> Statistics:
        asked = (selection.tenant_id, selection.period, selection.where, [one.where for one in statistics])
        explanations: list[Explanation] = []
        shown: list[int] | None = None
        ranks = Counter[int]()
        # Few enough to be shown are counted at once, whichever of them there are.
        few = possible if groups is None and possible is not None and len(possible) <= top else None
        if by is not None and few is None and (existing is None or groups is None):
            ranking = await self.journeys.by_subject(*asked, [by], by_value)
            explanations.append(ranking.explain)
            ranks = sum(map(Counter, ranking.parts), ranks)
        if existing is None and few is None:
            existing = sorted({*ranks, *nobodys})
        if by is not None and groups is not None:
            shown = await self._codes(selection.tenant_id, groups)
        elif by is not None:
            shown = list(few) if few is not None else _largest(ranks, existing or (), top)
        starts = np.array([epoch_us(start) for start in buckets], np.int64)
        reading = await self.journeys.by_subject(
            *asked, [by] if by else [], lambda part: counted(part, len(statistics), starts, shown)
        )
        explanations.append(reading.explain)
        found = together(reading.parts)
        answer = Statistics(
            total=_values(found.total),
            columns=[Column(_values(row)) for row in found.buckets] if buckets else [],
            explanations=(dearest(explanations),) * len(statistics),
        )
        if shown is None:
            return answer
        column = {code: place for place, code in enumerate(shown)}
        if existing is None:
            existing = shown = [code for code, place in column.items() if found.groups[0, place]]
        if groups is None:
            shown = _largest({code: int(found.groups[0, place]) for code, place in column.items()}, shown, top)
            texts = await self.journeys.texts(selection.tenant_id, [code for code in shown if code != NONE])
            groups = [(texts.get(code),) for code in shown]
        columns = {place: column[code] for place, code in enumerate(shown) if code in existing}
        columns |= {len(shown): len(shown)} if set(existing) - set(shown) else {}
        return _grouped(replace(answer, groups=groups, group_count=len(existing)), found, columns, len(buckets))

    async def _codes(self, tenant_id: int, groups: Sequence[Keys]) -> list[int]:
        codes = await self.journeys.terms.codes(tenant_id, TERMS, [key for (key,) in groups if key is not None])
        return [NONE if key is None else codes.get(key, -1) for (key,) in groups]


def _grouped(answer: Statistics, found: DistinctCounts, columns: Mapping[int, int], buckets: int) -> Statistics:
    """The answer with what was counted for each group; ``columns`` says where."""
    return replace(
        answer,
        by_group={place: _values(found.groups[:, column]) for place, column in columns.items()},
        by_group_and_bucket={
            (place, bucket): _values(found.both[:, column, bucket])
            for place, column in columns.items()
            for bucket in range(buckets)
        },
    )


def _largest(subjects: Mapping[int, int], existing: Sequence[int], top: int) -> list[int]:
    """The values with most subjects, of those that exist."""
    return sorted(existing, key=lambda code: (-subjects.get(code, 0), code == NONE, code))[:top]


def _values(column: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Values:
    return tuple(column.tolist())
