"""API keys: making, listing, revoking them, and telling who sends one."""

import asyncio
import hmac
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b

from sqlalchemy import text

from resolvers.context import Principal, Role, utc_now
from resolvers.errors import BadInput, NotFound, Unauthenticated
from resolvers.live.bus import CHANNEL
from resolvers.store.database import Database
from resolvers.store.keys import ApiKeyRow, Holder, KeyRepository

SHORTEST = 16
"""The fewest characters of a key that is given from outside."""
_REMEMBERED = 10_000
_TRUSTED_SECONDS = 10.0
"""How long a key is taken as live without asking again, should word of its revocation get lost."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key without its secret; ``prefix`` is what is shown of it."""

    id: int
    tenant_id: int
    role: Role
    label: str
    prefix: str
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made: ``secret`` is what its holder sends, and is never to be seen again."""

    key: ApiKey
    secret: str


def _key(row: ApiKeyRow) -> ApiKey:
    assert row.key_id is not None
    return ApiKey(
        row.key_id,
        row.tenant_id,
        Role(row.role),
        row.label,
        row.prefix,
        row.created_at,
        row.last_used_at,
        row.revoked_at,
    )


async def pepper(owner: Database, configured: str | None = None) -> bytes:
    """The secret under which keys are hashed: as configured, else the installation's own."""
    if configured is not None:
        return configured.encode()
    async with owner.shared() as session:
        connection = await session.connection()
        return bytes((await connection.execute(text("SELECT secret FROM installation"))).scalar_one())


def digest(secret: str, pepper: bytes) -> bytes:
    """The keyed hash (BLAKE2b, 32 bytes) under which a key is stored and found."""
    return blake2b(secret.encode(errors="surrogatepass"), key=blake2b(pepper).digest(), digest_size=32).digest()


async def create_key(
    owner: Database, tenant_id: int, role: Role, label: str, *, pepper: bytes, secret: str | None = None
) -> NewKey:
    """Make a key of 192 random bits, or keep the one given; raises BadInput where that is short or taken."""
    if secret is not None and (len(secret) < SHORTEST or not secret.isascii() or not secret.isprintable()):
        raise BadInput(f"A key is at least {SHORTEST} printable ASCII characters.", field="secret")
    chosen = secret or f"mg_{secrets.token_urlsafe(24)}"
    hashed = digest(chosen, pepper)
    async with owner.shared() as session:
        repository = KeyRepository(session)
        if await repository.find(hashed) is not None:
            raise BadInput("This key exists already.", field="secret")
        return NewKey(_key(await repository.add(tenant_id, hashed, chosen[:7], label, int(role))), chosen)


async def keys(owner: Database, tenant_id: int) -> list[ApiKey]:
    """The keys of a tenant, oldest first, revoked ones included."""
    async with owner.shared() as session:
        return [_key(row) for row in await KeyRepository(session).all(tenant_id)]


async def revoke_key(owner: Database, tenant_id: int, key_id: int) -> ApiKey:
    """Revoke a key at once, in every process, open sockets included; raises NotFound."""
    async with owner.shared() as session:
        row = await KeyRepository(session).revoke(tenant_id, key_id, utc_now())
        if row is None:
            raise NotFound(f"The tenant has no key {key_id}.", field="id")
        connection = await session.connection()
        await connection.execute(text("SELECT pg_notify(:channel, :word)"), {"channel": CHANNEL, "word": f"k {key_id}"})
        return _key(row)


def _principal(holder: Holder) -> Principal:
    return Principal(holder.tenant_id, holder.slug, holder.currency, holder.timezone, holder.key_id, Role(holder.role))


class Authenticator:
    """Tells who sends a key, without asking the database each time."""

    def __init__(self, database: Database, pepper: bytes) -> None:
        self._database = database
        self._pepper = pepper
        self._known: OrderedDict[bytes, tuple[Principal, float]] = OrderedDict()
        self._forgotten = 0
        self._asking: dict[bytes, asyncio.Future[Principal]] = {}
        self._waiting: list[bytes] = []
        self._finder: asyncio.Task[None] | None = None
        self._used: dict[tuple[int, int], datetime] = {}

    async def authenticate(self, token: str | None) -> Principal | None:
        """The holder of a live key; None without one. Raises Unauthenticated for any other."""
        return None if token is None else self.trusted(token) or await self.find(token)

    async def find(self, token: str) -> Principal:
        """The holder of a live key, as the database says; raises Unauthenticated."""
        principal = await self._asked(digest(token, self._pepper))
        self._note(principal)
        return principal

    async def holder(self, tenant_id: int, key_id: int) -> Principal:
        """The holder of a key that is known by its number, as the database says; raises Unauthenticated."""
        async with self._database.tenant(tenant_id) as session:
            holder = await KeyRepository(session).live(tenant_id, key_id)
        if holder is None:
            raise Unauthenticated("The key is no longer valid.")
        return _principal(holder)

    def trusted(self, token: str) -> Principal | None:
        """The holder of a key that was found live within the last seconds, without asking the database."""
        known = self._known.get(digest(token, self._pepper))
        if known is None or known[1] <= time.monotonic():
            return None
        self._note(known[0])
        return known[0]

    def knew(self, token: str) -> bool:
        """Whether the key was live when the database was last asked about it, or is being asked about already."""
        hashed = digest(token, self._pepper)
        return hashed in self._known or hashed in self._asking

    def _note(self, principal: Principal) -> None:
        self._used[principal.tenant_id, principal.key_id] = utc_now()

    async def _asked(self, hashed: bytes) -> Principal:
        """Ask the database, once however many requests come with the key, or with other keys, at the same time."""
        asking = self._asking.get(hashed)
        if asking is None:
            asking = self._asking[hashed] = asyncio.get_running_loop().create_future()
            self._waiting.append(hashed)
            if self._finder is None or self._finder.done():
                self._finder = asyncio.create_task(self._find())
        return await asyncio.shield(asking)

    async def _find(self) -> None:
        """Look up the keys that wait, all together, until none does: a flood of unknown ones costs few questions."""
        while self._waiting:
            wanted, self._waiting = self._waiting, []
            forgotten = self._forgotten
            holders: dict[bytes, Holder] = {}
            failure: Exception = Unauthenticated("The API key is unknown or revoked.")
            try:
                async with self._database.shared() as session:
                    holders = await KeyRepository(session).holders(wanted)
            except Exception as error:
                failure = error
            for hashed in wanted:
                self._known.pop(hashed, None)
                asking, holder = self._asking.pop(hashed), holders.get(hashed)
                if holder is not None and hmac.compare_digest(holder.digest, hashed):
                    principal = _principal(holder)
                    asking.set_result(principal)
                    if forgotten == self._forgotten:
                        self._known[hashed] = (principal, time.monotonic() + _TRUSTED_SECONDS)
                else:
                    asking.set_exception(failure)
                    # Whoever asked may have left, and nobody else will look.
                    asking.exception()
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)

    def forget(self, key_id: int | None = None) -> None:
        """Ask the database again for this key, or for every key: it was revoked, or may have been."""
        self._forgotten += 1
        for hashed, (principal, _) in list(self._known.items()):
            if key_id in (None, principal.key_id):
                del self._known[hashed]

    async def note_use(self) -> None:
        """Write down when each key was last used."""
        used, self._used = self._used, {}
        for (tenant_id, key_id), at in used.items():
            async with self._database.tenant(tenant_id) as session:
                await KeyRepository(session).used(tenant_id, key_id, at)
