"""What gateways share through Redis, and what befalls them when Redis is ill: a forgotten value, and nothing else."""

import asyncio
import contextlib
import shutil
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from resolvers.live import shared
from resolvers.live.shared import LARGEST, RedisState, SharedMemory
from tests.redis_server import RedisServer, eventually, running

HOUR = timedelta(hours=1)
SECRET = b"s" * 32
pytestmark = pytest.mark.usefixtures("patient")
in_earnest = pytest.mark.parametrize("redis_seconds", [shared._SECONDS])


@asynccontextmanager
async def sharing(url: str, namespace: str = "ours", secret: bytes = SECRET) -> AsyncIterator[SharedMemory]:
    memory = SharedMemory(url, namespace, secret)
    memory.start()
    try:
        yield memory
    finally:
        await memory.stop()


@asynccontextmanager
async def connected(
    server: RedisServer, namespace: str = "ours", secret: bytes = SECRET
) -> AsyncIterator[SharedMemory]:
    async with sharing(server.url, namespace, secret) as memory:
        await eventually(memory.up.is_set)
        yield memory


async def test_what_one_puts_there_another_finds(redis: RedisServer) -> None:
    async with connected(redis) as one, connected(redis) as other:
        await one.put("1|key", b"value", HOUR)
        assert await other.get("1|key") == b"value"
        await other.put("1|key", b"", HOUR)
        assert await one.get("1|key") == b""


async def test_keys_tenants_namespaces_and_secrets_are_told_apart(redis: RedisServer) -> None:
    async with connected(redis) as one:
        await one.put("1|key", b"value", HOUR)
        for key in ("1|ke", "11|key", "2|key", "1|key ", "1", "|key", "1|1|key"):
            assert await one.get(key) is None
        async with connected(redis, "other") as other, connected(redis, secret=b"t" * 32) as stranger:
            assert await other.get("1|key") is None
            assert await stranger.get("1|key") is None


async def test_it_is_kept_for_a_while(redis: RedisServer) -> None:
    async with connected(redis) as one, redis.client() as client:
        await one.put("1|key", b"value", HOUR)
        (name,) = await client.keys("*")
        assert name.startswith(b"gateway:ours:1:")
        assert 0 < await client.ttl(name) <= 3600


async def test_what_is_too_large_is_neither_put_nor_read_whole(redis: RedisServer) -> None:
    async with connected(redis) as one, redis.client() as client:
        largest = b"x" * LARGEST
        await one.put("1|key", largest, HOUR)
        assert await one.get("1|key") == largest
        (name,) = await client.keys("*")
        await one.put("1|key", largest + b"x", HOUR)
        assert await one.get("1|key") == largest
        await client.append(name, b"x" * LARGEST)
        assert await one.get("1|key") == largest
        await client.setrange(name, 0, b"x" * LARGEST)
        assert await one.get("1|key") is None
        assert await one._redis.get(name) == b"x" * LARGEST + b"x" * 16


@pytest.mark.parametrize("garbage", [b"", b"x", b"\x80\x04N.", b"x" * 16, b"x" * 100_000])
async def test_what_a_stranger_puts_there_is_as_if_it_were_not(redis: RedisServer, garbage: bytes) -> None:
    async with connected(redis) as one, redis.client() as client:
        for key in ("1|key", "2|key"):
            await one.put(key, b"value", HOUR)
        mine, other = sorted(await client.keys("*"))
        # Another tenant's value, sealed as it is, counts only where it was put.
        for forged in (garbage, await client.get(other)):
            await client.set(mine, forged)
            assert await one.get("1|key") is None
        await client.delete(mine)
        await client.lpush(mine, garbage)
        assert await one.get("1|key") is None
        await one.put("1|key", b"again", HOUR)
        assert await one.get("1|key") == b"again"
        assert one.state is RedisState.UP


async def test_redis_killed_and_back(redis: RedisServer) -> None:
    async with connected(redis) as one:
        await one.put("1|key", b"value", HOUR)
        with capture_logs() as logs:
            await redis.kill()
            for _ in range(3):
                assert await one.get("1|key") is None
                await one.put("1|key", b"value", HOUR)
            assert one.state is RedisState.AWAY
            await redis.start()
            await eventually(one.up.is_set)
        assert [line["event"] for line in logs] == ["redis.away", "redis.up"]
        assert await one.get("1|key") is None
        await one.put("1|key", b"value", HOUR)
        assert await one.get("1|key") == b"value"


@in_earnest
async def test_redis_that_hangs_keeps_nobody_waiting_twice(redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    async with connected(redis) as one:

        async def found() -> bool:
            return await one.get("1|key") == b"value"

        async def kept() -> bool:
            await one.put("1|key", b"value", HOUR)
            return await found()

        await eventually(kept)
        redis.pause()
        assert await asyncio.gather(*(one.get("1|key") for _ in range(50))) == [None] * 50
        assert one.state is RedisState.AWAY
        with monkeypatch.context() as patched:
            # Whoever asks now does not even try.
            patched.setattr(one, "_redis", None)
            assert await one.get("1|key") is None
            await one.put("1|key", b"value", HOUR)
        redis.resume()
        await eventually(found)


async def test_redis_that_comes_later(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    with capture_logs() as logs:
        async with sharing(server.url) as one:
            await eventually(lambda: len(logs) == 1)
            assert await one.get("1|key") is None
            async with running(server):
                await eventually(one.up.is_set)
                await one.put("1|key", b"value", HOUR)
                assert await one.get("1|key") == b"value"
    assert [line["event"] for line in logs] == ["redis.away", "redis.up"]


async def test_a_full_redis_takes_nothing_in_and_still_gives_out(redis: RedisServer) -> None:
    async with connected(redis) as one, redis.client() as client:
        await one.put("1|key", b"value", HOUR)
        await client.set("somebody else's", "x" * 1_000_000)
        await client.config_set("maxmemory", "1mb")
        with capture_logs() as logs:
            for _ in range(3):
                await one.put("1|other", b"value", HOUR)
                assert await one.get("1|key") == b"value"
            assert one.state is RedisState.REFUSING
            await client.config_set("maxmemory", "0")
            await one.put("1|other", b"value", HOUR)
        assert one.state is RedisState.UP
        assert [line["event"] for line in logs] == ["redis.refusing", "redis.up"]


async def test_a_password_opens_it_and_is_told_nobody(tmp_path: Path) -> None:
    async with running(RedisServer(tmp_path, password="open-sesame")) as redis:
        with capture_logs() as logs:
            async with connected(redis) as one:
                await one.put("1|key", b"value", HOUR)
                assert await one.get("1|key") == b"value"
            async with sharing(redis.url.replace("sesame", "barley")) as refused:
                await eventually(lambda: len(logs) == 2)
                assert refused.state is RedisState.AWAY
    assert logs[1]["event"] == "redis.away"
    assert "open" not in str(logs)


async def test_it_is_reached_through_tls_where_the_certificate_is_trusted(tmp_path: Path) -> None:
    certificate, key = tmp_path / "certificate", tmp_path / "key"
    await certified(certificate, key)
    encrypted = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    encrypted.load_cert_chain(certificate, key)

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while said := await reader.read(10_000):
                writer.write(said)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        within, out = await asyncio.open_unix_connection(tmp_path / "redis")
        await asyncio.gather(pass_on(reader, out), pass_on(within, writer))

    async with running(RedisServer(tmp_path, password="open/sesame")):
        server = await asyncio.start_server(serve, "localhost", 0, ssl=encrypted)
        url = f"rediss://:open%2Fsesame@localhost:{server.sockets[0].getsockname()[1]}/0"
        async with server, sharing(f"{url}?ssl_ca_certs={certificate}") as one:
            await eventually(one.up.is_set)
            await one.put("1|key", b"value", HOUR)
            assert await one.get("1|key") == b"value"
            with capture_logs() as logs:
                async with sharing(url) as distrustful:
                    await eventually(lambda: len(logs) == 1)
                    assert distrustful.state is RedisState.AWAY
    assert "sesame" not in str(logs)


async def certified(certificate: Path, key: Path) -> None:
    """Write a certificate for localhost that signs itself, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("there is no openssl on this machine")
    made = await asyncio.create_subprocess_exec(
        *(openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"),
        *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-out", certificate, "-keyout", key),
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert await made.wait() == 0


@in_earnest
@pytest.mark.parametrize(
    "said", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b":1\r\n" * 9, b"$-5\r\n", b"*3\r\n", b"\xff" * 99]
)
async def test_what_is_no_redis_is_away(tmp_path: Path, said: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1000):
            writer.write(said)
        writer.close()

    server = await asyncio.start_unix_server(answer, tmp_path / "server")
    async with server, sharing(f"unix://{tmp_path}/server") as one:
        for _ in range(3):
            await one.put("1|key", b"value", HOUR)
            assert await one.get("1|key") is None


async def test_who_goes_away_leaves_no_answer_to_the_next(redis: RedisServer) -> None:
    async with connected(redis) as one:
        for number in range(20):
            await one.put(f"1|{number}", b"%d" % number, HOUR)
        for number in range(200):
            leaving = [asyncio.create_task(one.get(f"1|{other}")) for other in range(20)]
            for _ in range(number % 12):
                await asyncio.sleep(0)
            for task in leaving:
                task.cancel()
            assert await one.get(f"1|{number % 20}") == b"%d" % (number % 20)
            await asyncio.gather(*leaving, return_exceptions=True)
