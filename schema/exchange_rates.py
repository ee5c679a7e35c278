"""A tenant's exchange rates: by what money of other currencies becomes its own."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Annotated

import strawberry

from resolvers import exchange_rates
from resolvers.analysis import exchange_rates as values
from resolvers.context import Context, Role
from schema.access import Info, field
from schema.arguments import OptionalPeriodArgument, read_period
from schema.errors import Forbidden, InvalidInput, NotFound, Overloaded, Unauthenticated
from schema.nodes import Node, encode, key_of
from schema.pages import After, Connection, First, open_cursor, page
from schema.shapes import shapes

Day = date
"""A field named like its type hides it."""

_DATE = "The day (UTC) it was fixed for. It holds until there is a later one, and for 10 days at most."
_BASE = "ISO 4217 code of the currency that one unit is of, e.g. `EUR`."
_CURRENCY = "ISO 4217 code of the currency that the rate counts units of, e.g. `USD`."
_RATE = "What one unit of `base` is worth, in units of `currency`: above 0."


@shapes(values.ExchangeRate)
@strawberry.type(description="What one unit of a currency was worth in units of another on a day.")
class ExchangeRate(Node):
    date: Day = strawberry.field(description=_DATE)
    base: str = strawberry.field(description=_BASE)
    currency: str = strawberry.field(description=_CURRENCY)
    rate: Decimal = strawberry.field(description=_RATE)

    @classmethod
    def of(cls, rate: values.ExchangeRate) -> "ExchangeRate":
        """The rate as GraphQL shows it."""
        shown = {name: getattr(rate, name) for name in values.ExchangeRate.__dataclass_fields__}
        return cls(id=strawberry.ID(encode("ExchangeRate", exchange_rates.key_of(rate))), **shown)

    @classmethod
    async def load(cls, context: Context, keys: Sequence[str]) -> dict[str, Node]:
        found = await exchange_rates.rates_by_key(context, keys)
        return {key: cls.of(rate) for key, rate in found.items()}


@strawberry.type
class ExchangeRateQuery:
    @field(
        Role.VIEWER,
        Connection[ExchangeRate],
        "The tenant's exchange rates, by currency, base and date. Money in other currencies than the tenant's is "
        "converted by them wherever answers sum it up: by the last rate on or before the day (UTC) it moved on, at "
        "most 10 days old and never a later one, `rate` of the tenant's currency divided by `rate` of its own against "
        "the same base. What has no such rate is left out, and listed as `unconverted`.",
    )
    async def exchange_rates(
        self,
        info: Info,
        currency: Annotated[str | None, strawberry.argument(description="Only rates of this currency.")] = None,
        base: Annotated[str | None, strawberry.argument(description="Only rates against this base.")] = None,
        period: OptionalPeriodArgument = None,
        first: First = 50,
        after: After = None,
    ) -> Connection[ExchangeRate]:
        found = await exchange_rates.exchange_rates(
            info.context,
            of=currency,
            base=base,
            period=None if period is None else read_period(period),
            first=first,
            after=open_cursor("ExchangeRate", after),
        )
        return page(
            "ExchangeRate",
            [ExchangeRate.of(rate) for rate in found.rates],
            found.cursors,
            has_next=found.has_next,
            after=after,
        )


@strawberry.input(description="A rate to set.")
class ExchangeRateInput:
    date: object = strawberry.field(graphql_type=date, description=f"{_DATE} From 1999-01-01, at most 366 days ahead.")
    base: str = strawberry.field(description=_BASE)
    currency: str = strawberry.field(description=_CURRENCY)
    rate: object = strawberry.field(graphql_type=Decimal, description=f"{_RATE} At most 18 decimal places.")


@strawberry.input(description="Rates to set.")
class SetExchangeRatesInput:
    rates: list[ExchangeRateInput] = strawberry.field(
        description=f"1 to {exchange_rates.MOST_RATES:,} rates, no two of the same day, base and currency."
    )


@shapes(exchange_rates.RatesSet)
@strawberry.type(description="The rates are set.")
class SetExchangeRatesPayload:
    stated: int = strawberry.field(description="How many rates were sent.")
    changed: int = strawberry.field(description="How many of them are new, or another value than before.")


@strawberry.input(description="A rate to delete.")
class DeleteExchangeRateInput:
    id: strawberry.ID = strawberry.field(description="The rate's global id.")


@strawberry.type(description="The rate is deleted.")
class DeleteExchangeRatePayload:
    deleted_id: strawberry.ID = strawberry.field(description="The global id that the rate had.")
    rate: ExchangeRate = strawberry.field(description="The rate as it was; `node` finds it no more.")


DeleteExchangeRateResult = Annotated[
    DeleteExchangeRatePayload | NotFound | InvalidInput | Unauthenticated | Forbidden | Overloaded,
    strawberry.union("DeleteExchangeRateResult", description="The rate that is deleted, or why none is."),
]
SetExchangeRatesResult = Annotated[
    SetExchangeRatesPayload | InvalidInput | Unauthenticated | Forbidden | Overloaded,
    strawberry.union("SetExchangeRatesResult", description="What was set, or why nothing was."),
]


@strawberry.type
class ExchangeRateMutation:
    @field(
        Role.ADMIN,
        SetExchangeRatesResult,
        "Set exchange rates, in place of those of the same day, base and currency: all of them, or none. Every answer "
        "that they bear on is another one at once, that of past periods too.",
    )
    async def set_exchange_rates(
        self, info: Info, input: Annotated[SetExchangeRatesInput, strawberry.argument(description="The rates.")]
    ) -> exchange_rates.RatesSet:
        return await exchange_rates.set_exchange_rates(info.context, [vars(rate) for rate in input.rates])

    @field(
        Role.ADMIN,
        DeleteExchangeRateResult,
        "Delete a rate: the one before it holds instead, if it is not too old. Answers change at once.",
    )
    async def delete_exchange_rate(
        self,
        info: Info,
        input: Annotated[DeleteExchangeRateInput, strawberry.argument(description="Which rate to delete.")],
    ) -> DeleteExchangeRatePayload:
        rate = await exchange_rates.delete_exchange_rate(info.context, key_of(ExchangeRate, input.id, "id"))
        return DeleteExchangeRatePayload(deleted_id=input.id, rate=ExchangeRate.of(rate))
