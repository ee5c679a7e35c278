"""AI ROI over the log: costs, credits and payback are what the events say."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from random import Random
from typing import Any

import pytest

from resolvers.ai_providers import ai_providers
from resolvers.analysis import numbering
from resolvers.analysis.attribution import Model
from resolvers.analysis.estimates import Money, Quality
from resolvers.analysis.events import Kind
from resolvers.analysis.filters import DimensionIs, FlagIs, KindIs, NameIs, Op
from resolvers.analysis.periods import Compare, Granularity, PeriodRequest
from resolvers.analysis.questions import Question
from resolvers.analysis.roi import MODELS, Evidence, RoiAnswer, RoiDefinition, RoiFigures
from resolvers.catalogue import CONVERSIONS
from resolvers.context import Context, Role
from resolvers.errors import BadInput, Forbidden
from resolvers.exchange_rates import set_exchange_rates
from resolvers.roi import roi
from resolvers.store.folding import fold
from tests.factories import event, new_principal, purchase, store
from tests.resolvers.roi_oracle import Plain, Sent, plain

START = datetime(2026, 3, 1, tzinfo=UTC)
END = datetime(2026, 4, 1, tzinfo=UTC)
MARCH = Question(PeriodRequest(start=START, end=END))
DEFAULT = RoiDefinition(CONVERSIONS, None, Model.LINEAR, timedelta(days=30), timedelta(days=7), resamples=0)
NINE = Fraction(1, 10**9)


def call(subject: str, day: float, cost: str | None = None, **fields: Any) -> Sent:
    money = {} if cost is None else {"cost": cost, "currency": "USD"}
    made = {"kind": "AI_INTERACTION", "name": "chat", "occurredAt": START + timedelta(days=day)}
    return event(subject=subject, **made | money | model("some") | fields)


def buy(subject: str, amount: str, day: float, **fields: Any) -> Sent:
    return purchase(amount, subject=subject, occurredAt=START + timedelta(days=day), **fields)


def model(name: str) -> dict[str, Any]:
    return {"dimensions": {"model": name, "provider": "acme"}}


def groups(answer: RoiAnswer) -> dict[str | None, RoiFigures]:
    return {"(other)" if one.other else one.keys[0].value: one for one in answer.groups}


SHOP = (
    call("ann", 1, "2", **model("large")),
    call("ann", 2, "0.5", **model("small")),
    call("ann", 3, None, **model("secret")),
    buy("ann", "30", 4),
    call("bob", 5, "10.25", **model("large")),
    buy("cleo", "7", 6),
)


async def test_value_is_owed_in_equal_parts_to_the_interactions_before_a_conversion(context: Context) -> None:
    await store(context, *SHOP)
    answer = await roi(context, DEFAULT, replace(MARCH, by=("model",)))
    assert (answer.all_conversions, answer.all_value) == (2, 37)
    assert (answer.calls, answer.unpriced, answer.subjects) == (4, 1, 2)
    assert (answer.cost.value, answer.value.value, answer.conversions.value) == (Decimal("12.75"), 30, 1)
    assert answer.net.value == Decimal("17.25")
    assert answer.roi.value == Decimal("17.25") / Decimal("12.75")
    assert answer.margin.value == Decimal("0.575")
    assert answer.cost_per_conversion.value == Decimal("12.75")
    assert answer.break_even_conversions.value == Decimal("0.425")
    assert answer.shortfall == 0
    assert answer.payback_at == START + timedelta(days=4)
    assert answer.payback_seconds == 3 * 86_400
    assert answer.evidence is Evidence.CORRELATIONAL
    found = groups(answer)
    assert list(found) == ["large", "small", "secret"]
    assert found["large"].cost.value == Decimal("12.25")
    assert found["large"].net.value == Decimal("-2.25")
    assert found["large"].shortfall == Decimal("2.25")
    # What was spent on bob came after it had paid.
    assert found["large"].payback_at == START + timedelta(days=4)
    assert found["secret"].value.value == 10
    assert (found["secret"].cost.value, found["secret"].roi.value, found["secret"].shortfall) == (None, None, None)
    assert found["secret"].payback_at is None
    assert answer.series.granularity is Granularity.DAY
    assert (answer.series.cost[1], answer.series.value[4], answer.series.roi[5]) == (2, 30, -1)
    assert (answer.series.balance[3], answer.series.balance[-1]) == (Decimal("-2.5"), Decimal("17.25"))


async def test_nothing_has_no_return(context: Context) -> None:
    answer = await roi(context, replace(DEFAULT, resamples=50), replace(MARCH, by=("model",)))
    assert (answer.calls, answer.cost.value, answer.value.value, answer.groups, answer.group_count) == (0, 0, 0, (), 0)
    ratios = (answer.roi, answer.margin, answer.cost_per_conversion, answer.break_even_conversions)
    assert [one.value for one in ratios] == [None] * 4
    assert (answer.net.value, answer.payback_at, answer.roi.quality) == (0, None, Quality.INSUFFICIENT)
    assert set(answer.series.cost) == {0}


async def test_free_calls_have_no_return_and_calls_without_conversions_lose_all(context: Context) -> None:
    await store(context, call("ann", 1, "0"), buy("ann", "5", 2))
    answer = await roi(context, replace(DEFAULT, resamples=50), MARCH)
    assert (answer.cost.value, answer.roi.value, answer.payback_at) == (0, None, None)
    assert (answer.net.value, answer.margin.value, answer.value.interval) == (5, 1, None)
    await store(context, call("bob", 3, "4"))
    lost = await roi(context, replace(DEFAULT, conversion=NameIs(("never",))), MARCH)
    assert (lost.roi.value, lost.net.value, lost.margin.value, lost.shortfall) == (-1, -4, None, 4)
    assert (lost.cost_per_conversion.value, lost.break_even_conversions.value) == (None, None)


async def test_where_chooses_calls_and_the_others_keep_their_part(context: Context) -> None:
    await store(context, *SHOP)
    whole = groups(await roi(context, DEFAULT, replace(MARCH, by=("model",))))
    only = await roi(context, DEFAULT, replace(MARCH, where=DimensionIs("model", Op.IN, ("large",))))
    assert (only.calls, only.value.value, only.roi.value) == (2, 10, whole["large"].roi.value)
    assert (only.all_value, only.payback_at) == (37, whole["large"].payback_at)


async def test_rivals_share_in_the_credit(context: Context) -> None:
    visit = {
        "kind": "TOUCHPOINT",
        "name": "click",
        "dimensions": {"channel": "ads"},
        "occurredAt": START + timedelta(days=3.5),
    }
    await store(context, *SHOP, event(subject="ann", **visit), event(subject="cleo", **visit))
    rival = replace(DEFAULT, rivals=KindIs((Kind.TOUCHPOINT,)))
    answer = await roi(context, rival, MARCH)
    assert (answer.value.value, answer.conversions.value) == (Decimal("22.5"), Decimal("0.75"))
    last = await roi(context, replace(rival, model=Model.LAST_TOUCH), MARCH)
    assert (last.value.value, last.payback_at) == (0, None)


async def test_only_conversions_said_to_be_assisted(context: Context) -> None:
    await store(context, *SHOP, call("dan", 7, "1"), buy("dan", "8", 8, assisted=True))
    answer = await roi(context, replace(DEFAULT, conversion=FlagIs("assisted", True)), MARCH)
    assert (answer.value.value, answer.all_value, answer.conversions.value) == (8, 8, 1)


async def test_thousands_of_models_are_summed_up(context: Context) -> None:
    await store(context, *(call(f"u{n}", 1, f"{n}.5", **model(f"m{n:04}")) for n in range(1_500)))
    await store(context, *(buy(f"u{n}", "3", 2) for n in range(0, 1_500, 3)))
    answer = await roi(context, DEFAULT, replace(MARCH, by=("model",), top=2))
    assert answer.group_count == 1_500
    found = groups(answer)
    assert list(found) == ["m1499", "m1498", "(other)"]
    assert found["(other)"].calls == 1_498
    for name in "cost", "value", "conversions", "net":
        assert sum(getattr(one, name).value for one in found.values()) == getattr(answer, name).value
    assert answer.value.value == 1_500


async def test_more_combinations_than_memory_holds_are_refused(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numbering, "MOST_COMBINATIONS", 2)
    await store(context, *(call("ann", 1, "1", **model(f"m{n}")) for n in range(3)))
    assert (await roi(context, DEFAULT, MARCH)).calls == 3
    with pytest.raises(BadInput, match="combinations") as refused:
        await roi(context, DEFAULT, replace(MARCH, by=("model",)))
    assert refused.value.field == "by"


async def test_money_of_others(context: Context) -> None:
    await store(context, call("ann", 1, "1", currency="EUR"), buy("ann", "2", 2, currency="GBP"), buy("ann", "9", 3))
    answer = await roi(context, DEFAULT, MARCH)
    assert (answer.unpriced, answer.cost.value, answer.conversions.value, answer.value.value) == (0, None, 1, 0)
    assert answer.unconverted_cost == (Money(Decimal(1), "EUR"),)
    assert answer.unconverted == (Money(Decimal(2), "GBP"),)


async def test_money_is_converted_at_the_rate_of_its_day(context: Context) -> None:
    await store(
        context, call("ann", 1, "1.5", currency="EUR"), call("ann", 2, "1"), call("ann", 2.5, "7", currency="CHF")
    )
    await store(context, buy("ann", "300", 3, currency="JPY"), buy("ann", "2", 4, currency="CHF"))
    rates = [("2026-03-02", "USD", "1.2"), ("2026-03-04", "USD", "1.25"), ("2026-03-04", "JPY", "150")]
    stated = [{"date": day, "base": "EUR", "currency": other, "rate": rate} for day, other, rate in rates]
    await set_exchange_rates(context, stated)
    answer = await roi(context, DEFAULT, MARCH)
    assert (answer.cost.value, answer.cost.n, answer.unpriced) == (Decimal("2.8"), 2, 0)
    assert answer.value.value == Decimal("2.5")
    assert answer.unconverted == (Money(Decimal(2), "CHF"),)
    assert answer.unconverted_cost == (Money(Decimal(7), "CHF"),)
    # Nothing was committed to the log, and yet the answer is another one.
    await set_exchange_rates(context, [stated[0] | {"rate": "1.4"}])
    assert (await roi(context, DEFAULT, MARCH)).cost.value == Decimal("3.1")
    providers = await ai_providers(context, DEFAULT, replace(MARCH, by=("model",)))
    assert (providers.cost.value, providers.value.value) == (Decimal("3.1"), Decimal("2.5"))


async def test_it_is_compared_with_the_time_before(context: Context) -> None:
    early = [call("zoe", -20, "4", **model("old")), call("zoe", -19, "1", **model("large")), buy("zoe", "10", -18)]
    await store(context, *SHOP, *early)
    answer = await roi(context, DEFAULT, replace(MARCH, by=("model",), compare=Compare.PREVIOUS_PERIOD))
    assert (answer.cost.previous, answer.value.previous, answer.roi.previous) == (5, 10, 1)
    found = groups(answer)
    assert (found["large"].cost.previous, found["large"].roi.previous) == (1, 4)
    assert found["small"].roi.previous is None
    assert "old" not in found


def random_log(rng: Random) -> Iterator[Sent]:
    for _ in range(rng.randint(5, 120)):
        subject, day = f"s{rng.randint(1, 5)}", rng.choice((rng.randint(-32, 34), rng.uniform(-32, 34)))
        match rng.randint(0, 4):
            case 0 | 1:
                cost = rng.choice((None, "0", "0.000001", f"{rng.uniform(0, 3):.9f}"))
                made = call(subject, day, cost, **model(f"m{rng.randint(1, 4)}"))
                yield made | ({"currency": "EUR"} if cost and rng.random() < 0.2 else {})
            case 2:
                yield event(
                    subject=subject,
                    kind="TOUCHPOINT",
                    name="c",
                    dimensions={"channel": "x"},
                    occurredAt=START + timedelta(days=day),
                )
            case 3:
                yield buy(subject, f"{rng.uniform(0, 9):.3f}", day, name=rng.choice(("purchase", "churn", "refund")))
            case _:
                yield buy(subject, f"{rng.uniform(0, 9):.2f}", day, currency=rng.choice(("USD", "EUR")))


def assert_same(figures: RoiFigures, expected: Plain) -> None:
    assert (figures.calls, figures.unpriced) == (expected.calls, expected.unpriced)
    priced = len(expected.spent)
    assert figures.cost.value == (None if expected.calls and not priced else Decimal(str(expected.cost.numerator))
                                  / Decimal(str(expected.cost.denominator)))  # fmt: skip
    assert abs(Fraction(figures.value.value or 0) - expected.value) <= 40 * NINE
    assert abs(Fraction(figures.conversions.value or 0) - expected.conversions) <= 40 * NINE
    assert sum(figures.series.calls) == expected.calls
    assert abs(sum(map(Fraction, figures.series.value)) - expected.value) <= 40 * NINE
    if figures.cost.value:
        assert figures.roi.value is not None
        assert float(figures.roi.value) == pytest.approx(float(expected.value / expected.cost - 1), abs=1e-6, rel=1e-6)


@pytest.mark.parametrize("seed", range(30))
async def test_random_logs_come_to_what_a_plain_walk_says(context: Context, seed: int) -> None:
    rng = Random(seed)
    log = list(random_log(rng))
    await store(context, *log)
    if seed % 3 == 0:
        await fold(context.services.database, context.principal.tenant_id)  # type: ignore[union-attr]
    choice = rng.choice([one for one in MODELS if one is not Model.TIME_DECAY])
    lookback = timedelta(days=rng.choice((1, 7, 30)))
    rivals = KindIs((Kind.TOUCHPOINT,)) if rng.random() < 0.5 else None
    narrowed = rng.random() < 0.4
    expected = plain(
        log,
        START,
        END,
        by="model",
        model=choice,
        lookback=lookback,
        asks=lambda sent: not narrowed or sent["dimensions"]["model"] in ("m1", "m2"),
        rivals=lambda sent: rivals is not None and sent["kind"] == "TOUCHPOINT",
    )
    question = replace(MARCH, by=("model",))
    if narrowed:
        question = replace(question, where=DimensionIs("model", Op.IN, ("m1", "m2")))
    definition = replace(DEFAULT, model=choice, lookback=lookback, rivals=rivals)
    answer = await roi(context, definition, question)
    found = groups(answer)
    assert found.keys() == expected.keys()
    for name, figures in found.items():
        assert_same(figures, expected[name])
        assert figures.payback_at == expected[name].payback()
    whole = Plain()
    for one in expected.values():
        whole.calls, whole.unpriced = whole.calls + one.calls, whole.unpriced + one.unpriced
        whole.cost, whole.value = whole.cost + one.cost, whole.value + one.value
        whole.conversions += one.conversions
        whole.spent += one.spent
        whole.earned += one.earned
    assert_same(answer, whole)
    assert answer.payback_at == whole.payback()


async def test_intervals_come_from_the_subjects(context: Context) -> None:
    people = range(60)
    await store(context, *(call(f"u{n}", 1, "1", **model("a" if n % 2 else "b")) for n in people))
    await store(context, *(buy(f"u{n}", str(2 + n % 7), 2) for n in people if n % 3))
    asked = replace(DEFAULT, resamples=400)
    answer = await roi(context, asked, replace(MARCH, by=("model",)))
    for figures in answer, *answer.groups:
        spread = (figures.value, figures.net, figures.roi, figures.margin, figures.conversions)
        for one in *spread, figures.cost_per_conversion, figures.break_even_conversions:
            assert one.interval is not None
            assert one.value is not None
            assert one.interval.low < one.value < one.interval.high
    # Each subject costs the same, so that the interval of the return is that of the mean value.
    values = [2 + n % 7 if n % 3 else 0 for n in people]
    mean = sum(values) / 60
    error = (sum((value - mean) ** 2 for value in values) / 60 / 60) ** 0.5
    interval = answer.roi.interval
    assert interval is not None
    assert float(interval.high - interval.low) == pytest.approx(2 * 1.96 * error, rel=0.15)
    again = await roi(Context(context.services, context.principal), replace(asked, lookback=timedelta(days=29)), MARCH)
    assert again.roi.interval == answer.roi.interval
    assert again.cost.interval is None


async def test_questions_that_make_no_sense(context: Context) -> None:
    for changes, field in (
        ({"model": Model.MARKOV}, "model"),
        ({"model": Model.PARTICIPATION}, "model"),
        ({"lookback": timedelta(0)}, "lookback"),
        ({"lookback": timedelta(days=367)}, "lookback"),
        ({"half_life": timedelta(days=-1)}, "halfLife"),
        ({"resamples": 2_001}, "resamples"),
        ({"resamples": -1}, "resamples"),
    ):
        with pytest.raises(BadInput) as refused:
            await roi(context, replace(DEFAULT, **changes), MARCH)  # type: ignore[arg-type]
        assert refused.value.field == field
    with pytest.raises(BadInput) as refused:
        await roi(context, DEFAULT, replace(MARCH, by=("model",), granularity=Granularity.HOUR, top=100))
    assert refused.value.field == "granularity"


async def test_tenants_and_roles_are_kept_apart(context: Context, owner: Any) -> None:
    await store(context, *SHOP)
    stranger = Context(context.services, await new_principal(owner))
    assert (await roi(stranger, DEFAULT, MARCH)).calls == 0
    with pytest.raises(Forbidden):
        await roi(Context(context.services, await new_principal(owner, Role.INGEST)), DEFAULT, MARCH)
