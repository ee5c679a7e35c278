"""Days of time zones in memory: what the log says, whatever their offset, and read again only where they changed."""

from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

import pytest

from resolvers.analysis.clocks import midnight, zone
from resolvers.analysis.explanations import Source
from resolvers.analysis.periods import Granularity, PeriodRequest
from resolvers.analysis.questions import Question
from resolvers.context import Context, Principal, Role
from resolvers.errors import Unavailable
from resolvers.events import ingest
from resolvers.store import rollup_days
from resolvers.store.folding import fold
from resolvers.store.sightings import SightingsReader
from resolvers.store.zone_days import changed_days
from tests.factories import event, purchase, store
from tests.resolvers.store.test_rollup_days import entered  # noqa: F401  # a fixture
from tests.resolvers.test_metrics import random_events
from tests.resolvers.test_ways import asked, both_ways, same

# With half hours, with quarters, with a change of clocks by half an hour and by a whole one, and of whole hours.
ZONES = ["Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns", "America/New_York"]
SLUGS = ["events", "revenue", "ai_latency_p95", "unique_subjects", "average_order_value", "conversion_rate"]


def days(timezone: str, first: int = 1, last: int = 31, granularity: Granularity = Granularity.DAY) -> Question:
    """Some days of March 2026 as a zone has them."""
    start, end = (midnight(date(2026, 3, day), zone(timezone)) for day in (first, last))
    return Question(PeriodRequest(start=start, end=end), timezone=timezone, granularity=granularity)


async def folded(context: Context) -> None:
    await fold(context.services.database, context.require(Role.ADMIN).tenant_id)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The days that were read, a list for each time."""
    found: list[list[int]] = []

    async def noting(*arguments: Any) -> list[tuple[Any, ...]]:
        rows = await changed_days(*arguments)
        found.append(sorted({row[0] for row in rows}))
        return rows

    monkeypatch.setattr(rollup_days, "changed_days", noting)
    return found


@pytest.mark.parametrize("timezone", ZONES)
async def test_they_are_what_the_log_says_and_remembered(
    context: Context,
    entered: list[int],  # noqa: F811  # the fixture
    timezone: str,
) -> None:
    made = random_events(Random(timezone).randrange(100), 250)
    edges = [midnight(date(2026, 3, day), zone(timezone)) for day in range(1, 31)]
    # At the very edges of days, and right before them.
    for number, edge in enumerate(edges):
        made[number]["occurredAt"] = edge.isoformat()
        made[-number - 1]["occurredAt"] = (edge - timedelta(microseconds=1)).isoformat()
    await store(context, *made)
    await folded(context)
    for question in (days(timezone), days(timezone, 8, 29, Granularity.WEEK)):
        for slug in SLUGS:
            planned, logged = await both_ways(context, slug, question)
            assert planned.explain.source is not Source.LOG
            assert same(planned, logged)
            entered.clear()
            assert same(await asked(context, slug, question), logged)
            assert entered == []


async def test_a_day_that_changes_is_read_again_and_no_other(context: Context, read: list[list[int]]) -> None:
    question = days("Asia/Kolkata")
    await store(context, *random_events(5))
    for slug in ("revenue", "ai_latency_p50", "events"):
        await asked(context, slug, question)
    first = (date(2026, 3, 1) - date(1970, 1, 1)).days
    assert list(map(len, read)) == [16, 14]
    # 18:45 UTC is the eleventh there.
    await store(context, purchase("1000", id="late", occurredAt=datetime(2026, 3, 10, 18, 45, tzinfo=UTC)))
    planned, logged = await both_ways(context, "revenue", question)
    assert same(planned, logged)
    # A day is told by those of UTC that it lies in.
    assert read[2] == [first + 9, first + 10]


async def test_who_is_cut_short_goes_on_where_it_stopped(
    context: Context, read: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    await store(context, *random_events(5))
    reading = rollup_days.changed_days

    async def cut(*arguments: Any) -> list[tuple[Any, ...]]:
        if read:
            raise TimeoutError
        return await reading(*arguments)

    monkeypatch.setattr(rollup_days, "changed_days", cut)
    with pytest.raises(Unavailable):
        await asked(context, "revenue", days("Asia/Kolkata"))
    monkeypatch.setattr(rollup_days, "changed_days", reading)
    planned, logged = await both_ways(context, "revenue", days("Asia/Kolkata"))
    assert same(planned, logged)
    assert list(map(len, read)) == [16, 14]


async def test_so_are_the_parts_of_hours_that_the_log_is_asked_about(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[int] = []
    inside = SightingsReader.inside

    async def noting(self: SightingsReader, through: int, spans: Any) -> Any:
        found.append(len(spans))
        return await inside(self, through, spans)

    monkeypatch.setattr(SightingsReader, "inside", noting)
    question = days("Asia/Kolkata")
    await store(context, *(event(id=f"e{hour}", subject=f"u{hour % 7}", occurredAt=_at(hour)) for hour in range(700)))
    await folded(context)
    for _ in range(2):
        planned, logged = await both_ways(context, "unique_subjects", question)
        assert same(planned, logged)
    # Two parts of an hour where days meet, and one where the period ends; where it begins there was nothing yet.
    assert sum(found) == 2 * 29 + 1
    found.clear()
    late = datetime(2026, 3, 10, 18, 45, tzinfo=UTC)
    await store(context, event(id="late", subject="late", occurredAt=late))
    for _ in range(2):
        planned, logged = await both_ways(context, "unique_subjects", question)
        assert same(planned, logged)
        assert planned.explain.tail == 1
    assert found == []
    await folded(context)
    for _ in range(2):
        planned, logged = await both_ways(context, "unique_subjects", question)
        assert same(planned, logged)
        assert planned.explain.tail == 0
    assert found == [2]


def _at(hour: int) -> datetime:
    return datetime(2026, 3, 1, 0, 20, tzinfo=UTC) + timedelta(hours=hour, minutes=hour % 3 * 13)


async def test_an_order_without_a_code_is_counted_once_before_and_after_it_has_one(context: Context) -> None:
    question = days("Asia/Kathmandu")
    edge = midnight(date(2026, 3, 9), zone("Asia/Kathmandu"))
    await store(context, purchase("1", id="a", orderId="o1", occurredAt=edge - timedelta(minutes=3)))
    await folded(context)
    made = [
        purchase("2", id="b", orderId="o2", occurredAt=edge - timedelta(minutes=2)),
        purchase("3", id="c", orderId="o2", occurredAt=edge + timedelta(minutes=2)),
        purchase("4", id="d", orderId="o1", occurredAt=edge + timedelta(minutes=1)),
    ]
    await store(context, *made)
    for _ in range(2):
        planned, logged = await both_ways(context, "average_order_value", question)
        assert same(planned, logged)
        assert planned.estimate.n == 2
        await folded(context)


async def test_tenants_and_zones_are_held_apart(context: Context, plain: Principal) -> None:
    other = Context(context.services, plain)
    edge = midnight(date(2026, 3, 9), zone("Asia/Kolkata"))
    await ingest(context, [purchase("10", occurredAt=edge)])
    await ingest(other, [purchase("4", id="e", occurredAt=edge - timedelta(minutes=1))])
    for _ in range(2):
        for timezone, place in (("Asia/Kolkata", (8, 7)), ("Asia/Kathmandu", (8, 8)), ("UTC", (7, 7))):
            for one, day, amount in zip((context, other), place, (10, 4), strict=True):
                answer = await asked(one, "revenue", days(timezone))
                assert [at for at, value in enumerate(answer.series.value) if value] == [day]
                assert answer.estimate.value == amount
