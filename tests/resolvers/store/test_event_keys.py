"""Keys of ids: one for each, in the order of ids that follow each other, for logs of any age."""

from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from importlib import import_module
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from resolvers.analysis.events import Event, Kind
from resolvers.events import new_id
from resolvers.store.database import Database, connect
from resolvers.store.events import event_keys
from resolvers.store.schema_version import migrate
from tests.conftest import fresh_database
from tests.factories import NOON, new_principal, running_services

MIGRATION = import_module("resolvers.store.migrations.versions.0020_keys_in_order")
IDS = ["e1", "E1", "é", "x" * 35, "x" * 36, "x" * 40, "x" * 41, "x" * 200, "é" * 20, "é" * 21, "ü" * 200]
IDS += [str(UUID(int=1)), str(UUID(int=1)).upper().replace("0", "A"), str(UUID(int=1)).replace("-", "0"), "2" * 16]
IDS += [str(UUID("abcdefab-0000-0000-0000-abcdefabcdef")), str(UUID("abcdefab-0000-0000-0000-abcdefabcdef")).upper()]

id_texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=60)


@given(st.sets(id_texts | st.uuids().map(str) | st.uuids().map(lambda one: str(one).upper())))
def test_ids_that_differ_have_keys_that_differ(ids: set[str]) -> None:
    keys = event_keys(ids)
    assert len(set(keys)) == len(ids)
    assert max(map(len, keys), default=0) <= 41


def test_ids_that_follow_each_other_have_keys_that_do() -> None:
    orders = [f"order-{number:08}" for number in range(100)]
    made = [new_id(NOON + timedelta(milliseconds=number)) for number in range(100)]
    for ids in (orders, made):
        assert event_keys(ids) == sorted(event_keys(ids))
    assert {len(key) for key in event_keys(made)} == {17}


async def test_a_log_with_keys_of_before_knows_its_events(postgres_url: str) -> None:
    """What was stored under digests is told from what is new, in a database that was migrated."""
    url = await fresh_database(postgres_url, "gateway_before_keys_in_order")
    await migrate(url, MIGRATION.down_revision)
    owner = await Database.open(url, owner=True, pool_size=1)
    principal = await new_principal(owner)
    ids = [*IDS, *(str(uuid4()) for _ in range(5))]
    times = [NOON - timedelta(days=40 * (place % 2)) for place in range(len(ids))]
    content = blake2b(b"content", digest_size=16).digest()
    connection = await connect(url)
    for place, (event_id, at) in enumerate(zip(ids, times, strict=True), 1):
        await connection.execute("SELECT ensure_event_partition($1)", at.date())
        key = blake2b(event_id.encode(), digest_size=16).digest()
        row = (principal.tenant_id, place, at, datetime.now(UTC))
        await connection.execute(
            "INSERT INTO event (tenant_id, position, occurred_at, received_at, kind, name, id)"
            " VALUES ($1, $2, $3, $4, 5, 1, $5)",
            *row,
            event_id,
        )
        await connection.execute(
            "INSERT INTO event_key (tenant_id, position, occurred_at, received_at, key, content)"
            " VALUES ($1, $2, $3, $4, $5, $6)",
            *row,
            key,
            content,
        )
    await connection.execute("INSERT INTO term VALUES ($1, 0, 1, 'view')", principal.tenant_id)
    await connection.execute("INSERT INTO data_version VALUES ($1, 0, $2)", principal.tenant_id, len(ids))
    await connection.close()
    await owner.close()
    await migrate(url)
    events = [Event(one, Kind.PRODUCT, "view", "ann", at, content) for one, at in zip(ids, times, strict=True)]
    async with running_services(url) as services:
        told = await services.writer.write(principal.tenant_id, events)
        assert [first is not None and first.same for first in told] == [True] * len(ids)
        new = Event("new", Kind.PRODUCT, "view", "ann", NOON, content)
        assert await services.writer.write(principal.tenant_id, [new, events[0]]) == [None, told[0]]
