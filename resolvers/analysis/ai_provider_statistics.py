"""The statistics that a comparison of providers is made of, and the plain numbers they come to."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any as Number

from resolvers.analysis.ai_providers import BINS, ConfidenceCalibration
from resolvers.analysis.events import Kind
from resolvers.analysis.experiment_statistics import Arm, Share
from resolvers.analysis.filters import All, Any, Filter, FlagIs, KindIs, MeasureIs, Op
from resolvers.analysis.metrics import Aggregate, Statistic
from resolvers.analysis.sums import Values

CALL: Filter = KindIs((Kind.AI_INTERACTION,))

_PRICED = All((CALL, MeasureIs("cost", Op.EXISTS)))
_GOOD = All((CALL, FlagIs("success", True)))
_SAYING = All((CALL, Any((FlagIs("success", True), FlagIs("success", False)))))
QUANTILES = (0.5, 0.95, 0.99)


def _bin(place: int) -> Filter:
    low = MeasureIs("score", Op.GTE, Decimal(place) / BINS)
    return low if place == BINS - 1 else All((low, MeasureIs("score", Op.LT, Decimal(place + 1) / BINS)))


def _binned(place: int) -> Iterator[Statistic]:
    yield Statistic(Aggregate.COUNT, All((_SAYING, _bin(place))))
    yield Statistic(Aggregate.COUNT, All((_GOOD, _bin(place))))
    yield Statistic(Aggregate.SUM, All((_SAYING, _bin(place))), "score")


_PLAIN = (
    Statistic(Aggregate.SUM, CALL, "cost"),
    Statistic(Aggregate.COUNT, CALL),
    Statistic(Aggregate.COUNT, CALL, "cost"),
    Statistic(Aggregate.SUM_OF_SQUARES, CALL, "cost"),
    Statistic(Aggregate.COUNT, _PRICED),
    Statistic(Aggregate.SUM, _PRICED, "input_tokens"),
    Statistic(Aggregate.SUM, _PRICED, "output_tokens"),
    *(Statistic(Aggregate.QUANTILE, CALL, "duration_ms", q) for q in QUANTILES),
    Statistic(Aggregate.COUNT, CALL, "duration_ms"),
    Statistic(Aggregate.COUNT, _GOOD),
    Statistic(Aggregate.COUNT, CALL, "success"),
    Statistic(Aggregate.SUM_OF_SQUARES, _SAYING, "score"),
    Statistic(Aggregate.SUM, _GOOD, "score"),
)
STATISTICS = (*_PLAIN, *(statistic for place in range(BINS) for statistic in _binned(place)))
"""What is asked of the store, the cost first: by it groups are ranked."""


@dataclass(frozen=True, slots=True)
class Plain:
    """The plain numbers of some calls, money in the currency asked for."""

    calls: int
    cost: Decimal
    costs: int
    """Calls whose cost is known in the currency."""
    cost_squares: Decimal
    priced: int
    """Calls with a cost in any currency."""
    tokens: int
    """Those of calls with a cost in any currency."""
    latencies: tuple[float | None, ...]
    timed: int
    successes: int
    said: int
    """Calls that say whether they succeeded."""
    calibration: ConfidenceCalibration

    @property
    def costing(self) -> Arm:
        return Arm(self.costs, self.cost, self.cost_squares)

    @property
    def succeeding(self) -> Share:
        return Share(self.said, self.successes)


def plain(values: Values | None) -> Plain:
    """What the values of STATISTICS say; of None what there is of no calls."""
    found: tuple[Number, ...] = values or tuple(
        None if statistic.aggregate is Aggregate.QUANTILE else 0 for statistic in STATISTICS
    )
    cost, calls, costs, squares, priced, read, written, *rest = found
    p50, p95, p99, timed, successes, said, score_squares, score_of_good, *bins = rest
    return Plain(
        calls=int(calls),
        cost=Decimal(cost),
        costs=int(costs),
        cost_squares=Decimal(squares),
        priced=int(priced),
        tokens=int(read) + int(written),
        latencies=(p50, p95, p99),
        timed=int(timed),
        successes=int(successes),
        said=int(said),
        calibration=_calibration(bins, float(score_squares), float(score_of_good)),
    )


def _calibration(bins: list[Number], squares: float, of_good: float) -> ConfidenceCalibration:
    counts, good, scores = (bins[part::3] for part in range(3))
    n = sum(counts)
    predicted = [score / count if count else None for score, count in zip(scores, counts, strict=True)]
    observed = [right / count if count else None for right, count in zip(good, counts, strict=True)]
    apart = sum(abs(right - score) for right, score in zip(good, scores, strict=True))
    return ConfidenceCalibration(
        n=n,
        predicted=tuple(map(_sure, predicted)),
        observed=tuple(map(_sure, observed)),
        counts=tuple(counts),
        expected_error=_sure(apart / n) if n else None,
        # Σ(s - y)² = Σs² - 2 Σs·y + Σy, as y is 0 or 1.
        brier=_sure(max(0.0, squares - 2 * of_good + sum(good)) / n) if n else None,
    )


def _sure(number: float | None) -> float | None:
    """The digits that do not depend on the order in which floats were added up."""
    return None if number is None else float(f"{number:.9g}")
