"""The arguments of what is foretold from a moment, and what is said of the models that foretell it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Annotated, TypeVar

import orjson
import strawberry

from resolvers.analysis import diagnoses
from resolvers.analysis.filters import EVERYTHING, Filter
from resolvers.analysis.intake_values import Invalid, instant
from resolvers.analysis.periods import Compare, PeriodRequest
from resolvers.analysis.questions import Question
from resolvers.answers import Kinds
from resolvers.cutoffs import Asking
from resolvers.errors import BadInput
from schema.arguments import read_span
from schema.errors import refusal
from schema.live import Asked
from schema.nodes import Node
from schema.shapes import enumerate_in_schema, shapes

T = TypeVar("T")

_MOST_KEYS = 2

CutoffArgument = Annotated[
    object | None,
    strawberry.argument(
        graphql_type=datetime | None,
        description=(
            "The moment to foretell from: only events before it are known. Absent for the last midnight in the "
            "tenant's time zone, so that days are whole."
        ),
    ),
]
HistoryArgument = Annotated[
    object,
    strawberry.argument(
        graphql_type=timedelta,
        description="How far back from the cut-off events are read, `60d` to `3650d`; who was seen before seems new.",
    ),
]


def compared_with(earlier: str) -> str:
    """What is said of the argument that has an answer held against that of a moment which is so much ``earlier``."""
    return (
        "The earlier moment to hold the answer against, asked the same with as long a history: PREVIOUS_PERIOD is "
        f"{earlier} before the cut-off, PREVIOUS_YEAR a year. None where absent; it costs a second answer."
    )


enumerate_in_schema(
    diagnoses.Diagnosis,
    "What is wrong with a model.",
    {
        "TOO_FEW_SUBJECTS": "There are too few subjects to learn from: nothing is foretold.",
        "TOO_FEW_OUTCOMES": "It happened to nearly nobody or nearly everybody: nothing is foretold.",
        "FEW_OUTCOMES_PER_FEATURE": "Less than ten outcomes stand behind each feature: coefficients are shaky.",
        "NOT_CONVERGED": "The search for the most likely parameters did not settle, or ended at different places.",
        "SEPARATION": "The features part the outcomes without error, which will hardly go on.",
        "NO_BETTER_THAN_CHANCE": "The interval of the AUC reaches 0.5: the order of subjects may be chance.",
        "MISCALIBRATED": "Probabilities are too bold or too timid; their order may be right all the same.",
        "UNDETERMINED": "A parameter ran to the end of its range: the data do not say how large it is.",
        "NO_DROPOUT": "The model has nobody ever leave, so that the probability to be alive says nothing.",
        "CONSTANT_SPEND": "All purchases are worth the same, so that there is nothing to learn of spend.",
        "INFINITE_SPEND": "The expected spend of customers not known yet is infinite: no values are foretold.",
        "SPEND_DEPENDS_ON_FREQUENCY": "Who buys more often spends more or less, which the model takes for independent.",
    },
    name="ModelDiagnosis",
)


@shapes(diagnoses.Finding)
@strawberry.type(description="Something wrong with a model, and what shows it.")
class ModelFinding:
    diagnosis: diagnoses.Diagnosis = strawberry.field(description="What is wrong.")
    message: str = strawberry.field(description="A sentence with the figures that it stands on.")


def read_asking(
    cutoff: object | None,
    history: object,
    where: Filter = EVERYTHING,
    by: tuple[str, ...] = (),
    compare: Compare | None = None,
    top: int = 20,
) -> Asking:
    """What the arguments ask; BadInput on the one that cannot be read."""
    try:
        moment = None if cutoff is None else instant(cutoff)
    except Invalid as bad:
        raise refusal("cutoff", bad.message) from None
    return Asking(moment, read_span(history, "history"), where, by, top, compare=compare)


def asked(asking: Asking, answer: Callable[[Asking], Awaitable[T]], kinds: Kinds) -> Asked[T]:
    """The question as analyses have it; what it says of events and of an answer's age goes before ``asking``."""
    question = Question(PeriodRequest(end=asking.cutoff), by=asking.by, where=asking.where, top=asking.top)
    return Asked(
        question, lambda definite: answer(replace(asking, where=definite.where, max_age=definite.max_age)), kinds
    )


@dataclass(frozen=True, slots=True)
class Key:
    """What an item of a list was asked by, so that it can be found again: all but whom it is about."""

    asking: Asking
    detail: str
    filtered: str
    """A digest of the filter; empty without one. What a filter let through is not found again."""

    @classmethod
    def made(cls, cutoff: datetime, asking: Asking, detail: str) -> "Key":
        """The key of what was asked as of a cut-off; ``detail`` is the list's own argument."""
        some = asking.where != EVERYTHING
        filtered = blake2b(repr(asking.where).encode(), digest_size=8).hexdigest() if some else ""
        return cls(Asking(cutoff, asking.history), detail, filtered)

    @classmethod
    def read(cls, text: str) -> "tuple[Key, str] | None":
        """The key and the subject in a text that ``of`` made; None where it is none, or nothing is found by it."""
        try:
            cutoff, seconds, detail, filtered, subject = orjson.loads(text)
            known = all(type(part) is str for part in (cutoff, detail, subject)) and type(seconds) is int
            if not known or filtered != "":
                return None
            return cls(Asking(instant(cutoff), timedelta(seconds=seconds)), detail, ""), subject
        except (orjson.JSONDecodeError, TypeError, ValueError, OverflowError, Invalid):
            return None

    def of(self, subject: str) -> str:
        """The key of a subject, as a text."""
        assert self.asking.cutoff is not None
        seconds = self.asking.history // timedelta(seconds=1)
        cutoff = self.asking.cutoff.isoformat()
        return orjson.dumps([cutoff, seconds, self.detail, self.filtered, subject]).decode()


async def found_again(
    keys: Sequence[str], load: Callable[[Key, Sequence[str]], Awaitable[Mapping[str, Node]]]
) -> dict[str, Node]:
    """The nodes of keys, ``load`` giving those of subjects that were asked by the same; BadInput by too many different.

    Each key that was asked otherwise is a fit of its own, which costs as much as the question did.
    """
    read = {key: found for key in keys if (found := Key.read(key)) is not None}
    asked = dict.fromkeys(key for key, _ in read.values())
    if len(asked) > _MOST_KEYS:
        raise refusal("ids", f"must be of at most {_MOST_KEYS} different cut-offs, histories and lists")
    nodes: dict[Key, Mapping[str, Node]] = {}
    for key in asked:
        try:
            nodes[key] = await load(key, [subject for of, subject in read.values() if of == key])
        except BadInput:
            # Nobody was given such a key.
            nodes[key] = {}
    return {text: nodes[key][subject] for text, (key, subject) in read.items() if subject in nodes[key]}
