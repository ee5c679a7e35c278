"""An hour of real calls: what they cost is what two other tools say, whichever way it is asked."""

import csv
import gzip
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from resolvers.ai_costs import ai_cost
from resolvers.ai_providers import ai_providers
from resolvers.analysis.attribution import Model
from resolvers.analysis.periods import PeriodRequest
from resolvers.analysis.questions import Question
from resolvers.analysis.roi import RoiDefinition
from resolvers.catalogue import CONVERSIONS
from resolvers.context import Context
from resolvers.roi import roi
from tests.factories import event, store

SHARED = Path(__file__).parents[3] / "shared"
MODELS = (("openai", "gpt-4o"), ("openai", "gpt-4o-mini"), ("anthropic", "claude-haiku-4-5-20251001"))
BATCH = 10_000

pytestmark = [
    pytest.mark.reference,
    pytest.mark.skipif(not SHARED.exists(), reason="the reference data is not beside the repository"),
]


def calls() -> list[dict[str, Any]]:
    found = []
    with gzip.open(SHARED / "data/azure_llm_conv/AzureLLMInferenceTrace_conv.csv.gz", "rt") as file:
        for index, row in enumerate(csv.DictReader(file)):
            provider, model = MODELS[index % 3]
            at = datetime.fromisoformat(row["TIMESTAMP"][:26]).replace(tzinfo=UTC)
            found.append(
                event(
                    kind="AI_INTERACTION",
                    name="chat",
                    subject=f"s{index % 500}",
                    occurredAt=at,
                    dimensions={"provider": provider, "model": model},
                    inputTokens=int(row["ContextTokens"]),
                    outputTokens=int(row["GeneratedTokens"]),
                )
            )
    return found


async def test_an_hour_of_real_calls(context: Context) -> None:
    (reference,) = json.loads((SHARED / "reference" / "azure_llm_conv.json").read_text()).values()
    sent = calls()
    for start in range(0, len(sent), BATCH):
        await store(context, *sent[start : start + BATCH])
    hour = PeriodRequest(start=datetime(2023, 11, 16, tzinfo=UTC), end=datetime(2023, 11, 17, tzinfo=UTC))
    question = Question(hour, by=("model",))
    definition = RoiDefinition(CONVERSIONS, None, Model.LINEAR, timedelta(days=30), timedelta(days=7), resamples=0)
    cost = await ai_cost(context, question)
    returned = await roi(context, definition, question)
    providers = await ai_providers(context, definition, replace(question, by=("provider", "model")))
    for total in cost.cost, returned.cost, providers.cost:
        assert (total.value, total.n) == (Decimal(reference["total_exact"]), reference["rows"])
    assert (cost.unpriced, returned.unpriced, providers.unpriced) == (0, 0, 0)
    for model, expected in reference["cost_usd"].items():
        exact = Decimal(expected["exact_decimal_from_litellm_table"])
        (of_metric,) = (one.estimate for one in cost.groups if one.keys[0].value == model)
        (of_return,) = (one for one in returned.groups if one.keys[0].value == model)
        (of_provider,) = (one for one in providers.groups if one.keys[1].value == model)
        assert of_metric.value == of_return.cost.value == of_provider.cost.value == exact
        assert of_return.calls == of_provider.calls == expected["calls"]
        tokens = expected["input_tokens"] + expected["output_tokens"]
        assert of_provider.cost_per_1k_tokens.value is not None
        assert float(of_provider.cost_per_1k_tokens.value) == pytest.approx(float(1000 * exact / tokens), rel=1e-12)
        # Nothing was sold.
        assert (of_return.roi.value, of_return.payback_at) == (-1, None)
