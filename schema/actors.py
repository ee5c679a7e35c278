"""Who did something."""

import strawberry

from resolvers import actors
from schema.shapes import shapes


@shapes(actors.Actor)
@strawberry.type(description="The API key that did something.")
class Actor:
    prefix: str = strawberry.field(description="The key's first characters.")
    label: str = strawberry.field(description="What the key was called when it was made.")
