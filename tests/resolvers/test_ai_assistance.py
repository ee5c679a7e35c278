"""The assisted and the unassisted, told apart as a plain walk over their events does."""

from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from random import Random
from typing import Any

import numpy as np
import pytest
from scipy.stats import ttest_ind

from resolvers.ai_assistance import ai_assistance
from resolvers.analysis.ai_assistance import AssistanceDefinition, AssistanceFigures
from resolvers.analysis.ai_assistance_answers import Side, adjusted
from resolvers.analysis.events import Kind
from resolvers.analysis.filters import DimensionIs, KindIs, Op
from resolvers.analysis.periods import Compare, PeriodRequest
from resolvers.analysis.questions import Question
from resolvers.catalogue import CONVERSIONS
from resolvers.context import Context
from resolvers.errors import BadInput
from resolvers.store.folding import fold
from tests.factories import event, new_principal, purchase, store

START = datetime(2026, 3, 1, tzinfo=UTC)
MARCH = Question(PeriodRequest(start=START, end=datetime(2026, 4, 1, tzinfo=UTC)))
DEFAULT = AssistanceDefinition(CONVERSIONS, KindIs((Kind.AI_INTERACTION,)), timedelta(days=7))
Sent = dict[str, Any]


def on(day: float, **fields: Any) -> Sent:
    return event(occurredAt=START + timedelta(days=day), **fields)


def call(subject: str, day: float) -> Sent:
    dimensions = {"provider": "acme", "model": "m"}
    return on(day, subject=subject, kind="AI_INTERACTION", name="chat", dimensions=dimensions)


def buy(subject: str, amount: str, day: float, **fields: Any) -> Sent:
    return purchase(amount, subject=subject, occurredAt=START + timedelta(days=day), **fields)


async def test_both_sides(context: Context) -> None:
    await store(
        context,
        call("ann", 1),
        buy("ann", "10", 2),
        # Too long after the call.
        buy("ann", "3", 20),
        buy("bob", "5", 3),
        # Assisted only from the second on.
        call("bob", 4),
        buy("bob", "7.5", 5),
        call("cleo", 6),
        on(6, subject="dan"),
        buy("eve", "1", 7, assisted=True),
        call("fay", -3),
        buy("fay", "2", 3),
        call("gus", -3),
    )
    answer = await ai_assistance(context, DEFAULT, MARCH)
    helped, without = answer.assisted, answer.unassisted
    assert (helped.rate.numerator, helped.rate.denominator) == (3, 4)
    assert (without.rate.numerator, without.rate.denominator) == (1, 2)
    assert (helped.conversions, helped.value) == (4, Decimal("20.5"))
    assert (without.conversions, without.value) == (2, 8)
    assert helped.value_per_conversion.value == Decimal("5.125")
    # Whoever is assisted is so with all that was bought.
    assert (helped.value_per_subject.value, without.value_per_subject.value) == (4, Decimal("6.25"))
    assert answer.rate_difference is not None
    assert answer.rate_difference.value == Decimal("0.25")
    assert answer.adjusted_difference is None
    assert "at random" in answer.caution


def told(
    log: list[Sent], of: set[str], lookback: timedelta
) -> tuple[list[int], list[int], list[list[Fraction]], list[list[Fraction]]]:
    """Subjects, those converted, amounts of conversions and of subjects, of the unassisted and the assisted."""
    subjects, converted = [0, 0], [0, 0]
    amounts: list[list[Fraction]] = [[], []]
    spent: list[list[Fraction]] = [[], []]
    by_subject: dict[str, list[Sent]] = defaultdict(list)
    for one in sorted(log, key=lambda one: datetime.fromisoformat(one["occurredAt"])):
        by_subject[one["subject"]].append(one)
    for who in of:
        calls: list[datetime] = []
        mine: list[tuple[bool, Fraction]] = []
        using = False
        for one in by_subject[who]:
            at = datetime.fromisoformat(one["occurredAt"])
            if one["kind"] == "AI_INTERACTION":
                calls.append(at)
                using |= at >= START
            elif one["kind"] == "CONVERSION" and one["name"] == "purchase" and at >= START:
                helped = one.get("assisted") is True or any(at - lookback <= called for called in calls)
                money = Fraction(Decimal(one["amount"])) if one["currency"] == "USD" else Fraction(0)
                mine.append((helped, money))
                amounts[helped].append(money)
        side = mine[0][0] if mine else using
        subjects[side] += 1
        converted[side] += bool(mine)
        spent[side].append(sum((money for _, money in mine), Fraction(0)))
    return subjects, converted, amounts, spent


def assert_told(
    found: AssistanceFigures,
    expected: tuple[list[int], list[int], list[list[Fraction]], list[list[Fraction]]],
) -> None:
    subjects, converted, amounts, spent = expected
    for side, arm in enumerate((found.unassisted, found.assisted)):
        assert (arm.rate.denominator, arm.rate.numerator) == (subjects[side], converted[side])
        assert (arm.conversions, Fraction(arm.value)) == (len(amounts[side]), sum(amounts[side], Fraction(0)))
        for estimate, values in (arm.value_per_conversion, amounts[side]), (arm.value_per_subject, spent[side]):
            assert (estimate.value is None) is (not values)
            if values:
                assert float(estimate.value or 0) == pytest.approx(float(sum(values) / len(values)))
    for difference, groups in (
        (found.value_per_conversion_difference, amounts),
        (found.value_per_subject_difference, spent),
    ):
        if difference is not None and difference.interval is not None:
            test = ttest_ind(*([float(one) for one in groups[side]] for side in (1, 0)), equal_var=False)
            interval = test.confidence_interval()
            assert float(difference.interval.low) == pytest.approx(interval.low, abs=1e-9)
            assert float(difference.interval.high) == pytest.approx(interval.high, abs=1e-9)


@pytest.mark.parametrize("seed", range(20))
async def test_random_logs(context: Context, seed: int) -> None:
    rng = Random(seed)
    log: list[Sent] = []
    plan: dict[str, str] = {}
    for _ in range(rng.randint(3, 150)):
        who, day = f"s{rng.randint(1, 25)}", rng.choice((rng.randint(-8, 30), rng.uniform(-8, 30)))
        match rng.randint(0, 3):
            case 0 | 1:
                log.append(call(who, day))
            case 2:
                said = {"currency": rng.choice(("USD", "USD", "EUR")), "assisted": rng.choice((True, False))}
                log.append(buy(who, f"{rng.uniform(0, 99):.2f}", day, name=rng.choice(("purchase", "churn")), **said))
            case _:
                log.append(on(day, subject=who, dimensions={"plan": plan.setdefault(who, rng.choice("ab"))}))
    await store(context, *log)
    if seed % 2:
        await fold(context.services.database, context.principal.tenant_id)  # type: ignore[union-attr]
    inside = {one["subject"] for one in log if datetime.fromisoformat(one["occurredAt"]) >= START}
    lookback = DEFAULT.lookback
    answer = await ai_assistance(context, DEFAULT, replace(MARCH, by=("plan",)))
    assert_told(answer, told(log, inside, lookback))
    known = {
        one["subject"]: one["dimensions"]["plan"]
        for one in log
        if one["kind"] == "PRODUCT" and datetime.fromisoformat(one["occurredAt"]) >= START
    }
    groups = {group.keys[0].value: group for group in answer.groups}
    assert groups.keys() == {known.get(who) for who in inside}
    for value, group in groups.items():
        assert_told(group, told(log, {who for who in inside if known.get(who) == value}, lookback))
    narrowed = replace(MARCH, where=DimensionIs("plan", Op.IN, ("a",)))
    only = {who for who, value in known.items() if value == "a"}
    assert_told(await ai_assistance(context, DEFAULT, narrowed), told(log, only, lookback))


def test_the_adjusted_difference() -> None:
    def side(subjects: int, converted: int) -> Side:
        return Side(subjects, converted, 0, 0, 0, 0, 0)

    # One stratum is the plain difference with Wald's interval.
    (one,) = ([(side(40, 10), side(60, 30))],)
    found = adjusted(one)
    assert found is not None
    assert found.interval is not None
    error = (0.25 * 0.75 / 40 + 0.5 * 0.5 / 60) ** 0.5
    assert float(found.value) == pytest.approx(0.25)
    assert float(found.interval.high) == pytest.approx(0.25 + 1.959963984540054 * error)
    # Simpson's: within each group AI makes no difference, though it does in all together.
    confounded = adjusted([(side(100, 10), side(10, 1)), (side(10, 8), side(100, 80))])
    assert confounded is not None
    assert confounded.value == 0
    assert adjusted([(side(0, 0), side(5, 1))]) is None
    assert adjusted([]) is None
    certain = adjusted([(side(3, 3), side(3, 3))])
    assert certain is not None
    assert (certain.interval, certain.value) == (None, 0)


async def test_many_groups_compare_and_nothing(context: Context, owner: Any) -> None:
    empty = await ai_assistance(context, DEFAULT, replace(MARCH, by=("plan",)))
    assert (empty.assisted.rate.value, empty.rate_difference, empty.groups, empty.group_count) == (None, None, (), 0)
    await store(context, *(on(1, subject=f"u{n}", dimensions={"plan": f"p{n}"}) for n in range(30)))
    await store(context, call("u1", 2), buy("u1", "4", 3), call("old", -20), buy("old", "2", -19))
    answer = await ai_assistance(context, DEFAULT, replace(MARCH, by=("plan",), top=3, compare=Compare.PREVIOUS_PERIOD))
    assert answer.group_count == 30
    assert [group.other for group in answer.groups] == [False, False, False, True]
    counted = [group.unassisted.rate.n + group.assisted.rate.n for group in answer.groups]
    assert sum(counted) == 30
    assert answer.assisted.rate.previous == 1
    assert answer.assisted.value_per_conversion.previous == 2
    assert answer.unassisted.rate.previous is None
    single = answer.value_per_conversion_difference
    assert single is None
    with pytest.raises(BadInput) as refused:
        await ai_assistance(context, replace(DEFAULT, lookback=timedelta(days=400)), MARCH)
    assert refused.value.field == "lookback"
    stranger = Context(context.services, await new_principal(owner))
    assert (await ai_assistance(stranger, DEFAULT, MARCH)).unassisted.rate.n == 0
    assert np.isfinite(float(answer.assisted.value))
