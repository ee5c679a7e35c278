"""``gateway migrate``, ``tenants``, ``keys`` and ``schema``: what an administrator does from a shell."""

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Table

from gateway.commands.common import (
    DataDirOption,
    TenantOption,
    any_database,
    console,
    database,
    errors,
    owner,
    pepper,
    quiet_settings,
    tenant_named,
)
from resolvers import keys, tenants
from resolvers.context import Role
from resolvers.store.schema_version import migrate
from schema import schema

key_commands = typer.Typer(no_args_is_help=True, help="Make, list and revoke the API keys of a tenant.")
tenant_commands = typer.Typer(no_args_is_help=True, help="Make and list tenants.")


def migrate_command(data_dir: DataDirOption = None) -> None:
    """Bring the database's schema to the one this version needs; safe while gateways run."""
    with any_database(quiet_settings(data_dir)) as url:
        console.print(f"The database is at revision {asyncio.run(migrate(url))}.")


def schema_command(
    out: Annotated[Path | None, typer.Option(help="File to write; standard output without.", dir_okay=False)] = None,
) -> None:
    """Print the GraphQL schema in its definition language."""
    text = schema.as_str()
    if out is None:
        typer.echo(text)
    else:
        out.write_text(f"{text}\n", encoding="utf-8")


@tenant_commands.command("create")
def create_tenant(
    slug: Annotated[str, typer.Argument(help="Its name in commands: a-z, 0-9 and hyphens.")],
    currency: Annotated[str, typer.Option(help="Currency its reports are in, ISO 4217.")] = "USD",
    timezone: Annotated[str, typer.Option(help="IANA time zone that cuts its days.")] = "UTC",
    data_dir: DataDirOption = None,
) -> None:
    """Make a tenant: a world of its own, with its events, keys and definitions."""

    async def make(url: str) -> None:
        async with owner(url) as opened:
            await tenants.create_tenant(opened, slug, currency=currency, timezone=timezone)

    with database(quiet_settings(data_dir)) as url:
        asyncio.run(make(url))
    console.print(f"Made the tenant {slug}. `gateway keys create --tenant {slug}` makes its first key.")


@tenant_commands.command("list")
def list_tenants(data_dir: DataDirOption = None) -> None:
    """List the tenants."""

    async def read(url: str) -> list[tenants.Tenant]:
        async with owner(url) as opened:
            return await tenants.tenants(opened)

    with database(quiet_settings(data_dir)) as url:
        found = asyncio.run(read(url))
    table = Table("slug", "currency", "time zone", "created")
    for tenant in found:
        table.add_row(tenant.slug, tenant.currency, tenant.timezone, _moment(tenant.created_at))
    console.print(table)


@key_commands.command("create")
def create_key(
    tenant: TenantOption = "default",
    role: Annotated[
        Literal["ingest", "viewer", "analyst", "admin"],
        typer.Option(help="ingest writes events; viewer reads; analyst does both and keeps definitions; admin all."),
    ] = "viewer",
    label: Annotated[str, typer.Option(help="What it is for, shown in the list.")] = "",
    data_dir: DataDirOption = None,
) -> None:
    """Make a key and print it, this once: only its hash is kept."""
    settings = quiet_settings(data_dir)

    async def make(url: str) -> keys.NewKey:
        async with owner(url) as opened:
            found = await tenant_named(opened, tenant)
            secret = await pepper(opened, settings)
            return await keys.create_key(opened, found.id, Role[role.upper()], label, pepper=secret)

    with database(settings) as url:
        made = asyncio.run(make(url))
    errors.print(f"Key {made.key.id} of the tenant {tenant}, role {role}. It is not shown again:")
    typer.echo(made.secret)


@key_commands.command("list")
def list_keys(tenant: TenantOption = "default", data_dir: DataDirOption = None) -> None:
    """List a tenant's keys, revoked ones included."""

    async def read(url: str) -> list[keys.ApiKey]:
        async with owner(url) as opened:
            return await keys.keys(opened, (await tenant_named(opened, tenant)).id)

    with database(quiet_settings(data_dir)) as url:
        found = asyncio.run(read(url))
    table = Table("id", "begins", "role", "label", "created", "last used", "revoked")
    for key in found:
        moments = (_moment(at) for at in (key.created_at, key.last_used_at, key.revoked_at))
        table.add_row(str(key.id), f"{key.prefix}…", key.role.name.lower(), key.label, *moments)
    console.print(table)


@key_commands.command("revoke")
def revoke_key(
    key_id: Annotated[int, typer.Argument(help="The id that the list shows.")],
    tenant: TenantOption = "default",
    data_dir: DataDirOption = None,
) -> None:
    """Revoke a key at once: open connections that use it are closed."""

    async def revoke(url: str) -> None:
        async with owner(url) as opened:
            await keys.revoke_key(opened, (await tenant_named(opened, tenant)).id, key_id)

    with database(quiet_settings(data_dir)) as url:
        asyncio.run(revoke(url))
    console.print(f"Revoked key {key_id} of the tenant {tenant}.")


def _moment(at: datetime | None) -> str:
    return "" if at is None else f"{at:%Y-%m-%d %H:%M} UTC"
