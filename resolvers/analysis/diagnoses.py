"""What is wrong with a fitted model, said so that nobody takes its predictions for more than they are."""

from dataclasses import dataclass
from enum import Enum


class Diagnosis(Enum):
    """What was found."""

    TOO_FEW_SUBJECTS = "too_few_subjects"
    TOO_FEW_OUTCOMES = "too_few_outcomes"
    FEW_OUTCOMES_PER_FEATURE = "few_outcomes_per_feature"
    NOT_CONVERGED = "not_converged"
    SEPARATION = "separation"
    NO_BETTER_THAN_CHANCE = "no_better_than_chance"
    MISCALIBRATED = "miscalibrated"
    UNDETERMINED = "undetermined"
    NO_DROPOUT = "no_dropout"
    CONSTANT_SPEND = "constant_spend"
    INFINITE_SPEND = "infinite_spend"
    SPEND_DEPENDS_ON_FREQUENCY = "spend_depends_on_frequency"


@dataclass(frozen=True, slots=True)
class Finding:
    """A diagnosis and a sentence that says what it stands on."""

    diagnosis: Diagnosis
    message: str
