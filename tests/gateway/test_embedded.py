"""The embedded PostgreSQL: any folder, one owner, and no server or data lost to a sudden death."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

from gateway.embedded import EmbeddedPostgres
from gateway.postgres_server import EmbeddedPostgresError
from tests.processes import silence

ABANDON = """
import os, signal, sys
from pathlib import Path
from gateway.embedded import EmbeddedPostgres
print(EmbeddedPostgres(Path(sys.argv[1])).start(), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


async def _run(url: str, *statements: str) -> object:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        return [await connection.fetchval(statement) for statement in statements][-1]
    finally:
        await connection.close()


async def _started_at(url: str) -> object:
    try:
        return await _run(url, "SELECT pg_postmaster_start_time()")
    except (OSError, asyncpg.PostgresError):
        return None


def _server_process(folder: Path) -> int:
    return int((folder / "postgres" / "postmaster.pid").read_text().split()[0])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything in its name that a shell, a URL or a socket would stumble over."""
    return tmp_path_factory.mktemp("data") / f'it\'s, a "folder" % é {"long" * 20}'


async def test_data_survives_a_stop_and_settings_are_durable(folder: Path) -> None:
    with EmbeddedPostgres(folder) as server:
        await _run(server.url, "CREATE TABLE kept AS SELECT 7 AS n")
    with EmbeddedPostgres(folder) as server:
        assert await _run(server.url, "SELECT n FROM kept") == 7
        durable = "SELECT current_setting('fsync') || current_setting('synchronous_commit')"
        assert await _run(server.url, durable) == "onon"
    assert not (folder / "postgres" / "postmaster.pid").exists()


def test_a_second_gateway_is_told_who_has_the_folder(folder: Path) -> None:
    with (
        EmbeddedPostgres(folder),
        pytest.raises(EmbeddedPostgresError, match=rf"process {os.getpid()}\).*--data-dir"),
    ):
        EmbeddedPostgres(folder).start()


async def test_a_command_shares_the_running_server_and_leaves_it_running(folder: Path) -> None:
    with EmbeddedPostgres(folder) as server:
        with EmbeddedPostgres(folder, share=True) as guest:
            assert await _run(guest.url, "SELECT 1") == 1
        assert await _run(server.url, "SELECT 1") == 1


def test_the_next_start_takes_over_from_a_killed_gateway(tmp_path: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", ABANDON, tmp_path], capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL
    pid = _server_process(tmp_path)
    os.kill(pid, 0)
    with EmbeddedPostgres(tmp_path) as server:
        assert _server_process(tmp_path) != pid
        assert asyncio.run(_run(server.url, "SELECT 1")) == 1


async def test_a_server_that_dies_returns_under_the_same_url(folder: Path) -> None:
    with EmbeddedPostgres(folder) as server:
        url = server.url
        first = await _started_at(url)
        os.kill(_server_process(folder), signal.SIGKILL)
        async with asyncio.timeout(60):
            while await _started_at(url) in {None, first}:
                pass
        assert server.url == url


def test_a_server_that_was_stopped_where_it_was_ends_in_order(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path) as server:
        asyncio.run(_run(server.url, "CREATE TABLE kept AS SELECT 7 AS n"))
        silence(_server_process(tmp_path))
    assert not (tmp_path / "postgres" / "postmaster.pid").exists()
    assert "database system is shut down" in (tmp_path / "postgres.log").read_text(encoding="utf-8")
    with EmbeddedPostgres(tmp_path) as server:
        assert asyncio.run(_run(server.url, "SELECT n FROM kept")) == 7


def test_another_major_version_is_named(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").write_text("17\n")
    with pytest.raises(EmbeddedPostgresError, match=r"written by PostgreSQL 17"):
        EmbeddedPostgres(tmp_path).start()


def test_a_folder_that_cannot_be_one_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(EmbeddedPostgresError, match=r"The data folder .*file/below cannot be used"):
        EmbeddedPostgres(file / "below").start()


def test_the_log_is_shown_when_the_server_does_not_start(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path):
        pass
    with (tmp_path / "postgres" / "postgresql.conf").open("a") as configuration:
        configuration.write("no_such_setting = 1\n")
    with pytest.raises(EmbeddedPostgresError, match=r"(?s)did not start.*no_such_setting"):
        EmbeddedPostgres(tmp_path).start()
