"""From costs and credits to the answer of a question about AI ROI: groups ranked, ratios with their intervals."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np

from resolvers.analysis.ai_calls import AiCalls, costs_of
from resolvers.analysis.estimates import CONTEXT, LEVEL, Estimate, Interval, Money, Unit, estimate, quotient
from resolvers.analysis.explanations import Explanation
from resolvers.analysis.metrics import DimensionValue
from resolvers.analysis.periods import Granularity, epoch_us
from resolvers.analysis.roi import Evidence, IncrementalValue, RoiAnswer, RoiDefinition, RoiGroup, RoiSeries
from resolvers.analysis.roi_bootstrap import Resamples
from resolvers.analysis.roi_payback import Payback
from resolvers.analysis.roi_tally import EXACT, Found, Sums, Tally, total

Keys = tuple[str | None, ...]

CORRELATIONAL = (
    "The value is that of conversions which followed AI interactions of the same subject. Nobody was kept from AI at "
    "random, so some of them would have happened without it: this is what goes with AI, not what AI caused."
)
CAUSAL = (
    "The value is what the experiment {} measured: chance decided who had AI, so the difference between the two is "
    "what AI caused."
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ONE = Decimal(1)


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What is told of a question beside what was found; ``keys[i]`` are the values of the combination numbered i."""

    by: Sequence[str]
    keys: Sequence[Keys]
    top: int
    buckets: tuple[datetime, ...]
    granularity: Granularity
    timezone: str
    currency: str
    unconverted: tuple[Money, ...]
    unconverted_cost: tuple[Money, ...]
    explain: Explanation
    as_of: datetime


def answer(
    definition: RoiDefinition,
    now: Found,
    before: Found | None,
    given: Circumstances,
    incremental: IncrementalValue | None = None,
) -> RoiAnswer:
    """The answer for a period, compared with another where one is given.

    Where an experiment measured the ``incremental`` value of the period, it takes the place of what attribution says
    of the total, and the answer is CAUSAL; groups stay attributed.
    """
    order = ranked(now.numbers(), now.calls, given.keys) if given.by else [0]
    shown = order[: given.top]
    # The last row is that of all groups that are not shown, be there any or none.
    rows = len(shown) + 1
    row_of = np.full(max(1, len(given.keys)), len(shown), np.int32)
    row_of[shown] = np.arange(len(shown))
    tally = Tally(definition, now, row_of, rows, [epoch_us(start) for start in given.buckets])
    earlier = None
    if before is not None:
        earlier = Tally(definition, before, row_of, rows, [epoch_us(before.period.start)]).sums()
    shares = tally.shares()
    sums, paybacks = tally.sums(), tally.paybacks(shares)
    resamples = Resamples.of(tally, shares, definition.resamples)
    told = _Told(given, resamples)
    groups = tuple(
        RoiGroup(
            **told.figures(row, one, paybacks[row], None if earlier is None else earlier[row]),
            keys=_keys(given, shown[row]) if row < len(shown) else (),
            other=row == len(shown),
        )
        for row, one in enumerate(sums[:rows] if given.by else ())
        if row < len(order)
    )
    conversions, value = tally.whole()
    return RoiAnswer(
        **told.figures(rows, sums[rows], paybacks[rows], None if earlier is None else earlier[rows], incremental),
        definition=definition,
        period=now.period,
        previous_period=None if before is None else before.period,
        currency=given.currency,
        evidence=Evidence.CORRELATIONAL if incremental is None else Evidence.CAUSAL,
        evidence_reason=CORRELATIONAL if incremental is None else CAUSAL.format(incremental.experiment),
        incremental=incremental,
        groups=groups,
        group_count=len(order) if given.by else 0,
        all_conversions=conversions,
        all_value=value,
        unconverted=given.unconverted,
        unconverted_cost=given.unconverted_cost,
        explain=given.explain,
        as_of=given.as_of,
    )


def ranked(numbers: Iterable[int], calls: Sequence[AiCalls], keys: Sequence[Keys]) -> list[int]:
    """Combinations, ``keys[i]`` being the values of number i: those that cost most first, then most calls, then in
    the order of their texts."""
    cost, count = costs_of(calls, len(keys))

    def place(number: int) -> tuple[Any, ...]:
        return -cost[number], -int(count[number]), [(text is None, text or "") for text in keys[number]]

    return sorted(numbers, key=place)


def _keys(given: Circumstances, number: int) -> tuple[DimensionValue, ...]:
    return tuple(DimensionValue(name, value) for name, value in zip(given.by, given.keys[number], strict=True))


@dataclass(frozen=True, slots=True)
class _Figures:
    """The plain numbers of some calls; None for what is not known, or is a ratio over nothing."""

    cost: Decimal | None
    value: Decimal
    conversions: Decimal

    @classmethod
    def of(cls, sums: Sums) -> "_Figures":
        # Of calls none of which has a cost that is known there is none, which is not the same as 0.
        cost = total(sums.cost) if sums.costs or not sum(sums.calls) else None
        return cls(cost, total(sums.value), total(sums.conversions))

    def all(self) -> Mapping[str, Decimal | None]:
        cost, value = self.cost, self.value
        net = None if cost is None else EXACT.subtract(value, cost)
        each = quotient(value, self.conversions)
        return {
            "cost": cost,
            "value": value,
            "conversions": self.conversions,
            "net": net,
            "roi": None if net is None or cost is None else quotient(net, cost),
            "margin": None if net is None else quotient(net, value),
            "cost_per_conversion": None if cost is None else quotient(cost, self.conversions),
            "break_even_conversions": None if cost is None or not each else quotient(cost, each),
        }


_DEFINITIONS: Mapping[str, tuple[Unit, str]] = {
    "cost": (Unit.MONEY, "Sum of the known costs of the AI interactions; null where none of them has one."),
    "value": (Unit.MONEY, "Sum of the parts of conversions' amounts that the model credits to the AI interactions."),
    "conversions": (Unit.COUNT, "Sum of the parts of conversions that the model credits to the AI interactions."),
    "net": (Unit.MONEY, "Value minus cost."),
    "roi": (Unit.RATIO, "Value minus cost, divided by cost."),
    "margin": (Unit.RATIO, "Value minus cost, divided by value."),
    "cost_per_conversion": (Unit.MONEY, "Cost divided by the conversions credited."),
    "break_even_conversions": (
        Unit.COUNT,
        "Cost divided by the value of a conversion credited: so many are needed to earn the cost.",
    ),
}
_RATIOS = {"roi": ("net", "cost"), "margin": ("net", "value"), "cost_per_conversion": ("cost", "conversions")}


@dataclass(frozen=True, slots=True)
class _Told:
    """How sums are told."""

    given: Circumstances
    resamples: Resamples | None

    def figures(
        self,
        row: int,
        sums: Sums,
        reached: Payback | None,
        earlier: Sums | None,
        incremental: IncrementalValue | None = None,
    ) -> dict[str, Any]:
        """The fields of RoiFigures."""
        plain = _Figures.of(sums)
        if incremental is not None:
            plain = _Figures(plain.cost, incremental.value, plain.conversions)
        values = plain.all()
        before = {} if earlier is None else _Figures.of(earlier).all()
        intervals = self._intervals(row) if incremental is None else _measured(incremental, plain.cost)
        estimates = {name: self._estimate(name, values, before, sums, intervals.get(name)) for name in _DEFINITIONS}
        net = values["net"]
        return {
            **estimates,
            "calls": sum(sums.calls),
            "unpriced": sums.unpriced,
            "subjects": sums.subjects,
            "shortfall": None if net is None else max(Decimal(0), EXACT.minus(net)),
            "payback_at": None if reached is None else _EPOCH + timedelta(microseconds=reached.reached_us),
            "payback_seconds": None if reached is None else _seconds(reached.reached_us - reached.first_cost_us),
            "series": self._series(sums),
        }

    def _intervals(self, row: int) -> dict[str, Interval | None]:
        if self.resamples is None:
            return {}
        return {name: getattr(self.resamples, name)(row) for name in _DEFINITIONS if name != "cost"}

    def _estimate(
        self,
        name: str,
        values: Mapping[str, Decimal | None],
        before: Mapping[str, Decimal | None],
        sums: Sums,
        interval: Interval | None,
    ) -> Estimate:
        unit, definition = _DEFINITIONS[name]
        numerator, denominator = _RATIOS.get(name, ("", ""))
        return estimate(
            values[name],
            n=sums.costs if name == "cost" else sums.subjects,
            as_of=self.given.as_of,
            definition=definition,
            unit=unit,
            currency=self.given.currency,
            numerator=values.get(numerator),
            denominator=values.get(denominator),
            interval=None if values[name] is None else interval,
            previous=before.get(name),
        )

    def _series(self, sums: Sums) -> RoiSeries:
        given = self.given
        balances, balance = [], Decimal(0)
        for cost, value in zip(sums.cost, sums.value, strict=True):
            balance = EXACT.add(balance, EXACT.subtract(value, cost))
            balances.append(balance)
        return RoiSeries(
            granularity=given.granularity,
            timezone=given.timezone,
            currency=given.currency,
            at=given.buckets,
            calls=tuple(sums.calls),
            cost=tuple(sums.cost),
            conversions=tuple(sums.conversions),
            value=tuple(sums.value),
            roi=tuple(
                quotient(EXACT.subtract(value, cost), cost) for value, cost in zip(sums.value, sums.cost, strict=True)
            ),
            balance=tuple(balances),
        )


def _measured(incremental: IncrementalValue, cost: Decimal | None) -> dict[str, Interval | None]:
    """The intervals that follow from that of a measured value."""
    ends = incremental.low, incremental.high
    method = "that of the experiment"
    found: dict[str, Interval | None] = {"value": Interval(*ends, LEVEL, method)}
    if cost is not None:
        low, high = (EXACT.subtract(end, cost) for end in ends)
        found["net"] = Interval(low, high, LEVEL, method)
        if cost:
            found["roi"] = Interval(CONTEXT.divide(low, cost), CONTEXT.divide(high, cost), LEVEL, method)
        if incremental.low > 0:
            # 1 - cost / value grows with the value.
            of_low, of_high = (CONTEXT.subtract(_ONE, CONTEXT.divide(cost, end)) for end in ends)
            found["margin"] = Interval(of_low, of_high, LEVEL, method)
    return found


def _seconds(microseconds: int) -> Decimal | None:
    return quotient(Decimal(microseconds), Decimal(1_000_000))
