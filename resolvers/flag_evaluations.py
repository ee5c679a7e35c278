"""Flags evaluated for whoever asks: many flags of somebody, or some flags of many."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from resolvers.analysis.flag_evaluation import Evaluator, FlagEvaluation, expected
from resolvers.analysis.flag_targeting import Person
from resolvers.analysis.flags import PRODUCTION, FlagType
from resolvers.analysis.intake_values import Invalid, text
from resolvers.context import Context
from resolvers.errors import BadInput
from resolvers.events import ingest
from resolvers.flag_checks import plain
from resolvers.flag_segments import with_segments
from resolvers.flags import known, known_environment
from resolvers.store.flag_cache import FlagSet

MOST_EVALUATIONS = 10_000
MOST_SUBJECTS = 1_000
_AT_A_TIME = 1_000
"""Evaluations, which take some milliseconds."""
_subject = text(500)


@dataclass(frozen=True, slots=True)
class SubjectFlags:
    """What flags come to for a subject."""

    subject: str | None
    evaluations: tuple[FlagEvaluation, ...]
    error: BadInput | None = None
    """Why there are no evaluations: what was sent of the subject cannot be read."""


@dataclass(frozen=True, slots=True)
class Exposures:
    """What somebody was shown: evaluations, and how many events of them were stored now."""

    evaluations: tuple[FlagEvaluation, ...]
    accepted: int


def person(subject: object, attributes: object, at: str = "") -> Person:
    """Whoever a caller speaks of; raises BadInput on ``subject`` or ``context`` within ``at``."""
    if subject is not None:
        try:
            _subject(subject)
        except Invalid as bad:
            raise BadInput(f"{at}subject {bad.message}.", field=f"{at}subject") from None
    given = {} if attributes is None else attributes
    if not isinstance(given, dict):
        raise BadInput(f"{at}context must be an object.", field=f"{at}context")
    return Person(subject if isinstance(subject, str) else None, plain(given, f"{at}context"))


async def evaluate_flags(
    context: Context,
    who: Person,
    keys: Sequence[str] | None = None,
    environment: str = PRODUCTION,
    wanted: FlagType | None = None,
) -> tuple[FlagEvaluation, ...]:
    """What flags come to for somebody: those of the keys, in their order, or all that are not archived.

    Any key will do. Raises BadInput for an environment that there is not.
    """
    ((_, found),) = await _evaluated(context, [who], keys, environment, wanted)
    return found


async def evaluate_flags_of(
    context: Context,
    subjects: Sequence[tuple[str | None, object]],
    keys: Sequence[str] | None = None,
    environment: str = PRODUCTION,
) -> tuple[SubjectFlags, ...]:
    """The same of several subjects, each with what is known of it, in their order.

    One that cannot be read has an error of its own.
    """
    if len(subjects) > MOST_SUBJECTS:
        raise BadInput(f"Ask for at most {MOST_SUBJECTS:,} subjects at once.", field="subjects")
    people, wrong = list[Person](), dict[int, BadInput]()
    for index, (subject, attributes) in enumerate(subjects):
        try:
            people.append(person(subject, attributes, f"subjects[{index}]."))
        except BadInput as bad:
            wrong[index] = bad
    found = iter(await _evaluated(context, people, keys, environment, None))
    return tuple(
        SubjectFlags(subject, (), wrong[index]) if index in wrong else SubjectFlags(subject, next(found)[1])
        for index, (subject, _) in enumerate(subjects)
    )


async def record_flag_exposures(
    context: Context,
    who: Person,
    keys: Sequence[str],
    environment: str = PRODUCTION,
    event: Mapping[str, Any] | None = None,
) -> Exposures:
    """Evaluate flags and store that somebody was shown what they came to, one exposure a flag; errors store nothing.

    ``event`` may have ``occurredAt``, ``session``, and ``id``, which goes before the flag's key. The exposure is of the
    experiment and of the feature that are called like the flag, so that everything can be broken down by it.
    """
    if who.subject is None:
        raise BadInput("subject is needed to store what it was shown.", field="subject")
    evaluations = await evaluate_flags(context, who, keys, environment)
    shown = [one for one in evaluations if one.variation is not None]
    given = dict(event or {})
    prefix = given.pop("id", None)
    items = [
        given
        | ({} if prefix is None else {"id": f"{prefix}:{one.flag}"})
        | {
            "kind": "EXPOSURE",
            "name": "flag_exposure",
            "subject": who.subject,
            "dimensions": {"experiment": one.flag, "feature": one.flag, "variant": one.variation},
            "properties": {"environment": environment, "reason": one.reason.name, "rule": one.rule},
        }
        for one in shown
    ]
    if not items:
        return Exposures(evaluations, 0)
    receipt = await ingest(context, items)
    for rejection in receipt.rejected:
        raise BadInput(f"{rejection.field} {rejection.message}.", field=rejection.field)
    for conflict in receipt.conflicts:
        raise BadInput(f"Another event has the id {conflict.id}.", field="id")
    return Exposures(evaluations, receipt.accepted)


async def _evaluated(
    context: Context,
    people: Sequence[Person],
    keys: Sequence[str] | None,
    environment: str,
    wanted: FlagType | None,
) -> list[tuple[Person, tuple[FlagEvaluation, ...]]]:
    principal, services = context.require(None), context.services
    held = await known(context, None)
    known_environment(held, environment)
    asked = [key for key, flag in held.flags.items() if flag.archived_at is None] if keys is None else list(keys)
    if len(asked) * len(people) > MOST_EVALUATIONS:
        field = "keys" if len(people) == 1 else "subjects"
        raise BadInput(f"Ask for at most {MOST_EVALUATIONS:,} evaluations at once.", field=field)
    people = await with_segments(context, people, held, environment, asked)
    now = services.now()
    given: Counter[tuple[int, str]] = Counter()
    found = []
    pause = max(1, _AT_A_TIME // max(1, len(asked)))
    for place, who in enumerate(people, 1):
        evaluator = Evaluator(held.flags, environment, who, now)
        own = tuple(expected(evaluator.evaluate(key), held.flags.get(key), wanted) for key in asked)
        given.update(_counted(held, own))
        found.append((who, own))
        if place % pause == 0:
            # Whoever else waits for this process is not to wait for all of them.
            await asyncio.sleep(0)
    services.tallies.add(principal.tenant_id, environment, given)
    return found


def _counted(held: FlagSet, evaluations: Sequence[FlagEvaluation]) -> list[tuple[int, str]]:
    return [(held.flags[one.flag].id, one.variation) for one in evaluations if one.variation is not None]
