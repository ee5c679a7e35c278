"""Which way a question is answered: from rollups where they hold all that it asks for, else from the log."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from resolvers.analysis.filters import All, Any, DimensionIs, Filter, FlagIs, KindIs, NameIs, Not, Op
from resolvers.analysis.metrics import Aggregate, Statistic
from resolvers.analysis.periods import Period
from resolvers.analysis.rollups import DAY, FLAGS, HOUR


@dataclass(frozen=True, slots=True)
class RollupPlan:
    """How rollups answer: rows of one grain and one dimension, narrowed by a condition on classes of events."""

    grain: int
    dimension: str | None
    values: tuple[str, ...]
    where: Filter


def rollup_plan(where: Filter, period: Period, buckets: Sequence[datetime], by: Sequence[str]) -> RollupPlan | None:
    """How rollups answer what they hold of this question; None where they cannot.

    Of dimensions they hold one at a time, and they can be cut where hours begin.
    """
    grain = _grain((period.start, period.end, *buckets))
    if by or grain is None:
        return None
    parts = _conjunction(where)
    narrowing = [part for part in parts if isinstance(part, DimensionIs)]
    classes = All(tuple(part for part in parts if not isinstance(part, DimensionIs)))
    if len(narrowing) > 1 or not _of_classes(classes) or any(part.op is not Op.IN for part in narrowing):
        return None
    if not narrowing:
        return RollupPlan(grain, None, (), classes)
    return RollupPlan(grain, narrowing[0].dimension, narrowing[0].values, classes)


def _grain(cuts: Sequence[datetime]) -> int | None:
    seconds = [int(cut.astimezone(UTC).timestamp()) for cut in cuts]
    if any(cut.microsecond for cut in cuts) or any(second % 3_600 for second in seconds):
        return None
    return HOUR if any(second % 86_400 for second in seconds) else DAY


def in_rollups(statistic: Statistic) -> bool:
    """Whether rollups hold a statistic: they hold counts, sums and histograms, no sets of subjects or orders."""
    fields = {
        Aggregate.COUNT: (None, "amount", "cost", "duration_ms", *FLAGS),
        Aggregate.SUM: ("amount", "cost"),
        Aggregate.SUM_OF_SQUARES: ("amount", "cost"),
        Aggregate.QUANTILE: ("duration_ms",),
        Aggregate.DISTINCT: (),
    }
    return statistic.field in fields[statistic.aggregate] and _of_classes(statistic.where)


def _conjunction(where: Filter) -> list[Filter]:
    if isinstance(where, All):
        return [leaf for part in where.of for leaf in _conjunction(part)]
    return [where]


def _of_classes(root: Filter) -> bool:
    """Whether events of one class pass or fail together."""
    match root:
        case All(of) | Any(of):
            return all(map(_of_classes, of))
        case Not(of):
            return _of_classes(of)
        case _:
            return isinstance(root, KindIs | NameIs | FlagIs)
