"""Who was active in a period, and what their last events say of them."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Integer, any_, bindparam, select
from sqlalchemy.dialects.postgresql import ARRAY, distinct_on
from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.store.database import rows
from resolvers.store.events import EVENT
from resolvers.store.metrics import Kept, MetricRepository
from resolvers.store.scans import Selection
from resolvers.store.terms import SUBJECTS, TERMS, TermMemory, TermRepository


class ActiveSubjects:
    """Reads the subjects of one tenant."""

    def __init__(self, session: AsyncSession, memory: TermMemory, kept: Kept) -> None:
        self.session = session
        self.terms = TermRepository(session, memory)
        self.metrics = MetricRepository(session, memory, kept)

    async def codes(self, selection: Selection) -> NDArray[np.int64]:
        """The codes of the subjects with an event in the period, ascending."""
        found = await self.metrics.subjects(selection, (selection.period.start,))
        if found is not None:
            return found[0][-1].listed()
        query = select(EVENT.subject).where(*_within(selection)).distinct()
        return np.array(sorted(row.subject for row in await rows(self.session, query)), np.int64)

    async def people(
        self, selection: Selection, codes: Sequence[int], dimensions: Sequence[str]
    ) -> list[tuple[str, Mapping[str, str]]]:
        """The subjects of codes by name, each with its last value in the period of each dimension that it has."""
        tenant_id = selection.tenant_id
        names = await self.terms.values(tenant_id, SUBJECTS, codes)
        told: dict[int, dict[str, str]] = {}
        for dimension in dimensions:
            column = EVENT[dimension]
            query = (
                select(EVENT.subject, column)
                .where(*_within(selection), column.is_not(None))
                .where(EVENT.subject == any_(bindparam(None, list(codes), type_=ARRAY(Integer))))
                .order_by(EVENT.subject, EVENT.occurred_at.desc(), EVENT.position.desc())
                .ext(distinct_on(EVENT.subject))
            )
            last = {row[0]: row[1] for row in await rows(self.session, query)}
            texts = await self.terms.values(tenant_id, TERMS, last.values())
            for subject, code in last.items():
                told.setdefault(subject, {})[dimension] = texts[code]
        return [(names[code], told.get(code, {})) for code in codes]


def _within(selection: Selection) -> list[ColumnElement[bool]]:
    period = selection.period
    return [
        EVENT.tenant_id == selection.tenant_id,
        EVENT.subject.is_not(None),
        EVENT.occurred_at >= period.start,
        EVENT.occurred_at < period.end,
    ]
