"""Whole answers: given again while the log says the same, and never after."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event as sqlalchemy_event

from gateway.answers import Answer
from gateway.app import Gateway
from gateway.whole import WholeAnswers
from resolvers.context import Reliance
from tests.client import Client
from tests.factories import purchase

NOON = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
PERIOD = '{from: "2026-03-01T00:00:00Z", to: "2026-04-01T00:00:00Z"}'
DASHBOARD = f"""query Dashboard($by: [Dimension!] = []) {{__typename
  metric(slug: "revenue", period: {PERIOD}, by: $by) {{estimate {{value}} groupCount}} ...R}}
  fragment R on Query {{revenue(period: {PERIOD}) {{orders}}}}"""


class Kept:
    """Whole answers over versions and a clock that a test sets."""

    def __init__(self, size: int = 2**20) -> None:
        self.versions = {1: 7, 2: 3}
        self.at = NOON
        self.answers = WholeAnswers(self.read, size, lambda: self.at)

    async def read(self, tenant_id: int, kinds: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(self.versions[kind] for kind in kinds)

    def keep(self, key: str = "key", answer: Answer | None = None, *, end: datetime | None = NOON) -> Answer:
        reliance = Reliance(self.at)
        reliance.add((1, 2), (7, 3), end)
        answer = answer or Answer(b"{}")
        self.answers.keep(key, answer, reliance)
        return answer

    async def get(self, key: str = "key") -> Answer | None:
        return await self.answers.get(key, 1)


async def test_an_answer_is_given_again_at_the_same_versions_only() -> None:
    kept = Kept()
    answer = kept.keep()
    assert await kept.get() is answer
    assert await kept.get("other") is None
    kept.versions[2] = 4
    assert await kept.get() is None
    assert len(kept.answers) == 0


@pytest.mark.parametrize(
    ("end", "stands"),
    [
        (NOON - timedelta(days=1), timedelta(seconds=29)),
        (NOON + timedelta(days=1), timedelta(seconds=29)),
        # A period that is still running: another begins where it ends.
        (NOON + timedelta(seconds=3), timedelta(seconds=2)),
    ],
)
async def test_it_stands_until_time_moves_its_periods_on(end: datetime, stands: timedelta) -> None:
    kept = Kept()
    answer = kept.keep(end=end)
    kept.at = NOON + stands
    assert await kept.get() is answer
    kept.at += timedelta(seconds=1)
    assert await kept.get() is None


async def test_it_does_not_stand_before_it_was_asked_for() -> None:
    kept = Kept()
    kept.keep(end=NOON + timedelta(days=1))
    kept.at = NOON - timedelta(seconds=1)
    assert await kept.get() is None


async def test_what_the_caller_accepts_for_a_while_needs_no_look_until_then() -> None:
    kept, sound, older = Kept(), Reliance(NOON), Reliance(NOON)
    sound.add((1, 2), (7, 3), NOON, NOON + timedelta(seconds=9))
    sound.add((1,), (7,), NOON, NOON + timedelta(seconds=5))
    older.accept(NOON + timedelta(seconds=5))
    for key, reliance in (("sound", sound), ("older", older)):
        kept.answers.keep(key, Answer(b"{}"), reliance)
    kept.at += timedelta(seconds=4)
    for _ in range(2):
        assert [await kept.get(key) is not None for key in ("sound", "older")] == [True, True]
        kept.versions[1] += 1
    kept.versions[1] = 7
    kept.at += timedelta(seconds=1)
    # Of the one it is known which state it is of, and the log says the same.
    assert [await kept.get(key) is not None for key in ("sound", "older")] == [True, False]
    kept.versions[1] += 1
    assert await kept.get("sound") is None


async def test_what_must_be_exact_in_part_is_looked_at_as_a_whole() -> None:
    kept = Kept()
    for order in (1, -1):
        mixed = Reliance(NOON)
        for accepted in (NOON + MINUTE, None)[::order]:
            mixed.add((1, 2), (7, 3), NOON, accepted)
        kept.answers.keep("mixed", Answer(b"{}"), mixed)
        kept.versions[1] = 8
        assert await kept.get("mixed") is None
        kept.versions[1] = 7
    torn = Reliance(NOON)
    torn.accept(NOON + MINUTE)
    torn.add((1, 2), (7, 3), NOON)
    late = Reliance(NOON)
    late.accept(NOON)
    for reliance in (torn, late):
        kept.answers.keep("key", Answer(b"{}"), reliance)
    assert len(kept.answers) == 0


async def test_what_was_read_from_two_states_is_not_kept() -> None:
    kept, torn, unknown = Kept(), Reliance(NOON), Reliance(NOON)
    torn.add((1, 2), (7, 3), NOON)
    torn.add((2,), (4,), NOON)
    unknown.add((1,), (7,), None)
    for reliance in (torn, unknown, Reliance(NOON)):
        kept.answers.keep("key", Answer(b"{}"), reliance)
    assert len(kept.answers) == 0


async def test_nor_are_errors_and_what_is_too_large() -> None:
    kept = Kept(80_000)
    kept.keep("error", Answer(b"{}", [{"message": "", "extensions": {"code": "TIMEOUT"}}]))
    kept.keep("large", Answer(b"x" * 10_001))
    assert len(kept.answers) == 0


async def test_those_used_last_are_kept() -> None:
    kept = Kept(8_000)
    for key in "abcdefg":
        kept.keep(key)
    assert await kept.get("a") is not None
    kept.keep("h")
    kept.keep("h")
    assert [key for key in "abcdefgh" if await kept.get(key)] == list("acdefgh")


async def statements(gateway: Gateway, work: Any) -> tuple[list[str], Any]:
    """The statements over events or rollups that ``work`` has the database execute, and its result."""
    seen: list[str] = []

    def note(*execution: Any) -> None:
        seen.append(execution[2])

    engine = gateway.services.database.engine.sync_engine
    sqlalchemy_event.listen(engine, "before_cursor_execute", note)
    try:
        result = await work
    finally:
        sqlalchemy_event.remove(engine, "before_cursor_execute", note)
    return [statement for statement in seen if "set_config" not in statement], result


async def test_a_repeated_dashboard_costs_one_look_at_the_versions(
    client: Client, gateway: tuple[str, Gateway]
) -> None:
    await client.ingest(purchase("10", occurredAt="2026-03-10T12:00:00Z"))
    first = await client.ask(DASHBOARD)
    assert first["revenue"] == {"orders": 1}
    reader = gateway[1].version_reader
    looks = reader.looks
    seen, again = await statements(gateway[1], client.ask(DASHBOARD, unknown=1))
    assert again == first
    assert (seen, reader.looks - looks) == ([], 1)
    looks = reader.looks
    await client.ask(DASHBOARD, by=["CHANNEL"])
    # Whatever is computed looks for itself.
    assert reader.looks > looks
    await client.ingest(purchase("10", occurredAt="2026-03-10T12:00:00Z"))
    assert (await client.ask(DASHBOARD))["revenue"] == {"orders": 2}


async def test_those_who_ask_the_same_at_once_share_answers_that_begin_after_they_asked(
    client: Client, gateway: tuple[str, Gateway], monkeypatch: pytest.MonkeyPatch
) -> None:
    turns, begun, go = gateway[1].turns, asyncio.Event(), asyncio.Event()
    computed: list[object] = []
    turn = turns.turn

    @asynccontextmanager
    async def counted(line: object, **waiting: Any) -> AsyncIterator[None]:
        computed.append(line)
        begun.set()
        await go.wait()
        async with turn(line, **waiting):
            yield

    monkeypatch.setattr(turns, "turn", counted)
    first = asyncio.create_task(client.ask(DASHBOARD))
    await begun.wait()
    asked = gateway[1].version_reader.looks
    others = [asyncio.create_task(client.ask(DASHBOARD)) for _ in range(20)]
    while gateway[1].crowd.under_way < 21:  # noqa: ASYNC110  # nothing tells of it
        await asyncio.sleep(0.01)
    await client.ingest(purchase("10", occurredAt="2026-03-10T12:00:00Z"))
    go.set()
    answers = await asyncio.gather(*others)
    assert [answer["revenue"]["orders"] for answer in answers] == [1] * 20
    await first
    assert len(computed) == 2
    # Those looked who computed, not those who waited.
    assert gateway[1].version_reader.looks - asked < len(others)


async def test_what_is_no_analysis_is_sought_anew(client: Client, gateway: tuple[str, Gateway]) -> None:
    query = f"{{revenue(period: {PERIOD}) {{orders}} events {{edges {{node {{eventId}}}}}}}}"
    for _ in range(2):
        seen, _ = await statements(gateway[1], client.ask(query))
        assert any("data_version" not in statement for statement in seen)
