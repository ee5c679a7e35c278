"""A clock that steps back: the log's order, ids, repeats and live answers do not hang on it."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import select

from resolvers.analysis.periods import PeriodRequest
from resolvers.analysis.questions import Question
from resolvers.answers import live
from resolvers.context import Context
from resolvers.events import ingest
from resolvers.metrics import kinds, metrics
from resolvers.store.database import rows
from resolvers.store.events import EVENT

MIDNIGHT = datetime(2026, 3, 10, tzinfo=UTC)
TODAY = Question(PeriodRequest(last="1d"))


class Clock:
    def __init__(self) -> None:
        self.at = MIDNIGHT + timedelta(minutes=1)

    def __call__(self) -> datetime:
        return self.at


async def test_events_are_kept_once_in_order_of_arrival_and_counted_where_the_clock_says(context: Context) -> None:
    clock = Clock()
    told = Context(replace(context.services, now=clock), context.principal)
    principal = told.principal
    assert principal is not None

    async def today() -> int:
        (answer,) = await metrics(told, ["events"], TODAY)
        assert answer.estimate.as_of == clock.at
        return int(answer.estimate.value or 0)

    answers = live(told, kinds(["events"]), lambda: metrics(told, ["events"], TODAY), timedelta(0))
    async with asyncio.timeout(20):
        assert (await anext(answers))[0].estimate.value == 0
        sent = [{"kind": "PRODUCT", "name": "view", "subject": "ann", "id": f"e{n}"} for n in range(4)]
        assert (await ingest(told, sent[:2])).accepted == 2
        assert (await anext(answers))[0].estimate.value == 2
        assert await today() == 2
        clock.at -= timedelta(minutes=2)
        # It is yesterday again, when there was nothing yet.
        assert await today() == 0
        again = await ingest(told, sent)
        assert (again.accepted, again.duplicates, again.conflicts) == (2, 2, ())
        assert await today() == 2
        unnamed = await ingest(told, [{"kind": "PRODUCT", "name": "view", "subject": "ann"}] * 2)
        assert len({*unnamed.ids}) == 2
        assert await today() == 4
        while (await anext(answers))[0].estimate.value != 4:
            pass
        clock.at += timedelta(minutes=2)
        assert await today() == 2
    async with told.services.database.tenant(principal.tenant_id) as session:
        query = select(EVENT.id, EVENT.occurred_at).where(EVENT.tenant_id == principal.tenant_id)
        log = await rows(session, query.order_by(EVENT.position))
    assert [row[0] for row in log[:4]] == ["e0", "e1", "e2", "e3"]
    assert [row[1] - MIDNIGHT for row in log] == [timedelta(minutes=1)] * 2 + [timedelta(minutes=-1)] * 4
    await answers.aclose()
