"""Which variants subjects were shown first, straight from the log."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.analysis.experiments import Scheme
from resolvers.store.database import rows
from resolvers.store.events import EVENT
from resolvers.store.experiment_unit_sql import Coded
from resolvers.store.terms import SUBJECTS, TermMemory, TermRepository


async def first_variants(
    session: AsyncSession, memory: TermMemory, tenant_id: int, scheme: Scheme, subjects: Sequence[str]
) -> dict[str, str]:
    """The variant of the first exposure that counts, of those of the subjects that have one."""
    terms = TermRepository(session, memory)
    coded = await Coded.of(terms, tenant_id, scheme)
    codes = await terms.codes(tenant_id, SUBJECTS, subjects)
    if coded.experiment is None or not codes:
        return {}
    query = (
        select(EVENT.subject, EVENT.variant)
        .where(EVENT.tenant_id == tenant_id, EVENT.subject.in_(list(codes.values())), coded.counted())
        .order_by(EVENT.subject, EVENT.occurred_at, EVENT.position)
        .ext(distinct_on(EVENT.subject))
    )
    names = {code: subject for subject, code in codes.items()}
    return {names[who]: scheme.variants[coded.variants[variant]] for who, variant in await rows(session, query)}
