"""What to do with an experiment, by rules that can be read: ship, roll back, go on, or distrust it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from math import ceil

MOST_EXPOSED_TWICE = 0.01
"""The share of units seen in several variants above which results are warned of."""
_KEEP = "keep what there was before."


class Decision(Enum):
    """What the figures say is to be done."""

    SHIP = "ship"
    ROLL_BACK = "roll_back"
    KEEP_RUNNING = "keep_running"
    INVALID = "invalid"


class Guard(Enum):
    """How a guardrail metric stands against the margin that may be lost."""

    HOLDS = "holds"
    """Shown not to be worse than the margin."""
    BROKEN = "broken"
    """Shown to be worse than no effect."""
    OPEN = "open"
    """Neither is shown yet."""
    NOT_BROKEN = "not_broken"
    """Of one without a margin, by which nothing could be shown to hold: not shown to be worse."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What became of the goal metric of one treatment."""

    name: str
    variant: str
    better: bool | None
    """Whether the effect is a good one; None where it is not told from none."""
    significant: bool
    """After the correction for all that was tested; by an interval that holds at any look until the planned sample is
    there."""
    interval: tuple[float, float] | None
    """Of the effect, turned so that up is good."""


@dataclass(frozen=True, slots=True)
class Guarded:
    """A guardrail metric of one treatment."""

    name: str
    variant: str
    state: Guard


@dataclass(frozen=True, slots=True)
class Weakest:
    """The goal that is the farthest from its planned power."""

    name: str
    power: float | None
    """The chance to find the least effect worth finding; None where that is undefined."""
    planned: float
    effect: float
    """The least effect worth finding, a share of the control's value."""
    days: float | None
    """How long it takes at the pace of so far."""

    @property
    def lacking(self) -> str:
        """What it lacks, as a clause."""
        if self.power is None:
            return f"What power {self.name} has cannot be told, as the control has nothing of it or does not vary"
        pace = f" (some {ceil(self.days):,} days more at this pace)" if self.days else ""
        power, planned, effect = (f"{share * 100:.2g} %" for share in (self.power, self.planned, self.effect))
        return f"A change of {self.name} by {effect} would be found in {power} of experiments, not in {planned}{pace}"


@dataclass(frozen=True, slots=True)
class Late:
    """What came of an experiment that is looked at after its planned sample was there."""

    planned: int
    """Units of the planned sample."""
    later: int
    """Units that came after it."""
    better: tuple[Goal, ...] = ()
    """What is better by what holds at any look over all units, and was not in the planned sample."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What has to hold before figures are believed, and how far the experiment is."""

    units: int
    fewest_units: int
    """In each arm, as was planned."""
    least_arm: int
    days: float
    fewest_days: float
    mismatched: bool
    exposed_twice: float
    """The share of units seen in several variants."""
    planned_end_reached: bool
    """Whether the sample that was planned is there: only then does a p-value of a fixed horizon mean what it says."""
    sequential: bool
    """Whether significance is by the always-valid interval, which may be looked at any time."""
    over: bool = False
    """Whether it is completed: nothing is waited for any more, and what holds at any look decides if it was early."""
    weakest: Weakest | None = None
    """None without a goal."""
    phase: int | None = None
    """Which of several phases the units are of; None where there is one, or all are asked about."""
    late: Late | None = None
    """Where the planned sample decides, and units came after it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A decision, and the sentence why."""

    decision: Decision
    why: str
    variant: str | None = None
    """Which treatment to ship, where one is to be shipped."""


def guard(low: float, high: float, margin: float | None, *, up_is_good: bool) -> Guard:
    """How a guardrail stands, by the interval of its effect; ``margin`` >= 0 is what may be lost, in the same unit.

    A loss that is shown to be within the margin is put up with; else one that is shown at all breaks the guardrail.
    Without a margin it is enough that none is shown.
    """
    worst, best = (low, high) if up_is_good else (-high, -low)
    if worst > -(margin or 0.0):
        return Guard.HOLDS
    if best < 0:
        return Guard.BROKEN
    return Guard.NOT_BROKEN if margin is None else Guard.OPEN


def decided(goals: Sequence[Goal], guards: Sequence[Guarded], at: Circumstances) -> Verdict:
    """The verdict: distrust first, then harm, then patience, then gain.

    A treatment that breaks a guardrail or is significantly worse in a goal is never shipped; where all do, nobody need
    wait for the sample that was planned. Shipping waits for the planned runtime and, unless intervals hold at any look,
    for the sample. Of what is completed nothing is waited for.
    """
    if at.units == 0:
        where = "" if at.phase is None else f" in phase {at.phase}"
        if at.over:
            return Verdict(Decision.ROLL_BACK, f"Nobody was exposed{where} before it was completed: {_KEEP}")
        return Verdict(Decision.KEEP_RUNNING, f"Nobody has been exposed{where} yet.")
    if at.mismatched:
        return Verdict(
            Decision.INVALID,
            "The arms are not as large as their weights say (sample ratio mismatch, by a test that holds at any look): "
            "something decides who is counted, so no effect can be believed. Find the cause, then start anew.",
        )
    harms = _harms(goals, guards)
    harm = "; ".join(f"{variant}: {', '.join(found)}" for variant, found in harms.items())
    treatments = {one.variant for one in goals} | {one.variant for one in guards}
    if harms and harms.keys() >= treatments:
        return Verdict(Decision.ROLL_BACK, " ".join([f"Every treatment does harm ({harm}).", *_late(at)]))
    waiting = _waiting(at)
    safe = [one for one in goals if one.variant not in harms]
    if waiting and not at.over:
        verdict = Verdict(Decision.KEEP_RUNNING, waiting)
    elif goals:
        verdict = _settled(safe, guards, at)
    else:
        verdict = _no_worse([one for one in guards if one.variant not in harms], at)
    remarks = ["It was completed early, so only what holds at any look counts."] if waiting and at.over else []
    remarks += _early(safe, guards, at) if waiting and not at.over else []
    remarks += [f"Not to be shipped: {harm}."] if harm else []
    remarks += _late(at)
    if at.exposed_twice > MOST_EXPOSED_TWICE:
        remarks.append(f"{at.exposed_twice:.1%} of the units saw several variants, which blurs what sets them apart.")
    return replace(verdict, why=" ".join([verdict.why, *remarks]))


def _early(goals: Sequence[Goal], guards: Sequence[Guarded], at: Circumstances) -> list[str]:
    """That nobody need wait, where nothing but power is missing and what holds at any look would do."""
    if at.days < at.fewest_days or at.least_arm < at.fewest_units:
        return []
    now = _settled(goals, guards, replace(at, over=True))
    if now.decision is not Decision.SHIP:
        return []
    return [f"What holds at any look is enough already: completed now, {now.variant} would be shipped."]


def _late(at: Circumstances) -> list[str]:
    """What the units that came after the planned sample count for."""
    if at.late is None:
        return []
    said = [
        f"It is decided by its planned sample of {at.late.planned:,} units: of the {at.late.later:,} that came later "
        "only harm counts that holds at any look."
    ]
    for one in at.late.better[:1]:
        said.append(
            f"What holds at any look has come to show {one.name} better in {one.variant} since: try it anew, in a "
            "sequential experiment, to ship it by that."
        )
    return said


def _harms(goals: Sequence[Goal], guards: Sequence[Guarded]) -> dict[str, list[str]]:
    """What speaks against each treatment that does harm."""
    found: dict[str, list[str]] = {}
    for one in guards:
        if one.state is Guard.BROKEN:
            found.setdefault(one.variant, []).append(f"guardrail {one.name} is broken")
    for goal in goals:
        if goal.significant and goal.better is False:
            found.setdefault(goal.variant, []).append(f"{goal.name} is significantly worse")
    return found


def _waiting(at: Circumstances) -> str | None:
    if at.days < at.fewest_days:
        return f"It has run for {at.days:.1f} of at least {at.fewest_days:g} days: whole weeks differ less than days."
    if at.least_arm < at.fewest_units:
        return f"The smallest arm has {at.least_arm:,} of at least {at.fewest_units:,} units."
    if not (at.sequential or at.planned_end_reached):
        lacking = "The planned sample is not there yet" if at.weakest is None else at.weakest.lacking
        return f"{lacking}: a p-value of a fixed horizon that is read early misleads."
    return None


def _settled(goals: Sequence[Goal], guards: Sequence[Guarded], at: Circumstances) -> Verdict:
    better = [one for one in goals if one.significant and one.better]
    if not better:
        if at.planned_end_reached:
            why = f"The planned sample is there and no goal is significantly better: {_KEEP}"
            return Verdict(Decision.ROLL_BACK, why)
        if at.over:
            return Verdict(Decision.ROLL_BACK, f"No goal is significantly better: {_KEEP}")
        return Verdict(Decision.KEEP_RUNNING, "No goal is significantly better or worse yet.")
    open_in = {one.variant: one.name for one in guards if one.state is Guard.OPEN}
    safe = [one for one in better if one.variant not in open_in]
    if not safe:
        one = better[0]
        but = f"{one.name} is significantly better in {one.variant}, but its guardrail {open_in[one.variant]} is not"
        if at.over:
            return Verdict(Decision.ROLL_BACK, f"{but} shown to hold: {_KEEP}")
        return Verdict(Decision.KEEP_RUNNING, f"{but} shown to hold yet.")
    # Goals are in different units, so that only intervals of the same one compare: the first there is counts.
    same = [one for one in safe if one.name == safe[0].name]
    best = max(same, key=lambda one: one.interval[0] if one.interval else float("-inf"))
    own = {one.state for one in guards if one.variant == best.variant}
    holds = ", and no guardrail is broken" if Guard.NOT_BROKEN in own else ", and every guardrail holds" if own else ""
    return Verdict(Decision.SHIP, f"{best.name} is significantly better in {best.variant}{holds}.", best.variant)


def _no_worse(guards: Sequence[Guarded], at: Circumstances) -> Verdict:
    """Of an experiment without a goal: whether a treatment is shown to be no worse than it may be."""
    open_in = {one.variant: one.name for one in guards if one.state is not Guard.HOLDS}
    safe = [one.variant for one in guards if one.variant not in open_in]
    if safe:
        return Verdict(Decision.SHIP, f"There is no goal, and every guardrail holds in {safe[0]}.", safe[0])
    variant, name = next(iter(open_in.items()), (None, None))
    why = "There is neither a goal nor a guardrail that could decide"
    if variant is not None:
        why = f"There is no goal, and the guardrail {name} is not shown to hold in {variant}"
    if at.over:
        return Verdict(Decision.ROLL_BACK, f"{why}: {_KEEP}")
    return Verdict(Decision.KEEP_RUNNING, f"{why} yet." if variant is not None else f"{why}.")
