"""Which service level objectives can be kept."""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from resolvers.analysis.filters import EVERYTHING, Filter
from resolvers.analysis.intake_values import Invalid, money
from resolvers.analysis.metrics import Direction, Form, Metric
from resolvers.analysis.slos import PERIOD, SloDefinition
from resolvers.catalogue import METRICS, metric
from resolvers.errors import BadInput
from resolvers.flag_checks import check_key, check_text, refused

SHORTEST_ABSENCE = timedelta(minutes=5)
GREATEST_MINIMUM = 10**9
_PLACES = 9
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class SloDraft:
    """An SLO to be kept; the amounts are JSON values, or what such a value came to."""

    key: str
    metric: str
    objective: Any
    title: str | None = None
    """None: the key."""
    good: Direction | None = None
    """None: as the metric says."""
    threshold: Any = None
    where: Filter = EVERYTHING
    minimum_events: int = 100
    absent_after: timedelta = timedelta(days=1)
    cost_per_bad_event: Any = None


def checked(draft: SloDraft) -> SloDefinition:
    """The SLO that a draft means; raises BadInput naming the part at fault."""
    check_key(draft.key, "key")
    check_text(draft.title, 200, "title")
    try:
        of = metric(draft.metric)
    except BadInput as bad:
        raise BadInput(bad.message, field="metric") from None
    threshold = _threshold(draft, of)
    if not 1 <= draft.minimum_events <= GREATEST_MINIMUM:
        raise refused("minimumEvents", f"must be 1 to {GREATEST_MINIMUM:,}")
    if not SHORTEST_ABSENCE <= draft.absent_after <= PERIOD or draft.absent_after % _SECOND:
        raise refused("absentAfter", "must be 5m to 30d")
    return SloDefinition(
        key=draft.key,
        title=draft.key if draft.title is None else draft.title,
        metric=of.slug,
        good=_good(draft, of),
        threshold=threshold,
        objective=_objective(draft.objective),
        where=draft.where,
        minimum_events=draft.minimum_events,
        absent_after=draft.absent_after,
        cost_per_bad_event=_positive(draft.cost_per_bad_event, "costPerBadEvent"),
    )


def _good(draft: SloDraft, of: Metric) -> Direction:
    good = of.direction if draft.good is None else draft.good
    if good is Direction.NEUTRAL:
        raise refused("good", "must be UP or DOWN")
    return good


def _threshold(draft: SloDraft, of: Metric) -> Decimal | None:
    """The threshold of a metric that takes one; a share takes none, and any other metric makes no SLO."""
    if of.form not in (Form.RATIO, Form.QUANTILE):
        able = ", ".join(one.slug for one in METRICS if one.form in (Form.RATIO, Form.QUANTILE))
        raise refused("metric", f"must tell good events from bad ones, which {of.slug} does not; these do: {able}")
    threshold = _positive(draft.threshold, "threshold")
    if of.form is Form.RATIO and threshold is not None:
        raise refused("threshold", f"must not be given: {of.slug} is a share of events by itself")
    if of.form is Form.QUANTILE and threshold is None:
        unit = of.unit.name.lower()
        raise refused("threshold", f"must be given, in {unit}: an event is good up to it, whatever the quantile is")
    return threshold


def _objective(given: Any) -> Decimal:
    objective = _amount(given, "objective")
    exponent = objective.as_tuple().exponent
    if not 0 < objective < 1 or not isinstance(exponent, int) or exponent < -_PLACES:
        raise refused("objective", f"must be above 0 and below 1, with at most {_PLACES} decimal places: 0.99 is 99 %")
    return objective


def _positive(given: Any, field: str) -> Decimal | None:
    if given is None:
        return None
    amount = _amount(given, field)
    if not amount:
        raise refused(field, "must be more than 0")
    return amount


def _amount(given: Any, field: str) -> Decimal:
    try:
        return money(given)
    except Invalid as bad:
        raise refused(field, bad.message) from None
