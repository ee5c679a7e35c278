"""Holdouts: shares of all subjects that are kept out of experiments."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated

import strawberry

from resolvers import holdouts
from resolvers.analysis import experiments as values
from resolvers.context import Role
from schema.access import Info, field
from schema.errors import Forbidden, InvalidInput, Overloaded, Unauthenticated
from schema.experiment_definitions import SHARE, read_parts
from schema.experiment_definitions import share as shown_share


@strawberry.type(description="A share of all subjects that takes part in none of the experiments that name it.")
class Holdout:
    name: str = strawberry.field(description="What experiments call it by.")
    share: Decimal = strawberry.field(description="How many of all subjects are held out, a share.")
    created_at: datetime = strawberry.field(description="When the name was first saved.")

    @classmethod
    def of(cls, kept: values.Holdout) -> "Holdout":
        return cls(name=kept.name, share=shown_share(kept.parts), created_at=kept.created_at)


@strawberry.type
class HoldoutQuery:
    @field(Role.VIEWER, list[Holdout], "The tenant's holdouts, by name; at most 100.")
    async def holdouts(self, info: Info) -> list[Holdout]:
        return list(map(Holdout.of, await holdouts.holdouts(info.context)))


@strawberry.input(description="A holdout to keep.")
class SaveHoldoutInput:
    name: str = strawberry.field(description="What experiments call it by, at most 200 characters.")
    share: object = strawberry.field(
        graphql_type=Decimal,
        description=f"How many of all subjects are held out, {SHARE}; it stays while experiments that name it run.",
    )


@strawberry.type(description="The holdout is kept.")
class SaveHoldoutPayload:
    holdout: Holdout = strawberry.field(description="The holdout as it is now.")


SaveHoldoutResult = Annotated[
    SaveHoldoutPayload | InvalidInput | Unauthenticated | Forbidden | Overloaded,
    strawberry.union("SaveHoldoutResult", description="The holdout that is kept, or why it is not."),
]


@strawberry.type
class HoldoutMutation:
    @field(Role.ANALYST, SaveHoldoutResult, "Keep a holdout under a name, in place of the one that had the name.")
    async def save_holdout(
        self, info: Info, input: Annotated[SaveHoldoutInput, strawberry.argument(description="The holdout.")]
    ) -> SaveHoldoutPayload:
        kept = await holdouts.save_holdout(info.context, input.name, read_parts(input.share, "share"))
        return SaveHoldoutPayload(holdout=Holdout.of(kept))
