"""Which role a field needs: declared where the field is, checked before its resolver runs, said in its description."""

from collections.abc import Callable
from inspect import isawaitable
from typing import Any

import strawberry
from strawberry.extensions import FieldExtension
from strawberry.types.field import StrawberryField

from resolvers.context import Context, Role
from schema.shapes import enumerate_in_schema

Info = strawberry.Info[Context, None]
"""What a resolver is given of the request; ``info.context`` is the resolvers' context."""

enumerate_in_schema(
    Role,
    "What a key may do.",
    {
        "INGEST": "Send events, and read nothing: for services and public front ends.",
        "VIEWER": "Read every answer.",
        "ANALYST": "Read every answer, keep definitions and send events.",
        "ADMIN": "Everything.",
    },
)

_REACHED_BY = {
    None: "`INGEST`, `VIEWER`, `ANALYST` or `ADMIN`",
    Role.INGEST: "`INGEST`, `ANALYST` or `ADMIN`",
    Role.VIEWER: "`VIEWER`, `ANALYST` or `ADMIN`",
    Role.ANALYST: "`ANALYST` or `ADMIN`",
    Role.ADMIN: "`ADMIN`",
}


class Needs(FieldExtension):
    """Refuses a caller whose role does not reach the field."""

    def __init__(self, role: Role | None) -> None:
        self.role = role

    def resolve(self, next_: Callable[..., Any], source: Any, info: Info, **arguments: Any) -> Any:
        info.context.require(self.role)
        return next_(source, info, **arguments)

    async def resolve_async(self, next_: Callable[..., Any], source: Any, info: Info, **arguments: Any) -> Any:
        info.context.require(self.role)
        result = next_(source, info, **arguments)
        return await result if isawaitable(result) else result


INSTANT = "instant"
"""The key of a field's metadata that says whether it is answered from memory and need not wait for its turn."""


def field(
    role: Role | None,
    graphql_type: object,
    description: str,
    *,
    is_subscription: bool = False,
    is_instant: bool = False,
) -> Callable[[Callable[..., Any]], StrawberryField]:
    """Make a resolver a field that refuses, before the resolver runs, whoever ``role`` is not reached by; of those who
    have a key None refuses nobody.

    Unauthenticated without a key, Forbidden with one whose role does not reach; the description says what is needed.
    One that is instant computes next to nothing and reads next to nothing of the database.
    """
    decorator: Callable[[Callable[..., Any]], StrawberryField] = strawberry.field(
        graphql_type=graphql_type,
        description=f"{description}\n\nNeeds a key with the role {_REACHED_BY[role]}.",
        extensions=[Needs(role)],
        is_subscription=is_subscription,
        metadata={INSTANT: is_instant},
    )
    return decorator
