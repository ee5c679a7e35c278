"""A tenant's own prices of AI models, by which its AI interactions are priced before any public list."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

import strawberry

from resolvers import prices
from resolvers.context import Context, Role
from resolvers.pricing import ModelPrice as Price
from schema.access import Info, field
from schema.errors import Forbidden, InvalidInput, NotFound, Overloaded, Unauthenticated
from schema.nodes import Node, encode, key_of
from schema.pages import After, Connection, First, open_cursor, page
from schema.scalars import BigInt
from schema.shapes import shapes

_PROVIDER = "The provider, as events name it in `provider`."
_MODEL = "The model, as events name it in `model`."
_FROM = "The first instant at which it holds; it ends where the model's next price begins."
_CURRENCY = "ISO 4217 code of the prices."
_INPUT = "Price of a million tokens that the model reads, in units of `currency`."
_OUTPUT = "Price of a million tokens that the model writes, in units of `currency`."
_READ = "Price of a million input tokens read from the provider's cache; null where it is that of other input."
_WRITE = "Price of a million input tokens written to the provider's cache; null where it is that of other input."
_AFTER = (
    "The input tokens of a call, cached ones included, past which all of its tokens have the prices of a long context; "
    "null where length makes no difference."
)
_LONG = {
    tokens: f"Price of a million {meaning} in such a call; null where {otherwise}."
    for tokens, meaning, otherwise in (
        ("input", "tokens that the model reads", "there is no such length"),
        ("output", "tokens that the model writes", "there is no such length"),
        ("cache_read", "tokens read from the cache", "it is that of other calls, or of other input"),
        ("cache_write", "tokens written to the cache", "it is that of other calls, or of other input"),
    )
}


_BATCH = {
    tokens: f"Price of a million {meaning} in a call whose property `batch` is true; null where {otherwise}."
    for tokens, meaning, otherwise in (
        ("input", "tokens that the model reads", "batches have no known price, and such calls no cost"),
        ("output", "tokens that the model writes", "batches have no known price, and such calls no cost"),
        ("cache_read", "tokens read from the cache", "it is that of other input of batches"),
        ("cache_write", "tokens written to the cache", "it is that of other input of batches"),
    )
}


def _optional(description: str, graphql_type: object = Decimal | None) -> Any:
    return strawberry.field(graphql_type=graphql_type, default=None, description=description)


@shapes(Price)
@strawberry.type(description="What a million tokens of a model cost the tenant from a date on.")
class ModelPrice(Node):
    provider: str = strawberry.field(description=_PROVIDER)
    model: str = strawberry.field(description=_MODEL)
    valid_from: datetime = strawberry.field(description=_FROM)
    currency: str = strawberry.field(description=_CURRENCY)
    input_per_million: Decimal = strawberry.field(description=_INPUT)
    output_per_million: Decimal = strawberry.field(description=_OUTPUT)
    cache_read_per_million: Decimal | None = strawberry.field(description=_READ)
    cache_write_per_million: Decimal | None = strawberry.field(description=_WRITE)
    long_context_after: BigInt | None = strawberry.field(description=_AFTER)
    long_context_input_per_million: Decimal | None = strawberry.field(description=_LONG["input"])
    long_context_output_per_million: Decimal | None = strawberry.field(description=_LONG["output"])
    long_context_cache_read_per_million: Decimal | None = strawberry.field(description=_LONG["cache_read"])
    long_context_cache_write_per_million: Decimal | None = strawberry.field(description=_LONG["cache_write"])
    batch_input_per_million: Decimal | None = strawberry.field(description=_BATCH["input"])
    batch_output_per_million: Decimal | None = strawberry.field(description=_BATCH["output"])
    batch_cache_read_per_million: Decimal | None = strawberry.field(description=_BATCH["cache_read"])
    batch_cache_write_per_million: Decimal | None = strawberry.field(description=_BATCH["cache_write"])

    @classmethod
    def of(cls, price: Price) -> "ModelPrice":
        """The price as GraphQL shows it."""
        shown = {name: getattr(price, name) for name in Price.__dataclass_fields__}
        return cls(id=strawberry.ID(encode("ModelPrice", prices.key_of(price))), **shown)

    @classmethod
    async def load(cls, context: Context, keys: Sequence[str]) -> dict[str, Node]:
        found = await prices.prices_by_key(context, keys)
        return {key: cls.of(price) for key, price in found.items()}


@strawberry.type
class PriceQuery:
    @field(
        Role.VIEWER,
        Connection[ModelPrice],
        "The tenant's own model prices, by provider, model and date. Models without one are priced by a public list.",
    )
    async def model_prices(self, info: Info, first: First = 50, after: After = None) -> Connection[ModelPrice]:
        found = await prices.model_prices(info.context, first=first, after=open_cursor("ModelPrice", after))
        return page(
            "ModelPrice",
            [ModelPrice.of(price) for price in found.prices],
            found.cursors,
            has_next=found.has_next,
            after=after,
        )


@strawberry.input(description="A price to set.")
class SetModelPriceInput:
    provider: str = strawberry.field(description=_PROVIDER)
    model: str = strawberry.field(description=_MODEL)
    valid_from: object = strawberry.field(graphql_type=datetime, description=_FROM)
    currency: str = strawberry.field(description=_CURRENCY)
    input_per_million: object = strawberry.field(graphql_type=Decimal, description=_INPUT)
    output_per_million: object = strawberry.field(graphql_type=Decimal, description=_OUTPUT)
    cache_read_per_million: object | None = _optional(_READ)
    cache_write_per_million: object | None = _optional(_WRITE)
    long_context_after: object | None = _optional(_AFTER, BigInt | None)
    long_context_input_per_million: object | None = _optional(_LONG["input"])
    long_context_output_per_million: object | None = _optional(_LONG["output"])
    long_context_cache_read_per_million: object | None = _optional(_LONG["cache_read"])
    long_context_cache_write_per_million: object | None = _optional(_LONG["cache_write"])
    batch_input_per_million: object | None = _optional(_BATCH["input"])
    batch_output_per_million: object | None = _optional(_BATCH["output"])
    batch_cache_read_per_million: object | None = _optional(_BATCH["cache_read"])
    batch_cache_write_per_million: object | None = _optional(_BATCH["cache_write"])


@strawberry.type(description="The price is set.")
class SetModelPricePayload:
    price: ModelPrice = strawberry.field(description="The price as it is kept.")


@strawberry.input(description="A price to delete.")
class DeleteModelPriceInput:
    id: strawberry.ID = strawberry.field(description="The price's global id.")


@strawberry.type(description="The price is deleted.")
class DeleteModelPricePayload:
    deleted_id: strawberry.ID = strawberry.field(description="The global id that the price had.")
    price: ModelPrice = strawberry.field(description="The price as it was; `node` finds it no more.")


SetModelPriceResult = Annotated[
    SetModelPricePayload | InvalidInput | Unauthenticated | Forbidden | Overloaded,
    strawberry.union("SetModelPriceResult", description="The price that is set, or why it is not."),
]
DeleteModelPriceResult = Annotated[
    DeleteModelPricePayload | NotFound | InvalidInput | Unauthenticated | Forbidden | Overloaded,
    strawberry.union("DeleteModelPriceResult", description="The price that is deleted, or why none is."),
]


@strawberry.type
class PriceMutation:
    @field(
        Role.ADMIN,
        SetModelPriceResult,
        "Set what a model costs from a date on, in place of a price of the same date. Events sent before keep the cost "
        "they were stored with.",
    )
    async def set_model_price(
        self, info: Info, input: Annotated[SetModelPriceInput, strawberry.argument(description="The price.")]
    ) -> SetModelPricePayload:
        price = await prices.set_model_price(info.context, vars(input))
        return SetModelPricePayload(price=ModelPrice.of(price))

    @field(
        Role.ADMIN,
        DeleteModelPriceResult,
        "Delete a price; events sent before keep the cost they were stored with.",
    )
    async def delete_model_price(
        self,
        info: Info,
        input: Annotated[DeleteModelPriceInput, strawberry.argument(description="Which price to delete.")],
    ) -> DeleteModelPricePayload:
        price = await prices.delete_model_price(info.context, key_of(ModelPrice, input.id, "id"))
        return DeleteModelPricePayload(deleted_id=input.id, price=ModelPrice.of(price))
