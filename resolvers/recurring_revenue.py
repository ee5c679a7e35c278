"""Recurring revenue: MRR and what moved it, from what subscriptions were said to pay."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any

import numpy as np

from resolvers.analysis.estimates import Estimate, Money
from resolvers.analysis.events import Kind
from resolvers.analysis.filters import Filter, KindIs, weight
from resolvers.analysis.ledgers import currency_of, number_of
from resolvers.analysis.metrics import DimensionValue
from resolvers.analysis.mrr import Movements, merged, movements, ranked, tally
from resolvers.analysis.mrr_answers import (
    AcquiredGroup,
    MrrGroup,
    MrrMovements,
    RecurringRevenue,
    RecurringRevenueAnswer,
    series,
    told,
)
from resolvers.analysis.mrr_ratios import Circumstances, acquisition, months_in, ratios
from resolvers.analysis.periods import Granularity, Period, buckets, epoch_us
from resolvers.analysis.questions import Question
from resolvers.analysis.subscriptions import Changes, changes, decimal
from resolvers.answers import Kinds, Resolved, depends_on, kept, resolved, segments_of
from resolvers.context import Context, Role
from resolvers.errors import BadInput
from resolvers.metrics import kinds as kinds_of_metrics
from resolvers.metrics import metrics
from resolvers.store.subscriptions import MOST_CONDITIONS, SubscriptionLog, SubscriptionRepository
from resolvers.store.turns import turn
from resolvers.store.walked_subscriptions import Keys, Walked

_COLUMNS = 4
"""A point of this series has as many columns as four of another."""


_KINDS = depends_on(KindIs((Kind.SUBSCRIPTION,)), money=True)
_SPENT = "acquisition_spend"


def kinds() -> Kinds:
    """The kinds of events that recurring revenue depends on."""
    return _KINDS | kinds_of_metrics([_SPENT])


async def recurring_revenue(
    context: Context, question: Question, *, cost_per_customer: Decimal = Decimal(0)
) -> RecurringRevenueAnswer:
    """MRR of a period and its movements; raises BadInput naming the argument at fault."""
    principal = context.require(Role.VIEWER)
    if cost_per_customer < 0:
        raise BadInput("What a customer costs is not negative.", field="costPerCustomer")
    definite = resolved(question, principal, context.services.now())
    points = _COLUMNS * len(definite.buckets) * (definite.top + 2 if definite.by else 1)
    context.spend(points + weight(definite.where))
    # Spend comes far more often than subscriptions change, and is read from sums; so it is not kept with them.
    found = await kept(
        context,
        ("recurring revenue", definite, cost_per_customer),
        _KINDS,
        partial(_found, context, definite, cost_per_customer),
        points=points,
    )
    (spent,) = await metrics(context, [_SPENT], replace(question, by=(), granularity=Granularity.MONTH))
    given = _circumstances(definite, cost_per_customer, principal.currency, found.as_of)
    known = _fields(found) | {"groups": await _acquired(context, question, found.groups, given)}
    return RecurringRevenueAnswer(
        **(known | acquisition(found.movements, found.previous_movements, _carried(spent.estimate), given))
    )


async def _acquired(
    context: Context, question: Question, groups: Sequence[MrrGroup], given: Circumstances
) -> tuple[AcquiredGroup, ...]:
    """The groups with what their new customers cost, by the spend that carries their values."""
    if not groups:
        return ()
    keys = [tuple(key.value for key in group.keys) for group in groups if not group.other]
    (spent,) = await metrics(context, [_SPENT], replace(question, granularity=Granularity.MONTH), groups=keys)
    none = replace(spent.estimate, value=None, previous=None)
    known = {group.keys: _carried(group.estimate) for group in spent.groups}
    return tuple(
        AcquiredGroup(
            **(
                _fields(group)
                | acquisition(group.movements, group.previous_movements, known.get(group.keys, none), given)
            )
        )
        for group in groups
    )


def _carried(spent: Estimate) -> Estimate:
    """The spend, of a group or in all, without a value where there is none of it: it is not known what that cost."""
    return replace(spent, value=spent.value if spent.n else None, previous=spent.previous or None)


def _fields(found: RecurringRevenue | MrrGroup) -> dict[str, Any]:
    return {part.name: getattr(found, part.name) for part in fields(found)}


def _circumstances(asked: Resolved, cost_per_customer: Decimal, currency: str, as_of: datetime) -> Circumstances:
    return Circumstances(months_in(asked.period, asked.timezone), cost_per_customer, currency, as_of)


async def _found(context: Context, asked: Resolved, cost_per_customer: Decimal) -> RecurringRevenue:
    principal = context.require(Role.VIEWER)
    given = _circumstances(asked, cost_per_customer, principal.currency, context.services.now())
    walked = await _walked(context, [asked.where], asked.by)
    return await asyncio.to_thread(_Told(asked, given, walked[asked.where]).told)


async def churned(context: Context, asked: Sequence[tuple[Filter, Period]], timezone: str) -> list[tuple[int, int]]:
    """How many customers churned in a period, of how many at its start, each of the subscriptions under a condition."""
    walked = await _walked(context, {where for where, _ in asked})
    found = []
    for where, period in asked:
        edges = _edges(buckets(period, Granularity.MONTH, timezone), period.end)
        moved = told(tally(walked[where].together, edges, 0))
        found.append((moved.churned_customers, moved.customers_at_start))
    return found


async def _walked(context: Context, wheres: Collection[Filter], by: tuple[str, ...] = ()) -> dict[Filter, Walked]:
    """What subscriptions under conditions ever came to, walked anew only where something was said of them since."""
    principal, services = context.require(Role.VIEWER), context.services
    # Looked at before what is read, so that this is as new as the state says, or newer.
    seen = await services.versions.seen(principal.tenant_id)
    states = {where: seen.of(sorted(_KINDS | segments_of(where))) for where in wheres}
    keys = {where: (principal.tenant_id, principal.currency, where, by) for where in wheres}
    known = {where: services.subscriptions.of(keys[where], state) for where, state in states.items()}
    found = {where: walked for where, walked in known.items() if walked is not None}
    missing = [where for where in wheres if where not in found]
    for start in range(0, len(missing), MOST_CONDITIONS):
        some = missing[start : start + MOST_CONDITIONS]
        async with turn(services.heavy):
            async with services.database.tenant(principal.tenant_id) as session:
                repository = SubscriptionRepository(session, services.memory, services.segments)
                logs = await repository.ever(principal.tenant_id, some, by, currency=principal.currency)
            for where, log in zip(some, logs, strict=True):
                found[where] = await asyncio.to_thread(_walk, log, principal.currency)
                services.subscriptions.keep(keys[where], states[where], found[where])
    return found


def _walk(log: SubscriptionLog, currency: str) -> Walked:
    found = changes(log.events, log.exchange)
    own = (found.currency == number_of(currency)).astype(bool)
    changed = found.of(own)
    together = movements(merged(changed, [], len(log.groups)))
    by_group = movements(changed) if len(log.groups) > 1 else together
    return Walked(changed, together, by_group, log.groups, found.of(~own), log.explanation)


@dataclass(frozen=True, slots=True)
class _Told:
    """How a question's movements are told."""

    asked: Resolved
    given: Circumstances
    walked: Walked

    def told(self) -> RecurringRevenue:
        groups, count = self._groups() if self.asked.by else ((), 0)
        return RecurringRevenue(
            **self._figures(self.walked.together, 0),
            period=self.asked.period,
            previous_period=self.asked.previous,
            groups=groups,
            group_count=count,
            unconverted=_unconverted(self.walked.foreign, epoch_us(self.asked.period.end)),
            as_of=self.given.as_of,
            explain=self.walked.explain,
        )

    def _groups(self) -> tuple[tuple[MrrGroup, ...], int]:
        """The largest groups, one of all others where there are more, and how many there are in all."""
        start, end = epoch_us(self.asked.period.start), epoch_us(self.asked.period.end)
        names, moved = self.walked.groups, self.walked.by_group
        order = ranked(moved, start, end, len(names))
        shown = order[: self.asked.top]
        groups = [
            MrrGroup(**self._figures(moved, group), keys=self._keys(names[group]), other=False) for group in shown
        ]
        if len(order) > len(shown):
            rest = movements(merged(self.walked.changes, shown, len(names)))
            groups.append(MrrGroup(**self._figures(rest, len(shown)), keys=(), other=True))
        return tuple(groups), len(order)

    def _keys(self, keys: Keys) -> tuple[DimensionValue, ...]:
        return tuple(DimensionValue(name, value) for name, value in zip(self.asked.by, keys, strict=True))

    def _figures(self, moved: Movements, group: int) -> dict[str, Any]:
        """The fields of MrrFigures."""
        asked = self.asked
        found = tally(moved, _edges(asked.buckets, asked.period.end), group)
        now, before = told(found), self._earlier(moved, group)
        return {
            **ratios(now, before, self.given),
            "customers": now.customers,
            "movements": now,
            "previous_movements": before,
            "series": series(found, asked.buckets, asked.granularity, asked.timezone, self.given.currency),
        }

    def _earlier(self, moved: Movements, group: int) -> MrrMovements | None:
        previous = self.asked.previous
        return None if previous is None else told(tally(moved, _edges((previous.start,), previous.end), group))


def _edges(starts: Sequence[datetime], end: datetime) -> list[int]:
    return [epoch_us(instant) for instant in (*starts, end)]


def _unconverted(foreign: Changes, end_us: int) -> tuple[Money, ...]:
    """What subscriptions that cannot be converted pay at an instant, by currency."""
    found = foreign.of(foreign.at < end_us)
    currencies, place = np.unique(found.currency, return_inverse=True)
    sums = np.zeros(currencies.size, dtype=found.delta.dtype)
    np.add.at(sums, place, found.delta)
    known = {currency_of(number): units for number, units in zip(currencies.tolist(), sums.tolist(), strict=True)}
    return tuple(Money(decimal(units), currency) for currency, units in sorted(known.items()) if units)
