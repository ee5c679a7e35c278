"""A tenant's own prices of AI models: they go before the public list, from their date on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC
from typing import Any

from resolvers.analysis.intake import camel
from resolvers.analysis.intake_values import Invalid, count, currency, instant, money, text
from resolvers.context import Context, Role
from resolvers.errors import BadInput, NotFound
from resolvers.paging import page_size
from resolvers.pricing import ModelPrice
from resolvers.store.database import Database
from resolvers.store.prices import ModelPriceRow, PriceRepository

MOST_PRICES = 1_000
_BETWEEN = "\x1f"
_FIELDS = tuple(field.name for field in fields(ModelPrice))
_READERS = {
    "provider": text(200),
    "model": text(200),
    "valid_from": instant,
    "currency": currency,
    "long_context_after": count,
    **dict.fromkeys((name for name in _FIELDS if name.endswith("_per_million")), money),
}
_LONG = {name for name in _FIELDS if name.startswith("long_context")}
_BATCH = {name for name in _FIELDS if name.startswith("batch_")}
_OPTIONAL = {"cache_read_per_million", "cache_write_per_million", *_LONG, *_BATCH}
_TOGETHER = ("long_context_after", "long_context_input_per_million", "long_context_output_per_million")
"""A tier needs all of these."""
_OF_BATCHES = ("batch_input_per_million", "batch_output_per_million")
"""What batches cost needs both of these."""


def _price(row: ModelPriceRow) -> ModelPrice:
    return ModelPrice(**{name: getattr(row, name) for name in _FIELDS})


def checked(raw: Mapping[str, Any]) -> ModelPrice:
    """The price that ``raw`` describes, with the attributes of ModelPrice and JSON values; raises BadInput."""
    values: dict[str, Any] = {}
    for name, read in _READERS.items():
        value = raw.get(name)
        if value is None and name in _OPTIONAL:
            continue
        try:
            values[name] = read(value)
        except Invalid as error:
            raise BadInput(str(error), field=camel(name)) from error
        if name.endswith("_per_million") and values[name] < 0:
            raise BadInput("must not be negative", field=camel(name))
    missing = [name for name in _TOGETHER if name not in values]
    if missing and _LONG & values.keys():
        raise BadInput(
            "Prices of long contexts need a length, and what input and output cost.", field=camel(missing[0])
        )
    missing = [name for name in _OF_BATCHES if name not in values]
    if missing and _BATCH & values.keys():
        raise BadInput("Prices of batches need what input and output cost.", field=camel(missing[0]))
    return ModelPrice(**values)


async def tenant_prices(database: Database, tenant_id: int) -> list[ModelPrice]:
    """All prices of a tenant, at most 1,000."""
    async with database.tenant(tenant_id) as session:
        return [_price(row) for row in await PriceRepository(session).all(tenant_id)]


@dataclass(frozen=True, slots=True)
class PricePage:
    """A page of prices by provider, model and date; ``cursors[i]`` leads to what follows ``prices[i]``."""

    prices: tuple[ModelPrice, ...]
    cursors: tuple[str, ...]
    has_next: bool


def key_of(price: ModelPrice) -> str:
    """The key of a price among a tenant's; no name can hold what stands between its parts."""
    return _BETWEEN.join((price.provider, price.model, price.valid_from.astimezone(UTC).isoformat()))


async def prices_by_key(context: Context, keys: Sequence[str]) -> dict[str, ModelPrice]:
    """Those of the keys that the caller's tenant has."""
    principal = context.require(Role.VIEWER)
    held = {key_of(price): price for price in await tenant_prices(context.services.database, principal.tenant_id)}
    return {key: held[key] for key in keys if key in held}


async def model_prices(context: Context, *, first: int = 50, after: str | None = None) -> PricePage:
    """A page of the caller's own prices."""
    principal = context.require(Role.VIEWER)
    page_size(first)
    held = {key_of(price): price for price in await tenant_prices(context.services.database, principal.tenant_id)}
    following = [key for key in sorted(held) if after is None or key > after]
    shown = following[:first]
    return PricePage(tuple(held[key] for key in shown), tuple(shown), len(following) > first)


async def set_model_price(context: Context, raw: Mapping[str, Any]) -> ModelPrice:
    """Set a price from its date on, in place of one of that date; events taken in before keep their cost."""
    principal = context.require(Role.ADMIN)
    price = checked(raw)
    async with context.services.database.tenant(principal.tenant_id) as session:
        repository = PriceRepository(session)
        if len(await repository.all(principal.tenant_id)) >= MOST_PRICES:
            raise BadInput(f"At most {MOST_PRICES} prices are kept; delete one first.", field="model")
        await repository.put(
            ModelPriceRow(tenant_id=principal.tenant_id, **{name: getattr(price, name) for name in _FIELDS})
        )
    return price


async def delete_model_price(context: Context, key: str) -> ModelPrice:
    """Delete a price and return it as it was; raises NotFound."""
    principal = context.require(Role.ADMIN)
    price = (await prices_by_key(context, [key])).get(key)
    if price is None:
        raise NotFound("There is no such price.", field="id")
    async with context.services.database.tenant(principal.tenant_id) as session:
        await PriceRepository(session).remove(principal.tenant_id, price.provider, price.model, price.valid_from)
    return price
