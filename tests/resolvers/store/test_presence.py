"""Presence: distinct subjects and orders as the log has them, whatever happens to what is kept."""

from collections.abc import Sequence
from datetime import timedelta
from itertools import count
from random import Random
from typing import Any

import pytest
from sqlalchemy import text

from resolvers import upkeep
from resolvers.analysis.explanations import Source
from resolvers.analysis.metrics import MetricAnswer
from resolvers.analysis.periods import PeriodRequest
from resolvers.analysis.questions import Question
from resolvers.context import Context, Principal
from resolvers.errors import Unavailable
from resolvers.events import ingest
from resolvers.store.database import Database, driver
from resolvers.store.folding import FoldingFigures, fold
from resolvers.store.presence import PresenceRepository
from resolvers.store.presence_folding import fold_presence
from resolvers.store.schema_version import migrate
from resolvers.store.segment_cache import SegmentCache
from resolvers.store.upkeep import fold_due
from tests.conftest import fresh_database
from tests.factories import NOON, event, new_principal, purchase, running_services, store
from tests.resolvers.store.journey_logs import execute
from tests.resolvers.store.test_writer_killed import killed_before
from tests.resolvers.test_metrics import END, MARCH, START, random_events
from tests.resolvers.test_ways import asked, both_ways, same

DAYS = upkeep.days(START.date(), END.date())
DAY = timedelta(days=1)


async def wrong(context: Context, tenant_id: int) -> int:
    """How many rows of March are not as the log says."""
    return sum([day.wrong_sets async for day in upkeep.verify(context.services.database, tenant_id, DAYS)])


async def subjects(context: Context, question: Question | None = None) -> MetricAnswer:
    return await asked(context, "unique_subjects", question or Question(MARCH))


def told(answers: Sequence[MetricAnswer]) -> list[Any]:
    return [(one.estimate.value, one.explain.source, one.explain.rows, one.explain.tail) for one in answers]


async def test_what_is_folded_and_what_came_since_count_once(context: Context, principal: Principal) -> None:
    await store(
        context,
        purchase("1", orderId="o1", subject="ann"),
        purchase("2", orderId="o2", subject="bob", occurredAt=NOON + DAY),
        purchase("3", subject="bob", occurredAt=NOON + DAY),
        event(subject="cleo"),
    )
    assert (await subjects(context)).explain.source is Source.LOG
    await fold(context.services.database, principal.tenant_id)
    answers = [await subjects(context), await asked(context, "average_order_value", Question(MARCH))]
    assert told(answers) == [(3, Source.PRESENCE, 2, 0), (2, Source.PRESENCE, 3, 0)]
    # An order goes on, two begin with several events each, one has no number; people come back late.
    await store(
        context,
        purchase("4", orderId="o1", subject="ann", occurredAt=NOON + DAY),
        purchase("5", orderId="o3", subject="dan"),
        purchase("6", orderId="o3", subject="dan", occurredAt=NOON - 5 * DAY),
        purchase("7", orderId="o4", subject="bob"),
        purchase("8", orderId="o4", subject="bob"),
        purchase("9", subject="ann"),
    )
    for rows, tail in (((8, 9), 6), ((3, 5), 0)):
        answers = [await subjects(context), await asked(context, "average_order_value", Question(MARCH))]
        assert told(answers) == [(4, Source.PRESENCE, rows[0], tail), (7.5, Source.PRESENCE, rows[1], tail)]
        await fold(context.services.database, principal.tenant_id)
    assert await wrong(context, principal.tenant_id) == 0


async def test_tenants_are_counted_apart(context: Context, principal: Principal, owner: Database) -> None:
    other = Context(context.services, await new_principal(owner))
    assert other.principal is not None
    await store(context, *(purchase("1", orderId=f"o{n % 3}", subject=f"s{n % 4}") for n in range(12)))
    await store(other, *(purchase("1", orderId=f"o{n % 7}", subject=f"s{n % 5}") for n in range(35)))
    for tenant_id in (principal.tenant_id, other.principal.tenant_id):
        await fold(context.services.database, tenant_id)
    for one, people, average in ((context, 4, 4), (other, 5, 5)):
        for _ in range(2):
            found = await subjects(one)
            assert (found.estimate.value, found.explain.source) == (people, Source.PRESENCE)
            assert (await asked(one, "average_order_value", Question(MARCH))).estimate.value == average
    await store(other, event(subject="late"))
    assert [(await subjects(one)).estimate.value for one in (context, other)] == [4, 6]
    # Nothing of another tenant can be had, even where it is asked for by its number.
    async with context.services.database.tenant(principal.tenant_id) as session:
        spying = PresenceRepository(await driver(session), other.principal.tenant_id)
        assert await spying.state() == (0, 0, 0)
        assert await spying.leaves([1, 2, 3, 4], 0, 40_000) == []  # type: ignore[list-item]  # as the table has them
        assert (await spying.seen(0, 100)).at.size == 0


@pytest.mark.parametrize("column", ["codes", "hours"])
async def test_a_damaged_row_is_told_and_others_answer_until_upkeep_has_made_it_anew(
    context: Context, principal: Principal, column: str
) -> None:
    await store(context, *random_events(1))
    await fold(context.services.database, principal.tenant_id)
    tokyo = Question(MARCH, timezone="Asia/Tokyo")
    statement = (
        f"UPDATE presence SET {column} = set_byte({column}, length({column}) - 1,"
        f" 255 - get_byte({column}, length({column}) - 1)) WHERE day = '2026-03-09'"
    )
    await execute(context, principal.tenant_id, statement)
    for slug in ("average_order_value", "unique_subjects") * 2:
        planned, logged = await both_ways(context, slug, tokyo)
        assert planned.explain.source is Source.JOURNEYS
        assert same(planned, logged)
    # Other days have nothing to do with it.
    before = Question(PeriodRequest(start=START, end=START + 7 * DAY))
    assert (await subjects(context, before)).explain.source is Source.PRESENCE
    await fold_due(context.services.database, SegmentCache(), FoldingFigures(), events=10**6, age=DAY)
    planned, logged = await both_ways(context, "unique_subjects", tokyo)
    assert planned.explain.source is Source.PRESENCE
    assert same(planned, logged)
    # What was not asked for is damaged still, and found when new events come to it.
    await store(context, *(event(occurredAt=NOON - DAY, subject=f"new{n}") for n in range(3)))
    await store(context, purchase("1", occurredAt=NOON - DAY), purchase("1", orderId="o9", occurredAt=NOON - DAY))
    await fold(context.services.database, principal.tenant_id)
    assert await wrong(context, principal.tenant_id) == 0


async def test_a_row_emptied_while_it_is_folded_is_made_whole(context: Context, principal: Principal) -> None:
    await store(context, *(event(subject=f"s{n}") for n in range(9)))
    await fold(context.services.database, principal.tenant_id)
    await execute(context, principal.tenant_id, "UPDATE presence SET codes = NULL, hours = NULL")
    assert (await subjects(context)).explain.source is Source.JOURNEYS
    await store(context, event(subject="last"))
    await fold(context.services.database, principal.tenant_id)
    assert told([await subjects(context)]) == [(10, Source.PRESENCE, 1, 0)]


async def test_a_long_tail_is_left_to_others(
    context: Context, principal: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store(context, *(event(subject=f"s{n}") for n in range(5)))
    await fold(context.services.database, principal.tenant_id)
    monkeypatch.setattr("resolvers.store.presence_metrics._LONGEST_TAIL", 2)
    await store(context, event(subject="s1"), event(subject="s7"))
    assert told([await subjects(context)]) == [(6, Source.PRESENCE, 3, 2)]
    await store(context, event(subject="s8"))
    assert told([await subjects(context)]) == [(7, Source.JOURNEYS, 8, 3)]
    monkeypatch.setattr("resolvers.store.journey_metrics._LONGEST_TAIL", 2)
    assert told([await subjects(context)]) == [(7, Source.LOG, 8, 0)]


async def test_a_fold_killed_before_any_of_its_statements_leaves_all_as_it_was_or_done(
    context: Context, principal: Principal, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [one | {"id": f"e{n}"} for n, one in enumerate(random_events(4, 60))]
    database = await Database.open(database_url, pool_size=1)
    failures = 0
    for number in count(1):
        await ingest(context, [one | {"id": f"{number}-{place}"} for place, one in enumerate(made[:9])])
        with killed_before(number, monkeypatch) as calls:
            try:
                await fold_presence(database, principal.tenant_id, batch=4)
            except Unavailable:
                failures += 1
        planned, logged = await both_ways(context, "average_order_value", Question(MARCH))
        assert same(planned, logged)
        if len(calls) < number:
            break
        made = made[1:] + made[:1]
    await database.close()
    assert failures > number // 2
    assert await wrong(context, principal.tenant_id) == 0


async def test_who_finds_another_folding_leaves_it_to_him(context: Context, principal: Principal) -> None:
    await store(context, event(subject="ann"))
    await fold_presence(context.services.database, principal.tenant_id, batch=10)
    await store(context, event(subject="bob"))
    async with context.services.database.tenant(principal.tenant_id) as session:
        holding = PresenceRepository(await driver(session), principal.tenant_id)
        assert await holding.hold() == 1
        await fold_presence(context.services.database, principal.tenant_id, batch=10)
        assert (await holding.state())[:2] == (1, 2)
        assert told([await subjects(context)]) == [(2, Source.PRESENCE, 2, 1)]
    await fold_presence(context.services.database, principal.tenant_id, batch=10)
    assert told([await subjects(context)]) == [(2, Source.PRESENCE, 1, 0)]


async def test_a_log_folded_before_is_answered_otherwise_until_its_sets_are_there(postgres_url: str) -> None:
    url = await fresh_database(postgres_url, "gateway_before_presence")
    await migrate(url)
    owner = await Database.open(url, owner=True, pool_size=1)
    principal = await new_principal(owner)
    async with running_services(url) as services:
        context = Context(services, principal)
        await ingest(context, random_events(Random(5).randrange(100), 300))
        await fold(services.database, principal.tenant_id)
    async with owner.shared() as session:
        connection = await session.connection()
        # As an update of the schema leaves them.
        await connection.execute(text("TRUNCATE presence, presence_state"))
    await owner.close()
    async with running_services(url) as services:
        context = Context(services, principal)
        before = await subjects(context)
        assert before.explain.source is Source.JOURNEYS
        # Due at once, though the segments are as long as the log.
        await fold_due(services.database, SegmentCache(), FoldingFigures(), events=10**6, age=DAY)
        after = await subjects(context)
        assert after.explain.source is Source.PRESENCE
        assert same(before, after)
        assert await wrong(context, principal.tenant_id) == 0
