"""Segments of those whom a funnel leaves at a step: found, found anew, told of a funnel that becomes another one."""

from dataclasses import replace
from decimal import Decimal
from random import Random

import pytest

from resolvers.analysis.filter_json import to_json as filter_to
from resolvers.analysis.filters import InSegment
from resolvers.analysis.funnel_outcomes import Outcome
from resolvers.analysis.funnels import FunnelDefinition
from resolvers.analysis.questions import Question
from resolvers.analysis.segment_json import from_json, to_json
from resolvers.analysis.segments import All, InFunnel, Listed, MemberOf, Not
from resolvers.context import Context, Role
from resolvers.errors import BadInput, NotFound
from resolvers.funnel_subjects import funnel_subjects
from resolvers.funnels import delete_funnel, save_funnel
from resolvers.segment_members import members
from resolvers.segment_previews import preview_segment
from resolvers.segments import Draft, delete_segment, refresh_segment, save_segment, segments_by_id
from resolvers.store.ai_budgets import AiBudgetRepository
from resolvers.store.folding import fold
from resolvers.store.segment_upkeep import refresh_due
from tests.factories import event, store
from tests.resolvers.funnel_logs import DEFINITIONS, HOUR, PERIOD, START, random_log, shop, step


async def names(context: Context, segment_id: int) -> set[str]:
    return {one.subject for one in (await members(context, segment_id, first=500)).subjects}


async def asked(context: Context, definition: FunnelDefinition, index: int, outcome: Outcome) -> set[str]:
    found = await funnel_subjects(context, definition, Question(PERIOD), step=index, outcome=outcome, first=500)
    return {one.subject for one in found.subjects}


@pytest.mark.parametrize("seed", range(2))
async def test_members_are_whom_the_funnel_leaves_there_by_every_rule(context: Context, seed: int) -> None:
    log = [sent.event() for sent in random_log(Random(seed))]
    await store(context, *log[: len(log) // 2])
    # Some of the log lies in journeys, the rest in the log alone.
    await fold(context.services.database, context.require(Role.ADMIN).tenant_id)
    await store(context, *log[len(log) // 2 :])
    for name, definition in list(DEFINITIONS.items())[seed::2]:
        funnel = await save_funnel(context, name, definition)
        last = len(definition.steps) - 1
        for index, outcome in ((last, Outcome.REACHED), (last, Outcome.DROPPED)):
            rule = InFunnel(funnel.id, index, outcome, PERIOD)
            assert from_json(to_json(rule)) == rule
            saved = await save_segment(context, Draft(f"{name} {index} {outcome}", rule))
            expected = await asked(context, definition, index, outcome)
            assert await names(context, saved.id) == expected
            others = await preview_segment(context, All((Not(rule), Not(Listed(("nobody", *expected))))))
            assert others.size == others.share.denominator - len(expected)  # type: ignore[operator]


async def test_who_goes_on_leaves_the_segment_with_the_next_refresh(context: Context) -> None:
    await store(context, *(event(subject=who, name="view", occurredAt=START) for who in ("ann", "bob")))
    await save_funnel(context, "Buying", shop())
    saved = await save_segment(context, Draft("Lost", InFunnel("Buying", 1)))
    assert await names(context, saved.id) == {"ann", "bob"}
    await store(context, event(subject="ann", name="cart", occurredAt=START + HOUR))
    await refresh_segment(context, saved.id)
    assert await names(context, saved.id) == {"bob"}


async def test_a_funnel_that_becomes_another_one_takes_its_segments_along(context: Context) -> None:
    services = context.services
    await store(
        context,
        event(subject="ann", name="view", occurredAt=START),
        event(subject="ann", name="buy", occurredAt=START + HOUR),
        event(subject="bob", name="view", occurredAt=START),
    )
    funnel = await save_funnel(context, "Buying", shop())
    lost = await save_segment(context, Draft("Lost", InFunnel("Buying", 1)))
    upon = await save_segment(context, Draft("Upon", MemberOf("Lost")))
    other = await save_segment(context, Draft("Other", Listed(("ann",))))
    await save_funnel(context, "Buying", shop(step("view"), step("buy")))
    found = await segments_by_id(context, [lost.id, upon.id, other.id])
    assert [found[one.id].current for one in (lost, upon, other)] == [False, False, True]
    await refresh_due(services.database, services.memory, services.segments)
    assert [await names(context, one.id) for one in (lost, upon)] == [{"bob"}, {"bob"}]
    # One that a rule could not be told by is not kept, nor is the funnel of a segment deleted.
    await save_segment(context, Draft("Late", InFunnel(funnel.id, 1)))
    with pytest.raises(BadInput) as refused:
        await delete_funnel(context, funnel.id)
    assert refused.value.message.startswith('The rules of the segments "Lost", "Late" ask about it')
    await save_segment(context, Draft("Late", Listed(("ann",))))
    await delete_segment(context, upon.id)
    await delete_segment(context, lost.id)
    assert (await delete_funnel(context, funnel.id)).name == "Buying"
    with pytest.raises(NotFound):
        await delete_funnel(context, funnel.id)


async def test_what_no_funnel_can_tell_is_refused_by_path(context: Context) -> None:
    three = await save_funnel(context, "Buying", shop())
    await save_segment(context, Draft("Last", InFunnel(three.id, 2)))
    with pytest.raises(BadInput, match='The rules of the segment "Last" ask about it') as shorter:
        await save_funnel(context, "Buying", replace(shop(), steps=shop().steps[:2]))
    assert shorter.value.field == "steps"
    for rule, path in (
        (InFunnel("Nothing", 1), "rules.all[0].funnel.funnel"),
        (InFunnel(10**6, 1), "rules.all[0].funnel.funnel"),
        (InFunnel("Buying", 3), "rules.all[0].funnel.step"),
        (InFunnel("Buying", -1), "rules.all[0].funnel.step"),
        (InFunnel("Buying", 0), "rules.all[0].funnel.step"),
    ):
        for attempt in (save_segment(context, Draft("Wrong", All((rule,)))), preview_segment(context, All((rule,)))):
            with pytest.raises(BadInput) as refused:
                await attempt
            assert refused.value.field == path


async def test_a_segment_that_something_kept_calls_by_its_name_keeps_that(context: Context) -> None:
    tenant_id = context.require(Role.ADMIN).tenant_id
    saved = await save_segment(context, Draft("Buyers", Listed(("ann",))))
    async with context.services.database.tenant(tenant_id) as session:
        # As an earlier version kept it, which knew no numbers.
        condition = filter_to(InSegment("Buyers"))
        await AiBudgetRepository(session).save(tenant_id, "chat", Decimal(5), "MONTH", condition)
    with pytest.raises(BadInput, match='It is named by the budget "chat"') as refused:
        await save_segment(context, Draft("Customers", Listed(("ann",)), id=saved.id))
    assert refused.value.field == "name"
    assert (await save_segment(context, Draft("Buyers", Listed(("bob",)), id=saved.id))).name == "Buyers"
