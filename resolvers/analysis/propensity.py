"""Propensity: how likely each subject is to do something soon, learnt from who did at an earlier cut-off."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import exp
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis import logistic
from resolvers.analysis.behaviour import DAY_US, DIMENSIONS, Behaviour, Bools, Codes, Floats
from resolvers.analysis.diagnoses import Diagnosis, Finding
from resolvers.analysis.estimates import Quality
from resolvers.analysis.logistic import Logistic, Separation
from resolvers.analysis.validation import Validation, out_of_fold, validated

FEWEST_SUBJECTS, FEWEST_OUTCOMES = 100, 20
"""Below these many subjects, or of either outcome, nothing is learnt."""
PER_FEATURE = 10
"""Outcomes for each feature below which coefficients are shaky: P. Peduzzi and others, "A simulation study of the
number of events per variable in logistic regression analysis", Journal of Clinical Epidemiology 49 (1996)."""
MOST_LEARNT_FROM = 20_000
MOST_VALUES = 8
"""Values of a dimension that are features of their own, the most frequent ones."""
_SLOPES = (0.7, 1.4)
_REASONS = 3
_MATTERS = 0.1
"""The part of the strongest reason that another one has to have to be told."""
FORM = (
    "Logistic regression with a ridge penalty on standardised features; counts, days and money as log(1 + x); "
    "plan and persona by value."
)


@dataclass(frozen=True, slots=True)
class Feature:
    """A column that is learnt from: how it is named, and how its value is told of a subject."""

    name: str
    told: str
    """A sentence part with a place for the value."""
    logarithmic: bool = True
    share: bool = False


FEATURES = (
    Feature("days_since_last_event", "last seen {} days ago"),
    Feature("tenure_days", "first seen {} days ago"),
    Feature("events_last_30_days", "events in 30 days: {}"),
    Feature("events_60_days_before", "events in the 60 days before: {}"),
    Feature("active_days", "days active of 90: {}"),
    Feature("sessions", "sessions in 90 days: {}"),
    Feature("features_used", "features used: {}"),
    Feature("ai_requests", "AI requests in 90 days: {}"),
    Feature("ai_success_rate", "AI succeeded in {}", logarithmic=False, share=True),
    Feature("purchases", "conversions in 90 days: {}"),
    Feature("spend", "spent in 90 days: {}"),
)
"""The numeric features, in the order of their columns; those of dimension values follow."""


@dataclass(frozen=True, slots=True, eq=False)
class Design:
    """Features as columns: ``raw`` as people count them, ``values`` as the model takes them."""

    features: tuple[Feature, ...]
    raw: Floats
    values: Floats


@dataclass(frozen=True, slots=True)
class Columns:
    """What of the features depends on those learnt from."""

    success: float
    """The mean success of AI, taken for who had none that says."""
    codes: tuple[tuple[int, ...], ...]
    """The values of plan and of persona that get a column of their own."""
    texts: Mapping[int, str]
    """What codes stand for."""

    @classmethod
    def of(cls, at: Behaviour, rows: NDArray[np.intp], texts: Mapping[int, str]) -> "Columns":
        """The columns for the subjects of some rows to learn from."""
        said = at.ai_success[rows]
        said = said[~np.isnan(said)]
        codes = tuple(tuple(frequent(at.dimensions[place][rows])) for place in range(1, len(DIMENSIONS)))
        return cls(float(said.mean()) if said.size else 0.0, codes, texts)


@dataclass(frozen=True, slots=True)
class FeatureWeight:
    """What a feature does to the odds."""

    name: str
    coefficient: float
    """Added to the log-odds by one standard deviation more."""
    odds_ratio: float
    """By what one standard deviation more multiplies the odds."""


@dataclass(frozen=True, slots=True)
class PropensityModel:
    """How a propensity was learnt."""

    form: str
    n: int
    """Subjects that it was learnt from."""
    positives: int
    """How many of them did it."""
    ridge: float
    converged: bool
    separation: Separation
    features: tuple[FeatureWeight, ...]
    """Strongest first."""


@dataclass(frozen=True, slots=True, eq=False)
class Learnt:
    """What came of learning; ``fitted``, ``model`` and ``validation`` are None below the sample sizes it takes."""

    quality: Quality
    findings: tuple[Finding, ...]
    fitted: Logistic | None = None
    model: PropensityModel | None = None
    validation: Validation | None = None


def designed(
    at: Behaviour,
    cutoff_us: int,
    spend: Floats,
    columns: "Columns",
) -> Design:
    """The features of subjects at a cut-off."""
    filled = np.where(np.isnan(at.ai_success), columns.success, at.ai_success)
    raw: list[NDArray[Any]] = [
        (cutoff_us - at.last_us) / DAY_US,
        (cutoff_us - at.first_us) / DAY_US,
        at.recent,
        at.earlier,
        at.active_days,
        at.sessions,
        at.features_used,
        at.ai_requests,
        filled,
        at.purchases,
        spend,
    ]
    features = list(FEATURES)
    for place, (dimension, values) in enumerate(zip(DIMENSIONS[1:], columns.codes, strict=True), 1):
        for code in values:
            text = columns.texts.get(code, "?")
            features.append(Feature(f"{dimension}:{text}", f"{dimension} {text}", logarithmic=False))
            raw.append(at.dimensions[place] == code)
    counted = np.column_stack(raw).astype(np.float64)
    logs = np.array([feature.logarithmic for feature in features])
    return Design(tuple(features), counted, np.where(logs, np.log1p(np.maximum(counted, 0)), counted))


def frequent(codes: Codes) -> list[int]:
    """The most frequent codes of a dimension, ascending; a code that nearly all or few carry tells little."""
    present, counts = np.unique(codes[codes != 0], return_counts=True)
    order = np.argsort(-counts, kind="stable")[:MOST_VALUES]
    return sorted(present[order].tolist())


def learnt(design: Callable[[NDArray[np.intp]], Design], outcome: Bools) -> Learnt:
    """A model of who did, from the subjects of an earlier cut-off, judged on folds it had not seen.

    ``design`` makes the features of those of them that are learnt from.
    """
    n, positives = outcome.size, int(outcome.sum())
    if n < FEWEST_SUBJECTS:
        message = f"{n} subjects to learn from, at least {FEWEST_SUBJECTS} are needed."
        return Learnt(Quality.INSUFFICIENT, (Finding(Diagnosis.TOO_FEW_SUBJECTS, message),))
    if min(positives, n - positives) < FEWEST_OUTCOMES:
        message = f"Of {n} subjects {positives} did and {n - positives} did not; {FEWEST_OUTCOMES} of each are needed."
        return Learnt(Quality.INSUFFICIENT, (Finding(Diagnosis.TOO_FEW_OUTCOMES, message),))
    sample = np.arange(n)
    if n > MOST_LEARNT_FROM:
        # By a fixed seed: the same data, the same sample.
        sample = np.sort(np.random.default_rng(n).permutation(n)[:MOST_LEARNT_FROM])
    return _learnt(design(sample), outcome[sample])


def _learnt(design: Design, outcome: Bools) -> Learnt:
    fitted = logistic.fit(design.values, outcome)
    judged = validated(out_of_fold(design.values, outcome), outcome)
    findings = tuple(_findings(fitted, judged, len(design.features)))
    model = PropensityModel(
        form=FORM,
        n=outcome.size,
        positives=int(outcome.sum()),
        ridge=fitted.ridge,
        converged=fitted.converged,
        separation=fitted.separation,
        features=_weights(design, fitted),
    )
    return Learnt(Quality.LOW if findings else Quality.SUFFICIENT, findings, fitted, model, judged)


def _findings(fitted: Logistic, judged: Validation, features: int) -> list[Finding]:
    found = []
    rarer = min(judged.positives, judged.n - judged.positives)
    if rarer < PER_FEATURE * features:
        message = f"{rarer} of the rarer outcome for {features} features; {PER_FEATURE} for each make it steady."
        found.append(Finding(Diagnosis.FEW_OUTCOMES_PER_FEATURE, message))
    if not fitted.converged:
        message = f"The likelihood had not settled after {fitted.iterations} steps."
        found.append(Finding(Diagnosis.NOT_CONVERGED, message))
    if fitted.separation is Separation.COMPLETE:
        message = "The features part the outcomes without error: only the penalty keeps coefficients finite."
        found.append(Finding(Diagnosis.SEPARATION, message))
    if judged.auc.low <= 0.5:
        message = f"AUC {judged.auc.value:.3f}, its interval from {judged.auc.low:.3f}: it ranks no better than chance."
        found.append(Finding(Diagnosis.NO_BETTER_THAN_CHANCE, message))
    slope = judged.calibration.slope
    if slope is not None and not _SLOPES[0] <= slope <= _SLOPES[1]:
        message = f"Calibration slope {slope:.2f}: probabilities are too {'bold' if slope < 1 else 'timid'}."
        found.append(Finding(Diagnosis.MISCALIBRATED, message))
    return found


def _weights(design: Design, fitted: Logistic) -> tuple[FeatureWeight, ...]:
    order = np.argsort(-np.abs(fitted.coefficients), kind="stable")
    return tuple(
        FeatureWeight(
            design.features[place].name, float(fitted.coefficients[place]), exp(float(fitted.coefficients[place]))
        )
        for place in order
    )


def reasons(design: Design, fitted: Logistic) -> list[str]:
    """Of each subject, a sentence of the features that raise its probability most, each beside what is typical.

    Typical is the mean of those learnt from, taken on the scale that the model sees: a contribution is against it.
    """
    contributions = fitted.contributions(design.values)
    logs = np.array([feature.logarithmic for feature in design.features])
    typical = np.where(logs, np.expm1(fitted.means), fitted.means)
    sentences = []
    for row, added in zip(design.raw, contributions, strict=True):
        parts: list[str] = []
        for place in np.argsort(-added, kind="stable"):
            feature = design.features[place]
            is_value = place >= len(FEATURES)
            if len(parts) == _REASONS or added[place] <= _MATTERS * max(added.max(), 0.0):
                break
            # Not being on some plan is no reason that anybody understands.
            if is_value and row[place]:
                parts.append(feature.told)
            elif not is_value:
                parts.append(
                    f"{feature.told.format(_shown(feature, row[place]))} (typically {_shown(feature, typical[place])})"
                )
        text = "; ".join(parts) or "nothing sets this subject apart"
        sentences.append(f"{text[0].upper()}{text[1:]}.")
    return sentences


def _shown(feature: Feature, value: float) -> str:
    if feature.share:
        return f"{value * 100:.0f} %"
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}".removesuffix(".0")
