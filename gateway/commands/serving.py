"""``gateway serve``: the service from start to stop."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from gateway import server
from gateway.app import Gateway, create_app
from gateway.commands.common import DataDirOption, console, database, errors, owner, pepper
from gateway.settings import Settings, load_settings
from gateway.telemetry import configure_logging
from resolvers import keys, tenants
from resolvers.context import Role
from resolvers.store.database import Database, connect

FIRST_TENANT = "default"

HostOption = Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")]
PortOption = Annotated[
    int | None, typer.Option(help="Port to listen on; 0 takes a free one.", show_default="8000", min=0, max=65535)
]


def serve(host: HostOption = None, port: PortOption = None, data_dir: DataDirOption = None) -> None:
    """Run the gateway, with an embedded PostgreSQL unless DATABASE_URL names one.

    The first start makes the tenant `default` and prints its admin key, or takes it from GATEWAY_BOOTSTRAP_KEY.
    """
    settings = start_up(host, port, data_dir)
    with (
        server.bind(settings.host, settings.port) as listener,
        orderly_end(),
        database(settings, share=False) as url,
        unhurried_end(),
    ):
        port = listener.getsockname()[1]
        key = asyncio.run(first_key(url, settings))

        def announce() -> None:
            console.print(f"Metrics Gateway listens on {address(settings, port)}")
            console.print(f"  GraphiQL   {address(settings, port)}/graphiql")
            if key is not None:
                console.print(f"  Admin key  {key}  (tenant {FIRST_TENANT}; shown this once)", soft_wrap=True)

        app = create_app(settings, url)
        gateway: Gateway = app.state.gateway
        server.run(
            app,
            settings,
            listener,
            crowd=gateway.crowd,
            rounds=gateway.rounds,
            on_ready=announce,
            on_stop=gateway.begin_stop,
        )


def start_up(host: str | None, port: int | None, data_dir: Path | None) -> Settings:
    """Read the settings and begin to log; warns of what is open to others."""
    settings = load_settings(host=host, port=port, data_dir=data_dir)
    configure_logging(settings.log_format, settings.log_level)
    if not settings.is_loopback and settings.database_url is None and settings.bootstrap_key is None:
        errors.print(
            f"Warning: {settings.host} is open to other machines, nothing is configured, and keys travel unencrypted. "
            "Put a proxy that speaks TLS in front, and set GATEWAY_BOOTSTRAP_KEY and DATABASE_URL."
        )
    return settings


def address(settings: Settings, port: int) -> str:
    """Where a browser on this machine finds the gateway."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104  # compared, not bound
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def first_key(url: str, settings: Settings) -> str | None:
    """Make the first tenant and its admin key where there is no tenant yet.

    Returns the key to be shown; None where there is none or it was given from outside.
    """
    given = settings.bootstrap_key.get_secret_value() if settings.bootstrap_key else None
    alone = await connect(url)
    try:
        # Of gateways that start together on a database, one makes the key and the others find it made.
        await alone.execute("SELECT pg_advisory_lock(hashtext('gateway.first_key'), 0)")
        async with owner(url) as opened:
            tenant = await _first_tenant(opened)
            if tenant is None:
                return None
            secret = await pepper(opened, settings)
            made = await keys.create_key(opened, tenant.id, Role.ADMIN, "first key", pepper=secret, secret=given)
    finally:
        await alone.close()
    return made.secret if given is None else None


async def _first_tenant(opened: Database) -> tenants.Tenant | None:
    """The first tenant if it is new, or was left without a key by a start that was cut short."""
    existing = await tenants.tenants(opened)
    if not existing:
        return await tenants.create_tenant(opened, FIRST_TENANT)
    only = existing[0]
    unused = len(existing) == 1 and only.slug == FIRST_TENANT and not await keys.keys(opened, only.id)
    return only if unused else None


@contextmanager
def orderly_end() -> Iterator[None]:
    """Let SIGTERM, like SIGINT, unwind the process with exit code 0, so that what was started is stopped."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        # asyncio knows how to end its main task at SIGINT; an exception raised here might land in any task of it.
        signal.raise_signal(signal.SIGINT)

    # A shell starts background jobs with SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    except KeyboardInterrupt:
        raise SystemExit(0) from None


@contextmanager
def unhurried_end() -> Iterator[None]:
    """After the block a repeated signal does not interrupt what stops the database."""
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
