"""The one way into the log: exactly once, in one order, whatever comes at the same time."""

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from resolvers.analysis.events import Event
from resolvers.analysis.filters import EVERYTHING
from resolvers.analysis.intake import validate
from resolvers.context import Context, Principal, Role, Services
from resolvers.errors import Overloaded, Unavailable
from resolvers.events import events, new_id
from resolvers.store import writer as writer_module
from resolvers.store.database import Database
from resolvers.store.terms import TermMemory
from resolvers.store.writer import Writer
from tests.factories import event, new_principal, running_services


def made(event_id: str, **fields: object) -> Event:
    found = validate(event(id=event_id, **fields), now=datetime.now(UTC), new_id=new_id)
    assert isinstance(found, Event)
    return found


async def stored(context: Context) -> list[tuple[int, str]]:
    page = await events(context, where=EVERYTHING, first=500)
    return sorted((one.position, one.event.id) for one in page.events)


async def test_what_is_new_is_told_from_repeats_and_conflicts(context: Context, principal: Principal) -> None:
    write = context.services.writer.write
    first, second = made("a"), made("b")
    assert await write(principal.tenant_id, [first, second]) == [None, None]
    again, other = await write(principal.tenant_id, [first, made("a", name="another")])
    assert again is not None
    assert again.same
    assert other is not None
    assert not other.same
    assert other.occurred_at == first.occurred_at
    assert await stored(context) == [(1, "a"), (2, "b")]


async def test_an_id_repeated_inside_a_batch_counts_once(context: Context, principal: Principal) -> None:
    outcomes = await context.services.writer.write(
        principal.tenant_id, [made("a"), made("a"), made("a", name="another"), made("A")]
    )
    assert [outcome and outcome.same for outcome in outcomes] == [None, True, False, None]
    assert await stored(context) == [(1, "a"), (2, "A")]


async def test_the_same_id_at_another_time_is_the_same_id(context: Context, principal: Principal) -> None:
    write = context.services.writer.write
    await write(principal.tenant_id, [made("a", occurredAt=datetime(2026, 1, 31, tzinfo=UTC))])
    (moved,) = await write(principal.tenant_id, [made("a", occurredAt=datetime(2025, 5, 1, tzinfo=UTC))])
    assert moved is not None
    assert not moved.same
    assert len(await stored(context)) == 1


async def test_large_batches_keep_what_small_ones_keep(context: Context, principal: Principal) -> None:
    """From a hundred rows on, rows take another way into the table."""
    whole = made(
        "whole",
        kind="AI_INTERACTION",
        name="chat",
        dimensions={"provider": "openai", "model": "gpt-4o", "requestType": "chat"},
        cost="0.000000123",
        currency="EUR",
        inputTokens=10**12,
        durationMs=1.5,
        score=0.25,
        success=True,
        assisted=False,
        session="s",
        properties={"deep": [1, {"x": None}], "text": "é\u2028\\"},
    )
    batch = [whole, *(made(f"n{n}") for n in range(150))]
    await context.services.writer.write(principal.tenant_id, batch)
    await context.services.writer.write(principal.tenant_id, [replace(whole, id="alone")])
    found = {one.event.id: one.event for one in (await events(context, where=EVERYTHING, first=500)).events}
    assert found["whole"] == replace(whole, content=b"")
    assert found["alone"] == replace(whole, id="alone", content=b"")


async def test_racing_writers_store_each_event_once_and_in_one_order(database_url: str, owner: Database) -> None:
    principal = await new_principal(owner)
    async with running_services(database_url) as one, running_services(database_url) as two:
        batches = [[made(f"e{(start + n) % 40}") for n in range(30)] for start in range(0, 40, 4)]
        outcomes = await asyncio.gather(
            *(services.writer.write(principal.tenant_id, batch) for batch in batches for services in (one, two))
        )
        new = Counter(
            each.id
            for batch, result in zip([b for b in batches for _ in (1, 2)], outcomes, strict=True)
            for each, first in zip(batch, result, strict=True)
            if first is None
        )
        assert set(new.values()) == {1}
        rows = await stored(Context(one, principal))
    assert [position for position, _ in rows] == list(range(1, 41))
    assert {event_id for _, event_id in rows} == set(new)


async def test_a_thousand_single_events_at_once(context: Context, principal: Principal) -> None:
    results = await asyncio.gather(
        *(context.services.writer.write(principal.tenant_id, [made(f"e{n}")]) for n in range(1000))
    )
    assert results == [[None]] * 1000
    async with context.services.database.tenant(principal.tenant_id) as session:
        count = await (await session.connection()).execute(text("SELECT count(*), max(position) FROM event"))
    assert count.one() == (1000, 1000)


async def test_one_poisoned_request_fails_alone(context: Context, principal: Principal) -> None:
    poisoned = replace(made("poison"), name="a\0b")
    write = context.services.writer.write
    good, bad, other = await asyncio.gather(
        write(principal.tenant_id, [made("a")]),
        write(principal.tenant_id, [poisoned]),
        write(principal.tenant_id, [made("b")]),
        return_exceptions=True,
    )
    assert good == other == [None]
    assert isinstance(bad, Exception)
    assert {event_id for _, event_id in await stored(context)} == {"a", "b"}


async def test_a_write_outlives_whoever_asked_for_it(context: Context, principal: Principal) -> None:
    asked = asyncio.create_task(context.services.writer.write(principal.tenant_id, [made("a")]))
    await asyncio.sleep(0)
    asked.cancel()
    await context.services.writer.write(principal.tenant_id, [made("b")])
    assert [event_id for _, event_id in await stored(context)] == ["a", "b"]


async def test_too_much_waiting_is_said(
    services: Services, principal: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "_WAITING", 3)
    results = await asyncio.gather(
        *(services.writer.write(principal.tenant_id, [made(f"e{n}")]) for n in range(10)), return_exceptions=True
    )
    refused = [result for result in results if isinstance(result, Overloaded)]
    assert refused
    assert all(error.retry_after for error in refused)
    rows = await stored(Context(services, principal))
    assert len(rows) == 10 - len(refused)


async def test_stopping_finishes_what_was_taken_and_takes_no_more(database_url: str, principal: Principal) -> None:
    database = await Database.open(database_url)
    writer = Writer(database, TermMemory())
    writer.start()
    taken = [asyncio.create_task(writer.write(principal.tenant_id, [made(f"e{n}")])) for n in range(20)]
    await asyncio.sleep(0)
    await writer.stop()
    assert await asyncio.gather(*taken) == [[None]] * 20
    with pytest.raises(Unavailable):
        await writer.write(principal.tenant_id, [made("late")])
    await database.close()


async def test_an_absent_database_is_said(principal: Principal) -> None:
    database = await Database.open("postgresql://nobody@/nothing?host=/nonexistent")
    writer = Writer(database, TermMemory())
    writer.start()
    with pytest.raises(Unavailable) as refused:
        await writer.write(principal.tenant_id, [made("a")])
    assert refused.value.retry_after
    await writer.stop()
    await database.close()


async def test_dictionaries_of_tenants_are_apart(context: Context, owner: Database) -> None:
    other = Context(context.services, await new_principal(owner, Role.ADMIN))
    for one in (context, other):
        principal = one.require(Role.ADMIN)
        await one.services.writer.write(principal.tenant_id, [made("same", subject=f"of {principal.tenant}")])
    for one in (context, other):
        page = await events(one, where=EVERYTHING)
        assert [found.event.subject for found in page.events] == [f"of {one.require(Role.ADMIN).tenant}"]


async def test_a_log_that_is_held_keeps_back_no_other_tenant(
    context: Context, principal: Principal, owner: Database, database_url: str
) -> None:
    stranger = await new_principal(owner)
    hurried = await Database.open(database_url, pool_size=2, lock_seconds=0.2)
    writer = Writer(hurried, TermMemory())
    writer.start()
    for tenant_id in (principal.tenant_id, stranger.tenant_id):
        await writer.write(tenant_id, [made("before")])
    async with context.services.database.tenant(principal.tenant_id) as session:
        connection = await session.connection()
        await connection.execute(text("SELECT version FROM data_version FOR UPDATE"))
        held, free = await asyncio.gather(
            writer.write(principal.tenant_id, [made("after")]),
            writer.write(stranger.tenant_id, [made("after")]),
            return_exceptions=True,
        )
    assert isinstance(held, Overloaded)
    assert free == [None]
    assert await writer.write(principal.tenant_id, [made("after")]) == [None]
    await writer.stop()
    await hurried.close()


async def test_a_database_that_falls_silent_is_given_up(
    context: Context, principal: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    await context.services.writer.write(principal.tenant_id, [made("before")])
    async with context.services.database.tenant(principal.tenant_id) as session:
        connection = await session.connection()
        await connection.execute(text("SELECT version FROM data_version FOR UPDATE"))
        monkeypatch.setattr(context.services.writer, "patience", 0.2)
        with pytest.raises(Unavailable):
            await context.services.writer.write(principal.tenant_id, [made("after")])
    monkeypatch.undo()
    assert await context.services.writer.write(principal.tenant_id, [made("after")]) == [None]
