"""Lifetime value: what customers will buy within a horizon, and who of them is worth most."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from time import perf_counter

from resolvers.analysis.behaviour import GAIN
from resolvers.analysis.clocks import midnight, zone
from resolvers.analysis.code_groups import Keys
from resolvers.analysis.estimates import Money
from resolvers.analysis.explanations import Explanation, Source
from resolvers.analysis.filters import weight
from resolvers.analysis.lifetime_value import LifetimeValueAnswer, LifetimeValues, RankedCustomer, compared, valued
from resolvers.analysis.metrics import Aggregate, Statistic
from resolvers.answers import Kinds, Resolved, depends_on, kept
from resolvers.context import Context, Principal, Role
from resolvers.cutoffs import POINTS, Asking, cursor_of, definite, earlier, place_of
from resolvers.errors import BadInput
from resolvers.paging import page_size
from resolvers.store.lifetime_value import PurchaseRepository
from resolvers.store.metrics import MetricRepository
from resolvers.store.scans import Selection
from resolvers.store.terms import SUBJECTS
from resolvers.store.turns import turn

SHORTEST_HORIZON, LONGEST_HORIZON = timedelta(days=1), timedelta(days=730)
_EPOCH = date(1970, 1, 1)
_DAY = timedelta(days=1)
_AMOUNT = Statistic(Aggregate.SUM, GAIN, "amount")


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer and what is foretold of it; None where the model says nothing."""

    subject: str
    purchases: int
    first_purchase: datetime
    """The beginning of its local day, as of ``last_purchase``."""
    last_purchase: datetime
    expected_purchases: float
    probability_alive: float | None
    expected_value: Money | None


@dataclass(frozen=True, slots=True)
class CustomerPage:
    """A page of customers, the most valuable first; ``cursors[i]`` leads to what follows ``customers[i]``."""

    customers: tuple[Customer, ...]
    cursors: tuple[str, ...]
    has_next: bool
    cutoff: datetime


def kinds() -> Kinds:
    """The kinds of events that lifetime value depends on."""
    return depends_on(GAIN, money=True)


async def lifetime_value(context: Context, horizon: timedelta, asking: Asking) -> LifetimeValueAnswer:
    """What customers will buy; raises BadInput naming the argument at fault."""
    principal, now = context.require(Role.VIEWER), context.services.now()
    asked = _definite(horizon, asking, principal, now)
    before = earlier(asking, asked, horizon, principal, now)
    found = (await _values(context, horizon, asked)).answer
    if before is None:
        return found
    like = tuple(group.keys for group in found.groups if not group.other)
    return compared(found, (await _values(context, horizon, before, like)).answer)


async def valuable_customers(
    context: Context, horizon: timedelta, asking: Asking, *, first: int, after: str | None
) -> CustomerPage:
    """The customers with the highest expected value; raises BadInput, Forbidden."""
    principal = context.require(Role.ANALYST)
    size = page_size(first)
    place = None if after is None else place_of(after)
    found = await _values(context, horizon, _definite(horizon, asking, principal, context.services.now()))
    following = [one for one in found.ranked if place is None or (-one.score, one.subject) > place]
    shown = following[:size]
    async with context.services.database.tenant(principal.tenant_id) as session:
        terms = PurchaseRepository(session, context.services.memory).terms
        texts = await terms.values(principal.tenant_id, SUBJECTS, [one.subject for one in shown])
    return CustomerPage(
        tuple(_shown(one, texts[one.subject], principal) for one in shown),
        tuple(cursor_of(one.score, one.subject) for one in shown),
        len(following) > size,
        found.answer.cutoff,
    )


async def customers(
    context: Context, horizon: timedelta, asking: Asking, subjects: Sequence[str]
) -> dict[str, Customer]:
    """Those of the subjects that are on the list of the most valuable."""
    principal = context.require(Role.ANALYST)
    found = await _values(context, horizon, _definite(horizon, asking, principal, context.services.now()))
    async with context.services.database.tenant(principal.tenant_id) as session:
        terms = PurchaseRepository(session, context.services.memory).terms
        codes = await terms.codes(principal.tenant_id, SUBJECTS, set(subjects))
    wanted = {code: subject for subject, code in codes.items()}
    return {
        wanted[one.subject]: _shown(one, wanted[one.subject], principal)
        for one in found.ranked
        if one.subject in wanted
    }


def _shown(one: RankedCustomer, subject: str, principal: Principal) -> Customer:
    local = zone(principal.timezone)
    return Customer(
        subject=subject,
        purchases=one.purchases,
        first_purchase=midnight(_EPOCH + one.first_day * _DAY, local),
        last_purchase=midnight(_EPOCH + one.last_day * _DAY, local),
        expected_purchases=one.expected_purchases,
        probability_alive=one.probability_alive,
        expected_value=None if one.expected_value is None else Money(one.expected_value, principal.currency),
    )


def _definite(horizon: timedelta, asking: Asking, principal: Principal, now: datetime) -> Resolved:
    if not SHORTEST_HORIZON <= horizon <= LONGEST_HORIZON:
        raise BadInput(f"A horizon is 1 to {LONGEST_HORIZON.days} days long.", field="horizon")
    return definite(asking, principal, now)


async def _values(
    context: Context, horizon: timedelta, asked: Resolved, like: tuple[Keys, ...] | None = None
) -> LifetimeValues:
    """What is foretold; of the largest groups, or of those that are ``like`` given ones."""
    context.spend(POINTS + weight(asked.where) + (asked.top + 1 if asked.by else 0))
    subject = ("lifetime value", horizon, asked, *(() if like is None else (like,)))
    return await kept(context, subject, kinds(), partial(_computed, context, asked, horizon, like), points=POINTS)


async def _computed(
    context: Context, asked: Resolved, horizon: timedelta, like: tuple[Keys, ...] | None
) -> LifetimeValues:
    principal = context.require(Role.VIEWER)
    as_of = context.services.now()
    # The last day counts in whole: days are those of the tenant's zone, whatever moment the cut-off is.
    last = (asked.period.end - timedelta(microseconds=1)).astimezone(zone(asked.timezone)).date()
    async with (
        turn(context.services.heavy, large=await context.of_large_log()),
        context.services.database.tenant(principal.tenant_id) as session,
    ):
        started = perf_counter()
        repository = PurchaseRepository(session, context.services.memory)
        days = await repository.days(principal.tenant_id, principal.currency, asked.where, asked.period, asked.timezone)
        beginnings = None
        if asked.by:
            beginnings = await repository.beginnings(
                principal.tenant_id, principal.currency, asked.where, asked.period, asked.by
            )
        selection = Selection(principal.tenant_id, principal.currency, asked.period, asked.where)
        metrics = MetricRepository(session, context.services.memory, context.services.kept)
        unconverted = await metrics.unconverted(selection, [_AMOUNT])
        explain = Explanation(Source.LOG, days.subject.size, (perf_counter() - started) * 1e3)
    return await asyncio.to_thread(
        valued,
        days.subject,
        days.day,
        days.amount,
        cutoff_day=(last - _EPOCH).days + 1,
        cutoff=asked.period.end,
        horizon=horizon,
        currency=principal.currency,
        unconverted=unconverted,
        as_of=as_of,
        explain=explain,
        beginnings=beginnings,
        top=asked.top,
        like=like,
    )
