"""Whom rules are true of, before they are kept."""

from datetime import timedelta
from functools import partial

from resolvers.analysis.estimates import share
from resolvers.analysis.periods import PeriodRequest
from resolvers.analysis.questions import Question
from resolvers.analysis.segments import Condition, Did, Rule, SegmentPreviewAnswer, cost, leaves, references, walks
from resolvers.analysis.subjects import Subject
from resolvers.answers import ANYTHING, Kinds, kept, resolved
from resolvers.context import Context, Role
from resolvers.segment_checks import checked
from resolvers.segment_funnels import with_numbers
from resolvers.store.segment_definitions import SegmentDefinitions
from resolvers.store.segment_finding import SegmentFinder
from resolvers.store.terms import SUBJECTS
from resolvers.store.turns import turn
from resolvers.store.versions import EXCHANGE_RATES, RECOMMENDATIONS, SEGMENTS

SAMPLE = 20
_SHARE = "Subjects that meet the rules, divided by all subjects that any event is about."


def kinds(rules: Rule) -> Kinds:
    """The kinds of events that the answer depends on."""
    summed = any(isinstance(leaf, Did) and leaf.total is not None for _, leaf in leaves(rules))
    found = ANYTHING | ({SEGMENTS} if references(rules) else set()) | ({EXCHANGE_RATES} if summed else set())
    return found | ({RECOMMENDATIONS} if walks(rules) else set())


async def preview_segment(context: Context, rules: Rule, max_age: timedelta | None = None) -> SegmentPreviewAnswer:
    """Whom rules are true of now; raises BadInput naming the part at fault."""
    principal, now = context.require(Role.VIEWER), context.services.now()
    checked(rules, principal.timezone, now)
    context.spend(cost(rules))
    # What is rolling rolls on with the minute.
    asked = resolved(Question(PeriodRequest(last="1m"), max_age=max_age), principal, now)
    return await kept(context, ("segment preview", rules, asked), kinds(rules), partial(_preview, context, rules))


async def _preview(context: Context, rules: Rule) -> SegmentPreviewAnswer:
    tenant_id, services = context.require(Role.VIEWER).tenant_id, context.services
    now = services.now()
    async with turn(services.heavy), services.database.snapshot(tenant_id) as session:
        rules = await with_numbers(session, tenant_id, rules, await SegmentDefinitions(session, tenant_id).rows())
        finder = SegmentFinder(session, services.memory, services.segments, tenant_id)
        found = await finder.find(rules, now)
        codes = found.members.codes[:SAMPLE].tolist()
        names = await finder.terms.values(tenant_id, SUBJECTS, codes)
        conditions = tuple(
            [Condition(path, subjects, await finder.note(leaf, subjects)) for path, leaf, subjects in found.conditions]
        )
    return SegmentPreviewAnswer(
        size=found.members.size,
        share=share(found.members.size, found.population, as_of=now, definition=_SHARE),
        sample=tuple(Subject(names[code]) for code in codes),
        conditions=conditions,
        as_of=now,
        explain=found.explain,
    )
