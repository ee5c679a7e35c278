"""Providers side by side: what is told of them is what their calls say."""

from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm, t

from resolvers.ai_providers import ai_providers
from resolvers.analysis.ai_providers import AiProvidersAnswer, AiServiceFigures, AiServiceGroup
from resolvers.analysis.attribution import Model
from resolvers.analysis.filters import DimensionIs, Op
from resolvers.analysis.periods import Compare, PeriodRequest
from resolvers.analysis.questions import Question
from resolvers.analysis.roi import RoiDefinition
from resolvers.catalogue import CONVERSIONS
from resolvers.context import Context, Role
from resolvers.errors import BadInput
from resolvers.roi import roi
from resolvers.store.folding import fold
from tests.factories import event, new_principal, purchase, store

START = datetime(2026, 3, 1, tzinfo=UTC)
MARCH = Question(PeriodRequest(start=START, end=datetime(2026, 4, 1, tzinfo=UTC)), by=("provider", "model"))
DEFAULT = RoiDefinition(CONVERSIONS, None, Model.LINEAR, timedelta(days=30), timedelta(days=7), resamples=0)
Sent = dict[str, Any]


def call(subject: str, day: float, provider: str, model: str, **fields: Any) -> Sent:
    made = {"kind": "AI_INTERACTION", "name": "chat", "dimensions": {"provider": provider, "model": model}}
    if "cost" in fields:
        made["currency"] = "USD"
    return event(subject=subject, occurredAt=START + timedelta(days=day), **made | fields)


def random_log(rng: Random) -> list[Sent]:
    log = []
    for _ in range(rng.randint(150, 400)):
        fields: Sent = {}
        if rng.random() < 0.9:
            fields["cost"] = f"{rng.uniform(0, 0.1):.6f}"
        if rng.random() < 0.8:
            fields["durationMs"] = round(rng.lognormvariate(6, 1), 1)
        if rng.random() < 0.9:
            fields["success"] = rng.random() < 0.8
        if rng.random() < 0.9:
            fields["score"] = round(rng.random(), rng.choice((1, 3)))
        provider, model = rng.choice((("a", "x"), ("a", "y"), ("b", "x")))
        tokens = {"inputTokens": rng.randint(1, 999), "outputTokens": rng.randint(1, 99)} if "cost" in fields else {}
        log.append(call(f"s{rng.randint(1, 40)}", rng.uniform(0, 30), provider, model, **fields, **tokens))
    for _ in range(40):
        log.append(
            purchase(f"{rng.uniform(1, 9):.2f}", subject=f"s{rng.randint(1, 60)}",
                     occurredAt=START + timedelta(days=rng.uniform(0, 30)))
        )  # fmt: skip
    return log


def by_keys(answer: AiProvidersAnswer) -> dict[tuple[str | None, ...], AiServiceGroup]:
    return {tuple(key.value for key in group.keys): group for group in answer.groups}


def near(one: Decimal | float | None, other: float) -> None:
    assert one is not None
    assert float(one) == pytest.approx(other, rel=1e-8, abs=1e-12)


def assert_told(told: AiServiceFigures, calls: list[Sent], log: list[Sent]) -> None:
    costs = [float(one["cost"]) for one in calls if "cost" in one]
    assert (told.calls, told.unpriced) == (len(calls), len(calls) - len(costs))
    near(told.cost.value, sum(costs))
    near(told.cost_per_call.value, float(np.mean(costs)))
    half = t.ppf(0.975, len(costs) - 1) * np.std(costs, ddof=1) / len(costs) ** 0.5
    assert told.cost_per_call.interval is not None
    near(told.cost_per_call.interval.high, float(np.mean(costs) + half))
    tokens = sum(one["inputTokens"] + one["outputTokens"] for one in calls if "cost" in one)
    near(told.cost_per_1k_tokens.value, 1000 * sum(costs) / tokens)
    times = [one["durationMs"] for one in calls if "durationMs" in one]
    for estimate, q in (told.latency_p50, 50), (told.latency_p95, 95), (told.latency_p99, 99):
        near(estimate.value, float(np.percentile(times, q)))
        assert estimate.n == len(times)
    said = [one["success"] for one in calls if "success" in one]
    assert (told.success.numerator, told.success.denominator) == (sum(said), len(said))
    pairs = [(one["score"], one["success"]) for one in calls if "score" in one and "success" in one]
    assert told.calibration.n == len(pairs)
    assert told.calibration.brier is not None
    near(told.calibration.brier, float(np.mean([(score - good) ** 2 for score, good in pairs])))
    error = 0.0
    for place in range(10):
        mine = [pair for pair in pairs if min(9, int(pair[0] * 10 + 1e-9)) == place]
        assert told.calibration.counts[place] == len(mine)
        if mine:
            score, good = np.mean([pair[0] for pair in mine]), np.mean([pair[1] for pair in mine])
            near(told.calibration.predicted[place], float(score))
            near(told.calibration.observed[place], float(good))
            error += len(mine) / len(pairs) * abs(good - score)
    near(told.calibration.expected_error, error)
    first: dict[str, str] = {}
    for one in calls:
        first[one["subject"]] = min(one["occurredAt"], first.get(one["subject"], "9"))
    converted = {
        who
        for who, at in first.items()
        if any(one["kind"] == "CONVERSION" and one["subject"] == who and one["occurredAt"] >= at for one in log)
    }
    assert (told.conversion_rate.numerator, told.conversion_rate.denominator) == (len(converted), len(first))


@pytest.mark.parametrize("seed", range(6))
async def test_random_calls_are_told_as_they_are(context: Context, seed: int) -> None:
    log = random_log(Random(seed))
    # Some of it in ledgers, some of it not yet, or all in the log.
    await store(context, *log[: len(log) // 2])
    if seed % 3:
        await fold(context.services.database, context.require(Role.VIEWER).tenant_id)
    await store(context, *log[len(log) // 2 :])
    answer = await ai_providers(context, DEFAULT, MARCH)
    mine: dict[tuple[str, str], list[Sent]] = defaultdict(list)
    for one in log:
        if one["kind"] == "AI_INTERACTION":
            mine[one["dimensions"]["provider"], one["dimensions"]["model"]].append(one)
    found = by_keys(answer)
    assert found.keys() == mine.keys()
    for keys, calls in mine.items():
        assert_told(found[keys], calls, log)
    assert_told(answer, [one for calls in mine.values() for one in calls], log)
    returned = await roi(context, DEFAULT, MARCH)
    assert answer.value.value == returned.value.value
    for group in returned.groups:
        told = found[tuple(key.value for key in group.keys)]
        assert (told.value.value, told.cost.value) == (group.value.value, group.cost.value)
        assert told.value_per_call.value is not None
        near(told.value_per_call.value, float(group.value.value or 0) / told.calls)


def several(provider: str, n: int, good: int, cost: str, other: str, duration: float, convert: int) -> list[Sent]:
    calls = [
        call(f"{provider}{k}", 1, provider, "m", success=k < good, durationMs=duration, score=0.5,
             cost=cost if k % 2 else other)
        for k in range(n)
    ]  # fmt: skip
    bought = [purchase("5", subject=f"{provider}{k}", occurredAt=START + timedelta(days=2)) for k in range(convert)]
    return calls + bought


async def test_each_is_held_against_the_best(context: Context) -> None:
    await store(
        context, *several("slow", 50, 45, "0.02", "0.03", 900, 20), *several("fast", 40, 20, "0.05", "0.01", 200, 8)
    )
    await store(context, *several("rare", 3, 3, "0.001", "0.001", 1, 3))
    answer = await ai_providers(context, DEFAULT, replace(MARCH, by=("provider",)))
    names = [group.keys[0].value for group in answer.groups]
    assert names == ["slow", "fast", "rare"]
    # Three calls are too few to be the best.
    assert (answer.cheapest, answer.fastest, answer.most_successful, answer.most_converting) == (0, 1, 0, 0)
    slow, fast, rare = answer.groups
    assert slow.success_difference is slow.cost_per_call_difference is fast.latency_difference is None
    assert slow.latency_difference is not None
    assert (slow.latency_difference.value, slow.latency_difference.interval) == (700, None)
    success = fast.success_difference
    assert success is not None
    assert success.interval is not None
    near(success.value, 20 / 40 - 45 / 50)
    near(success.interval.low, newcombe(45, 50, 20, 40)[0])
    near(success.interval.high, newcombe(45, 50, 20, 40)[1])
    assert success.interval.method == "Newcombe"
    cost = fast.cost_per_call_difference
    assert cost is not None
    assert cost.interval is not None
    near(cost.value, 0.005)
    variance = 0.02**2 / 39, 0.005**2 / 49
    df = sum(variance) ** 2 / (variance[0] ** 2 / 39 + variance[1] ** 2 / 49)
    near(cost.interval.high, 0.005 + t.ppf(0.975, df) * sum(variance) ** 0.5)
    assert rare.conversion_difference is not None
    assert "at random" in answer.caution


def newcombe(x: int, m: int, y: int, n: int) -> tuple[float, float]:
    def wilson(k: int, of: int) -> tuple[float, float]:
        z = norm.ppf(0.975)
        centre, half = (k + z * z / 2) / (of + z * z), z * (k * (of - k) / of + z * z / 4) ** 0.5 / (of + z * z)
        return centre - half, centre + half

    p, q, (l1, u1), (l2, u2) = x / m, y / n, wilson(x, m), wilson(y, n)
    return q - p - ((q - l2) ** 2 + (u1 - p) ** 2) ** 0.5, q - p + ((u2 - q) ** 2 + (p - l1) ** 2) ** 0.5


async def test_where_compare_and_top(context: Context) -> None:
    await store(context, *several("a", 4, 2, "1", "1", 5, 1), *several("b", 3, 3, "2", "2", 5, 0))
    await store(context, *(call("zoe", -n, "a", "m", cost="3", success=False) for n in (1, 2)))
    one = await ai_providers(context, DEFAULT, replace(MARCH, where=DimensionIs("provider", Op.IN, ("a",))))
    assert (one.group_count, one.calls) == (1, 4)
    compared = await ai_providers(context, DEFAULT, replace(MARCH, compare=Compare.PREVIOUS_PERIOD))
    group = by_keys(compared)["a", "m"]
    assert (group.cost_per_call.previous, group.success.previous, group.cost.previous) == (3, 0, 6)
    assert by_keys(compared)["b", "m"].success.previous is None
    top = await ai_providers(context, DEFAULT, replace(MARCH, top=1))
    assert [group.other for group in top.groups] == [False, True]
    assert (top.group_count, top.groups[1].calls, top.groups[1].conversion_rate.denominator) == (2, 4, 4)
    assert top.groups[1].value.value == 5


async def test_nothing_and_nonsense(context: Context, owner: Any) -> None:
    answer = await ai_providers(context, DEFAULT, MARCH)
    assert (answer.calls, answer.groups, answer.cheapest, answer.calibration.brier) == (0, (), None, None)
    assert (answer.success.value, answer.latency_p95.value, answer.value_per_call.value) == (None, None, None)
    with pytest.raises(BadInput) as refused:
        await ai_providers(context, DEFAULT, replace(MARCH, by=()))
    assert refused.value.field == "by"
    await store(context, call("ann", 1, "a", "m"))
    single = await ai_providers(context, DEFAULT, MARCH)
    assert (single.calls, single.cost.value, single.cost_per_call.value, single.value.value) == (1, None, None, 0)
    stranger = Context(context.services, await new_principal(owner))
    assert (await ai_providers(stranger, DEFAULT, MARCH)).calls == 0


async def test_more_calls_than_fit_in_memory_are_refused(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    # So that two fit.
    monkeypatch.setattr("resolvers.store.ledgers._ENTRY_BYTES", 127 << 20)
    tenant_id = context.require(Role.VIEWER).tenant_id
    await store(context, *(call(f"s{day}", day, "a", "x", durationMs=100 * day) for day in (1, 2)))
    await fold(context.services.database, tenant_id)
    assert (await ai_providers(context, DEFAULT, MARCH)).latency_p50.value == 150
    await store(context, call("s3", 3, "a", "x", durationMs=300))
    await fold(context.services.database, tenant_id)
    with pytest.raises(BadInput) as refused:
        await ai_providers(context, DEFAULT, MARCH)
    assert refused.value.field == "period"
