"""A tenant's own prices of AI models: they go before the public list, from their date on."""

from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any

from resolvers.analysis.intake import camel
from resolvers.analysis.intake_values import Invalid, currency, instant, money, text
from resolvers.context import Context, Role
from resolvers.errors import BadInput, NotFound
from resolvers.pricing import ModelPrice
from resolvers.store.database import Database
from resolvers.store.prices import ModelPriceRow, PriceRepository

MOST_PRICES = 1_000
_FIELDS = tuple(field.name for field in fields(ModelPrice))
_READERS = {
    "provider": text(200),
    "model": text(200),
    "valid_from": instant,
    "currency": currency,
    **dict.fromkeys(
        ("input_per_million", "output_per_million", "cache_read_per_million", "cache_write_per_million"), money
    ),
}
_OPTIONAL = {"cache_read_per_million", "cache_write_per_million"}


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
    return ModelPrice(**values)


async def tenant_prices(database: Database, tenant_id: int) -> list[ModelPrice]:
    """All prices of a tenant, at most 1,000."""
    async with database.tenant(tenant_id) as session:
        return [_price(row) for row in await PriceRepository(session).all(tenant_id)]


async def model_prices(context: Context) -> list[ModelPrice]:
    """The caller's own prices, by provider, model and date."""
    principal = context.require(Role.VIEWER)
    prices = await tenant_prices(context.services.database, principal.tenant_id)
    return sorted(prices, key=lambda price: (price.provider, price.model, price.valid_from))


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


async def delete_model_price(context: Context, provider: str, model: str, valid_from: datetime) -> None:
    """Delete the price of exactly that date; raises NotFound."""
    principal = context.require(Role.ADMIN)
    async with context.services.database.tenant(principal.tenant_id) as session:
        if not await PriceRepository(session).remove(principal.tenant_id, provider, model, valid_from):
            raise NotFound("There is no such price.", field="validFrom")
