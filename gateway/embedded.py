"""The PostgreSQL that the gateway brings along, for whoever sets no DATABASE_URL."""

import contextlib
import fcntl
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Self
from urllib.parse import quote

import structlog

from gateway.postgres_server import MAJOR_VERSION, SOCKET, SUPERUSER, EmbeddedPostgresError, PostgresPrograms

START_SECONDS = 120
"""A start after a crash replays up to ``max_wal_size`` of log first."""
STOP_SECONDS = 4
_POLL_SECONDS = 0.02
_SOCKET_PATH_LIMIT = 100
_PLAIN_PATH = re.compile(r"[A-Za-z0-9/._-]+")

_log = structlog.get_logger(__name__)


class EmbeddedPostgres:
    """A PostgreSQL server of this process, its data below ``data_dir``, reachable by a Unix socket only.

    One gateway owns a folder at a time; the next start copes with a server that outlived its gateway's sudden
    death, and a server that dies is started again under the same URL. With ``share`` a second process may use
    the server of the owner (a command beside a running gateway) instead of being refused.

    Raises EmbeddedPostgresError wherever a person must act.
    """

    def __init__(self, data_dir: Path, *, share: bool = False) -> None:
        self._folder = data_dir.expanduser().absolute()
        self._cluster = self._folder / "postgres"
        self._share = share
        self._lock: IO[str] | None = None
        self._link: Path | None = None
        self._programs: PostgresPrograms | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: threading.Thread | None = None
        self._stopping = threading.Event()
        self._launching = threading.Lock()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """``postgresql://…`` of the server; valid from start to stop."""
        return f"postgresql://{SUPERUSER}@/postgres?host={quote(str(self._socket_folder()))}"

    def start(self) -> str:
        """Start the server, or find the owner's, and return its URL once it accepts connections."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self._acquire():
                self._start_owned()
            else:
                self._await_owner()
        except OSError as error:
            self.stop()
            raise EmbeddedPostgresError(f"The data folder {self._folder} cannot be used: {error}.") from error
        except BaseException:
            self.stop()
            raise
        return self.url

    def stop(self) -> None:
        """Stop the server if it is ours; committed data is safe whichever way it ends. May be repeated."""
        self._stopping.set()
        with self._launching:
            if self._process is not None:
                _end(self._process)
        if self._watcher is not None:
            self._watcher.join()
        if self._link is not None:
            shutil.rmtree(self._link.parent, ignore_errors=True)
        if self._lock is not None:
            self._lock.close()
        self._process = self._watcher = self._link = self._lock = None
        self._stopping.clear()

    def _acquire(self) -> bool:
        lock = (self._folder / "gateway.lock").open("a+", encoding="ascii")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            owner = lock.read().strip()
            lock.close()
            if self._share:
                return False
            raise EmbeddedPostgresError(
                f"Another gateway (process {owner or 'unknown'}) uses the data folder {self._folder}. "
                "Stop it, choose another folder with --data-dir, or share one server with DATABASE_URL."
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock
        return True

    def _start_owned(self) -> None:
        self._programs = PostgresPrograms.find(self._cluster)
        if not self._cluster.exists():
            self._programs.create_cluster(self._cluster)
        found = (self._cluster / "PG_VERSION").read_text(encoding="ascii").strip()
        if found != MAJOR_VERSION:
            raise EmbeddedPostgresError(
                f"{self._cluster} was written by PostgreSQL {found}; this gateway brings {MAJOR_VERSION}. "
                "Choose another folder with --data-dir or set DATABASE_URL."
            )
        self._stop_orphan()
        self._launch_once_free()
        self._watcher = threading.Thread(target=self._watch, name="embedded-postgres", daemon=True)
        self._watcher.start()

    def _launch_once_free(self) -> None:
        """A killed server's last processes hold its shared memory a moment longer and keep a new one out."""
        deadline = time.monotonic() + STOP_SECONDS
        while True:
            try:
                return self._launch("wb")
            except EmbeddedPostgresError:
                if time.monotonic() > deadline:
                    raise
            self._stopping.wait(0.2)

    def _await_owner(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not (self._status() == "ready" and self._answers()):
            if time.monotonic() > deadline:
                raise EmbeddedPostgresError(f"The gateway that uses {self._folder} does not get its database up.")
            time.sleep(_POLL_SECONDS)

    def _launch(self, mode: str) -> None:
        assert self._programs is not None
        log = self._folder / "postgres.log"
        with log.open(mode) as output:
            process = self._process = self._programs.launch(self._cluster, output)
        deadline = time.monotonic() + START_SECONDS
        while not self._is_ready(process.pid):
            if process.poll() is not None or time.monotonic() > deadline:
                _end(process)
                lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-8:]
                raise EmbeddedPostgresError("\n".join([f"PostgreSQL did not start; the end of {log}:", *lines]))
            if self._stopping.wait(_POLL_SECONDS):
                return

    def _watch(self) -> None:
        while (process := self._process) is not None:
            code = process.wait()
            with self._launching:
                if self._stopping.is_set():
                    return
                _log.warning("embedded PostgreSQL ended by itself; starting it again", code=code)
                try:
                    self._launch("ab")
                except (EmbeddedPostgresError, OSError) as error:
                    _log.error("embedded PostgreSQL does not start", reason=str(error))
            self._stopping.wait(_POLL_SECONDS if process is not self._process else 1)

    def _stop_orphan(self) -> None:
        pid = self._postmaster().get("pid")
        # A process id alone may by now be anybody's; whoever answers on the cluster's socket is its server.
        if pid is None or not self._answers():
            return
        _log.info("stopping the PostgreSQL that an earlier gateway left behind", process=pid)
        for request in (signal.SIGINT, signal.SIGQUIT):
            os.kill(int(pid), request)
            deadline = time.monotonic() + STOP_SECONDS * 5
            while time.monotonic() < deadline:
                if not self._postmaster():
                    return
                time.sleep(_POLL_SECONDS)
        raise EmbeddedPostgresError(f"PostgreSQL (process {pid}) of an earlier gateway does not end. Stop it first.")

    def _postmaster(self) -> dict[str, str]:
        try:
            lines = (self._cluster / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return {}
        return dict(
            zip(
                ("pid", "folder", "started", "port", "socket", "host", "memory", "status"),
                lines,
                strict=False,
            )
        )

    def _is_ready(self, pid: int) -> bool:
        return self._postmaster().get("pid") == str(pid) and self._status() == "ready"

    def _status(self) -> str:
        return self._postmaster().get("status", "").strip()

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(self._socket_folder() / SOCKET))
            except OSError:
                return False
        return True

    def _socket_folder(self) -> Path:
        """The cluster's folder, or a short plain name for it: socket paths are limited, hosts split at
        commas.
        """
        name = str(self._cluster)
        if len(name) + len(SOCKET) < _SOCKET_PATH_LIMIT and _PLAIN_PATH.fullmatch(name):
            return self._cluster
        if self._link is None:
            self._link = Path(tempfile.mkdtemp(prefix="gateway-", dir="/tmp")) / "postgres"
            self._link.symlink_to(self._cluster)
        return self._link


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        _wake(process.pid)
    for request, seconds in ((signal.SIGINT, STOP_SECONDS), (signal.SIGQUIT, 1), (signal.SIGKILL, STOP_SECONDS)):
        process.send_signal(request)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            continue
        return


def _wake(server: int) -> None:
    """Let a server that was stopped (SIGSTOP) go on, and its processes: else it does not hear that it is to end."""
    try:
        children = Path(f"/proc/{server}/task/{server}/children").read_text(encoding="ascii").split()
    except OSError:
        children = []
    for pid in (server, *map(int, children)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
