"""A writer killed before any of its statements: all of a batch is there or nothing, and it can be sent again."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from resolvers import upkeep
from resolvers.analysis.events import Event
from resolvers.analysis.intake import validate
from resolvers.context import Context, Principal
from resolvers.errors import Unavailable
from resolvers.events import new_id
from resolvers.store.database import Database, driver
from resolvers.store.terms import TermMemory
from resolvers.store.writer import Writer
from tests.factories import NOON, event, new_principal

CALLS = (
    "execute",
    "executemany",
    "fetch",
    "fetchrow",
    "fetchval",
    "prepare",
    "copy_to_table",
    "copy_from_query",
)
MOST = 200


@contextmanager
def killed_before(number: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Cut the connection that makes the call of that number; yields what was called until then."""
    seen: list[str] = []

    def counting(name: str, original: Any) -> Any:
        async def call(self: asyncpg.Connection, *arguments: Any, **more: Any) -> Any:
            if len(seen) < number:
                seen.append(name)
                if len(seen) == number:
                    self.terminate()
            return await original(self, *arguments, **more)

        return call

    with monkeypatch.context() as patch:
        for name in CALLS:
            patch.setattr(asyncpg.Connection, name, counting(name, getattr(asyncpg.Connection, name)))
        yield seen


def batch(number: int) -> list[Event]:
    """Events of two months with texts that the tenant did not have before, one of them twice."""
    found = []
    for place in range(6):
        at = NOON - timedelta(days=40 * (place % 2))
        raw = event(id=f"b{number}-{place}", subject=f"s{number}-{place}", name=f"n{number}", occurredAt=at)
        found.append(validate(raw, now=datetime.now(UTC), new_id=new_id))
    checked = [one for one in found if isinstance(one, Event)]
    return [*checked, checked[0]]


@pytest.fixture
async def writer(database_url: str) -> AsyncIterator[Writer]:
    """A writer with a connection of its own."""
    database = await Database.open(database_url, pool_size=1)
    writer = Writer(database, TermMemory())
    writer.start()
    yield writer
    await writer.stop()
    await database.close()


async def log(context: Context, tenant_id: int) -> list[tuple[int, str]]:
    async with context.services.database.tenant(tenant_id) as session:
        rows = await (await driver(session)).fetch(
            "SELECT position, id FROM event WHERE tenant_id = $1 ORDER BY position", tenant_id
        )
        keys = await (await driver(session)).fetchval("SELECT count(*) FROM event_key WHERE tenant_id = $1", tenant_id)
    assert keys == len(rows)
    return [(row[0], row[1]) for row in rows]


async def test_a_batch_is_stored_whole_or_not_at_all(
    context: Context, principal: Principal, owner: Database, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await writer.write(principal.tenant_id, batch(0))
    other = await new_principal(owner)
    expected, failures = 6, 0
    for number in range(1, MOST):
        sent = batch(number)
        with killed_before(number, monkeypatch) as calls:
            try:
                await writer.write(principal.tenant_id, sent)
            except Unavailable:
                failures += 1
                assert len(await log(context, principal.tenant_id)) == expected
        outcomes = await writer.write(principal.tenant_id, sent)
        expected += 6
        assert len({outcome is None for outcome in outcomes[:6]}) == 1
        assert outcomes[6] is not None
        assert outcomes[6].same
        if len(calls) < number:
            break
    else:
        pytest.fail("A batch takes more calls than were cut.")
    # The pool notices by itself what is cut before a transaction begins.
    assert failures > number // 2
    found = await log(context, principal.tenant_id)
    assert [position for position, _ in found] == list(range(1, expected + 1))
    assert len({one for _, one in found}) == expected
    span = upkeep.days((NOON - timedelta(days=40)).date(), NOON.date())
    async for day in upkeep.verify(context.services.database, principal.tenant_id, span):
        assert not day.wrong
    assert await log(context, other.tenant_id) == []
