"""Finding the members of a segment: its rules asked of the whole log, as of one instant."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from time import perf_counter

import numpy as np
from asyncpg import QueryCanceledError
from numpy.typing import NDArray
from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.analysis import filters
from resolvers.analysis.explanations import Explanation, Source
from resolvers.analysis.filters import DimensionIs, Filter, NameIs, Op, PropertyIs
from resolvers.analysis.funnel_json import from_json as funnel_from
from resolvers.analysis.funnel_outcomes import left_at
from resolvers.analysis.members import Members
from resolvers.analysis.segment_json import from_json
from resolvers.analysis.segment_rules import Judge, span_of, tallies
from resolvers.analysis.segments import Did, InFunnel, Leaf, Listed, Rule, Seen, leaves, references
from resolvers.errors import BadInput, NotFound
from resolvers.store.database import Database, driver, take_time
from resolvers.store.funnel_walks import WalkQuestion, walked
from resolvers.store.funnels import FunnelRepository
from resolvers.store.members import Finding, MemberRepository
from resolvers.store.segment_cache import SegmentCache
from resolvers.store.segment_definitions import SegmentDefinitions
from resolvers.store.tallies import TallyRepository
from resolvers.store.tenants import TenantRow
from resolvers.store.terms import SUBJECTS, TERMS, TermMemory, TermRepository
from resolvers.store.versions import SEGMENTS, WHOLE_LOG, VersionRepository, advance

_POPULATION = (
    "SELECT coalesce((SELECT code FROM term WHERE tenant_id = $1 AND space = $2 ORDER BY code DESC LIMIT 1), 0)"
)

_SOON = "SET LOCAL statement_timeout = '500ms'"
_CARRIED = "SELECT EXISTS (SELECT FROM event WHERE tenant_id = $1 AND properties #> $2::text[] IS NOT NULL)"


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """Who meets a rule, of how many subjects in all, and who meets each of its conditions by itself."""

    members: Members
    population: int
    conditions: tuple[tuple[str, Leaf, int], ...]
    """The path of each condition, itself, and how many subjects meet it."""
    position: int
    """How far the log had got."""
    explain: Explanation


class SegmentFinder:
    """Finds members for one tenant, within a snapshot."""

    def __init__(self, session: AsyncSession, memory: TermMemory, cache: SegmentCache, tenant_id: int) -> None:
        self.session = session
        self.tenant_id = tenant_id
        self.terms = TermRepository(session, memory)
        self.tallies = TallyRepository(session, memory, cache)

    async def find(self, root: Rule, now: datetime) -> Found:
        """Who meets a rule; raises BadInput where there is no segment that it names."""
        began = perf_counter()
        (position,) = await VersionRepository(self.session).of(self.tenant_id, [WHOLE_LOG])
        population = await (await driver(self.session)).fetchval(_POPULATION, self.tenant_id, SUBJECTS) or 0
        tenant = await self.session.get_one(TenantRow, self.tenant_id)
        rules = await self._rules(root)
        conditions = list(chain.from_iterable(leaves(rule) for rule in (root, *rules.values())))
        wanted = [tally for _, leaf in conditions for tally in tallies(leaf, tenant.timezone, now)]
        counted = await self.tallies.counted(self.tenant_id, wanted, tenant.currency, population + 1)
        names = {who for _, leaf in conditions if isinstance(leaf, Listed) for who in leaf.subjects}
        listed = await self.terms.codes(self.tenant_id, SUBJECTS, names) if names else {}
        left, stepped = await self._left({leaf for _, leaf in conditions if isinstance(leaf, InFunnel)}, tenant, now)
        judge = Judge(counted.counts, listed, left, rules, tenant.timezone, now, population + 1)
        own = tuple((path, leaf, int(np.count_nonzero(judge.table(leaf)))) for path, leaf in leaves(root))
        members = Members.where(judge.table(root))
        source = Source.JOURNEYS if counted.summed is None else Source.LOG
        rows = counted.walked + (counted.summed or 0) + stepped
        explain = Explanation(source, rows, (perf_counter() - began) * 1e3)
        return Found(members, population, own, position, explain)

    async def _left(
        self, asked: Collection[InFunnel], tenant: TenantRow, now: datetime
    ) -> tuple[dict[InFunnel, NDArray[np.int32]], int]:
        """Whom funnels leave where conditions ask for them, and how many events were walked for that."""
        found: dict[InFunnel, NDArray[np.int32]] = {}
        rows = 0
        kept = await FunnelRepository(self.session).by_ids(self.tenant_id, list({int(leaf.funnel) for leaf in asked}))
        definitions = {row.funnel_id: funnel_from(row.definition) for row in kept}
        for leaf in asked:
            definition = definitions.get(int(leaf.funnel))
            if definition is None:
                raise BadInput("A rule names a funnel that there is not.", field="rules")
            period = span_of(leaf.period, tenant.timezone, now)
            made = await walked(self.tallies.journeys, self.tenant_id, WalkQuestion(definition, leaf.where, period))
            found[leaf] = left_at(definition, made.walk, made.subject, leaf.step, leaf.outcome)
            rows += made.explain.rows
        return found, rows

    async def note(self, leaf: Leaf, subjects: int) -> str | None:
        """Why a condition that so many subjects meet may not be what was meant; None where nothing hints at that."""
        match leaf:
            case Listed(names):
                known = await self.terms.codes(self.tenant_id, SUBJECTS, set(names))
                missing = len(set(names) - known.keys())
                return f"No event is about {missing:,} of these subjects." if missing else None
            case Did(where=where) | Seen(where=where) | InFunnel(where=where):
                texts = [text for part in filters.leaves(where) for text in _texts(part)]
                terms = await self.terms.codes(self.tenant_id, TERMS, set(texts))
                unknown = [text for text in texts if text not in terms]
                if unknown:
                    return f'No event has ever carried "{unknown[0]}".'
                return None if subjects else await self._missing_property(where)
            case _:
                return None

    async def _missing_property(self, where: Filter) -> str | None:
        """That a property is carried by no event, where that can be told soon."""
        paths = dict.fromkeys(part.path for part in filters.leaves(where) if isinstance(part, PropertyIs))
        connection = await driver(self.session)
        for path in paths:
            try:
                async with connection.transaction():
                    await connection.execute(_SOON)
                    if not await connection.fetchval(_CARRIED, self.tenant_id, list(path)):
                        return f"No event has ever carried the property {'.'.join(path)}."
            except QueryCanceledError:
                return None
        return None

    async def _rules(self, root: Rule) -> Mapping[int, Rule]:
        """Those of the segments that a rule names, and that they name in turn."""
        known: dict[int, Rule] = {}
        missing = _numbers(root)
        while missing:
            rows = await SegmentDefinitions(self.session, self.tenant_id).rows(missing)
            found = {row.segment_id: from_json(row.rules) for row in rows if row.segment_id is not None}
            if missing - found.keys():
                raise BadInput("A rule names a segment that there is not.", field="rules")
            known |= found
            missing = set[int]().union(*map(_numbers, found.values())) - known.keys()
        return known


def _texts(part: Filter) -> tuple[str, ...]:
    match part:
        case NameIs(names):
            return names
        case DimensionIs(op=Op.IN, values=values):
            return values
        case _:
            return ()


def _numbers(root: Rule) -> set[int]:
    return {segment for segment in references(root) if isinstance(segment, int)}


async def refresh(
    database: Database,
    memory: TermMemory,
    cache: SegmentCache,
    tenant_id: int,
    segment_id: int,
    now: datetime,
    *,
    patient: bool = False,
) -> bool:
    """Find the members of a segment and keep them; return whether they were, as they are not where its rules changed.

    Long reading is done in a snapshot that holds nobody up, and may take its time where the caller is ``patient``.
    What was found is then kept in one short transaction, so that whoever breaks off leaves the members as they were.
    Raises NotFound.
    """
    async with database.snapshot(tenant_id) as session:
        if patient:
            await take_time(session)
        rows = await SegmentDefinitions(session, tenant_id).rows([segment_id])
        if not rows:
            raise NotFound("There is no such segment.", field="id")
        found = await SegmentFinder(session, memory, cache, tenant_id).find(from_json(rows[0].rules), now)
    kept = Finding(found.members, rows[0].edition, now, found.position)
    return await keep(database, memory, tenant_id, segment_id, kept)


async def keep(database: Database, memory: TermMemory, tenant_id: int, segment_id: int, found: Finding) -> bool:
    """Keep members that were found, unless the rules have changed meanwhile; return whether they are kept."""
    async with database.tenant(tenant_id) as session:
        changed = await MemberRepository(session, memory.members).replace(tenant_id, segment_id, found)
        if changed:
            await advance(await driver(session), tenant_id, SEGMENTS)
    return changed is not None


def dependents(segment_ids: set[int], rules: Mapping[int, Rule]) -> set[int]:
    """The segments whose rules lead to any of these, by way of others too."""
    found = set(segment_ids)
    while True:
        more = {number for number, rule in rules.items() if number not in found and _numbers(rule) & found}
        if not more:
            return found - segment_ids
        found |= more


def names_itself(segment_id: int, rules: Mapping[int, Rule]) -> bool:
    """Whether the rules of a segment lead back to it."""
    seen, next_ = set[int](), _numbers(rules[segment_id])
    while next_:
        if segment_id in next_:
            return True
        seen |= next_
        next_ = set[int]().union(*(_numbers(rules[one]) for one in next_ if one in rules)) - seen
    return False
