"""How fast error budgets burn, whether that is too fast, and when they will be used up.

The formulas are those of "The Site Reliability Workbook" (O'Reilly 2018), chapter 5. Rates are held against factors as
exact fractions, so that a rate of just the factor fires.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from resolvers.analysis.estimates import quotient
from resolvers.analysis.slo_answers import ErrorBudget, SloRule, SloRuleState, SloState, SloWindow
from resolvers.analysis.slos import PERIOD, RULES, WINDOWS, BurnRule, Severity, SloDefinition, Tally

Tallies = Mapping[timedelta, Tally]
"""What happened within the last so long: ``WINDOWS``, ``PERIOD`` and the time after which there is no data."""

_MICROSECOND = timedelta(microseconds=1)
_SPANS = (("d", timedelta(days=1)), ("h", timedelta(hours=1)), ("m", timedelta(minutes=1)))
_STATES = {Severity.PAGE: SloState.PAGE, Severity.TICKET: SloState.TICKET}


def burn_rate(tally: Tally, objective: Decimal) -> Fraction | None:
    """(bad / total) / (1 - objective): 1 uses the budget up in just its period. None without events."""
    return Fraction(tally.bad, tally.total) / (1 - Fraction(objective)) if tally.total else None


def window(of: SloDefinition, tallies: Tallies, length: timedelta) -> SloWindow:
    """What happened within the last ``length``."""
    tally = tallies[length]
    return SloWindow(length, tally.total, tally.bad, told(burn_rate(tally, of.objective)), cost(of, tally.bad))


def rules(of: SloDefinition, tallies: Tallies) -> tuple[SloRule, ...]:
    """What each rule says: it fires where both of its windows burn at its factor or faster.

    It says nothing where the long window has fewer events than the minimum: of few, one bad event is a large share.
    """
    return tuple(_rule(of, rule, tallies) for rule in RULES)


def _rule(of: SloDefinition, rule: BurnRule, tallies: Tallies) -> SloRule:
    long, short = (burn_rate(tallies[length], of.objective) for length in (rule.long, rule.short))
    state = SloRuleState.QUIET
    if tallies[rule.long].total < of.minimum_events:
        state = SloRuleState.TOO_FEW
    elif long is not None and short is not None and min(long, short) >= Fraction(rule.factor):
        state = SloRuleState.FIRING
    reachable = rule.reachable(of.objective)
    return SloRule(rule.severity, rule.long, rule.short, rule.factor, told(long), told(short), reachable, state)


def state(of: SloDefinition, tallies: Tallies, said: tuple[SloRule, ...]) -> tuple[SloState, str]:
    """How it stands, and why: by the first rule that fires; else whether there is anything to judge by."""
    for rule in said:
        if rule.state is SloRuleState.FIRING:
            parts = [
                f"{_times(rate)} within {span(length)} ({tallies[length].bad:,} of {tallies[length].total:,} bad)"
                for length, rate in ((rule.long, rule.long_burn_rate), (rule.short, rule.short_burn_rate))
            ]
            factor = f"a {rule.severity.value} from {_times(rule.factor)} on"
            return _STATES[rule.severity], f"{of.title}: the error budget burns {' and '.join(parts)}, {factor}"
    if not tallies[of.absent_after].total:
        return SloState.NO_DATA, f"{of.title}: no event within {span(of.absent_after)}"
    longest = max(rule.long for rule in RULES)
    found = tallies[longest].total
    if found < of.minimum_events:
        few = f"{found:,} events within {span(longest)}, too few to tell"
        return SloState.LOW_TRAFFIC, f"{of.title}: {few} below {of.minimum_events:,}"
    return SloState.HEALTHY, f"{of.title}: the error budget burns at no rate that takes a page or a ticket"


def budget(of: SloDefinition, tallies: Tallies, now: datetime) -> ErrorBudget:
    """What the objective allows in the period, what is left of it, and until when it will last.

    With a share r left and a present burn rate b that is r / b of the period, as if nothing of it were to leave the
    period meanwhile. Where that is more than a whole period, all of what is used has left by then, and it lasts.
    """
    tally = tallies[PERIOD]
    consumed = burn_rate(tally, of.objective)
    remaining = None if consumed is None else 1 - consumed
    longs = sorted({rule.long for rule in RULES})
    length = next((long for long in longs if tallies[long].total >= of.minimum_events), None)
    exhausted = None
    if length is not None and remaining is not None and remaining > 0:
        rate = burn_rate(tallies[length], of.objective)
        if rate and remaining <= rate:
            exhausted = now + (remaining / rate * (PERIOD // _MICROSECOND)).__floor__() * _MICROSECOND
    allowed = (1 - of.objective) * tally.total
    return ErrorBudget(
        total=tally.total,
        bad=tally.bad,
        allowed=allowed,
        consumed=told(consumed),
        remaining=told(remaining),
        present=None if length is None else window(of, tallies, length),
        exhausted_at=exhausted,
        cost=cost(of, tally.bad),
        allowed_cost=None if of.cost_per_bad_event is None else allowed * of.cost_per_bad_event,
    )


def windows(of: SloDefinition, tallies: Tallies) -> tuple[SloWindow, ...]:
    """All windows that rules look at, the shortest first."""
    return tuple(window(of, tallies, length) for length in WINDOWS)


def cost(of: SloDefinition, bad: int) -> Decimal | None:
    """What so many bad events cost."""
    return None if of.cost_per_bad_event is None else bad * of.cost_per_bad_event


def told(fraction: Fraction | None) -> Decimal | None:
    """A fraction, carried to 28 digits."""
    return None if fraction is None else quotient(Decimal(fraction.numerator), Decimal(fraction.denominator))


def span(length: timedelta) -> str:
    """A span of time in the widest unit that holds it whole, e.g. ``6h``."""
    for unit, width in _SPANS:
        if not length % width:
            return f"{length // width}{unit}"
    return f"{length // timedelta(seconds=1)}s"


def _times(rate: Decimal | None) -> str:
    return f"{rate:,.1f}".removesuffix(".0") + "×"
