"""Metrics: any of the catalogue over a period, in buckets, broken down, compared."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from functools import lru_cache, partial

from resolvers.analysis.estimates import Estimate, Money
from resolvers.analysis.explanations import dearest
from resolvers.analysis.filters import weight
from resolvers.analysis.metrics import (
    MONEY_FIELDS,
    Aggregate,
    DimensionValue,
    Metric,
    MetricAnswer,
    MetricGroup,
    Series,
    Statistic,
    finish,
)
from resolvers.analysis.questions import Question
from resolvers.analysis.series import Column
from resolvers.analysis.sums import Values
from resolvers.answers import Kinds, Resolved, depends_on, kept_as_of, resolved
from resolvers.catalogue import METRICS, metric
from resolvers.context import Context, Role
from resolvers.errors import BadInput
from resolvers.store.metrics import MetricRepository
from resolvers.store.remembered import remembered
from resolvers.store.scans import Keys, Selection, Statistics, by_bucket, nothing
from resolvers.store.versions import LogState

MOST_METRICS = 20
_PARTS_OF: Mapping[str, Mapping[str, Statistic]] = {
    one.slug: {part: getattr(one, part) for part in ("numerator", "denominator", "squares") if getattr(one, part)}
    for one in METRICS
}
"""The statistics of each metric, by the part that they play."""


def catalogue() -> tuple[Metric, ...]:
    """Every metric there is."""
    return METRICS


def kinds(slugs: Sequence[str]) -> Kinds:
    """The kinds of events that the metrics depend on."""
    return _kinds(frozenset(slugs))


@lru_cache(maxsize=256)
def _kinds(slugs: frozenset[str]) -> Kinds:
    statistics = [statistic for slug in slugs for statistic in _parts(metric(slug)).values()]
    return depends_on(*(one.where for one in statistics), money=any(one.in_currency for one in statistics))


async def metrics(
    context: Context, slugs: Sequence[str], question: Question, *, groups: Sequence[Keys] | None = None
) -> tuple[MetricAnswer, ...]:
    """The answers in the order of ``slugs``; raises BadInput for an unknown one, or more than 20.

    Where ``groups`` are given, those are the groups, in their order, and all others are summed up as one.
    """
    principal = context.require(Role.VIEWER)
    if not 1 <= len(slugs) <= MOST_METRICS:
        raise BadInput(f"Ask for 1 to {MOST_METRICS} metrics at once.", field="slugs")
    asked = [metric(slug) for slug in slugs]
    context.spend(len(asked))
    definite = resolved(question, principal, context.services.now())
    for one in asked:
        missing = [name for name in definite.by if name not in one.dimensions]
        if missing:
            raise BadInput(f"{one.slug} cannot be broken down by {missing[0]}.", field="by")
    # One scan answers them all, unless each has groups of its own.
    batches = [[one] for one in asked] if definite.by else [asked]
    points = len(definite.buckets) * (definite.top + 2 if definite.by else 1)
    context.spend(points * len(asked) + weight(definite.where))
    answers: list[MetricAnswer] = []
    for batch in batches:
        names = [one.slug for one in batch]
        answers += await kept_as_of(
            context,
            ("metrics", names, definite, *([] if groups is None else [list(groups)])),
            kinds(names),
            partial(_answers, context, batch, definite, groups),
            points=points * len(batch),
        )
    return tuple(answers)


def _parts(one: Metric) -> Mapping[str, Statistic]:
    return _PARTS_OF[one.slug]


async def _answers(
    context: Context, batch: Sequence[Metric], asked: Resolved, groups: Sequence[Keys] | None, state: LogState
) -> list[MetricAnswer]:
    principal = context.require(Role.VIEWER)
    wanted = list(dict.fromkeys([statistic for one in batch for statistic in _parts(one).values()]))
    places = {statistic: place for place, statistic in enumerate(wanted)}
    selection = Selection(principal.tenant_id, principal.currency, asked.period, asked.where, timezone=asked.timezone)
    services = context.services
    as_of = services.now()
    if not asked.by and asked.previous is None:
        known = remembered(services.days, services.presence, services.memory, state, selection, wanted, asked.buckets)
        if known is not None:
            unconverted = {one.slug: known.unconverted(_money(one)) for one in batch if _money(one)}
            scan = _Scan(wanted, places, asked, principal.currency, as_of, known.found, None)
            return [scan.answer(one, unconverted.get(one.slug, ())) for one in batch]
    earlier: Statistics | None = None
    async with services.database.tenant(principal.tenant_id) as session:
        repository = MetricRepository(session, services.memory, services.kept, state)
        as_of = services.now()
        found = await repository.statistics(
            selection, wanted, buckets=asked.buckets, by=asked.by, groups=groups, top=asked.top
        )
        if asked.previous is not None:
            before = replace(selection, period=asked.previous)
            earlier = await repository.statistics(before, wanted, by=asked.by, groups=found.groups)
        unconverted = {one.slug: await repository.unconverted(selection, _money(one)) for one in batch if _money(one)}
    scan = _Scan(wanted, places, asked, principal.currency, as_of, found, earlier)
    # Thousands of points take long enough to be in everybody's way.
    return await asyncio.to_thread(lambda: [scan.answer(one, unconverted.get(one.slug, ())) for one in batch])


def _money(one: Metric) -> list[Statistic]:
    """The statistics that leave out money which cannot be converted."""
    return [
        statistic
        for statistic in _parts(one).values()
        if statistic.aggregate is Aggregate.SUM and statistic.field in MONEY_FIELDS
    ]


Places = Mapping[str, int]
"""Where among all statistics those of a metric are, by the part that each plays."""


@dataclass(frozen=True, slots=True)
class _Scan:
    """What was found for a list of statistics, ready to be told metric by metric."""

    statistics: Sequence[Statistic]
    places: Mapping[Statistic, int]
    asked: Resolved
    currency: str
    as_of: datetime
    found: Statistics
    earlier: Statistics | None

    def answer(self, one: Metric, unconverted: tuple[Money, ...]) -> MetricAnswer:
        found, earlier = self.found, self.earlier
        places = {part: self.places[statistic] for part, statistic in _parts(one).items()}
        before = earlier.by_group if earlier else {}
        rest = len(found.groups)
        names: list[Keys | None] = [*found.groups, None] if rest in found.by_group else list(found.groups)
        buckets: defaultdict[int, dict[int, Values]] = defaultdict(dict)
        for (place, bucket), values in found.by_group_and_bucket.items():
            buckets[place][bucket] = values
        size = len(self.asked.buckets)
        groups = tuple(
            MetricGroup(
                keys=() if keys is None else self._keys(keys),
                other=keys is None,
                estimate=self._compared(one, places, found.by_group.get(place), before.get(place)),
                series=self._series(one, places, by_bucket(self.statistics, size, buckets[place])),
            )
            for place, keys in enumerate(names)
        )
        return MetricAnswer(
            metric=one,
            period=self.asked.period,
            previous_period=self.asked.previous,
            estimate=self._compared(one, places, found.total, earlier.total if earlier else None),
            series=self._series(one, places, found.columns),
            groups=groups,
            group_count=found.group_count,
            unconverted=unconverted,
            explain=dearest([found.explanations[place] for place in places.values()]),
        )

    def _keys(self, keys: Keys) -> tuple[DimensionValue, ...]:
        return tuple(DimensionValue(name, value) for name, value in zip(self.asked.by, keys, strict=True))

    def _compared(self, one: Metric, places: Places, values: Values | None, before: Values | None) -> Estimate:
        previous = None if self.earlier is None else self._found(places, before)
        found = self._found(places, values)
        return finish(one, found, previous=previous, currency=self.currency, as_of=self.as_of)

    def _found(self, places: Places, values: Values | None) -> dict[str, Decimal | int | float | None]:
        """A metric's statistics by part; where no event was found they are those of no events."""
        held = values or nothing(self.statistics)
        return {part: held[place] for part, place in places.items()}

    def _series(self, one: Metric, places: Places, columns: Sequence[Column]) -> Series:
        parts = {part: columns[place] for part, place in places.items()}
        return Series(
            granularity=self.asked.granularity,
            timezone=self.asked.timezone,
            at=self.asked.buckets,
            form=one.form,
            numerator=parts["numerator"],
            denominator=parts.get("denominator"),
        )
