"""A tenant's exchange rates: by what money of other currencies becomes its own, from the day of each on."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, timedelta
from typing import Any

from resolvers.analysis.currencies import CURRENCIES
from resolvers.analysis.exchange_rate_values import exchange_rate
from resolvers.analysis.exchange_rates import ExchangeRate
from resolvers.analysis.intake_values import Invalid, currency
from resolvers.analysis.periods import PeriodRequest, resolve
from resolvers.context import Context, Role
from resolvers.errors import BadInput, NotFound
from resolvers.paging import page_size
from resolvers.store.database import Database
from resolvers.store.exchange_rates import ExchangeRateRepository, Key

MOST_RATES = 10_000
"""How many rates may be set at once."""
_BETWEEN = "/"
_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class RatesSet:
    """What became of rates that were to be set."""

    stated: int
    changed: int
    """How many of them are new, or not as they were."""


@dataclass(frozen=True, slots=True)
class RatePage:
    """A page of rates by currency, base and date; ``cursors[i]`` leads to what follows ``rates[i]``."""

    rates: tuple[ExchangeRate, ...]
    cursors: tuple[str, ...]
    has_next: bool


def key_of(rate: ExchangeRate) -> str:
    """The key of a rate among a tenant's."""
    return _BETWEEN.join((rate.currency, rate.base, rate.date.isoformat()))


def _key(text: str) -> Key | None:
    of, _, rest = text.partition(_BETWEEN)
    base, _, day = rest.partition(_BETWEEN)
    if not {of, base} <= CURRENCIES:
        return None
    try:
        return Key(of, base, date.fromisoformat(day))
    except ValueError:
        return None


async def set_exchange_rates(context: Context, raw: Sequence[Mapping[str, Any]]) -> RatesSet:
    """Set rates, in place of those of the same day, base and currency: all of them, or none.

    Each has the attributes of ExchangeRate and JSON values. Raises BadInput naming the first that is at fault.
    """
    principal = context.require(Role.ADMIN)
    # So many take long enough to be in everybody's way.
    rates = await asyncio.to_thread(checked, raw, context.services.now().astimezone(UTC).date())
    return RatesSet(len(rates), await put_rates(context.services.database, principal.tenant_id, rates))


async def put_rates(database: Database, tenant_id: int, rates: Sequence[ExchangeRate]) -> int:
    """Set rates of a tenant, no two of one key; return how many are new or not as they were."""
    async with database.tenant(tenant_id) as session:
        return await ExchangeRateRepository(session).put(tenant_id, rates)


async def delete_exchange_rate(context: Context, key: str) -> ExchangeRate:
    """Delete a rate and return it as it was; raises NotFound."""
    principal = context.require(Role.ADMIN)
    wanted, removed = _key(key), None
    if wanted is not None:
        async with context.services.database.tenant(principal.tenant_id) as session:
            removed = await ExchangeRateRepository(session).remove(principal.tenant_id, wanted)
    if removed is None:
        raise NotFound("There is no such rate.", field="id")
    return removed


def checked(raw: Sequence[Mapping[str, Any]], today: date) -> list[ExchangeRate]:
    """The rates that are stated; raises BadInput naming the first that is at fault."""
    if not 1 <= len(raw) <= MOST_RATES:
        raise BadInput(f"Set 1 to {MOST_RATES:,} rates at once.", field="rates")
    found: dict[str, ExchangeRate] = {}
    for index, one in enumerate(raw):
        try:
            rate = exchange_rate(one, today)
        except Invalid as bad:
            raise _refusal(f"rates[{index}].{bad.path}", bad.message) from None
        if found.setdefault(key_of(rate), rate) is not rate:
            raise _refusal(f"rates[{index}]", "states a rate that another one before it states")
    return list(found.values())


async def exchange_rates(
    context: Context,
    *,
    of: str | None,
    base: str | None,
    period: PeriodRequest | None,
    first: int = 50,
    after: str | None = None,
) -> RatePage:
    """A page of the caller's rates: of one currency, against one base, of the days (UTC) that a period touches."""
    principal = context.require(Role.VIEWER)
    page_size(first)
    span = None
    if period is not None:
        asked = resolve(period, "UTC", context.services.now())
        span = asked.start.astimezone(UTC).date(), (asked.end - _INSTANT).astimezone(UTC).date()
    place = None if after is None else _key(after)
    if after is not None and place is None:
        raise _refusal("after", "is no cursor of this list")
    async with context.services.database.tenant(principal.tenant_id) as session:
        found = await ExchangeRateRepository(session).page(
            principal.tenant_id,
            currency=_currency(of, "currency"),
            base=_currency(base, "base"),
            span=span,
            after=place,
            limit=first + 1,
        )
    shown = tuple(found[:first])
    return RatePage(shown, tuple(map(key_of, shown)), len(found) > first)


async def rates_by_key(context: Context, keys: Sequence[str]) -> dict[str, ExchangeRate]:
    """Those of the keys that the caller's tenant has."""
    principal = context.require(Role.VIEWER)
    wanted = [key for key in map(_key, keys) if key is not None]
    if not wanted:
        return {}
    async with context.services.database.tenant(principal.tenant_id) as session:
        found = await ExchangeRateRepository(session).by_keys(principal.tenant_id, wanted)
    return {key_of(rate): rate for rate in found}


def _currency(value: str | None, field: str) -> str | None:
    try:
        return None if value is None else currency(value)
    except Invalid as bad:
        raise _refusal(field, bad.message) from None


def _refusal(field: str, message: str) -> BadInput:
    return BadInput(f"{field} {message}.", field=field)
