"""Money of several currencies: every answer is what one gets by exchanging event by event, by hand."""

from collections import defaultdict
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, localcontext
from random import Random
from typing import Any

import pytest

from resolvers import upkeep
from resolvers.analysis.attribution import Model
from resolvers.analysis.cohorts import CohortBasis
from resolvers.analysis.estimates import Money
from resolvers.analysis.exchange_rates import ExchangeRate
from resolvers.analysis.filters import EVERYTHING, DimensionIs, Op
from resolvers.analysis.metrics import MONEY_FIELDS
from resolvers.analysis.mrr import Movement
from resolvers.analysis.periods import Granularity, Period, PeriodRequest
from resolvers.analysis.questions import Question
from resolvers.attribution import attribution
from resolvers.catalogue import METRICS
from resolvers.cohorts import cohorts
from resolvers.context import Context, Principal, Role
from resolvers.errors import BadInput, Forbidden
from resolvers.exchange_rates import MOST_RATES, set_exchange_rates
from resolvers.recurring_revenue import recurring_revenue
from resolvers.revenue import revenue
from resolvers.store.database import Database
from resolvers.store.folding import fold
from resolvers.store.lifetime_value import PurchaseRepository
from resolvers.store.propensity import SpendRepository
from tests.factories import NOON, event, new_principal, purchase, store
from tests.resolvers.analysis.exchange_oracle import EXACT, exchanged
from tests.resolvers.test_attribution import DEFAULT, touch
from tests.resolvers.test_metrics import END, MARCH, START, random_events, told
from tests.resolvers.test_ways import both_ways, only_the_log

ABROAD = ("EUR", "JPY", "CHF")
IN_MONEY = [one.slug for one in METRICS if one.numerator.field in MONEY_FIELDS]
DAYS = upkeep.days(START.date(), END.date())


def random_rates(chance: Random) -> list[ExchangeRate]:
    """Rates of some days of March and before, against the euro or the dollar; of some currencies too few."""
    made: dict[tuple[date, str, str], ExchangeRate] = {}
    for _ in range(chance.choice([4, 30])):
        base, other = chance.sample(["EUR", "USD", *chance.sample(ABROAD, 2)], 2)
        day = START.date() + timedelta(days=chance.randrange(-15, 40))
        if base in ("EUR", "USD") and base != other:
            made[day, base, other] = ExchangeRate(day, base, other, Decimal(chance.randrange(1, 10**6)) / 10**4)
    return list(made.values())


def abroad(chance: Random, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The events, some of their money in other currencies."""
    return [one | {"currency": chance.choice(["USD", *ABROAD])} if "currency" in one else one for one in events]


def at_home(one: dict[str, Any], rates: list[ExchangeRate]) -> dict[str, Any]:
    """An event with its money in dollars; as it is where nobody knows what that comes to."""
    field = "amount" if "amount" in one else "cost"
    if "currency" not in one or one.get(field) is None:
        return one
    day = datetime.fromisoformat(one["occurredAt"]).astimezone(UTC).date()
    worth = exchanged(rates, Decimal(one[field]), one["currency"], "USD", day)
    return one if worth is None else one | {field: str(worth), "currency": "USD"}


def exactly(slug: str, events: list[dict[str, Any]]) -> Decimal | None:
    """A metric of money by its definition in words: of what is in dollars."""
    with localcontext(EXACT):
        return told(slug, [one for one in events if one.get("currency", "USD") == "USD"])


def left_out(slug: str, events: list[dict[str, Any]]) -> set[Money]:
    """The money of a metric that is of other currencies, by currency."""
    found = {}
    for currency in ABROAD:
        of_one = [one | {"currency": "USD"} for one in events if one.get("currency") == currency]
        found[currency] = exactly(slug, of_one)
    return {Money(amount, currency) for currency, amount in found.items() if amount}


async def put(context: Context, *rates: ExchangeRate) -> None:
    await set_exchange_rates(context, [{**_fields(one), "date": one.date.isoformat()} for one in rates])


def _fields(one: ExchangeRate) -> dict[str, Any]:
    return {name: getattr(one, name) for name in ("base", "currency", "rate")}


def same(found: Decimal | None, expected: Decimal | None, slug: str) -> bool:
    """Sums to the last digit; an average to the 28 that quotients have."""
    if slug != "average_order_value":
        return found == expected
    return found is expected is None or abs((found or 0) - (expected or 0)) <= Decimal("1e-26") * abs(expected or 1)


@pytest.mark.parametrize("seed", range(6))
async def test_any_log_and_any_rates_are_what_one_adds_up_by_hand(
    context: Context, principal: Principal, seed: int
) -> None:
    chance = Random(seed)
    made = abroad(chance, random_events(seed, 240))
    known = random_rates(chance)
    await store(context, *made[:150])
    await fold(context.services.database, principal.tenant_id)
    await store(context, *made[150:])
    await put(context, *known)
    events = [at_home(one, known) for one in made]
    question = Question(
        MARCH, timezone=chance.choice(["UTC", "Asia/Kolkata", "America/New_York"]), granularity=Granularity.WEEK
    )
    for slug in (*IN_MONEY, "average_order_value"):
        for answer in await both_ways(context, slug, question):
            assert same(answer.estimate.value, exactly(slug, events), slug), slug
            assert set(answer.unconverted) == left_out("revenue" if slug == "average_order_value" else slug, events)
            edges = [*answer.series.at, END]
            for place, at in enumerate(answer.series.at):
                inside = [one for one in events if at <= datetime.fromisoformat(one["occurredAt"]) < edges[place + 1]]
                assert same(answer.series.exact[place], exactly(slug, inside), slug), (slug, at)
        some = DimensionIs("channel", Op.IN, ("a", "c"))
        for answer in await both_ways(context, slug, replace(question, where=some)):
            inside = [one for one in events if one["dimensions"].get("channel") in ("a", "c")]
            assert same(answer.estimate.value, exactly(slug, inside), slug), slug
        for answer in await both_ways(context, slug, Question(MARCH, by=("channel",), top=2)):
            by_channel = defaultdict(list)
            for one in events:
                by_channel[one["dimensions"].get("channel")].append(one)
            for group in answer.groups:
                shown = [one for key in group.keys for one in by_channel.pop(key.value)]
                own = shown or [one for rest in by_channel.values() for one in rest]
                assert same(group.estimate.value, exactly(slug, own), slug), (slug, group.keys)
    assert (
        sum(
            [
                day.wrong + day.wrong_sets
                async for day in upkeep.verify(context.services.database, principal.tenant_id, DAYS)
            ]
        )
        == 0
    )


@pytest.mark.parametrize("seed", range(3))
async def test_revenue_and_its_customers_are_what_one_counts_by_hand(
    context: Context, principal: Principal, seed: int
) -> None:
    chance = Random(seed)
    made = abroad(chance, random_events(seed + 50, 200))
    known = random_rates(chance)
    await store(context, *made)
    await put(context, *known)
    events = [at_home(one, known) for one in made]
    paid = [one for one in events if one["name"] == "purchase" and one["currency"] == "USD"]
    for folded in (False, True):
        if folded:
            await fold(context.services.database, principal.tenant_id)
        answer = await revenue(context, Question(MARCH, timezone="Asia/Kolkata"))
        assert answer.total.amount == exactly("revenue", events)
        assert answer.orders == len({one["orderId"] or id(one) for one in paid})
        assert answer.customers == len({one["subject"] for one in paid})
        assert EXACT.add(answer.recurring.amount, answer.one_time.amount) == answer.total.amount
        with localcontext(EXACT):
            assert sum(answer.series.total) == answer.total.amount
        with only_the_log():
            logged = await revenue(context, Question(MARCH, timezone="Asia/Kolkata", top=19))
        assert replace(logged, explain=answer.explain) == answer


MONDAY = date(2026, 3, 9)
EUROS = [ExchangeRate(MONDAY, "EUR", "USD", Decimal("1.25")), ExchangeRate(MONDAY, "EUR", "JPY", Decimal(100))]


async def test_a_rate_that_is_changed_changes_the_answers_at_once(context: Context) -> None:
    await store(context, purchase("8", currency="EUR"), purchase("400", currency="JPY"), purchase("1"))
    before = await revenue(context, Question(MARCH))
    assert (before.total.amount, before.orders) == (1, 1)
    assert [(money.amount, money.currency) for money in before.unconverted] == [(8, "EUR"), (400, "JPY")]
    await put(context, *EUROS)
    after = await revenue(context, Question(MARCH))
    assert (after.total.amount, after.orders, after.unconverted) == (16, 3, ())
    await put(context, replace(EUROS[0], rate=Decimal(2)))
    assert (await revenue(context, Question(MARCH))).total.amount == 25
    misses = context.services.cache.misses
    await put(context, replace(EUROS[0], rate=Decimal("2.0")))
    await revenue(context, Question(MARCH))
    assert context.services.cache.misses == misses


async def test_a_later_rate_is_never_used_and_an_old_one_runs_out(context: Context) -> None:
    days = [NOON + timedelta(days=days) for days in (-2, -1, 9, 10)]
    await store(context, *(purchase("8", currency="EUR", occurredAt=at) for at in days))
    await put(context, *EUROS)
    answer = await revenue(context, Question(MARCH))
    assert answer.total.amount == 20
    assert [(money.amount, money.currency) for money in answer.unconverted] == [(16, "EUR")]


async def test_the_day_of_a_rate_is_that_of_utc_whatever_the_zone(context: Context) -> None:
    last = datetime(2026, 3, 9, 23, 59, 59, tzinfo=UTC)
    await store(
        context,
        purchase("8", currency="EUR", occurredAt=last),
        purchase("8", currency="EUR", occurredAt=last + timedelta(seconds=1)),
    )
    await put(context, EUROS[0], replace(EUROS[0], date=MONDAY + timedelta(days=1), rate=Decimal(2)))
    answer = await revenue(context, Question(MARCH, timezone="Asia/Tokyo", granularity=Granularity.DAY))
    assert answer.total.amount == 26
    assert [amount for amount in answer.series.total if amount] == [26]


async def test_attribution_converts_a_conversion_by_its_day_and_a_cost_by_its_own(context: Context) -> None:
    await store(
        context,
        touch("ann", "ads", 0, cost="40", currency="EUR"),
        purchase("300", subject="ann", currency="JPY", occurredAt=datetime(2026, 3, 20, tzinfo=UTC)),
        purchase("5", subject="ann", currency="CHF", occurredAt=datetime(2026, 3, 20, tzinfo=UTC)),
    )
    await put(
        context,
        ExchangeRate(date(2026, 3, 1), "USD", "EUR", Decimal("0.8")),
        ExchangeRate(date(2026, 3, 19), "USD", "JPY", Decimal(150)),
        ExchangeRate(date(2026, 3, 19), "USD", "EUR", Decimal(1)),
    )
    answer = await attribution(context, replace(DEFAULT, models=(Model.LINEAR,)), Question(MARCH))
    assert (answer.cost, answer.revenue, sum(answer.models[0].revenue)) == (50, 2, 2)
    assert answer.unconverted == (Money(Decimal(5), "CHF"),)
    assert answer.unconverted_cost == ()


async def test_cohorts_are_of_whoever_paid_in_money_that_can_be_converted(context: Context) -> None:
    await store(
        context,
        purchase("8", subject="ann", currency="EUR", occurredAt=NOON),
        purchase("3", subject="ann", occurredAt=NOON + timedelta(days=7)),
        purchase("6", subject="bob", currency="CHF", occurredAt=NOON),
        purchase("4", subject="ann", name="refund", currency="EUR", occurredAt=NOON + timedelta(days=8)),
    )
    await put(context, *EUROS)
    found = await cohorts(context, CohortBasis.REVENUE, Question(MARCH, granularity=Granularity.MONTH))
    (cohort,) = [one for one in found.cohorts if one.size]
    assert (cohort.size, cohort.revenue[0]) == (1, 8)
    assert found.unconverted == (Money(Decimal(6), "CHF"),)


def subscription(name: str, amount: str | None, day: int, **fields: Any) -> dict[str, Any]:
    due = {} if amount is None else {"amount": amount, "interval": "MONTH", "currency": "EUR"}
    return event(kind="SUBSCRIPTION", name=name, occurredAt=START + timedelta(days=day), **due | fields)


async def test_rates_that_move_make_no_movement_of_recurring_revenue(context: Context) -> None:
    """A subscription is worth what it was when it began: said again, raised and ended, at that day's rate."""
    await store(
        context,
        subscription("started", "100", 1),
        subscription("changed", "100", 8),
        subscription("changed", "120", 15),
        subscription("changed", "300", 16, currency="USD"),
        subscription("ended", None, 22),
        subscription("started", "10", 2, subject="bob", currency="CHF"),
        subscription("started", "7", 2, subject="cleo", currency="USD"),
    )
    await put(
        context,
        *(
            ExchangeRate(START.date() + timedelta(days=day), "EUR", "USD", Decimal(rate))
            for day, rate in ((1, "1.1"), (8, "1.5"), (15, "0.7"), (22, "3"))
        ),
    )
    found = await recurring_revenue(context, Question(MARCH))
    moved = {one: getattr(found.movements, one.name.lower()) for one in Movement}
    assert moved == {
        Movement.NEW: 117,
        Movement.EXPANSION: 22,
        Movement.CONTRACTION: 0,
        Movement.CHURN: 132,
        Movement.REACTIVATION: 0,
    }
    assert (found.movements.ending, found.unconverted) == (7, (Money(Decimal(10), "CHF"),))


async def test_bad_rates_are_refused_as_a_whole_and_by_place(context: Context) -> None:
    good = {"date": "2026-03-09", "base": "EUR", "currency": "USD", "rate": "1.25"}
    for rates, field in (
        ([], "rates"),
        ([good] * (MOST_RATES + 1), "rates"),
        ([good, good | {"currency": "CHF", "rate": "0"}], "rates[1].rate"),
        ([good, good | {"currency": "CHF", "date": "2206-03-09"}], "rates[1].date"),
        ([good, good | {"currency": "CHF"}, good | {"rate": "2"}], "rates[2]"),
    ):
        with pytest.raises(BadInput) as refused:
            await set_exchange_rates(context, rates)
        assert refused.value.field == field
    await store(context, purchase("8", currency="EUR"))
    assert (await revenue(context, Question(MARCH))).total.amount == 0


async def test_rates_are_one_tenant_s_and_an_admin_s(context: Context, owner: Database) -> None:
    other = Context(context.services, await new_principal(owner))
    await put(other, *EUROS)
    await store(context, purchase("8", currency="EUR"))
    assert (await revenue(context, Question(MARCH))).total.amount == 0
    analyst = Context(context.services, await new_principal(owner, Role.ANALYST))
    with pytest.raises(Forbidden):
        await put(analyst, *EUROS)


async def test_a_tenant_of_one_currency_looks_no_rate_up(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    await store(context, purchase("1"), event())

    def never(*_: object) -> None:
        raise AssertionError("a rate was looked up")

    monkeypatch.setattr("resolvers.store.exchange_rates.rates_to", never)
    period = PeriodRequest(start=START, end=END)
    assert (await revenue(context, Question(period))).total.amount == 1


async def test_what_models_learn_from_is_converted(context: Context, principal: Principal) -> None:
    tuesday = NOON.replace(hour=0)
    await store(
        context,
        purchase("8", subject="ann", currency="EUR", occurredAt=tuesday),
        purchase("1", subject="ann", occurredAt=tuesday + timedelta(hours=1)),
        purchase("9", subject="bob", currency="CHF", occurredAt=tuesday),
        purchase("4", subject="cleo", currency="EUR", occurredAt=tuesday - timedelta(days=2)),
        purchase("3", subject="cleo", occurredAt=tuesday - timedelta(days=2)),
    )
    await put(context, *EUROS)
    async with context.services.database.tenant(principal.tenant_id) as session:
        of_whom = (principal.tenant_id, "USD", EVERYTHING)
        days = await PurchaseRepository(session, context.services.memory).days(*of_whom, Period(START, END), "UTC")
        (spend,) = await SpendRepository(session, context.services.memory).before(*of_whom, [END], 31)
    assert sorted(days.amount.tolist()) == sorted(spend.amount.tolist()) == [3, 11]
