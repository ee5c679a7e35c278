"""Making and listing tenants: an owner's work, done from the command line."""

import re
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.exc import IntegrityError

from resolvers.analysis.clocks import zone
from resolvers.analysis.intake_values import Invalid, currency
from resolvers.errors import BadInput
from resolvers.store.database import Database
from resolvers.store.tenants import TenantRepository, TenantRow

_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Tenant:
    """A tenant: money is reported in ``currency``, days are cut in ``timezone`` unless a question says otherwise."""

    id: int
    slug: str
    currency: str
    timezone: str
    created_at: datetime


def _tenant(row: TenantRow) -> Tenant:
    assert row.tenant_id is not None
    return Tenant(row.tenant_id, row.slug, row.currency, row.timezone, row.created_at)


async def create_tenant(database: Database, slug: str, *, currency: str = "USD", timezone: str = "UTC") -> Tenant:
    """Make a tenant; raises BadInput where the slug is taken or malformed, the currency or the zone unknown."""
    if not _SLUG.fullmatch(slug):
        raise BadInput("A slug is 1 to 63 of a-z, 0-9 and hyphens between them.", field="slug")
    zone(timezone)
    try:
        async with database.shared() as session:
            return _tenant(await TenantRepository(session).add(slug, _currency(currency), timezone))
    except IntegrityError as error:
        raise BadInput(f"There is a tenant {slug} already.", field="slug") from error


def _currency(code: str) -> str:
    try:
        return currency(code)
    except Invalid as error:
        raise BadInput(str(error), field="currency") from error


async def tenants(database: Database) -> list[Tenant]:
    """All tenants, by slug."""
    async with database.shared() as session:
        return [_tenant(row) for row in await TenantRepository(session).all()]


async def tenant_by_slug(database: Database, slug: str) -> Tenant | None:
    async with database.shared() as session:
        row = await TenantRepository(session).by_slug(slug)
        return None if row is None else _tenant(row)
