"""What gateways share through Redis: an accelerator, whose absence makes things slower and never wrong.

Whoever can write to that Redis can neither run anything here nor forge an answer: each value is sealed under a secret
that only the gateways of one database know, and together with its key, so that it counts nowhere else. A value with any
other seal is as if it were not there.

While Redis does not answer, nobody waits for it: it is left alone until it answers a probe.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from enum import Enum
from hashlib import blake2b
from hmac import compare_digest
from typing import Any

import structlog
from aiocache.backends.redis import RedisBackend
from aiocache.serializers import NullSerializer
from redis.asyncio import BlockingConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ResponseError

from resolvers.live.tasks import ended

_SECONDS = 0.25
"""How long an answer of Redis is waited for, connecting included."""
_CONNECTIONS = 16
_PATIENCE = (0.1, 0.5, 1.0, 2.0, 5.0)
_PROBE = 5.0
_SEAL = 16
LARGEST = 1 << 20
"""Bytes of a value."""

log = structlog.get_logger(__name__)


class RedisState(Enum):
    """How Redis does."""

    UP = "up"
    AWAY = "away"
    """It does not answer, or not to us."""
    REFUSING = "refusing"
    """It answers, and takes nothing in: it is full, or read-only."""


class Redis(RedisBackend):  # type: ignore[misc]  # aiocache has no types
    """aiocache's Redis, reached by an address, over commands that Redis does not advise against."""

    def __init__(self, url: str) -> None:
        def pool(**_: Any) -> BlockingConnectionPool:
            # One new try: a connection that lay idle may have been closed.
            retry = Retry(NoBackoff(), 1)
            return BlockingConnectionPool.from_url(
                url, max_connections=_CONNECTIONS, timeout=_SECONDS, protocol=2, retry=retry
            )

        super().__init__(serializer=NullSerializer(encoding=None), timeout=_SECONDS, connection_pool_class=pool)

    async def ping(self) -> None:
        """Return once it answers; raises otherwise."""
        async with asyncio.timeout(_SECONDS):
            await self.client.ping()

    async def publish(self, channel: str, message: bytes) -> None:
        """Send a message to those who listen at this moment."""
        async with asyncio.timeout(_SECONDS):
            await self.client.publish(channel, message)

    async def _get(self, key: str, encoding: str | None = None, _conn: Any = None) -> Any:
        # What is larger was not put there by us, and is not read whole.
        return await self.client.getrange(key, 0, LARGEST + _SEAL - 1) or None

    async def _set(
        self, key: str, value: Any, ttl: float | None = None, _cas_token: Any = None, _conn: Any = None
    ) -> bool:
        return bool(await self.client.set(key, value, px=None if ttl is None else int(ttl * 1000)))

    async def _close(self, *args: Any, _conn: Any = None, **kwargs: Any) -> None:
        await self.client.aclose()


class SharedMemory:
    """Values that the gateways of one ``namespace`` share, sealed with ``secret``; never raises."""

    def __init__(self, url: str, namespace: str, secret: bytes) -> None:
        self._redis = Redis(url)
        self._namespace = namespace
        self.channel = f"gateway:{namespace}"
        self._secret = secret
        self._task: asyncio.Task[None] | None = None
        self._lost = asyncio.Event()
        self.state = RedisState.AWAY
        self._told: RedisState | None = None
        self.up = asyncio.Event()
        """Set while Redis answers."""

    def start(self) -> None:
        self._task = asyncio.create_task(self._attend(), name="redis")

    async def stop(self) -> None:
        if self._task is not None:
            await ended([self._task])
        with contextlib.suppress(Exception):
            await self._redis.close(timeout=_SECONDS)

    async def get(self, key: str) -> bytes | None:
        """The value under ``key``; None where there is none, or none of ours, or Redis is away."""
        if self.state is RedisState.AWAY:
            return None
        name = self._name(key)
        try:
            found = await self._redis.get(name)
        except Exception as error:
            self._failed(error)
            return None
        return self._opened(name, found)

    async def put(self, key: str, value: bytes, lasting: timedelta) -> None:
        """Keep ``value`` under ``key``, where Redis takes it and it is not too large."""
        if self.state is RedisState.AWAY or len(value) > LARGEST:
            return
        name = self._name(key)
        try:
            await self._redis.set(name, self._seal(name, value) + value, ttl=lasting.total_seconds())
        except Exception as error:
            self._failed(error)
        else:
            self._become(RedisState.UP)

    async def publish(self, message: bytes) -> None:
        """Send ``message`` to all who listen, where Redis takes it."""
        if self.state is RedisState.AWAY:
            return
        try:
            await self._redis.publish(self.channel, self._seal(self.channel, message) + message)
        except Exception as error:
            self._failed(error)

    async def messages(self) -> AsyncIterator[bytes]:
        """What gateways publish from now on, until Redis is lost; raises what it meets."""
        async with self._redis.client.pubsub(ignore_subscribe_messages=True) as subscription:
            async with asyncio.timeout(_SECONDS):
                await subscription.subscribe(self.channel)
            while self.up.is_set():
                message = await subscription.get_message(timeout=_PROBE)
                opened = None if message is None else self._opened(self.channel, message["data"])
                if opened is not None:
                    yield opened

    def _name(self, key: str) -> str:
        # The key begins with the tenant; the rest of it may be long.
        tenant, _, rest = key.partition("|")
        return f"gateway:{self._namespace}:{tenant}:{blake2b(rest.encode(), digest_size=16).hexdigest()}"

    def _opened(self, name: str, sealed: object) -> bytes | None:
        if not isinstance(sealed, bytes) or not compare_digest(sealed[:_SEAL], self._seal(name, sealed[_SEAL:])):
            return None
        return sealed[_SEAL:]

    def _seal(self, name: str, value: bytes) -> bytes:
        return blake2b(b"%s\0%s" % (name.encode(), value), key=self._secret, digest_size=_SEAL).digest()

    def _failed(self, error: Exception) -> None:
        if isinstance(error, ResponseError):
            self._become(RedisState.REFUSING, error)
        else:
            self._become(RedisState.AWAY, error)
            self._lost.set()

    def _become(self, state: RedisState, error: Exception | None = None) -> None:
        if state is self._told:
            return
        self.state = self._told = state
        if state is RedisState.AWAY:
            self.up.clear()
        else:
            self.up.set()
        # Of an error only its sort: what it says may hold the address.
        tell = log.info if state is RedisState.UP else log.warning
        tell(f"redis.{state.value}", **({} if error is None else {"error": type(error).__name__}))

    async def _attend(self) -> None:
        """Probe Redis: now and then, and again and again while it is away."""
        tries = 0
        while True:
            self._lost.clear()
            try:
                await self._redis.ping()
            except Exception as error:
                self._become(RedisState.AWAY, error)
                await asyncio.sleep(_PATIENCE[min(tries, len(_PATIENCE) - 1)])
                tries += 1
            else:
                if self.state is RedisState.AWAY:
                    self._become(RedisState.UP)
                tries = 0
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_PROBE):
                        await self._lost.wait()
