"""The catalogue of metrics: one declaration each, from which every way of asking for it follows."""

from collections.abc import Mapping

from resolvers.analysis.behaviour import GAIN
from resolvers.analysis.estimates import Unit
from resolvers.analysis.events import DIMENSIONS, Kind
from resolvers.analysis.filters import EVERYTHING, All, Filter, FlagIs, KindIs, NameIs
from resolvers.analysis.metrics import Aggregate, Direction, Form, Metric, Statistic
from resolvers.errors import BadInput

CONVERSIONS: Filter = GAIN
"""A conversion that is a gain: every one but ``churn`` and ``refund``."""
REFUNDS: Filter = All((KindIs((Kind.CONVERSION,)), NameIs(("refund",))))
"""Money given back: its amount is what is no longer earned."""

_ACQUISITION: Filter = KindIs((Kind.TOUCHPOINT, Kind.SPEND))
_AI: Filter = KindIs((Kind.AI_INTERACTION,))


def _latency(q: float) -> Metric:
    percent = round(q * 100)
    return Metric(
        slug=f"ai_latency_p{percent}",
        title=f"AI latency p{percent}",
        definition=f"The duration that {percent} % of the AI interactions with a duration do not exceed, "
        "interpolated linearly between closest ranks (Hyndman and Fan's type 7).",
        unit=Unit.MILLISECONDS,
        direction=Direction.DOWN,
        form=Form.QUANTILE,
        numerator=Statistic(Aggregate.QUANTILE, _AI, "duration_ms", q),
        denominator=Statistic(Aggregate.COUNT, _AI, "duration_ms"),
        dimensions=DIMENSIONS,
    )


METRICS: tuple[Metric, ...] = (
    Metric(
        slug="events",
        title="Events",
        definition="Events of any kind.",
        unit=Unit.COUNT,
        direction=Direction.NEUTRAL,
        form=Form.TOTAL,
        numerator=Statistic(Aggregate.COUNT, EVERYTHING),
        dimensions=DIMENSIONS,
    ),
    Metric(
        slug="unique_subjects",
        title="Unique subjects",
        definition="Distinct subjects with an event of any kind.",
        unit=Unit.COUNT,
        direction=Direction.UP,
        form=Form.TOTAL,
        numerator=Statistic(Aggregate.DISTINCT, EVERYTHING, "subject"),
        dimensions=DIMENSIONS,
    ),
    Metric(
        slug="conversions",
        title="Conversions",
        definition="Conversion events of any name but churn and refund.",
        unit=Unit.COUNT,
        direction=Direction.UP,
        form=Form.TOTAL,
        numerator=Statistic(Aggregate.COUNT, CONVERSIONS),
        dimensions=DIMENSIONS,
    ),
    Metric(
        slug="conversion_rate",
        title="Conversion rate",
        definition="Distinct subjects with a conversion other than churn and refund, divided by those with any event.",
        unit=Unit.RATIO,
        direction=Direction.UP,
        form=Form.RATIO,
        numerator=Statistic(Aggregate.DISTINCT, CONVERSIONS, "subject"),
        denominator=Statistic(Aggregate.DISTINCT, EVERYTHING, "subject"),
        dimensions=DIMENSIONS,
    ),
    Metric(
        slug="revenue",
        title="Revenue",
        definition="Sum of the amounts of conversions other than churn and refund, in the tenant's currency.",
        unit=Unit.MONEY,
        direction=Direction.UP,
        form=Form.TOTAL,
        numerator=Statistic(Aggregate.SUM, CONVERSIONS, "amount"),
        denominator=Statistic(Aggregate.COUNT, CONVERSIONS, "amount"),
        dimensions=DIMENSIONS,
    ),
    Metric(
        slug="refunds",
        title="Refunds",
        definition="Sum of the amounts of refunds, in the tenant's currency.",
        unit=Unit.MONEY,
        direction=Direction.DOWN,
        form=Form.TOTAL,
        numerator=Statistic(Aggregate.SUM, REFUNDS, "amount"),
        denominator=Statistic(Aggregate.COUNT, REFUNDS, "amount"),
        dimensions=DIMENSIONS,
    ),
    # No squares: an order may be several events, and squares of events are not squares of orders.
    Metric(
        slug="average_order_value",
        title="Average order value",
        definition="Revenue divided by distinct orders: conversions with an amount that is in the tenant's currency or "
        "can be converted to it, those of one order id being one order.",
        unit=Unit.MONEY,
        direction=Direction.UP,
        form=Form.MEAN,
        numerator=Statistic(Aggregate.SUM, CONVERSIONS, "amount"),
        denominator=Statistic(Aggregate.DISTINCT, CONVERSIONS, "order"),
        dimensions=DIMENSIONS,
    ),
    Metric(
        slug="acquisition_spend",
        title="Acquisition spend",
        definition="Sum of the costs of touchpoints and of spend, in the tenant's currency.",
        unit=Unit.MONEY,
        direction=Direction.DOWN,
        form=Form.TOTAL,
        numerator=Statistic(Aggregate.SUM, _ACQUISITION, "cost"),
        denominator=Statistic(Aggregate.COUNT, _ACQUISITION, "cost"),
        dimensions=DIMENSIONS,
    ),
    Metric(
        slug="ai_requests",
        title="AI requests",
        definition="AI interactions.",
        unit=Unit.COUNT,
        direction=Direction.NEUTRAL,
        form=Form.TOTAL,
        numerator=Statistic(Aggregate.COUNT, _AI),
        dimensions=DIMENSIONS,
    ),
    Metric(
        slug="ai_cost",
        title="AI cost",
        definition="Sum of the known costs of AI interactions, in the tenant's currency.",
        unit=Unit.MONEY,
        direction=Direction.DOWN,
        form=Form.TOTAL,
        numerator=Statistic(Aggregate.SUM, _AI, "cost"),
        denominator=Statistic(Aggregate.COUNT, _AI, "cost"),
        dimensions=DIMENSIONS,
    ),
    Metric(
        slug="ai_success_rate",
        title="AI success rate",
        definition="AI interactions that succeeded, divided by those that say whether they did.",
        unit=Unit.RATIO,
        direction=Direction.UP,
        form=Form.RATIO,
        numerator=Statistic(Aggregate.COUNT, All((_AI, FlagIs("success", True)))),
        denominator=Statistic(Aggregate.COUNT, _AI, "success"),
        dimensions=DIMENSIONS,
    ),
    _latency(0.50),
    _latency(0.95),
)
"""In the order in which they are listed."""

_BY_SLUG: Mapping[str, Metric] = {entry.slug: entry for entry in METRICS}


def metric(slug: str) -> Metric:
    """The metric of that slug; BadInput on ``slug``, naming those there are, where there is none."""
    if slug not in _BY_SLUG:
        raise BadInput(f"There is no such metric; there are {', '.join(_BY_SLUG)}.", field="slug")
    return _BY_SLUG[slug]
