import csv
import gzip
import json
import re
import socket
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from genai_prices import Usage
from genai_prices.data import providers
from hypothesis import given
from hypothesis import strategies as st

from resolvers.analysis.events import Event, Kind
from resolvers.pricing import PRICE_LIST, ModelPrice, price

AT = datetime(2026, 3, 1, 15, tzinfo=UTC)
SHARED = Path(__file__).parents[3] / "shared"


def call(provider: str = "openai", model: str = "gpt-4o", **fields: Any) -> Event:
    return Event(
        **{
            "id": "1",
            "kind": Kind.AI_INTERACTION,
            "name": "ai_interaction",
            "subject": "ada",
            "occurred_at": AT,
            "content": b"",
            "dimensions": {"provider": provider, "model": model},
            **fields,
        }
    )


def own(valid_from: datetime, input_price: str, **fields: Any) -> ModelPrice:
    return ModelPrice("OpenAI", "GPT-4o", valid_from, "EUR", Decimal(input_price), Decimal(9), **fields)


def test_a_given_cost_stands() -> None:
    event = price(call(cost=Decimal(0), currency="GBP", input_tokens=1000), [own(AT, "1")])
    assert (event.cost, event.currency, event.cost_source) == (0, "GBP", "given")
    spend = price(call(kind=Kind.SPEND, cost=Decimal(5), dimensions={}), [])
    assert spend.cost_source == "given"


def test_tokens_are_priced_exactly_and_say_by_what() -> None:
    event = price(call(input_tokens=1, output_tokens=1), [])
    assert event.cost == Decimal("0.0000125")
    assert event.currency == "USD"
    assert event.cost_source == f"{PRICE_LIST} openai/gpt-4o"
    assert re.fullmatch(r"genai-prices \d+\.\d+\.\d+", PRICE_LIST)


def test_cached_tokens_are_part_of_the_input() -> None:
    event = price(call("anthropic", "claude-haiku-4-5", input_tokens=1000, cache_read_tokens=600), [])
    assert event.cost == Decimal("0.00046")
    event = price(call("anthropic", "claude-haiku-4-5", cache_read_tokens=600, cache_write_tokens=100), [])
    assert event.cost == Decimal("0.000185")


@pytest.mark.parametrize(
    "event",
    [
        call("openai", "no-such-model", input_tokens=5),
        call("nobody", "gpt-4o", input_tokens=5),
        call(),
        call("openai", "whisper-1", input_tokens=5),
        call("openai", "whisper-1", input_tokens=0),
        call("openai", "text-embedding-3-small", input_tokens=5, output_tokens=5),
        call("github-copilot", "gpt-4.1", input_tokens=5),
        call(kind=Kind.PRODUCT, dimensions={}),
    ],
    ids=repr,
)
def test_what_has_no_price_costs_none_and_not_nothing(event: Event) -> None:
    assert price(event, []) is event


@pytest.mark.parametrize(("provider", "model"), [("google", "gemma-4-31b-it"), ("mistral", "devstral-small:free")])
def test_free_models_cost_nothing(provider: str, model: str) -> None:
    event = price(call(provider, model, input_tokens=5, output_tokens=7), [])
    assert event.cost == 0
    assert event.cost_source is not None


def test_zero_tokens_of_a_known_model_cost_nothing() -> None:
    assert price(call(input_tokens=0, output_tokens=0), []).cost == 0


def test_a_tenants_price_goes_first_from_its_day_on() -> None:
    prices = [own(datetime(2026, 1, 1, tzinfo=UTC), "2"), own(datetime(2026, 3, 1, 15, tzinfo=UTC), "3")]
    for at, cost, source in (
        (datetime(2025, 12, 31, tzinfo=UTC), "2.5", f"{PRICE_LIST} openai/gpt-4o"),
        (datetime(2026, 2, 1, tzinfo=UTC), "2", "tenant price from 2026-01-01"),
        (AT, "3", "tenant price from 2026-03-01"),
    ):
        for order in (prices, prices[::-1]):
            event = price(call(input_tokens=10**6, occurred_at=at), order)
            assert (event.cost, event.cost_source) == (Decimal(cost), source)
    assert price(call(input_tokens=1), prices).currency == "EUR"
    assert price(call(model="gpt-4o-mini", input_tokens=1), prices).currency == "USD"


def test_a_tenants_price_of_cached_tokens() -> None:
    tokens = {"input_tokens": 100, "cache_read_tokens": 10, "cache_write_tokens": 20, "output_tokens": 1}
    plain = own(AT, "2")
    dear = own(AT, "2", cache_read_per_million=Decimal("0.5"), cache_write_per_million=Decimal(0))
    assert price(call(**tokens), [plain]).cost == Decimal("0.000209")
    assert price(call(**tokens), [dear]).cost == Decimal("0.000154")


def test_a_tenants_price_of_long_contexts_holds_for_the_whole_call() -> None:
    long = own(
        AT,
        "1.25",
        cache_read_per_million=Decimal("0.125"),
        long_context_after=200_000,
        long_context_input_per_million=Decimal("2.5"),
        long_context_output_per_million=Decimal(15),
    )
    for tokens, cost in (
        ({"input_tokens": 200_000}, "0.25"),
        ({"input_tokens": 200_001}, "0.5000025"),
        ({"input_tokens": 200_000, "output_tokens": 1000}, "0.259"),
        ({"input_tokens": 300_000, "output_tokens": 1000}, "0.765"),
        # Written to the cache as other input, read from it at the price that is the same for both.
        ({"input_tokens": 300_000, "cache_write_tokens": 100_000}, "0.75"),
        ({"input_tokens": 300_000, "cache_read_tokens": 100_000}, "0.5125"),
    ):
        assert price(call(**tokens), [long]).cost == Decimal(cost)
    cached = replace(long, long_context_cache_read_per_million=Decimal("0.25"))
    assert price(call(input_tokens=300_000, cache_read_tokens=100_000), [cached]).cost == Decimal("0.525")
    assert price(call(input_tokens=200_000, cache_read_tokens=100_000), [cached]).cost == Decimal("0.1375")


def test_prices_follow_the_time_of_the_event() -> None:
    changed = [
        (provider.id, model)
        for provider in providers
        for model in provider.models
        if isinstance(model.prices, list) and not hasattr(model.prices[-1].constraint, "start_time")
    ]
    assert changed
    costs = {
        price(call(provider, model.id, input_tokens=10**6, occurred_at=datetime(year, 1, 1, tzinfo=UTC)), []).cost
        for provider, model in changed
        for year in (2010, 2029)
    }
    assert len(costs - {None}) > 1


def test_nothing_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert price(call("mistral", "mistral-large-latest", input_tokens=1), []).cost is not None


LISTED = [(provider, model) for provider in providers for model in provider.models]


@given(
    st.sampled_from(LISTED),
    st.datetimes(datetime(2020, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.tuples(*[st.integers(0, 400_000)] * 4),
)
def test_it_agrees_with_the_packages_own_calculation(listed: Any, at: datetime, counts: tuple[int, ...]) -> None:
    provider, model = listed
    read, written, plain, output = counts
    found = provider.find_model(model.id, all_providers=providers)
    total = read + written + plain
    event = call(
        provider.id,
        model.id,
        occurred_at=at,
        input_tokens=total,
        output_tokens=output,
        cache_read_tokens=read,
        cache_write_tokens=written,
    )
    cost = price(event, []).cost
    if cost is not None:
        usage = Usage(input_tokens=total, output_tokens=output, cache_read_tokens=read, cache_write_tokens=written)
        expected = found.calc_price(usage, provider, genai_request_timestamp=at)
        assert cost == expected.total_price


@pytest.mark.reference
def test_batch_calls_have_prices_of_their_own_or_none() -> None:
    tokens = {"input_tokens": 300_000, "cache_read_tokens": 100_000, "output_tokens": 1000}
    batch = call(**tokens, properties={"batch": True})
    # Neither the list nor a price without those of batches says what such a call costs.
    assert price(batch, []) == batch
    assert price(batch, [own(AT, "2")]) == batch
    tier = {f"long_context_{name}_per_million": Decimal(9) for name in ("input", "output")}
    halves = {"batch_input_per_million": Decimal(1), "batch_output_per_million": Decimal("4.5")}
    prices = own(AT, "2", long_context_after=200_000, **tier, **halves)
    told = price(batch, [prices])
    assert (told.cost, told.currency, told.cost_source) == (
        Decimal("0.3045"),
        "EUR",
        "tenant price from 2026-03-01, batch",
    )
    cached = replace(prices, batch_cache_read_per_million=Decimal("0.1"))
    assert price(batch, [cached]).cost == Decimal("0.2145")
    for plain in ({}, {"batch": False}, {"batch": "true"}, {"batch": 1}):
        assert price(call(**tokens, properties=plain), [prices]).cost == Decimal("2.709")


@pytest.mark.skipif(not SHARED.exists(), reason="the reference data is not beside the repository")
class TestReference:
    def reference(self, name: str) -> Any:
        return json.loads((SHARED / "reference" / f"{name}.json").read_text())

    def test_an_hour_of_real_calls_costs_what_two_other_tools_say(self) -> None:
        (reference,) = self.reference("azure_llm_conv").values()
        expected = reference["cost_usd"]
        models = [("openai", "gpt-4o"), ("openai", "gpt-4o-mini"), ("anthropic", "claude-haiku-4-5-20251001")]
        totals = dict.fromkeys([model for _, model in models], Decimal(0))
        with gzip.open(SHARED / "data/azure_llm_conv/AzureLLMInferenceTrace_conv.csv.gz", "rt") as file:
            for index, row in enumerate(csv.DictReader(file)):
                provider, model = models[index % 3]
                tokens = int(row["ContextTokens"]), int(row["GeneratedTokens"])
                cost = price(call(provider, model, input_tokens=tokens[0], output_tokens=tokens[1]), []).cost
                assert cost is not None
                totals[model] += cost
        for model, total in totals.items():
            assert total == Decimal(expected[model]["exact_decimal_from_litellm_table"])
        assert sum(totals.values()) == Decimal(reference["total_exact"])

    def test_the_price_past_a_threshold_holds_for_all_tokens(self) -> None:
        for read, written, (of_input, of_output) in self.reference("llm_prices")["tier_example"]["cases_in_out_usd"]:
            event = price(call("google", "gemini-2.5-pro", input_tokens=read, output_tokens=written), [])
            assert event.cost is not None
            assert float(event.cost) == pytest.approx(of_input + of_output, rel=1e-12)

    @pytest.mark.parametrize(
        ("provider", "model"),
        [
            ("openai", "gpt-4o"),
            ("openai", "gpt-4o-mini"),
            ("openai", "o3"),
            ("anthropic", "claude-haiku-4-5-20251001"),
            ("anthropic", "claude-sonnet-4-5-20250929"),
            ("google", "gemini-2.5-pro"),
        ],
    )
    def test_the_price_a_token(self, provider: str, model: str) -> None:
        table = self.reference("llm_prices")["litellm_table"]["cost_fields_sample"]
        fields = table.get(model) or table[f"gemini/{model}"]
        for tokens, field in (
            ({"input_tokens": 1000}, "input_cost_per_token"),
            ({"output_tokens": 1000}, "output_cost_per_token"),
            ({"cache_read_tokens": 1000}, "cache_read_input_token_cost"),
            ({"cache_write_tokens": 1000}, "cache_creation_input_token_cost"),
        ):
            if field in fields:
                cost = price(call(provider, model, **tokens), []).cost
                assert cost is not None
                assert float(cost) == pytest.approx(1000 * fields[field], rel=1e-12)

    def test_batches_cost_what_the_table_says(self) -> None:
        table = self.reference("llm_prices")["litellm_table"]["cost_fields_sample"]
        kinds = {
            "input": ("input_cost_per_token_batches", "input_tokens"),
            "output": ("output_cost_per_token_batches", "output_tokens"),
            "cache_read": ("cache_read_input_token_cost_batches", "cache_read_tokens"),
            "cache_write": ("cache_creation_input_token_cost_batches", "cache_write_tokens"),
        }
        compared = 0
        for model, fields in table.items():
            if kinds["input"][0] not in fields:
                continue
            prices = {
                f"batch_{name}_per_million": Decimal(str(fields[field])) * 10**6
                for name, (field, _) in kinds.items()
                if field in fields
            }
            mine = ModelPrice("acme", model, AT, "USD", Decimal(99), Decimal(99), **prices)
            for field, tokens in kinds.values():
                if field in fields:
                    told = price(call("acme", model, **{tokens: 1000}, properties={"batch": True}), [mine])
                    assert told.cost == Decimal(str(fields[field])) * 1000
                    compared += 1
        assert compared == 17
