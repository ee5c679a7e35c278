"""Segments: whom rules are true of, kept, found anew, told to other analyses."""

import asyncio
from datetime import timedelta
from random import Random
from typing import Any
from unittest.mock import patch

import pytest

from resolvers.analysis.explanations import Source
from resolvers.analysis.filters import InSegment, NameIs
from resolvers.analysis.filters import Not as FilterNot
from resolvers.analysis.periods import PeriodRequest
from resolvers.analysis.questions import Question
from resolvers.analysis.segment_json import from_json, to_json
from resolvers.analysis.segments import Did, Listed, Rule
from resolvers.context import Context, Role
from resolvers.errors import TimedOut, Unavailable
from resolvers.events import ingest
from resolvers.metrics import metrics
from resolvers.segment_members import members
from resolvers.segments import Draft, memberships_of, save_segment, segments_by_id
from resolvers.store.database import driver
from resolvers.store.folding import fold
from resolvers.store.members import MemberRepository
from resolvers.store.segment_finding import SegmentFinder, refresh
from resolvers.store.segment_upkeep import refresh_due
from resolvers.store.versions import SEGMENTS, VersionRepository
from tests.factories import NOON, event, purchase, store
from tests.resolvers.segment_logs import PEOPLE, Log, made, meeting, shuffled, some_rule


async def names(context: Context, segment_id: int) -> set[str]:
    return {one.subject for one in (await members(context, segment_id, first=500)).subjects}


@pytest.mark.parametrize("seed", range(12))
async def test_members_are_whom_the_rules_are_true_of_event_by_event(context: Context, seed: int) -> None:
    random = Random(seed)
    now = context.services.now()
    log = Log([made(random, number, now) for number in range(60)], now, "UTC")
    sent = shuffled(random, log.events)
    rules: dict[int, Rule] = {}
    for start in range(0, len(sent), 25):
        assert not (await ingest(context, sent[start : start + 25])).rejected
        if start == 25:
            # Some of the log lies in journeys, the rest, late events among it, only in the log.
            await fold(context.services.database, context.require(Role.ADMIN).tenant_id)
    for number in range(8):
        rule = some_rule(random, now, list(rules))
        assert from_json(to_json(rule)) == rule
        saved = await save_segment(context, Draft(f"s{number}", rule))
        rules[saved.id] = rule
        expected = meeting(log, rule, rules)
        assert await names(context, saved.id) == expected, rule
        assert saved.size == len(expected)
        told = await memberships_of(context, [*PEOPLE, "nobody"], [saved.id])
        assert told == {who: {saved.id} if who in expected else set() for who in (*PEOPLE, "nobody")}


async def test_members_are_found_anew_when_they_are_due_and_not_before(context: Context) -> None:
    services = context.services
    saved = await save_segment(context, Draft("Buyers", Did(NameIs(("purchase",)))))
    await store(context, purchase("1", subject="ann"))
    await refresh_due(services.database, services.memory, services.segments)
    assert (await segments_by_id(context, [saved.id]))[saved.id].size == 0
    await make_due(context, saved.id)
    before = await versions(context)
    await refresh_due(services.database, services.memory, services.segments)
    (found,) = (await segments_by_id(context, [saved.id])).values()
    assert (found.size, found.current, found.problem) == (1, True, None)
    assert await versions(context) == before + 1
    # Who finds the same members again tells nobody, as no answer has become another one.
    await make_due(context, saved.id)
    await refresh_due(services.database, services.memory, services.segments)
    (again,) = (await segments_by_id(context, [saved.id])).values()
    assert await versions(context) == before + 1
    assert again.as_of is not None
    assert found.as_of is not None
    assert again.as_of > found.as_of


async def test_who_breaks_off_leaves_the_members_as_they_were(context: Context) -> None:
    services = context.services
    await store(context, purchase("1", subject="ann"))
    saved = await save_segment(context, Draft("Buyers", Did(NameIs(("purchase",)))))
    await store(context, purchase("1", subject="bob"))
    for place in ("find", "replace"):
        target = f"resolvers.store.segment_finding.{'SegmentFinder.find' if place == 'find' else 'advance'}"
        await make_due(context, saved.id)
        with patch(target, side_effect=asyncio.CancelledError), pytest.raises(asyncio.CancelledError):
            await refresh_due(services.database, services.memory, services.segments)
        assert await names(context, saved.id) == {"ann"}
    # It is taken up again once the claim of who broke off has run out.
    await refresh_due(services.database, services.memory, services.segments)
    assert await names(context, saved.id) == {"ann"}
    await make_due(context, saved.id)
    await refresh_due(services.database, services.memory, services.segments)
    assert await names(context, saved.id) == {"ann", "bob"}


async def test_a_failure_is_told_with_the_segment_and_holds_up_no_other(context: Context) -> None:
    services = context.services
    first = await save_segment(context, Draft("First", Did()))
    second = await save_segment(context, Draft("Second", Did()))
    await store(context, event(subject="ann"))
    await make_due(context, first.id, second.id)
    once = [TimedOut("It took too long.")]
    find = SegmentFinder.find

    async def failing(*arguments: Any) -> Any:
        if once:
            raise once.pop()
        return await find(*arguments)

    with patch.object(SegmentFinder, "find", failing):
        await refresh_due(services.database, services.memory, services.segments)
    kept = await segments_by_id(context, [first.id, second.id])
    assert sorted((one.size or 0, one.problem or "") for one in kept.values()) == [(0, "It took too long."), (1, "")]


async def test_rules_that_change_meanwhile_are_not_given_the_members_of_the_old_ones(context: Context) -> None:
    services, tenant_id = context.services, context.require(Role.ADMIN).tenant_id
    await store(context, purchase("1", subject="ann"), event(subject="bob"))
    saved = await save_segment(context, Draft("S", Did(NameIs(("purchase",)))))
    find = SegmentFinder.find

    async def slow(*arguments: Any) -> Any:
        found = await find(*arguments)
        with patch.object(SegmentFinder, "find", find):
            await save_segment(context, Draft("S", Did(NameIs(("page_view",)))))
        return found

    with patch.object(SegmentFinder, "find", slow):
        now = services.now()
        assert not await refresh(services.database, services.memory, services.segments, tenant_id, saved.id, now)
    assert await names(context, saved.id) == {"bob"}


async def test_bytes_that_are_damaged_are_found_anew(context: Context) -> None:
    services, tenant_id = context.services, context.require(Role.ADMIN).tenant_id
    await store(context, event(subject="ann"))
    saved = await save_segment(context, Draft("S", Did()))
    async with services.database.tenant(tenant_id) as session:
        await (await driver(session)).execute(
            "UPDATE segment_members SET codes = '\\x00' WHERE tenant_id = $1", tenant_id
        )
    with pytest.raises(Unavailable):
        await members(context, saved.id)
    await make_due(context, saved.id)
    await refresh_due(services.database, services.memory, services.segments)
    assert await names(context, saved.id) == {"ann"}


async def test_distinct_people_of_a_segment_come_from_sets(context: Context) -> None:
    await store(context, *(event(subject=f"p{number}", id=f"e{number}") for number in range(50)))
    await fold(context.services.database, context.require(Role.ADMIN).tenant_id)
    await save_segment(context, Draft("Some", Listed(tuple(f"p{number}" for number in range(0, 50, 3)))))
    day = PeriodRequest(start=NOON - timedelta(hours=12), end=NOON + timedelta(hours=12))
    for where, expected in ((InSegment("Some"), 17), (FilterNot(InSegment("Some")), 33)):
        (answer,) = await metrics(context, ["unique_subjects"], Question(day, where=where))
        assert (answer.estimate.value, answer.explain.source) == (expected, Source.PRESENCE)
    (by_channel,) = await metrics(context, ["unique_subjects"], Question(day, by=("channel",), where=InSegment("Some")))
    (group,) = by_channel.groups
    assert (group.keys[0].value, group.estimate.value, by_channel.group_count) == (None, 17, 1)
    assert by_channel.explain.source is Source.JOURNEYS


async def make_due(context: Context, *segment_ids: int) -> None:
    tenant_id = context.require(Role.ADMIN).tenant_id
    async with context.services.database.tenant(tenant_id) as session:
        await MemberRepository(session, context.services.memory.members).due(tenant_id, segment_ids)


async def versions(context: Context) -> int:
    tenant_id = context.require(Role.ADMIN).tenant_id
    async with context.services.database.tenant(tenant_id) as session:
        return (await VersionRepository(session).of(tenant_id, [SEGMENTS]))[0]
