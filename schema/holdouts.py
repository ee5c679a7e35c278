"""Holdouts: shares of all subjects that are kept out of experiments."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated

import strawberry

from resolvers import holdouts
from resolvers.analysis import experiments as values
from resolvers.context import Context, Role
from schema.access import Info, field
from schema.errors import Forbidden, InvalidInput, NotFound, Overloaded, Unauthenticated
from schema.experiment_definitions import SHARE, read_parts
from schema.experiment_definitions import share as shown_share
from schema.nodes import Node, encode, key_of, one_of
from schema.pages import After, Connection, First, open_cursor, page


@strawberry.type(description="A share of all subjects that takes part in none of the experiments that name it.")
class Holdout(Node):
    name: str = strawberry.field(description="What experiments call it by.")
    share: Decimal = strawberry.field(description="How many of all subjects are held out, a share.")
    created_at: datetime = strawberry.field(description="When the name was first saved.")

    @classmethod
    def of(cls, kept: values.Holdout) -> "Holdout":
        """The holdout as GraphQL shows it."""
        return cls(
            id=strawberry.ID(encode("Holdout", kept.name)),
            name=kept.name,
            share=shown_share(kept.parts),
            created_at=kept.created_at,
        )

    @classmethod
    async def load(cls, context: Context, keys: Sequence[str]) -> dict[str, Node]:
        found = await holdouts.holdouts_by_name(context, keys)
        return {key: cls.of(found[key]) for key in keys if key in found}


@strawberry.type
class HoldoutQuery:
    @field(Role.VIEWER, Connection[Holdout], "The tenant's holdouts, by name.")
    async def holdouts(self, info: Info, first: First = 50, after: After = None) -> Connection[Holdout]:
        found = await holdouts.holdouts(info.context, first=first, after=open_cursor("Holdout", after))
        nodes = list(map(Holdout.of, found.holdouts))
        return page("Holdout", nodes, found.cursors, has_next=found.has_next, after=after)


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


@strawberry.input(description="A holdout to delete.")
class DeleteHoldoutInput:
    id: strawberry.ID | None = strawberry.field(default=None, description="The holdout's global id; or give `name`.")
    name: str | None = strawberry.field(default=None, description="The holdout's name; or give `id`.")


@strawberry.type(description="The holdout is deleted.")
class DeleteHoldoutPayload:
    deleted_id: strawberry.ID = strawberry.field(description="The global id that the holdout had.")
    holdout: Holdout = strawberry.field(description="The holdout as it was; `node` finds it no more.")


DeleteHoldoutResult = Annotated[
    DeleteHoldoutPayload | NotFound | InvalidInput | Unauthenticated | Forbidden | Overloaded,
    strawberry.union("DeleteHoldoutResult", description="The holdout that is deleted, or why none is."),
]


@strawberry.type
class HoldoutMutation:
    @field(Role.ANALYST, SaveHoldoutResult, "Keep a holdout under a name, in place of the one that had the name.")
    async def save_holdout(
        self, info: Info, input: Annotated[SaveHoldoutInput, strawberry.argument(description="The holdout.")]
    ) -> SaveHoldoutPayload:
        kept = await holdouts.save_holdout(info.context, input.name, read_parts(input.share, "share"))
        return SaveHoldoutPayload(holdout=Holdout.of(kept))

    @field(
        Role.ANALYST,
        DeleteHoldoutResult,
        "Delete a holdout. While an experiment names it that is not archived, be it over, it stays.",
    )
    async def delete_holdout(
        self,
        info: Info,
        input: Annotated[DeleteHoldoutInput, strawberry.argument(description="Which holdout to delete.")],
    ) -> DeleteHoldoutPayload:
        name = one_of(input.id, input.name)
        if name is None:
            gone = await holdouts.delete_holdout(info.context, key_of(Holdout, input.id or "", "id"), field="id")
        else:
            gone = await holdouts.delete_holdout(info.context, name)
        holdout = Holdout.of(gone)
        return DeleteHoldoutPayload(deleted_id=holdout.id, holdout=holdout)
