"""The columns of the rollups: which of them a statistic adds up, and what an event adds to each."""

from resolvers.analysis.metrics import Aggregate, Statistic
from resolvers.store.rollups import BUCKET, MEASURES

OF_EVENT = {
    "n": "1",
    **{f"{name}_n": f"({measure} IS NOT NULL)::integer" for measure, name in MEASURES.items()},
    **{f"{name}_sum": f"coalesce({measure}, 0)" for measure, name in MEASURES.items()},
    **{
        f"{name}_squares": f"coalesce({measure} * {measure}, 0)::double precision" for measure, name in MEASURES.items()
    },
    "histogram": f"CASE WHEN duration_ms IS NOT NULL THEN ARRAY[({BUCKET})::bigint << 32 | 1] END",
}
"""What an event adds to a column of the rollups."""


def column_of(statistic: Statistic) -> str:
    """The column of the rollups that a statistic adds up."""
    measure = MEASURES.get(statistic.field or "")
    match statistic.aggregate:
        case Aggregate.QUANTILE:
            return "histogram"
        case Aggregate.SUM:
            return f"{measure}_sum"
        case Aggregate.SUM_OF_SQUARES:
            return f"{measure}_squares"
        case _:
            return "n" if measure is None else f"{measure}_n"


def summed_column(column: str) -> str:
    """How a column of several rollups is told as one."""
    if column == "histogram":
        return "strung_histograms(histogram)"
    return f"sum({column}){'::bigint' if column == 'n' or column.endswith('_n') else ''}"
