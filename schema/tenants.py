"""Whose key it is."""

import strawberry

from resolvers.context import Principal, Role
from schema.access import Info, field
from schema.shapes import shapes


def _slug(root: strawberry.Parent[Principal]) -> str:
    return root.tenant


@shapes(Principal)
@strawberry.type(description="The tenant whose data the key reaches, and what the key may do.")
class Tenant:
    slug: str = strawberry.field(resolver=_slug, description="The tenant's name in addresses and commands.")
    currency: str = strawberry.field(description="ISO 4217 code of the currency in which answers sum up money.")
    timezone: str = strawberry.field(description="IANA time zone in which days begin where a question names no other.")
    role: Role = strawberry.field(description="The role of the key that asks.")


@strawberry.type
class TenantQuery:
    @field(
        Role.VIEWER,
        Tenant,
        "The tenant whose data the key reaches, and what the key may do.",
    )
    async def tenant(self, info: Info) -> Principal:
        return info.context.require(Role.VIEWER)
