"""What may be asked of the gateway: the GraphQL schema."""

import strawberry
from strawberry.schema.config import StrawberryConfig

from schema.errors import HANDLERS
from schema.nulls import each_by_itself
from schema.one_of import checked_by_graphql
from schema.roots import Mutation, Query, Subscription
from schema.scalars import SCALARS


def build() -> strawberry.Schema:
    """A schema without extensions: whoever serves it adds its own limits and caches."""
    return checked_by_graphql(
        strawberry.Schema(
            query=each_by_itself(Query),
            mutation=Mutation,
            subscription=each_by_itself(Subscription),
            config=StrawberryConfig(scalar_map=SCALARS),
            exception_handlers=HANDLERS,
        )
    )


schema = build()
