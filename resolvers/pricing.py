"""What an AI interaction cost, where nobody said: its tokens times the price of its model at that time.

Prices are the tenant's own, else those of the ``genai-prices`` package, as installed: nothing is ever fetched.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from importlib.metadata import version

from genai_prices.data import providers
from genai_prices.data_snapshot import find_provider_by_id
from genai_prices.types import ModelInfo, Tier, TieredPrices

from resolvers.analysis.events import Event, Kind

PRICE_LIST = f"genai-prices {version('genai-prices')}"

Rate = Decimal | TieredPrices | None


@dataclass(frozen=True, slots=True)
class ModelPrice:
    """A tenant's price of a model from ``valid_from`` (aware) until its next price, in ``currency`` per million
    tokens; tokens read from or written to the cache cost as much as other input where None is given.

    A call with more than ``long_context_after`` input tokens has the prices of long contexts for all of its tokens;
    where one of the cache's is None, it is what the cache costs else, or other input of a long context. A batch call
    has the prices of batches for all of its tokens, however long it is; cached ones cost as other input where None is
    given.
    """

    provider: str
    model: str
    valid_from: datetime
    currency: str
    input_per_million: Decimal
    output_per_million: Decimal
    cache_read_per_million: Decimal | None = None
    cache_write_per_million: Decimal | None = None
    long_context_after: int | None = None
    long_context_input_per_million: Decimal | None = None
    long_context_output_per_million: Decimal | None = None
    long_context_cache_read_per_million: Decimal | None = None
    long_context_cache_write_per_million: Decimal | None = None
    batch_input_per_million: Decimal | None = None
    batch_output_per_million: Decimal | None = None
    batch_cache_read_per_million: Decimal | None = None
    batch_cache_write_per_million: Decimal | None = None

    def rates(self, batch: bool) -> "_Rates | None":
        """What tokens cost; None where that is not known of a batch call."""
        if not batch:
            return _Rates(
                self._rate("input"), self._rate("output"), self._rate("cache_read"), self._rate("cache_write")
            )
        if self.batch_input_per_million is None or self.batch_output_per_million is None:
            return None
        return _Rates(
            *(
                getattr(self, f"batch_{tokens}_per_million")
                for tokens in ("input", "output", "cache_read", "cache_write")
            )
        )

    def _rate(self, tokens: str) -> Rate:
        base: Decimal | None = getattr(self, f"{tokens}_per_million")
        long: Decimal | None = getattr(self, f"long_context_{tokens}_per_million")
        if self.long_context_after is None or long is None:
            return base
        # What the cache costs may be said for long contexts alone.
        return TieredPrices(self.input_per_million if base is None else base, [Tier(self.long_context_after, long)])


@dataclass(frozen=True, slots=True)
class _Rates:
    """Prices of one model at one time; those of tokens are per million, ``request`` is per thousand requests."""

    input: Rate
    output: Rate
    cache_read: Rate
    cache_write: Rate
    request: Decimal = Decimal(0)


def price(event: Event, overrides: Sequence[ModelPrice]) -> Event:
    """``event`` with its cost and where that comes from.

    A cost that was given stands. An AI interaction without one is priced from its tokens, by the latest of
    ``overrides`` valid at its time, else by the price list; an absent count is 0, and ``input_tokens`` includes the
    cached ones. A call whose property ``batch`` is true has the price of batches. The cost stays None, never 0, where
    no count is given, the model is unknown, or its price does not cover the tokens used. It is exact, never rounded to
    cents.
    """
    if event.cost is not None:
        return replace(event, cost_source="given")
    if event.kind is not Kind.AI_INTERACTION or _counts(event) == (None, None, None, None):
        return event
    provider, model = event.dimensions["provider"], event.dimensions["model"]
    batch = event.properties.get("batch") is True
    own = _own_price(provider, model, event.occurred_at, overrides)
    if own is not None:
        source = f"tenant price from {own.valid_from.astimezone(UTC):%Y-%m-%d}{', batch' if batch else ''}"
        rates = own.rates(batch)
        cost = None if rates is None else _cost(event, rates)
        return event if cost is None else replace(event, cost=cost, currency=own.currency, cost_source=source)
    # The price list knows no prices of batches, which are half of its own or less.
    listed = None if batch else _listed_model(provider, model)
    if listed is None:
        return event
    name, info = listed
    cost = _cost(event, _listed_rates(info, event.occurred_at))
    if cost is None:
        return event
    return replace(event, cost=cost, currency="USD", cost_source=f"{PRICE_LIST} {name}")


def _counts(event: Event) -> tuple[int | None, ...]:
    return event.input_tokens, event.output_tokens, event.cache_read_tokens, event.cache_write_tokens


def _own_price(provider: str, model: str, at: datetime, overrides: Sequence[ModelPrice]) -> ModelPrice | None:
    valid = [
        own
        for own in overrides
        if own.valid_from <= at
        and own.model.casefold() == model.casefold()
        and own.provider.casefold() == provider.casefold()
    ]
    return max(valid, key=lambda own: own.valid_from, default=None)


# The package's own look-up remembers every name that it was ever asked for, so it is bounded here instead.
@lru_cache(maxsize=4096)
def _listed_model(provider: str, model: str) -> tuple[str, ModelInfo] | None:
    found = find_provider_by_id(providers, provider)
    info = found.find_model(model, all_providers=providers) if found else None
    return (f"{found.id}/{info.id}", info) if found and info else None


def _listed_rates(info: ModelInfo, at: datetime) -> _Rates:
    listed = vars(info.get_prices(at))
    if not any(listed.values()) and _is_free(info):
        return _Rates(Decimal(0), Decimal(0), None, None)
    requests = listed.get("requests_kcount")
    return _Rates(
        listed.get("input_mtok"),
        listed.get("output_mtok"),
        listed.get("cache_read_mtok"),
        listed.get("cache_write_mtok"),
        requests if isinstance(requests, Decimal) else Decimal(0),
    )


def _is_free(info: ModelInfo) -> bool:
    """Whether the list, which gives no price for the model, says that it costs nothing.

    For other models without a price it only means that none is known per token.
    """
    return info.id.endswith(":free") or "free of charge" in (info.price_comments or "").lower()


def _cost(event: Event, rates: _Rates) -> Decimal | None:
    if rates.input is None and rates.output is None:
        return None
    read, written = event.cache_read_tokens or 0, event.cache_write_tokens or 0
    total = read + written if event.input_tokens is None else event.input_tokens
    millionths = Decimal(0)
    for count, rate in (
        (total - read - written, rates.input),
        (read, rates.input if rates.cache_read is None else rates.cache_read),
        (written, rates.input if rates.cache_write is None else rates.cache_write),
        (event.output_tokens or 0, rates.output),
    ):
        if count:
            if rate is None:
                return None
            millionths += count * _per_million(rate, total)
    return (millionths + 1000 * rates.request).scaleb(-6).normalize() + 0


def _per_million(rate: Decimal | TieredPrices, total: int) -> Decimal:
    """The price that holds for a call with ``total`` input tokens: past a threshold it is another one for all."""
    if isinstance(rate, Decimal):
        return rate
    reached = [tier.price for tier in rate.tiers if total > tier.start]
    return reached[-1] if reached else rate.base
