"""Guardrails: whether what a metric, or an objective, has come to is beyond what a ramp may cost."""

from dataclasses import dataclass
from decimal import Decimal
from enum import Enum

from resolvers.analysis.estimates import change
from resolvers.analysis.flags import Bound, Guardrail, SloGuardrail
from resolvers.analysis.slo_answers import SloAnswer, SloState
from resolvers.analysis.slos import Severity


class GuardState(Enum):
    """What a guardrail says."""

    FIRING = "firing"
    QUIET = "quiet"
    TOO_FEW = "too_few"


@dataclass(frozen=True, slots=True)
class Reading:
    """A metric's value among some, None where it is undefined, and how many observations stand behind it."""

    value: Decimal | None
    n: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a guardrail says, and of which figures."""

    state: GuardState
    message: str


def judge(guardrail: Guardrail, exposed: Reading, control: Reading | None = None) -> Verdict:
    """Whether a guardrail fires: its metric, or the metric's change against the control, is beyond the limit.

    Nothing is said of fewer observations than the minimum, on either side, nor where there is no value to compare.
    """
    if guardrail.control is None:
        found, against = exposed.value, ""
        few = exposed.n < guardrail.minimum_sample
    else:
        control = control or Reading(None, 0)
        found = change(exposed.value, control.value)
        against = f" against {_text(control.value)} (n = {control.n:,})"
        few = min(exposed.n, control.n) < guardrail.minimum_sample
    told = f"{guardrail.metric} is {_text(exposed.value)} (n = {exposed.n:,}){against}"
    if few:
        return Verdict(GuardState.TOO_FEW, f"{told}: too few to tell")
    if found is None:
        return Verdict(GuardState.TOO_FEW, f"{told}: nothing that could be compared")
    beyond = found > guardrail.limit if guardrail.bound is Bound.ABOVE else found < guardrail.limit
    what = "" if guardrail.control is None else f", a change of {_text(found)}"
    limit = f"{guardrail.bound.name.lower()} {_text(guardrail.limit)}"
    if beyond:
        return Verdict(GuardState.FIRING, f"{told}{what}: {limit}")
    return Verdict(GuardState.QUIET, f"{told}{what}: not {limit}")


def judge_slo(guardrail: SloGuardrail, found: SloAnswer | None) -> Verdict:
    """Whether a guardrail fires: its SLO calls for a page, or for a ticket where that is enough.

    Nothing is said where there is no data, or few; None stands for an SLO that there is no more.
    """
    if found is None:
        return Verdict(GuardState.TOO_FEW, f"SLO {guardrail.slo}: there is no such SLO any more")
    firing = {SloState.PAGE} if guardrail.severity is Severity.PAGE else {SloState.PAGE, SloState.TICKET}
    silent = {SloState.NO_DATA, SloState.LOW_TRAFFIC}
    state = GuardState.TOO_FEW if found.state in silent else GuardState.QUIET
    told = found.state.name
    return Verdict(
        GuardState.FIRING if found.state in firing else state, f"SLO {guardrail.slo} is {told}: {found.message}"
    )


def _text(number: Decimal | None) -> str:
    return "undefined" if number is None else f"{number:.6g}"
