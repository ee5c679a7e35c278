"""Events in and out: what becomes of each, in what order they are read, who sees them."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from resolvers.analysis.events import Kind
from resolvers.analysis.filters import EVERYTHING, KindIs, NameIs
from resolvers.analysis.periods import PeriodRequest
from resolvers.context import Context, Role
from resolvers.errors import BadInput, Forbidden
from resolvers.events import event as one_event
from resolvers.events import events, events_stream, ingest, new_id
from resolvers.store.database import Database
from resolvers.store.prices import ModelPriceRow, PriceRepository
from tests.factories import NOON, event, new_principal, purchase, store


async def test_good_items_are_stored_and_bad_ones_named(context: Context) -> None:
    receipt = await ingest(
        context,
        [
            event(id="a"),
            event(id="b", subject=""),
            event(id="a"),
            event(id="a", name="other"),
            event(id="c", occurredAt="2026-03-10T12:00:00"),
            event(id="d"),
            {"kind": "NOTHING"},
        ],
    )
    assert (receipt.accepted, receipt.duplicates) == (2, 1)
    assert [(one.index, one.field) for one in receipt.rejected] == [(1, "subject"), (4, "occurredAt"), (6, "kind")]
    (conflict,) = receipt.conflicts
    assert (conflict.index, conflict.id, conflict.first_occurred_at) == (3, "a", NOON)
    assert receipt.ids == ("a", None, "a", "a", None, "d", None)
    page = await events(context, where=EVERYTHING)
    assert {one.event.id for one in page.events} == {"a", "d"}


async def test_a_repeat_without_a_time_is_the_same_event(context: Context) -> None:
    sent = {"kind": "PRODUCT", "name": "click", "subject": "ann", "id": "a"}
    assert (await ingest(context, [sent])).accepted == 1
    assert (await ingest(context, [sent])).duplicates == 1


async def test_what_the_sender_leaves_out_is_filled_in(context: Context, owner: Database) -> None:
    swiss = Context(context.services, await new_principal(owner, currency="CHF"))
    before = datetime.now(UTC)
    receipt = await ingest(swiss, [{"kind": "CONVERSION", "name": "purchase", "subject": "ann", "amount": "1"}])
    (event_id,) = receipt.ids
    assert event_id is not None
    found = await one_event(swiss, event_id)
    assert found is not None
    assert found.event.currency == "CHF"
    assert before <= found.event.occurred_at <= found.received_at <= datetime.now(UTC)


async def test_an_ai_interaction_is_priced_from_its_tokens(context: Context) -> None:
    call = {"kind": "AI_INTERACTION", "subject": "ann", "inputTokens": 1000, "outputTokens": 500}
    known = {"provider": "openai", "model": "gpt-4o"}
    own = {"provider": "acme", "model": "house"}
    principal = context.require(Role.ADMIN)
    async with context.services.database.tenant(principal.tenant_id) as session:
        await PriceRepository(session).put(
            ModelPriceRow(
                tenant_id=principal.tenant_id,
                provider="acme",
                model="house",
                valid_from=datetime(2026, 1, 1, tzinfo=UTC),
                currency="USD",
                input_per_million=Decimal(2),
                output_per_million=Decimal(4),
            )
        )
    at = {"occurredAt": NOON.isoformat()}
    await store(
        context,
        call | at | {"id": "list", "dimensions": known},
        call | at | {"id": "own", "dimensions": own},
        call | {"id": "before", "dimensions": own, "occurredAt": "2025-12-31T23:59:59Z"},
        call | at | {"id": "unknown", "dimensions": {"provider": "openai", "model": "none-such"}},
        call | at | {"id": "given", "dimensions": known, "cost": "0.5", "currency": "EUR"},
    )
    found = {one.event.id: one.event for one in (await events(context, where=EVERYTHING)).events}
    assert found["list"].cost == Decimal("0.0075")
    assert str(found["list"].cost_source).startswith("genai-prices")
    assert found["own"].cost == Decimal("0.004")
    assert found["before"].cost is None
    assert found["unknown"].cost is None
    assert found["unknown"].cost_source is None
    assert (found["given"].cost, found["given"].currency, found["given"].cost_source) == (
        Decimal("0.5"),
        "EUR",
        "given",
    )


async def test_pages_cover_the_log_once_newest_first_also_while_it_grows(context: Context) -> None:
    await store(context, *(event(id=f"e{n}", occurredAt=NOON + timedelta(hours=n // 3)) for n in range(20)))
    seen: list[str] = []
    after = None
    while True:
        page = await events(context, where=EVERYTHING, first=7, after=after)
        seen += [one.event.id for one in page.events]
        if not page.has_next:
            break
        after = page.cursors[-1]
        await store(context, event(occurredAt=NOON + timedelta(days=1)))
    assert seen == [f"e{n}" for n in reversed(range(20))]


async def test_a_period_and_a_condition_narrow(context: Context) -> None:
    await store(
        context,
        event(id="in", occurredAt=NOON),
        event(id="end", occurredAt=NOON + timedelta(hours=1)),
        purchase("1", id="other"),
    )
    period = PeriodRequest(start=NOON, end=NOON + timedelta(hours=1))
    page = await events(context, where=KindIs((Kind.PRODUCT,)), period=period)
    assert [one.event.id for one in page.events] == ["in"]


@pytest.mark.parametrize("after", ["", "x", "1", "1.x", "1.2.3", "-1.5", "9" * 40, "١.٢", "9" * 17 + ".1"])
async def test_what_is_no_cursor_is_refused(context: Context, after: str) -> None:
    with pytest.raises(BadInput) as refused:
        await events(context, where=EVERYTHING, after=after)
    assert refused.value.field == "after"


@pytest.mark.parametrize("first", [0, -1, 501, 2**40])
async def test_no_page_is_of_absurd_size(context: Context, first: int) -> None:
    with pytest.raises(BadInput) as refused:
        await events(context, where=EVERYTHING, first=first)
    assert refused.value.field == "first"


@pytest.mark.parametrize("count", [0, 11])
async def test_a_batch_over_the_limit_or_empty_is_refused_whole(context: Context, count: int) -> None:
    with pytest.raises(BadInput):
        await ingest(context, [event() for _ in range(count)], limit=10)
    assert (await events(context, where=EVERYTHING)).events == ()


async def test_tenants_with_the_same_ids_see_nothing_of_each_other(context: Context, owner: Database) -> None:
    other = Context(context.services, await new_principal(owner))
    await store(context, event(id="same", subject="mine"))
    assert await one_event(other, "same") is None
    await store(other, event(id="same", subject="theirs"))
    for one, subject in ((context, "mine"), (other, "theirs")):
        found = await one_event(one, "same")
        assert found is not None
        assert found.event.subject == subject
        assert len((await events(one, where=EVERYTHING)).events) == 1


@pytest.mark.parametrize(("role", "reads", "writes"), [("INGEST", 0, 1), ("VIEWER", 1, 0), ("ANALYST", 1, 1)])
async def test_roles(context: Context, owner: Database, role: str, reads: int, writes: int) -> None:
    one = Context(context.services, await new_principal(owner, Role[role]))
    for allowed, attempt in ((writes, ingest(one, [event()])), (reads, events(one, where=EVERYTHING))):
        if allowed:
            await attempt
        else:
            with pytest.raises(Forbidden):
                await attempt


async def test_a_stream_gives_each_new_event_once_in_order(context: Context, owner: Database) -> None:
    stranger = Context(context.services, await new_principal(owner))
    await store(context, event(id="before"))
    stream = events_stream(context, where=NameIs(("page_view",)))
    got: list[str] = []

    async def read() -> None:
        async for batch in stream:
            got.extend(one.event.id for one in batch)
            if "last19" in got:
                return

    reading = asyncio.create_task(read())
    async with asyncio.timeout(20):
        await store(stranger, event(id="foreign"))
        # The stream starts where the log ended when it was opened; that has happened once its first event is there.
        while not got:
            await ingest(context, [event(), event(name="click")])
        singles = [event(id=f"single{n}", occurredAt=NOON - timedelta(days=n)) for n in range(200)]
        await asyncio.gather(*(store(context, single) for single in singles))
        await store(context, *(event(id=f"many{n}") for n in range(1_000)))
        await store(context, *(event(id=f"last{n}") for n in range(20)))
        await reading
    assert len(got) == len(set(got))
    assert {f"single{n}" for n in range(200)} | {f"many{n}" for n in range(1_000)} <= set(got)
    assert not {"before", "foreign"} & set(got)
    await stream.aclose()
    assert context.services.bus.listening == 0


def test_ids_made_here_are_version_7_and_in_order() -> None:
    ids = [new_id(NOON + timedelta(milliseconds=n)) for n in range(100)]
    assert ids == sorted(ids)
    assert {(one[14], one[19] in "89ab") for one in ids} == {("7", True)}
