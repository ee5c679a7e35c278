"""Recurring revenue: MRR and what moved it, from what subscriptions were said to pay."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any

import numpy as np
from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.analysis.estimates import Estimate, Money
from resolvers.analysis.events import Kind
from resolvers.analysis.filters import Filter, KindIs, weight
from resolvers.analysis.ledgers import currency_of
from resolvers.analysis.metrics import DimensionValue
from resolvers.analysis.mrr import Keys, Movements, merged, movements, ranked, tally
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
from resolvers.analysis.subscriptions import Changes, decimal, sums
from resolvers.analysis.walked_subscriptions import Walked, walked
from resolvers.answers import Kinds, Resolved, depends_on, kept, resolved, segments_of
from resolvers.context import Context, Role
from resolvers.errors import BadInput
from resolvers.metrics import kinds as kinds_of_metrics
from resolvers.metrics import metrics
from resolvers.store.subscriptions import MOST_CONDITIONS, SubscriptionLog, SubscriptionRepository
from resolvers.store.turns import turn
from resolvers.store.versions import EXCHANGE_RATES, Seen, VersionRepository

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
    known = await _Walking(context, asked.by).all([asked.where])
    return await asyncio.to_thread(_Told(asked, given, known[asked.where]).told)


async def churned(context: Context, asked: Sequence[tuple[Filter, Period]], timezone: str) -> list[tuple[int, int]]:
    """How many customers churned in a period, of how many at its start, each of the subscriptions under a condition."""
    known = await _Walking(context).all({where for where, _ in asked})
    found = []
    for where, period in asked:
        edges = _edges(buckets(period, Granularity.MONTH, timezone), period.end)
        moved = told(tally(known[where].together, edges, 0))
        found.append((moved.churned_customers, moved.customers_at_start))
    return found


@dataclass(frozen=True, slots=True)
class _Walking:
    """What subscriptions ever came to: as it is known, but for those customers of whom something was said since."""

    context: Context
    by: tuple[str, ...] = ()

    async def all(self, wheres: Collection[Filter]) -> dict[Filter, Walked]:
        """By condition."""
        principal, services = self.context.require(Role.VIEWER), self.context.services
        seen = await services.versions.seen(principal.tenant_id)
        known = self._known(wheres, seen)
        found = {where: one for where, one in known.items() if _is_of(one, seen)}
        missing = [where for where in wheres if where not in found]
        for start in range(0, len(missing), MOST_CONDITIONS):
            some = missing[start : start + MOST_CONDITIONS]
            # What is read in several statements is of one moment.
            async with turn(services.heavy), services.database.snapshot(principal.tenant_id) as session:
                kinds = sorted(_KINDS | segments_of(*some))
                versions = await VersionRepository(session).of(principal.tenant_id, kinds)
                found |= await self._found(session, some, Seen(dict(zip(kinds, versions, strict=True))))
        return found

    async def _found(self, session: AsyncSession, wheres: Sequence[Filter], seen: Seen) -> dict[Filter, Walked]:
        """The same of a few conditions, at the moment at which so much was ``seen``."""
        principal, services = self.context.require(Role.VIEWER), self.context.services
        repository = SubscriptionRepository(session, services.memory, services.segments)
        read = partial(repository.ever, principal.tenant_id, by=self.by, currency=principal.currency)
        known = self._known(wheres, seen)
        # Others may have walked them while this waited for its turn.
        found = {where: one for where, one in known.items() if _is_of(one, seen)}
        (version,) = seen.of([Kind.SUBSCRIPTION])
        late = {where: one for where, one in known.items() if one.version < version}
        customers = None
        if late:
            oldest = min(one.version for one in late.values())
            customers = await repository.customers_since(principal.tenant_id, oldest)
        if customers is None:
            late = {}
        anew = [where for where in wheres if where not in found and where not in late]
        for some, of in ((list(late), customers), (anew, None)):
            logs = await read(some, customers=of) if some else []
            for where, log in zip(some, logs, strict=True):
                one = await asyncio.to_thread(_walked, log, version, late.get(where), of)
                services.subscriptions.keep(self._key(where), _beside(where, seen), one)
                found[where] = one
        return found

    def _known(self, wheres: Collection[Filter], seen: Seen) -> dict[Filter, Walked]:
        """What is kept, and true but for what was said of subscriptions since."""
        kept_of = self.context.services.subscriptions.of
        known = {where: kept_of(self._key(where), _beside(where, seen)) for where in wheres}
        return {where: one for where, one in known.items() if one is not None}

    def _key(self, where: Filter) -> tuple[object, ...]:
        principal = self.context.require(Role.VIEWER)
        return principal.tenant_id, principal.currency, where, self.by


def _beside(where: Filter, seen: Seen) -> tuple[int, ...]:
    """What changes all that subscriptions came to, and not that of some customers alone."""
    return seen.of(sorted({EXCHANGE_RATES} | segments_of(where)))


def _is_of(known: Walked, seen: Seen) -> bool:
    """Whether nothing was said since; an answer of an earlier moment is not of what is known now."""
    return (known.version,) == seen.of([Kind.SUBSCRIPTION])


def _walked(log: SubscriptionLog, version: int, before: Walked | None, customers: list[int] | None) -> Walked:
    """What a log comes to, which is of some customers alone where it is known what there was ``before``."""
    found = walked(log.events, log.exchange, log.groups, version=version, explain=log.explanation)
    return found if before is None else before.renewed(np.array(customers, np.int32), found)


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
        order = ranked(moved, start, end, names)
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
    units_of = sums(found.delta, place, currencies.size).tolist()
    known = {currency_of(number): units for number, units in zip(currencies.tolist(), units_of, strict=True)}
    return tuple(Money(decimal(units), currency) for currency, units in sorted(known.items()) if units)
