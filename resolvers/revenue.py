"""Revenue: what the conversions of a period brought in."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any

from resolvers.analysis.estimates import Money
from resolvers.analysis.explanations import dearest
from resolvers.analysis.filters import All, FlagIs, weight
from resolvers.analysis.metrics import Aggregate, DimensionValue, Statistic, finish
from resolvers.analysis.periods import Compare
from resolvers.analysis.questions import Question
from resolvers.analysis.revenue import RevenueAnswer, RevenueGroup, RevenueSeries, growth
from resolvers.analysis.series import Column
from resolvers.analysis.sums import EXACT, Values
from resolvers.answers import Kinds, Resolved, depends_on, kept, resolved
from resolvers.catalogue import CONVERSIONS, REFUNDS, metric
from resolvers.context import Context, Role
from resolvers.store.metrics import MetricRepository
from resolvers.store.scans import Selection, Statistics, by_bucket

_STATISTICS = (
    Statistic(Aggregate.SUM, CONVERSIONS, "amount"),
    Statistic(Aggregate.SUM, All((CONVERSIONS, FlagIs("recurring", True))), "amount"),
    Statistic(Aggregate.DISTINCT, CONVERSIONS, "order"),
    Statistic(Aggregate.DISTINCT, CONVERSIONS, "customer"),
    Statistic(Aggregate.SUM, REFUNDS, "amount"),
)
"""Total, recurring, orders, customers, refunds: the columns of every row of Values in _counted."""


def kinds() -> Kinds:
    """The kinds of events that revenue depends on."""
    return depends_on(CONVERSIONS, REFUNDS, money=True)


async def revenue(context: Context, question: Question) -> RevenueAnswer:
    """Revenue of a period against an earlier one; raises BadInput naming the argument at fault."""
    principal = context.require(Role.VIEWER)
    context.spend(1)
    definite = resolved(question, principal, context.services.now(), compare=Compare.PREVIOUS_PERIOD)
    points = 2 * len(definite.buckets) * (definite.top + 2 if definite.by else 1)
    context.spend(points + weight(definite.where))
    compute = partial(_answer, context, definite)
    return await kept(context, ("revenue", definite), kinds(), compute, points=points)


async def _answer(context: Context, asked: Resolved) -> RevenueAnswer:
    principal = context.require(Role.VIEWER)
    assert asked.previous is not None
    selection = Selection(principal.tenant_id, principal.currency, asked.period, asked.where)
    before = replace(selection, period=asked.previous)
    async with context.services.database.tenant(principal.tenant_id) as session:
        repository = MetricRepository(session, context.services.memory, context.services.kept)
        as_of = context.services.now()
        found = await repository.statistics(selection, _STATISTICS, buckets=asked.buckets)
        earlier = await repository.statistics(before, _STATISTICS)
        unconverted = await repository.unconverted(selection, _STATISTICS[:1])
        groups = None
        if asked.by:
            ask = partial(repository.statistics, statistics=_STATISTICS, by=asked.by)
            now = await ask(selection, buckets=asked.buckets, top=asked.top)
            groups = now, await ask(before, groups=now.groups)
    told = _Told(asked, principal.currency, as_of)
    return await asyncio.to_thread(told.answer, found, earlier, groups, unconverted)


@dataclass(frozen=True, slots=True)
class _Told:
    """What was found, as it is told."""

    asked: Resolved
    currency: str
    as_of: datetime

    def answer(
        self,
        found: Statistics,
        earlier: Statistics,
        grouped: tuple[Statistics, Statistics] | None,
        unconverted: tuple[Money, ...],
    ) -> RevenueAnswer:
        assert self.asked.previous is not None
        return RevenueAnswer(
            period=self.asked.period,
            previous_period=self.asked.previous,
            **self._figures(found.total, earlier.total),
            series=self._series(found.columns),
            groups=() if grouped is None else tuple(self._groups(*grouped)),
            group_count=0 if grouped is None else grouped[0].group_count,
            unconverted=unconverted,
            as_of=self.as_of,
            explain=dearest(found.explanations),
        )

    def _groups(self, now: Statistics, before: Statistics) -> Iterator[RevenueGroup]:
        columns = self._columns(now)
        rest = len(now.groups)
        for place in range(rest + 1):
            if place == rest and rest not in now.by_group:
                continue
            keys = () if place == rest else now.groups[place]
            yield RevenueGroup(
                keys=tuple(DimensionValue(name, value) for name, value in zip(self.asked.by, keys, strict=False)),
                other=place == rest,
                **self._figures(now.by_group.get(place), before.by_group.get(place)),
                series=self._series(columns[place]),
            )

    def _columns(self, found: Statistics) -> list[Sequence[Column]]:
        """Each group's statistics by bucket, the rest last."""
        buckets: list[dict[int, Values]] = [{} for _ in range(len(found.groups) + 1)]
        for (place, bucket), values in found.by_group_and_bucket.items():
            buckets[place][bucket] = values
        return [by_bucket(_STATISTICS, len(self.asked.buckets), held) for held in buckets]

    def _figures(self, values: Values | None, before: Values | None) -> dict[str, Any]:
        total, recurring, orders, customers, refunds = _counted(values)
        earlier = _counted(before)
        return {
            "total": Money(total, self.currency),
            "recurring": Money(recurring, self.currency),
            "one_time": Money(EXACT.subtract(total, recurring), self.currency),
            "refunds": Money(refunds, self.currency),
            "net": Money(EXACT.subtract(total, refunds), self.currency),
            "orders": orders,
            "customers": customers,
            "average_order_value": finish(
                metric("average_order_value"),
                {"numerator": total, "denominator": orders},
                previous={"numerator": earlier[0], "denominator": earlier[2]},
                currency=self.currency,
                as_of=self.as_of,
            ),
            "growth": growth(total, earlier[0], orders, self.as_of),
        }

    def _series(self, columns: Sequence[Column]) -> RevenueSeries:
        rows = [_counted(values) for values in zip(*(column.decimals() for column in columns), strict=True)]
        return RevenueSeries(
            granularity=self.asked.granularity,
            timezone=self.asked.timezone,
            currency=self.currency,
            at=self.asked.buckets,
            total=tuple(row[0] for row in rows),
            recurring=tuple(row[1] for row in rows),
            one_time=tuple(EXACT.subtract(row[0], row[1]) for row in rows),
            orders=tuple(row[2] for row in rows),
            customers=tuple(row[3] for row in rows),
            refunds=tuple(row[4] for row in rows),
        )


def _counted(values: Values | None) -> tuple[Decimal, Decimal, int, int, Decimal]:
    if not values:
        return Decimal(0), Decimal(0), 0, 0, Decimal(0)
    total, recurring, orders, customers, refunds = values
    return Decimal(total or 0), Decimal(recurring or 0), int(orders or 0), int(customers or 0), Decimal(refunds or 0)
