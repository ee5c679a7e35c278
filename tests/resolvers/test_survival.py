"""Survival over the log."""

from dataclasses import replace
from datetime import timedelta

import pytest

from resolvers.analysis.estimates import Quality
from resolvers.analysis.periods import Compare
from resolvers.analysis.spells import SpellKind
from resolvers.context import Context
from resolvers.cutoffs import Asking
from resolvers.errors import BadInput
from resolvers.store.database import Database
from resolvers.survival import survival
from tests.factories import event, new_principal, purchase, store
from tests.resolvers.foretelling import CUTOFF, at

ASKING = Asking(CUTOFF, timedelta(days=365), by=("plan",), top=5)


def customer(subject: str, plan: str, began: float, churned: float | None = None) -> list[dict[str, object]]:
    """Somebody who subscribes so many days before the cut-off, and may churn."""
    who = {"subject": subject, "dimensions": {"plan": plan}}
    found = [
        event(occurredAt=at(began + 20), subject=subject),
        purchase("9", name="subscription", occurredAt=at(began), **who),
        # What is carried later does not matter: it was not known at the start.
        event(occurredAt=at(began - 0.5), subject=subject, dimensions={"plan": "later"}),
    ]
    if churned is not None:
        found.append(event(kind="CONVERSION", name="churn", subject=subject, occurredAt=at(churned)))
    return found


async def test_customers_stay_until_they_churn(context: Context) -> None:
    await store(
        context,
        *customer("a", "pro", 100, 90),
        *customer("b", "pro", 100, 80),
        *customer("c", "pro", 15),
        *customer("d", "team", 50),
        # Who comes back has stayed once all the same.
        *customer("e", "team", 100, 60),
        purchase("9", name="subscription", subject="e", occurredAt=at(30)),
    )
    found = await survival(context, ASKING)
    assert found.kind is SpellKind.CUSTOMER
    assert (found.total.n, found.total.events, found.total.quality) == (5, 3, Quality.LOW)
    series = found.total.series
    assert series.at == (10, 20, 40)
    assert series.at_risk == (5, 3, 2)
    assert series.censored == (0, 1, 0)
    assert series.survival == pytest.approx((0.8, 0.8 * 2 / 3, 0.8 / 3))
    assert found.total.median == 40
    shown = {group.keys[0].value: (group.survival.n, group.survival.events) for group in found.groups}
    assert shown == {"pro": (3, 2), "team": (2, 1)}
    assert found.log_rank is not None
    assert found.log_rank.freedom == 1


async def test_curves_are_held_against_those_of_the_history_before(context: Context) -> None:
    await store(
        context,
        *customer("a", "pro", 100, 90),
        *customer("b", "team", 50),
        *customer("old", "pro", 450, 400),
        *customer("older", "free", 500, 480),
    )
    asking = replace(ASKING, compare=Compare.PREVIOUS_PERIOD)
    found = await survival(context, asking)
    then = await survival(context, replace(ASKING, cutoff=CUTOFF.replace(year=2025)))
    assert (found.previous_cutoff, found.previous) == (CUTOFF.replace(year=2025), then.total)
    assert (then.total.n, then.total.events) == (2, 2)
    before = {group.keys: group.survival for group in then.groups}
    shown = {group.keys[0].value: group for group in found.groups}
    assert shown["pro"].previous == before[shown["pro"].keys]
    # Nobody was on this plan then.
    assert shown["team"].previous is not None
    assert (shown["team"].previous.n, shown["team"].previous.median) == (0, None)
    # Nobody at all was there long ago.
    empty = await survival(context, replace(asking, cutoff=CUTOFF.replace(year=2024), history=timedelta(days=60)))
    assert (empty.total.n, empty.previous) == (0, empty.total)
    alone = await survival(context, ASKING)
    assert (alone.previous, alone.previous_cutoff, alone.total) == (None, None, found.total)


async def test_curves_of_other_stays_are_not_compared(context: Context) -> None:
    await store(context, event(subject="old", occurredAt=at(400)), *customer("a", "pro", 100, 90))
    found = await survival(context, replace(ASKING, compare=Compare.PREVIOUS_YEAR))
    # A year earlier the log held no churn: what ended then was not what ends now.
    assert (found.kind, found.previous_cutoff, found.previous) == (
        SpellKind.CUSTOMER,
        CUTOFF.replace(year=2025),
        None,
    )
    assert [group.previous for group in found.groups] == [None]


async def test_silence_ends_a_stay_where_nobody_churns(context: Context) -> None:
    await store(
        context,
        event(subject="gone", occurredAt=at(100)),
        event(subject="gone", occurredAt=at(70)),
        event(subject="here", occurredAt=at(60)),
        event(subject="here", occurredAt=at(30)),
    )
    found = await survival(context, replace(ASKING, by=()))
    assert found.kind is SpellKind.ACTIVITY
    assert (found.total.series.at, found.total.events, found.total.n) == ((30,), 1, 2)
    assert (found.groups, found.log_rank) == ((), None)


@pytest.mark.parametrize("people", [0, 1])
async def test_nobody_and_somebody(context: Context, people: int) -> None:
    await store(context, event(subject="late", occurredAt=CUTOFF))
    if people:
        await store(context, event(subject="one", occurredAt=at(3)))
    found = await survival(context, ASKING)
    assert (found.total.n, found.total.events, found.total.median) == (people, 0, None)
    assert found.total.series.at == ()
    assert found.total.longest == (3 if people else None)
    assert found.total.restricted_mean == (3 if people else None)
    assert found.log_rank is None


async def test_everybody_left_on_the_first_day(context: Context) -> None:
    for number in range(40):
        await store(context, *customer(f"p{number}", "pro", 50, 50))
    found = await survival(context, ASKING)
    assert found.total.series.survival == (0,)
    assert found.total.series.low == found.total.series.high == (None,)
    assert (found.total.median, found.total.restricted_mean) == (0, 0)


async def test_another_tenant_is_not_seen(context: Context, owner: Database) -> None:
    other = Context(context.services, await new_principal(owner))
    await store(context, *customer("a", "pro", 100, 90))
    assert (await survival(other, ASKING)).total.n == 0
    assert (await survival(context, ASKING)).total.n == 1


async def test_a_curve_for_too_many_groups_is_refused(context: Context) -> None:
    with pytest.raises(BadInput):
        await survival(context, replace(ASKING, history=timedelta(days=3_650), top=20))
