"""Answers about propensity: who is how likely to churn, or to convert, in the next 30 days."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.behaviour import Behaviour, Bools, Floats
from resolvers.analysis.code_groups import Keys, having, named
from resolvers.analysis.diagnoses import Finding
from resolvers.analysis.estimates import Estimate, Quality, Unit, against, estimate
from resolvers.analysis.explanations import Explanation
from resolvers.analysis.metrics import DimensionValue
from resolvers.analysis.numbering import combinations
from resolvers.analysis.propensity import Columns, Design, Learnt, PropensityModel, designed, learnt, reasons
from resolvers.analysis.validation import Validation

MOST_RANKED = 5_000
"""How far down the list of the most likely goes."""
_BINS = 20
_AT_A_TIME = 8_192
"""Subjects whose features are held at a time."""


class Outcome(Enum):
    """What a propensity is of."""

    CHURN_EVENT = "churn_event"
    INACTIVITY = "inactivity"
    CONVERSION = "conversion"


@dataclass(frozen=True, slots=True)
class Who:
    """Which subjects are judged, and what is foretold of them."""

    outcome: Outcome
    contractual: bool
    """Whether the tenant has churn events: then subjects are its customers, else whoever was active lately."""
    recurring: bool
    """Whether customers are those with recurring conversions; else those with any conversion."""
    target: str = ""
    """The name of the conversion that is foretold, where the outcome is one."""

    def among(self, at: Behaviour) -> Bools:
        """The subjects who are judged at a cut-off."""
        if not self.contractual:
            return at.recent > 0
        customer = at.last_recurring_us if self.recurring else at.last_gain_us
        among: Bools = customer > at.last_churn_us
        return among

    def happened(self, at: Behaviour) -> Bools:
        """To whom it happened in the 30 days after the cut-off."""
        match self.outcome:
            case Outcome.CHURN_EVENT:
                return at.churned
            case Outcome.INACTIVITY:
                return np.equal(at.later, 0)
            case Outcome.CONVERSION:
                return at.reached

    def definition(self) -> str:
        """One sentence of who is judged and for what."""
        kind = "a recurring conversion" if self.recurring else "a conversion"
        people = (
            f"Customers (subjects with {kind} and no churn since)"
            if self.contractual
            else "Subjects with an event in the last 30 days"
        )
        what = {
            Outcome.CHURN_EVENT: "who have a conversion named churn",
            Outcome.INACTIVITY: "who have no event at all, as the log holds no churn events,",
            Outcome.CONVERSION: f"who have a conversion named {self.target}",
        }[self.outcome]
        return f"{people} {what} in the 30 days after the cut-off."


def whom(behaviour: Behaviour, target: str) -> Who:
    """Who is judged, from what all subjects did before the cut-off; ``target`` is empty for churn."""
    contractual = bool((behaviour.last_churn_us >= 0).any())
    recurring = contractual and bool((behaviour.last_recurring_us >= 0).any())
    churn = Outcome.CHURN_EVENT if contractual else Outcome.INACTIVITY
    return Who(Outcome.CONVERSION if target else churn, contractual, recurring, target)


@dataclass(frozen=True, slots=True)
class PropensityGroup:
    """The subjects whose last values in the dimensions broken down by are the same."""

    keys: tuple[DimensionValue, ...]
    other: bool
    subjects: int
    probability: Estimate


@dataclass(frozen=True, slots=True)
class PropensityAnswer:
    """How likely the subjects of a moment are to do something in the 30 days after it."""

    cutoff: datetime
    previous_cutoff: datetime | None
    outcome: Outcome
    definition: str
    subjects: int
    """How many are judged."""
    quality: Quality
    previous_quality: Quality | None
    """Of what is compared with; None too where something else was foretold then."""
    findings: tuple[Finding, ...]
    probability: Estimate
    expected: Estimate
    edges: tuple[float, ...]
    histogram: tuple[int, ...]
    model: PropensityModel | None
    validation: Validation | None
    groups: tuple[PropensityGroup, ...]
    group_count: int
    explain: Explanation
    as_of: datetime = field(compare=False)


@dataclass(frozen=True, slots=True)
class Ranked:
    """A subject (by its code), how likely it is, when it was last seen, and why."""

    subject: int
    probability: float
    last_us: int
    reason: str


@dataclass(frozen=True, slots=True)
class Propensities:
    """An answer, and the most likely subjects, the likeliest first."""

    answer: PropensityAnswer
    ranked: tuple[Ranked, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """What is known of subjects at a cut-off, ``spend`` being that of the 90 days before it."""

    at: Behaviour
    spend: Floats
    cutoff_us: int

    def of(self, rows: Bools | NDArray[np.intp] | slice) -> "Moment":
        """The same of some subjects."""
        return Moment(self.at.rows(rows), self.spend[rows], self.cutoff_us)

    def design(self, columns: Columns) -> Design:
        """The features of the subjects."""
        return designed(self.at, self.cutoff_us, self.spend, columns)


def assessed(
    who: Who,
    earlier: Moment,
    present: Moment,
    *,
    by: Sequence[int],
    names: Sequence[str],
    top: int,
    texts: Mapping[int, str],
    cutoff: datetime,
    as_of: datetime,
    explain: Explanation,
    like: Sequence[Keys] | None = None,
) -> Propensities:
    """Learn from the earlier moment what will happen after the present one.

    ``by`` are the rows of the behaviours' dimensions to break down by, ``names`` their names, ``texts`` what codes
    stand for. The groups are the ``top`` largest, or those of ``like``.
    """
    # Places of the subjects who are judged: of a large tenant a second copy of all columns would not fit.
    then, now = np.flatnonzero(who.among(earlier.at)), np.flatnonzero(who.among(present.at))
    columns = Columns.of(earlier.at, then, texts)
    found = learnt(lambda rows: earlier.of(then[rows]).design(columns), who.happened(earlier.at)[then])
    probability = np.full(now.size, np.nan)
    ranked: tuple[Ranked, ...] = ()
    if found.fitted is not None and probability.size:
        for start in range(0, probability.size, _AT_A_TIME):
            rows = slice(start, start + _AT_A_TIME)
            probability[rows] = found.fitted.probabilities(present.of(now[rows]).design(columns).values)
        order = np.lexsort((present.at.subject[now], -probability))[:MOST_RANKED]
        likeliest = present.of(now[order])
        why = reasons(likeliest.design(columns), found.fitted)
        ranked = tuple(
            Ranked(int(subject), float(probability[place]), int(seen), reason)
            for subject, place, seen, reason in zip(likeliest.at.subject, order, likeliest.at.last_us, why, strict=True)
        )
    share = _Share(found, who.definition(), as_of)
    codes = present.at.dimensions[list(by)][:, now]
    groups, count = _groups(share, codes, probability, names, top, texts, like)
    edges = np.linspace(0, 1, _BINS + 1)
    answer = PropensityAnswer(
        cutoff=cutoff,
        previous_cutoff=None,
        outcome=who.outcome,
        definition=who.definition(),
        subjects=probability.size,
        quality=found.quality,
        previous_quality=None,
        findings=found.findings,
        probability=share.mean(probability),
        expected=share.total(probability),
        edges=tuple(round(float(edge), 2) for edge in edges),
        histogram=tuple(np.histogram(probability, edges)[0].tolist()) if ranked else (0,) * _BINS,
        model=found.model,
        validation=found.validation,
        groups=groups,
        group_count=count,
        explain=explain,
        as_of=as_of,
    )
    return Propensities(answer, ranked)


def compared(now: PropensityAnswer, before: PropensityAnswer) -> PropensityAnswer:
    """An answer held against an earlier one of the same groups; against nothing where that foretold something else."""
    alike = now.definition == before.definition
    groups = {group.keys: group.probability.value for group in before.groups} if alike else {}
    return replace(
        now,
        previous_cutoff=before.cutoff,
        previous_quality=before.quality if alike else None,
        probability=against(now.probability, before.probability.value if alike else None),
        expected=against(now.expected, before.expected.value if alike else None),
        groups=tuple(
            replace(group, probability=against(group.probability, groups.get(group.keys))) for group in now.groups
        ),
    )


@dataclass(frozen=True, slots=True)
class _Share:
    """Sums up probabilities; without a model there is none."""

    found: Learnt
    definition: str
    as_of: datetime

    def mean(self, probability: Floats) -> Estimate:
        return self._of(float(probability.mean()) if self._known(probability) else None, probability.size, Unit.RATIO)

    def total(self, probability: Floats) -> Estimate:
        return self._of(float(probability.sum()) if self._known(probability) else None, probability.size, Unit.COUNT)

    def _known(self, probability: Floats) -> bool:
        return self.found.fitted is not None and probability.size > 0

    def _of(self, value: float | None, n: int, unit: Unit) -> Estimate:
        what = "Mean probability" if unit is Unit.RATIO else "Sum of the probabilities"
        made = estimate(
            None if value is None else Decimal(f"{value:.12g}"),
            n=n,
            as_of=self.as_of,
            definition=f"{what}: {self.definition[0].lower()}{self.definition[1:]}",
            unit=unit,
        )
        # Many subjects do not make up for a model that is poor.
        return made if made.quality is Quality.INSUFFICIENT else replace(made, quality=self.found.quality)


def _groups(
    share: _Share,
    codes: NDArray[np.integer],
    probability: Floats,
    names: Sequence[str],
    top: int,
    texts: Mapping[int, str],
    like: Sequence[Keys] | None,
) -> tuple[tuple[PropensityGroup, ...], int]:
    if not names:
        return (), 0
    combination, first = combinations(list(codes), probability.size)
    keys, counts = list(map(tuple, codes[:, first].T.tolist())), np.bincount(combination).tolist()
    largest = [keys[one] for one in sorted(range(len(keys)), key=lambda one: (-counts[one], keys[one]))]
    shown = largest[:top] if like is None else having(largest, like, names, texts)
    place = {key: number for number, key in enumerate(shown)}
    number = np.array([place.get(key, len(shown)) for key in keys], np.int32)[combination]
    made = []
    for key, one in [*place.items(), (None, len(shown))]:
        among = probability[number == one]
        if key is None and not among.size:
            continue
        made.append(PropensityGroup(named(key or (), names, texts), key is None, among.size, share.mean(among)))
    return tuple(made), len(largest)
