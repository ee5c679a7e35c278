"""Keys: shown once, told by their hash, gone at once when revoked."""

import asyncio

import pytest
from sqlalchemy import event as sqlalchemy_event
from sqlalchemy import text

from resolvers.context import Context, Principal, Role, Services
from resolvers.errors import BadInput, NotFound, Unauthenticated
from resolvers.keys import Authenticator, create_key, keys, pepper, revoke_key
from resolvers.live.bus import Bus
from resolvers.store.database import Database, connect
from resolvers.tenants import create_tenant, tenant_by_slug, tenants


@pytest.fixture
async def secret(owner: Database) -> bytes:
    return await pepper(owner)


async def test_a_key_tells_its_tenant_and_role(
    owner: Database, services: Services, principal: Principal, secret: bytes
) -> None:
    made = await create_key(owner, principal.tenant_id, Role.ANALYST, "mine", pepper=secret)
    found = await Authenticator(services.database, secret).authenticate(made.secret)
    assert found is not None
    assert (found.tenant_id, found.tenant, found.role) == (principal.tenant_id, principal.tenant, Role.ANALYST)
    assert found.key_id == made.key.id


@pytest.mark.parametrize("token", ["", "x", "mg_" + "A" * 32, "é" * 20, "\ud800", "a" * 10_000, "' OR 1=1 --"])
async def test_what_is_no_key_is_refused(services: Services, secret: bytes, token: str) -> None:
    with pytest.raises(Unauthenticated):
        await Authenticator(services.database, secret).authenticate(token)


async def test_no_key_is_nobody(services: Services, secret: bytes) -> None:
    assert await Authenticator(services.database, secret).authenticate(None) is None


async def test_only_the_hash_is_stored_and_another_pepper_makes_another(
    owner: Database, services: Services, principal: Principal, secret: bytes
) -> None:
    made = await create_key(owner, principal.tenant_id, Role.ADMIN, "mine", pepper=secret)
    async with owner.shared() as session:
        rows = await (await session.connection()).execute(text("SELECT api_key::text FROM api_key"))
        assert all(made.secret not in row[0] for row in rows)
    with pytest.raises(Unauthenticated):
        await Authenticator(services.database, b"another pepper").authenticate(made.secret)
    assert await pepper(owner, "given") == b"given"


async def test_a_revoked_key_is_gone_in_every_process_at_once(
    owner: Database, services: Services, principal: Principal, secret: bytes, database_url: str
) -> None:
    authenticator = Authenticator(services.database, secret)
    heard = asyncio.Event()

    def revoked(key_id: int) -> None:
        authenticator.forget(key_id)
        heard.set()

    bus = Bus(lambda: connect(database_url), revoked=revoked)
    bus.start()
    made = await create_key(owner, principal.tenant_id, Role.ADMIN, "mine", pepper=secret)
    other = await create_key(owner, principal.tenant_id, Role.ADMIN, "other", pepper=secret)
    async with asyncio.timeout(10):
        await bus.ready.wait()
        assert await authenticator.authenticate(made.secret) is not None
        gone = await revoke_key(owner, principal.tenant_id, made.key.id)
        await heard.wait()
    await bus.stop()
    assert gone.revoked_at is not None
    with pytest.raises(Unauthenticated):
        await authenticator.authenticate(made.secret)
    assert await authenticator.authenticate(other.secret) is not None


async def test_last_use_is_written_down(
    owner: Database, services: Services, principal: Principal, secret: bytes
) -> None:
    made = await create_key(owner, principal.tenant_id, Role.INGEST, "mine", pepper=secret)
    authenticator = Authenticator(services.database, secret)
    await authenticator.authenticate(made.secret)
    await authenticator.note_use()
    (listed,) = await keys(owner, principal.tenant_id)
    assert listed.last_used_at is not None
    assert listed.prefix == made.secret[:7]


@pytest.mark.parametrize("given", ["short", "x" * 15, "with\nbreak in the text", "é" * 20])
async def test_a_key_from_outside_must_be_usable(
    owner: Database, principal: Principal, secret: bytes, given: str
) -> None:
    with pytest.raises(BadInput):
        await create_key(owner, principal.tenant_id, Role.ADMIN, "mine", pepper=secret, secret=given)


async def test_a_key_from_outside_is_taken_once(owner: Database, principal: Principal, secret: bytes) -> None:
    given = f"given-from-outside-{principal.tenant_id}"
    made = await create_key(owner, principal.tenant_id, Role.ADMIN, "mine", pepper=secret, secret=given)
    assert made.secret == given
    with pytest.raises(BadInput):
        await create_key(owner, principal.tenant_id, Role.ADMIN, "again", pepper=secret, secret=given)


async def test_a_key_that_is_not_there_cannot_be_revoked(owner: Database, principal: Principal) -> None:
    with pytest.raises(NotFound):
        await revoke_key(owner, principal.tenant_id, 2**31 - 1)


async def test_tenants_are_made_once_and_listed(owner: Database, context: Context) -> None:
    made = await create_tenant(owner, "north-wind", currency="EUR", timezone="Europe/Berlin")
    assert await tenant_by_slug(owner, "north-wind") == made
    assert made in await tenants(owner)
    with pytest.raises(BadInput, match="already"):
        await create_tenant(owner, "north-wind")


@pytest.mark.parametrize(
    ("slug", "currency", "timezone", "field"),
    [
        ("", "USD", "UTC", "slug"),
        ("Capital", "USD", "UTC", "slug"),
        ("-x", "USD", "UTC", "slug"),
        ("x" * 64, "USD", "UTC", "slug"),
        ("good", "XYZ", "UTC", "currency"),
        ("good", "USD", "Mars/Olympus", "timezone"),
        ("good", "USD", "../../etc/passwd", "timezone"),
    ],
)
async def test_a_malformed_tenant_is_refused(
    owner: Database, slug: str, currency: str, timezone: str, field: str
) -> None:
    with pytest.raises(BadInput) as refused:
        await create_tenant(owner, slug, currency=currency, timezone=timezone)
    assert refused.value.field == field


async def test_a_flood_of_unknown_keys_costs_few_questions(
    owner: Database, services: Services, principal: Principal, secret: bytes
) -> None:
    good = (await create_key(owner, principal.tenant_id, Role.VIEWER, "good", pepper=secret)).secret
    asked: list[str] = []

    def count(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        asked.append(statement)

    sqlalchemy_event.listen(services.database.engine.sync_engine, "before_cursor_execute", count)
    authenticator = Authenticator(services.database, secret)
    found = await asyncio.gather(
        *(authenticator.authenticate(f"unknown-{n}") for n in range(200)),
        authenticator.authenticate(good),
        return_exceptions=True,
    )
    sqlalchemy_event.remove(services.database.engine.sync_engine, "before_cursor_execute", count)
    assert [type(one) for one in found] == [Unauthenticated] * 200 + [Principal]
    assert len(asked) <= 2
