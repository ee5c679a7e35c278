"""Guardrails: whether what a metric has come to is beyond what a ramp may cost."""

from dataclasses import dataclass
from decimal import Decimal
from enum import Enum

from resolvers.analysis.estimates import change
from resolvers.analysis.flags import Bound, Guardrail


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


def _text(number: Decimal | None) -> str:
    return "undefined" if number is None else f"{number:.6g}"
