"""Attribution over the log: what is answered is what the touches, conversions and costs say."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from resolvers import attribution as module
from resolvers.analysis import attribution_bootstrap
from resolvers.analysis.attribution import AttributionAnswer, AttributionDefinition, Model, Part
from resolvers.analysis.estimates import Money
from resolvers.analysis.events import Kind
from resolvers.analysis.explanations import Source
from resolvers.analysis.filters import All, DimensionIs, KindIs, MeasureIs, NameIs, Op, SubjectIs
from resolvers.analysis.periods import Compare, PeriodRequest
from resolvers.analysis.questions import Question
from resolvers.attribution import attribution
from resolvers.catalogue import CONVERSIONS
from resolvers.context import Context, Role
from resolvers.errors import BadInput, Forbidden
from resolvers.events import ingest
from resolvers.store.database import Database
from resolvers.store.folding import fold
from tests.factories import event, new_principal, purchase, store

START = datetime(2026, 3, 1, tzinfo=UTC)
MARCH = Question(PeriodRequest(start=START, end=datetime(2026, 4, 1, tzinfo=UTC)))
DEFAULT = AttributionDefinition(
    CONVERSIONS, KindIs((Kind.TOUCHPOINT,)), "channel", timedelta(days=30), timedelta(days=7)
)
DIRECT, OTHER = "(direct)", "(other)"


def touch(subject: str, channel: str | None, day: float, **fields: Any) -> dict[str, Any]:
    """A touch whose campaign is called like its channel; without one it has no campaign either."""
    return event(
        subject=subject,
        kind="TOUCHPOINT",
        name="click",
        occurredAt=START + timedelta(days=day),
        dimensions={"channel": "some"} if channel is None else {"channel": channel, "campaign": channel},
        **fields,
    )


def buy(subject: str, amount: str, day: float, **fields: Any) -> dict[str, Any]:
    return purchase(amount, subject=subject, occurredAt=START + timedelta(days=day), **fields)


def spend(channel: str | None, cost: str, **fields: Any) -> dict[str, Any]:
    dimensions = {} if channel is None else {"channel": channel}
    made = {"kind": "SPEND", "name": "bill", "cost": cost, "currency": "USD", "dimensions": dimensions}
    return event(**made | fields)


def rows(answer: AttributionAnswer) -> list[str | None]:
    names = {Part.OTHER: OTHER, Part.DIRECT: DIRECT}
    return [names.get(part, value) for part, value in zip(answer.values.part, answer.values.value, strict=True)]


def column(answer: AttributionAnswer, values: Sequence[Any]) -> dict[str | None, Any]:
    return dict(zip(rows(answer), values, strict=True))


def credit(answer: AttributionAnswer, model: Model) -> dict[str | None, Decimal]:
    return column(answer, next(one.credit for one in answer.models if one.model is model))


def revenue(answer: AttributionAnswer, model: Model) -> dict[str | None, Decimal]:
    return column(answer, next(one.revenue for one in answer.models if one.model is model))


SHOP = (
    touch("ann", "ads", 1, cost="2", currency="USD"),
    touch("ann", "email", 3),
    touch("ann", "email", 3.5),
    buy("ann", "100", 4),
    buy("bob", "50.05", 5),
    touch("cleo", "ads", 6),
    spend("ads", "8"),
    spend("radio", "5"),
    spend(None, "1.5"),
)


async def test_every_model_side_by_side(context: Context) -> None:
    await store(context, *SHOP)
    answer = await attribution(context, DEFAULT, MARCH)
    assert [one.model for one in answer.models] == list(Model)
    assert (answer.conversions, answer.direct, answer.lost) == (2, 1, 1)
    assert (answer.revenue, answer.cost, answer.currency) == (Decimal("150.05"), Decimal("16.5"), "USD")
    assert rows(answer) == ["ads", "radio", None, "email", DIRECT]
    third, nothing = Decimal("0.333333333"), {"radio": 0, None: 0, DIRECT: 1}
    expected = {
        Model.FIRST_TOUCH: (1, 0),
        Model.LAST_TOUCH: (0, 1),
        Model.LINEAR: (third, 1 - third),
        Model.POSITION: (Decimal("0.4"), Decimal("0.6")),
        Model.J_SHAPED: (Decimal("0.2"), Decimal("0.8")),
        Model.INVERSE_J: (Decimal("0.6"), Decimal("0.4")),
        Model.MARKOV: (Decimal("0.5"), Decimal("0.5")),
        Model.SHAPLEY: (Decimal("0.5"), Decimal("0.5")),
        Model.PARTICIPATION: (1, 1),
    }
    for model, (ads, email) in expected.items():
        assert credit(answer, model) == {"ads": ads, "email": email, **nothing}
        assert revenue(answer, model)[DIRECT] == Decimal("50.05")
    assert revenue(answer, Model.LINEAR)["ads"] == Decimal("33.333333333")
    assert sum(revenue(answer, Model.TIME_DECAY).values()) == Decimal("150.05")
    assert credit(answer, Model.TIME_DECAY)["ads"] == Decimal("0.285722421")
    first = answer.models[0]
    assert column(answer, answer.values.cost) == {
        "ads": 10, "radio": 5, None: Decimal("1.5"), "email": None, DIRECT: None
    }  # fmt: skip
    assert column(answer, first.cost_per_credit)["ads"] == 10
    assert column(answer, first.roas) == {"ads": 10, "radio": 0, None: 0, "email": None, DIRECT: None}
    assert column(answer, first.cost_per_credit)["radio"] is None
    assert column(answer, answer.values.touches) == {"ads": 1, "email": 2, "radio": 0, None: 0, DIRECT: 0}
    assert column(answer, answer.values.conversions) == {"ads": 1, "email": 1, "radio": 0, None: 0, DIRECT: 1}
    assert column(answer, answer.values.assisted)["ads"] == 1
    assert column(answer, answer.values.assisted)["email"] == 0
    assert column(answer, answer.values.spread) == {"ads": 1, "email": 1, "radio": 0, None: 0, DIRECT: 0}
    effects = next(one.removal_effect for one in answer.models if one.model is Model.MARKOV)
    assert column(answer, effects or ()) == {"ads": 1, "email": 1, "radio": 0, None: 0, DIRECT: None}
    assert all(one.removal_effect is None for one in answer.models if one.model is not Model.MARKOV)


async def test_paths(context: Context) -> None:
    await store(
        context,
        *SHOP,
        *(touch("dan", "ads", day) for day in (1, 2, 10)),
        touch("dan", "email", 10.5),
        buy("dan", "1", 11),
        touch("dan", None, 11.5),
        buy("dan", "2", 12),
        *(touch("eve", "ads", 1 + number / 100) for number in range(25)),
        buy("eve", "4", 2),
        *(touch("fay", f"c{number}", 1 + number / 100) for number in range(21)),
        buy("fay", "8", 2),
    )
    paths = (await attribution(context, replace(DEFAULT, dimension="campaign"), MARCH)).paths
    assert [(path.values, path.conversions, path.revenue) for path in paths.top] == [
        (("ads", "email"), 2, 101),
        ((), 1, Decimal("50.05")),
        (("ads",), 1, 4),
        ((None,), 1, 2),
    ]
    assert paths.lengths == (1, 1, 0, 1, 1, *([0] * 15), 2)
    days = [Decimal(str(day)) * 86_400 for day in (0.5, 1, 1, 3, 10)]
    assert paths.median_lag == days[2]
    assert paths.p90_lag == days[3] + (days[4] - days[3]) * Decimal("0.6")


async def test_a_conversion_closes_a_journey_and_old_touches_do_not_count(context: Context) -> None:
    await store(
        context,
        touch("ann", "old", -27.5),
        touch("ann", "edge", -27),
        touch("ann", "before", 2),
        buy("ann", "1", 3),
        touch("ann", "after", 3.5),
        buy("ann", "2", 4),
        # Closed before the period.
        touch("bob", "spent", -3),
        buy("bob", "4", -2),
        buy("bob", "8", 2),
        # A conversion that is none.
        touch("cleo", "kept", 1),
        buy("cleo", "16", 2, name="churn"),
        buy("cleo", "32", 3),
        # After the end.
        touch("dan", "late", 30),
        buy("dan", "64", 31),
    )
    answer = await attribution(context, replace(DEFAULT, models=(Model.LINEAR,)), MARCH)
    assert credit(answer, Model.LINEAR) == {
        "after": 1, "kept": 1, "before": Decimal("0.5"), "edge": Decimal("0.5"), DIRECT: 1, "late": 0
    }  # fmt: skip
    assert revenue(answer, Model.LINEAR)["edge"] == Decimal("0.5")
    assert (answer.revenue, answer.lost) == (43, 1)


async def test_simultaneous_events_count_as_they_arrived(context: Context) -> None:
    await store(context, touch("ann", "a", 1), buy("ann", "1", 1), touch("ann", "b", 1), buy("ann", "2.5", 1))
    answer = await attribution(context, DEFAULT, MARCH)
    assert revenue(answer, Model.LAST_TOUCH) == {"a": 1, "b": Decimal("2.5")}
    swapped = replace(DEFAULT, conversion=All((CONVERSIONS, MeasureIs("amount", Op.GT, Decimal(2)))))
    answer = await attribution(context, swapped, MARCH)
    assert revenue(answer, Model.FIRST_TOUCH) == {"a": Decimal("2.5"), "b": 0}


async def test_nothing_is_an_answer(context: Context) -> None:
    for definition in DEFAULT, replace(DEFAULT, conversion=NameIs(("never",))):
        answer = await attribution(context, definition, MARCH)
        assert (answer.conversions, answer.direct, answer.lost, answer.revenue, answer.cost) == (0, 0, 0, 0, None)
        assert rows(answer) == []
        assert [one.credit for one in answer.models] == [()] * len(Model)
        assert (answer.paths.top, answer.paths.median_lag, sum(answer.paths.lengths)) == ((), None, 0)
    await store(context, buy("ann", "3", 1))
    answer = await attribution(context, DEFAULT, MARCH)
    for model in Model:
        assert (credit(answer, model), revenue(answer, model)) == ({DIRECT: 1}, {DIRECT: 3})


async def test_one_touch_gets_all(context: Context) -> None:
    await store(context, touch("ann", "ads", 1), buy("ann", "0.01", 2))
    answer = await attribution(context, DEFAULT, MARCH)
    for model in Model:
        assert (credit(answer, model), revenue(answer, model)) == ({"ads": 1}, {"ads": Decimal("0.01")})


async def test_more_values_than_are_shown_are_summed_up(context: Context) -> None:
    people = range(1_001)
    await store(
        context,
        *(touch(f"u{n}", f"c{n:04}", 1) for n in people),
        *(touch("u1", "c0000", 1 + n / 100) for n in (1, 2)),
        *(buy(f"u{n}", "0.1", 2) for n in people if n % 2),
        spend("c0007", "3"),
        spend("c0002", "4"),
    )
    answer = await attribution(context, DEFAULT, replace(MARCH, top=2))
    assert answer.value_count == 1_001
    assert [one.model for one in answer.models] == [m for m in Model if m not in (Model.MARKOV, Model.SHAPLEY)]
    assert rows(answer) == ["c0007", "c0001", OTHER]
    assert credit(answer, Model.FIRST_TOUCH) == {"c0007": 1, "c0001": 1, OTHER: 498}
    assert credit(answer, Model.LAST_TOUCH) == {"c0007": 1, "c0001": 0, OTHER: 499}
    assert revenue(answer, Model.LINEAR)[OTHER] == Decimal("49.866666667")
    assert sum(revenue(answer, Model.LINEAR).values()) == answer.revenue == 50
    assert column(answer, answer.values.cost) == {"c0007": 3, "c0001": None, OTHER: 4}
    for model, most in (Model.MARKOV, "1,000"), (Model.SHAPLEY, "100"):
        with pytest.raises(BadInput, match=f"at most {most} values; the paths have 1,001") as refused:
            await attribution(context, replace(DEFAULT, models=(Model.LINEAR, model)), MARCH)
        assert refused.value.field == "models"


async def test_other_currencies_are_told_and_left_out(context: Context) -> None:
    await store(
        context,
        touch("ann", "ads", 1, cost="7", currency="GBP"),
        buy("ann", "10", 2),
        buy("ann", "20", 3, currency="EUR"),
        buy("ann", "999999999999.123456789012", 4),
        spend("ads", "1"),
    )
    answer = await attribution(context, DEFAULT, MARCH)
    assert (answer.conversions, answer.revenue, answer.cost) == (3, Decimal("1000000000009.123456789012"), 1)
    assert answer.unconverted == (Money(Decimal(20), "EUR"),)
    assert answer.unconverted_cost == (Money(Decimal(7), "GBP"),)
    for model in Model:
        assert sum(revenue(answer, model).values()) == answer.revenue


async def test_where_narrows_touches_conversions_and_costs(context: Context) -> None:
    await store(context, *SHOP, touch("bob", "ads", 4), touch("bob", "radio", 4.5))
    bob = SubjectIs(("bob",))
    answer = await attribution(context, DEFAULT, replace(MARCH, where=bob))
    assert (answer.conversions, answer.lost, answer.cost) == (1, 0, None)
    assert credit(answer, Model.LINEAR) == {"ads": Decimal("0.5"), "radio": Decimal("0.5")}
    radio = replace(DEFAULT, touch=DimensionIs("channel", Op.IN, ("radio",)))
    answer = await attribution(context, radio, replace(MARCH, where=bob))
    assert credit(answer, Model.LINEAR) == {"radio": 1}


async def test_any_events_may_be_touches_and_conversions_of_any_dimension(context: Context) -> None:
    def used(subject: str, name: str, day: float, feature: str) -> dict[str, Any]:
        at = START + timedelta(days=day)
        return event(subject=subject, name=name, occurredAt=at, dimensions={"feature": feature})

    await store(context, used("ann", "use", 1, "search"), used("ann", "sign up", 2, "form"), buy("ann", "9", 3))
    signups = replace(DEFAULT, conversion=NameIs(("sign up",)), touch=KindIs((Kind.PRODUCT,)), dimension="feature")
    answer = await attribution(context, signups, MARCH)
    assert credit(answer, Model.LINEAR) == {"form": Decimal("0.5"), "search": Decimal("0.5")}
    assert (answer.conversions, answer.revenue, answer.unconverted) == (1, 0, ())


async def test_a_comparison_is_with_the_period_before(context: Context) -> None:
    await store(
        context,
        touch("ann", "ads", 1),
        buy("ann", "5", 2),
        touch("bob", "radio", -3),
        buy("bob", "7", -2),
        buy("cleo", "2", -2),
    )
    answer = await attribution(context, DEFAULT, replace(MARCH, compare=Compare.PREVIOUS_PERIOD))
    assert answer.previous_period is not None
    assert credit(answer, Model.LINEAR) == {"ads": 1, "radio": 0, DIRECT: 0}
    for model in answer.models:
        assert column(answer, model.previous_credit or ()) == {"ads": 0, "radio": 1, DIRECT: 1}
        assert column(answer, model.previous_revenue or ()) == {"ads": 0, "radio": 7, DIRECT: 2}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"lookback": timedelta(0)}, "lookback"),
        ({"lookback": timedelta(days=367)}, "lookback"),
        ({"half_life": timedelta(0)}, "halfLife"),
        ({"half_life": timedelta(days=367)}, "halfLife"),
        ({"models": ()}, "models"),
        ({"models": (Model.LINEAR, Model.LINEAR)}, "models"),
        ({"dimension": "nonsense"}, "dimension"),
        ({"resamples": -1}, "resamples"),
        ({"resamples": 2_001}, "resamples"),
    ],
)
async def test_a_bad_question_says_what_to_change(context: Context, change: dict[str, Any], field: str) -> None:
    with pytest.raises(BadInput) as refused:
        await attribution(context, replace(DEFAULT, **change), MARCH)
    assert refused.value.field == field


async def test_credits_have_intervals_where_they_are_asked_for(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store(
        context,
        *(touch(f"u{number}", "ads" if number < 30 else "email", 1) for number in range(40)),
        *(buy(f"u{number}", "1", 2) for number in range(50)),
    )
    asked = replace(DEFAULT, resamples=1_000)
    answer = await attribution(context, asked, replace(MARCH, top=1))
    for model in answer.models:
        low, high = column(answer, model.low or ()), column(answer, model.high or ())
        assert low.keys() == {"ads", OTHER, DIRECT}
        if model.model is Model.MARKOV:
            # How 40 begin is drawn, of which 30 begin with ads; those without a touch are no part of the chain.
            assert 24 <= low["ads"] <= 25
            assert 34 <= high["ads"] <= 36
            assert (low["ads"] + high[OTHER], high["ads"] + low[OTHER]) == (40, 40)
            assert low[DIRECT] == high[DIRECT] == 10
            continue
        # Each is a share of 50: 30, 10 and 10.
        assert 22 <= low["ads"] <= 24
        assert 36 <= high["ads"] <= 37
        for row in OTHER, DIRECT:
            assert 4 <= low[row] <= 5
            assert 15 <= high[row] <= 17
    monkeypatch.setattr(attribution_bootstrap, "MOST_STATES", 1)
    few = await attribution(context, asked, replace(MARCH, top=3))
    assert [one.model for one in few.models if one.low is None and one.high is None] == [Model.MARKOV]
    monkeypatch.setattr(attribution_bootstrap, "MOST_WORK", 41_000)
    with pytest.raises(BadInput, match="ask for at most 100 resamples") as refused:
        await attribution(context, asked, replace(MARCH, top=2))
    assert refused.value.field == "resamples"
    only = await attribution(context, replace(asked, models=(Model.MARKOV,)), replace(MARCH, top=4))
    assert only.models[0].credit[0] == 30


async def test_a_lookback_may_be_as_long_as_a_leap_year(context: Context) -> None:
    await store(context, touch("ann", "ads", -360), buy("ann", "5", 2))
    answer = await attribution(context, replace(DEFAULT, lookback=timedelta(days=366)), MARCH)
    assert credit(answer, Model.LINEAR) == {"ads": 1}


async def test_more_paths_than_fit_are_refused(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    await store(context, *SHOP)
    monkeypatch.setattr(module, "_LARGEST", 30)
    with pytest.raises(BadInput, match="more events than can be walked") as refused:
        await attribution(context, DEFAULT, MARCH)
    assert refused.value.field == "period"


async def test_only_readers_ask_and_only_about_their_own(context: Context, owner: Database) -> None:
    await store(context, *SHOP)
    stranger = Context(context.services, await new_principal(owner, Role.VIEWER))
    answer = await attribution(stranger, DEFAULT, MARCH)
    assert (answer.conversions, answer.revenue, answer.cost, rows(answer)) == (0, 0, None, [])
    with pytest.raises(Forbidden):
        await attribution(Context(context.services, await new_principal(owner, Role.INGEST)), DEFAULT, MARCH)


def made(random: Random) -> dict[str, Any]:
    """An event of few people at few moments, so that many are simultaneous."""
    subject, day = random.choice(["ann", "bob", "cleo"]), random.randrange(-40, 40) / 2
    if random.random() < 0.6:
        cost = {"cost": "0.5", "currency": random.choice(["USD", "EUR"])} if random.random() < 0.3 else {}
        return touch(subject, random.choice(["a", "b", "c", None]), day, **cost)
    amount, currency = str(Decimal(random.randrange(10_000)) / 1000), random.choice(["USD", "USD", "EUR"])
    return buy(subject, amount, day, currency=currency, name=random.choice(["purchase", "churn"]))


@pytest.mark.parametrize("seed", range(4))
async def test_folding_changes_nothing(context: Context, owner: Database, seed: int) -> None:
    random = Random(seed)
    plain = Context(context.services, await new_principal(owner))
    principal = context.require(Role.ADMIN)
    definitions = (
        DEFAULT,
        replace(DEFAULT, dimension="campaign"),
        replace(DEFAULT, lookback=timedelta(days=2), touch=KindIs((Kind.TOUCHPOINT, Kind.CONVERSION))),
        replace(DEFAULT, conversion=NameIs(("churn",))),
        replace(DEFAULT, conversion=All((CONVERSIONS, DimensionIs("channel", Op.MISSING)))),
    )
    for _ in range(3):
        batch = [made(random) for _ in range(60)]
        for one in context, plain:
            assert (await ingest(one, batch)).accepted == 60
        for folded in (False, True):
            if folded:
                await fold(context.services.database, principal.tenant_id)
            for definition in definitions:
                question = replace(MARCH, compare=Compare.PREVIOUS_PERIOD, top=random.randrange(20, 90))
                context.renew()
                plain.renew()
                answer = await attribution(context, definition, question)
                assert answer == await attribution(plain, definition, question)
                for model in answer.models:
                    if model.model is not Model.PARTICIPATION:
                        assert sum(model.credit) == answer.conversions
                        assert sum(model.revenue) == answer.revenue
        assert answer.explain.source is Source.JOURNEYS
