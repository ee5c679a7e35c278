"""Lifetime value over the log."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from resolvers.analysis.diagnoses import Diagnosis
from resolvers.analysis.estimates import Money, Quality
from resolvers.analysis.filters import DimensionIs, Op
from resolvers.analysis.periods import Compare
from resolvers.context import Context, Role
from resolvers.cutoffs import Asking
from resolvers.errors import BadInput, Forbidden
from resolvers.lifetime_value import customers, lifetime_value, valuable_customers
from resolvers.store.database import Database
from tests.factories import event, new_principal, purchase, store
from tests.resolvers.foretelling import CUTOFF, at, shoppers

ASKING = Asking(CUTOFF, timedelta(days=365))
QUARTER = timedelta(days=90)


async def test_value_is_held_against_what_was_foretold_a_horizon_before(context: Context) -> None:
    plans = [one | {"dimensions": {"plan": "pro" if int(one["subject"][1:]) % 3 else "team"}} for one in shoppers()]
    await store(context, *plans)
    asking = replace(ASKING, by=("plan",), top=1, compare=Compare.PREVIOUS_PERIOD)
    found = await lifetime_value(context, QUARTER, asking)
    then = await lifetime_value(context, QUARTER, replace(ASKING, cutoff=CUTOFF - QUARTER, by=("plan",)))
    assert (found.previous_cutoff, found.previous_quality) == (CUTOFF - QUARTER, then.quality)
    pro, team = then.groups
    for now, before in ((found, then), (found.groups[0], pro), (found.groups[1], team)):
        for name in ("value", "average_value", "purchases", "probability_alive"):
            assert getattr(now, name).previous == getattr(before, name).value is not None
    context.renew()
    year = await lifetime_value(context, QUARTER, replace(asking, compare=Compare.PREVIOUS_YEAR))
    assert (year.previous_cutoff, year.previous_quality) == (CUTOFF.replace(year=2025), Quality.INSUFFICIENT)
    assert {one.value.previous for one in (year, *year.groups)} == {None}
    assert year.value.value == found.value.value


async def test_customers_are_worth_what_the_models_say(context: Context) -> None:
    await store(context, *shoppers())
    found = await lifetime_value(context, QUARTER, ASKING)
    assert found.customers == 300
    assert 30 < found.returning < 300
    assert found.purchase_model is not None
    assert found.spend_model is not None
    assert found.purchase_model.n == 300
    assert found.value.currency == "USD"
    assert found.value.value is not None
    assert found.purchases.value is not None
    # The mean purchase is 5 times the mean scale of 8.
    assert float(found.value.value / found.purchases.value) == pytest.approx(40, rel=0.3)
    assert found.probability_alive.value is not None
    assert 0.2 < found.probability_alive.value < 0.95
    assert found.quantiles == tuple(sorted(amount for amount in found.quantiles if amount is not None))
    assert found.holdout is not None
    assert 0.5 < found.holdout.predicted / found.holdout.actual < 2
    assert found.holdout.actual_by_decile[9] > found.holdout.actual_by_decile[0]


async def test_the_list_sums_up_to_the_answer(context: Context) -> None:
    await store(context, *shoppers())
    found = await lifetime_value(context, QUARTER, ASKING)
    page = await valuable_customers(context, QUARTER, ASKING, first=500, after=None)
    assert not page.has_next
    assert len(page.customers) == 300
    values = [one.expected_value.amount for one in page.customers if one.expected_value is not None]
    assert values == sorted(values, reverse=True)
    assert found.value.value == pytest.approx(sum(values), abs=Decimal(2))
    first = await valuable_customers(context, QUARTER, ASKING, first=7, after=None)
    later = await valuable_customers(context, QUARTER, ASKING, first=493, after=first.cursors[-1])
    assert (*first.customers, *later.customers) == page.customers


async def test_a_customer_is_found_by_name(context: Context) -> None:
    await store(context, *shoppers(), purchase("7", subject="new", occurredAt=at(3.5)))
    found = await customers(context, QUARTER, ASKING, ["new", "nobody"])
    (one,) = found.values()
    assert (one.subject, one.purchases, one.probability_alive) == ("new", 1, 1)
    assert one.first_purchase == one.last_purchase == datetime(2026, 5, 28, tzinfo=UTC)


async def test_days_are_those_of_the_tenant(owner: Database, context: Context) -> None:
    tokyo = Context(context.services, await new_principal(owner, timezone="Asia/Tokyo"))
    evening, night = datetime(2026, 5, 20, 14, tzinfo=UTC), datetime(2026, 5, 20, 16, tzinfo=UTC)
    pair = [purchase("5", subject="ann", occurredAt=evening), purchase("5", subject="ann", occurredAt=night)]
    for of, returning in ((context, 0), (tokyo, 1)):
        await store(of, *pair)
        assert (await lifetime_value(of, QUARTER, ASKING)).returning == returning


async def test_amounts_that_do_not_count(context: Context) -> None:
    await store(
        context,
        *shoppers(120),
        purchase("0", subject="free", occurredAt=at(5)),
        purchase("9.99", subject="abroad", currency="EUR", occurredAt=at(5)),
        event(kind="CONVERSION", name="churn", subject="gone", amount="5", currency="USD", occurredAt=at(5)),
        event(kind="CONVERSION", name="signup", subject="curious", occurredAt=at(5)),
        purchase("5", subject="late", occurredAt=CUTOFF),
    )
    found = await lifetime_value(context, QUARTER, ASKING)
    assert found.customers == 120
    assert found.unconverted == (Money(Decimal("9.99"), "EUR"),)


async def test_one_price_for_all_is_said(context: Context) -> None:
    await store(context, *shoppers(amount=9.99))
    found = await lifetime_value(context, QUARTER, ASKING)
    assert Diagnosis.CONSTANT_SPEND in {finding.diagnosis for finding in found.findings}
    assert (found.quality, found.spend_model) == (Quality.LOW, None)
    assert found.value.value is not None
    assert found.purchases.value is not None
    assert float(found.value.value) == pytest.approx(float(found.purchases.value) * 9.99, abs=0.01)


@pytest.mark.parametrize("people", [0, 1])
async def test_nobody_and_somebody(context: Context, people: int) -> None:
    await store(context, event(occurredAt=at(3)), *[purchase("5", occurredAt=at(2)) for _ in range(people)])
    found = await lifetime_value(context, QUARTER, ASKING)
    assert (found.customers, found.quality) == (people, Quality.INSUFFICIENT)
    assert [finding.diagnosis for finding in found.findings] == [Diagnosis.TOO_FEW_SUBJECTS]
    assert (found.value.value, found.purchases.value, found.probability_alive.value) == (None, None, None)
    assert set(found.quantiles) == {None}
    assert (await valuable_customers(context, QUARTER, ASKING, first=5, after=None)).customers == ()


async def test_a_filter_and_another_tenant(context: Context, owner: Database) -> None:
    other = Context(context.services, await new_principal(owner))
    await store(context, *shoppers(150), purchase("5", subject="vip", occurredAt=at(9), dimensions={"plan": "vip"}))
    await store(other, purchase("5", subject="theirs", occurredAt=at(9)))
    vip = replace(ASKING, where=DimensionIs("plan", Op.IN, ("vip",)))
    assert (await lifetime_value(context, QUARTER, vip)).customers == 1
    assert (await lifetime_value(context, QUARTER, ASKING)).customers == 151
    assert (await lifetime_value(other, QUARTER, ASKING)).customers == 1
    assert await customers(other, QUARTER, ASKING, ["vip", "s1"]) == {}


@pytest.mark.parametrize("days", [0, 731])
async def test_what_is_no_horizon(context: Context, days: int) -> None:
    with pytest.raises(BadInput) as refused:
        await lifetime_value(context, timedelta(days=days), ASKING)
    assert refused.value.field == "horizon"


async def test_names_are_for_analysts(context: Context, owner: Database) -> None:
    viewer = Context(context.services, await new_principal(owner, Role.VIEWER))
    assert (await lifetime_value(viewer, QUARTER, ASKING)).customers == 0
    for attempt in (
        valuable_customers(viewer, QUARTER, ASKING, first=5, after=None),
        customers(viewer, QUARTER, ASKING, ["ann"]),
    ):
        with pytest.raises(Forbidden):
            await attempt


async def test_groups_are_of_what_the_first_purchase_carried_and_add_up(context: Context) -> None:
    made = [one | {"dimensions": {"channel": "abc"[int(one["subject"][1:]) % 3]}} for one in shoppers()]
    later = [one | {"dimensions": {"channel": "z"}} for one in shoppers(40, seed=9)]
    first = {}
    for one in sorted([*made, *later], key=lambda one: datetime.fromisoformat(one["occurredAt"])):
        first.setdefault(one["subject"], one["dimensions"]["channel"])
    await store(context, *made, *later, purchase("7", subject="none", occurredAt=at(9)))
    found = await lifetime_value(context, QUARTER, replace(ASKING, by=("channel",), top=3))
    whole = await lifetime_value(context, QUARTER, ASKING)
    assert (found.value, found.customers, found.quality) == (whole.value, whole.customers, whole.quality)
    assert (whole.groups, whole.group_count, found.group_count) == ((), 0, len({*first.values(), None}))
    expected = Counter(first.values())
    shown = {group.keys[0].value: group for group in found.groups if not group.other}
    assert {name: group.customers for name, group in shown.items()} == dict(expected.most_common(3))
    (other,) = [group for group in found.groups if group.other]
    assert other.customers == found.customers - sum(group.customers for group in shown.values())
    assert other.value.quality is Quality.LOW
    for name in ("customers", "returning"):
        assert sum(getattr(group, name) for group in found.groups) == getattr(found, name)
    for name in ("value", "purchases"):
        parts = [getattr(group, name).value for group in found.groups]
        assert sum(parts) == pytest.approx(getattr(found, name).value, abs=Decimal("0.05")), name
    for group in (found, *found.groups):
        assert group.value.value is not None
        assert group.average_value.value is not None
        assert group.average_value.value == pytest.approx(group.value.value / group.customers, abs=Decimal("0.01"))


async def test_groups_of_too_few_customers_have_no_values(context: Context) -> None:
    await store(context, purchase("5", subject="ann", occurredAt=at(5), dimensions={"plan": "pro"}))
    (group,) = (await lifetime_value(context, QUARTER, replace(ASKING, by=("plan", "channel")))).groups
    assert [key.value for key in group.keys] == ["pro", None]
    assert (group.customers, group.value.value, group.average_value.value) == (1, None, None)
    assert group.value.quality is Quality.INSUFFICIENT
