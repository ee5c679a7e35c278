"""Who gets which variant: by arithmetic, with a look at the log only where weights or members may have changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from resolvers.analysis.events import DIMENSIONS
from resolvers.analysis.experiment_assignment import Assignment, Unfit, assigned, unassigned
from resolvers.analysis.experiment_targeting import Person, matches
from resolvers.analysis.experiments import Experiment, Status
from resolvers.analysis.filters import in_segments
from resolvers.analysis.intake import camel
from resolvers.analysis.intake_values import Invalid, dimensions, text
from resolvers.context import Context, Role
from resolvers.errors import BadInput
from resolvers.events import ingest
from resolvers.experiments import known, named
from resolvers.store.experiment_exposures import first_variants
from resolvers.store.members import MemberRepository
from resolvers.store.terms import SUBJECTS, TermRepository

MOST_SUBJECTS = 1_000
_text = text(500)
_NAMES = {name: name for name in DIMENSIONS}


@dataclass(frozen=True, slots=True)
class Recorded:
    """An assignment, and the exposure that was stored of it; None where the subject does not take part."""

    assignment: Assignment
    event_id: str | None
    accepted: int


async def assignment(
    context: Context, experiment: str, subject: str, given: Mapping[str, str | None] | None = None
) -> Assignment:
    """What a subject gets; writes nothing. Raises NotFound for the experiment, BadInput for the subject or context."""
    context.require(None)
    (found,) = await _assigned(context, experiment, [Person(_subject(subject, "subject"), _said(given))])
    return found


async def assignments(
    context: Context, experiment: str, subjects: Sequence[str], given: Mapping[str, str | None] | None = None
) -> tuple[Assignment, ...]:
    """What each of up to 1,000 subjects gets, of whom the same is known.

    One that cannot be read has an error of its own. Raises NotFound for the experiment, BadInput for the context.
    """
    context.require(None)
    if len(subjects) > MOST_SUBJECTS:
        raise BadInput(f"Ask for at most {MOST_SUBJECTS:,} subjects at once.", field="subjects")
    said = _said(given)
    people = [_person(subject, said, f"subjects[{index}]") for index, subject in enumerate(subjects)]
    return await _assigned(context, experiment, people)


async def record_exposure(
    context: Context, experiment: str, raw: Mapping[str, Any], given: Mapping[str, str | None] | None = None
) -> Recorded:
    """Assign a subject, and store that it was shown its variant, if it takes part.

    ``raw`` is the event as ``intake.validate`` reads it, without kind, experiment and variant. Raises BadInput naming
    the field at fault, NotFound.
    """
    context.require(Role.INGEST)
    (found,) = await _assigned(context, experiment, [Person(_subject(raw.get("subject"), "subject"), _said(given))])
    if found.variant is None:
        return Recorded(found, None, 0)
    carried = {camel(name): value for name, value in (given or {}).items() if value is not None}
    carried |= {"experiment": found.experiment, "variant": found.variant}
    receipt = await ingest(context, [{**raw, "kind": "EXPOSURE", "dimensions": carried}])
    for rejection in receipt.rejected:
        raise BadInput(f"{rejection.field} {rejection.message}.", field=rejection.field)
    for conflict in receipt.conflicts:
        raise BadInput(f"Another event has the id {conflict.id}.", field="id")
    return Recorded(found, receipt.ids[0], receipt.accepted)


def _person(subject: str, said: Mapping[str, str], field: str) -> Person | Unfit:
    """One of several who are asked about."""
    try:
        return Person(_subject(subject, field), said)
    except BadInput as bad:
        return Unfit(subject, field, bad.message)


def _subject(subject: object, field: str) -> str:
    """Who is asked about, as an event would be of it."""
    try:
        return _text(subject)
    except Invalid as bad:
        raise BadInput(f"{field} {bad.message}.", field=field) from None


def _said(given: Mapping[str, str | None] | None) -> Mapping[str, str]:
    """What is known of whoever is asked about."""
    try:
        return dimensions(dict(given or {}), _NAMES)
    except Invalid as bad:
        raise BadInput(f"context{bad.path} {bad.message}.", field=f"context{bad.path}") from None


async def _assigned(context: Context, key: str, asked: Sequence[Person | Unfit]) -> tuple[Assignment, ...]:
    of = await known(context)
    experiment = named(of, key)
    people = await _placed(context, experiment, [one for one in asked if isinstance(one, Person)])
    exposed = await _exposed(context, experiment, people)
    placed = iter(people)
    return tuple(
        unassigned(experiment, one)
        if isinstance(one, Unfit)
        else assigned(experiment, next(placed), of.holdouts, exposed)
        for one in asked
    )


async def _placed(context: Context, of: Experiment, people: Sequence[Person]) -> Sequence[Person]:
    """The people with the segments they are in, where the experiment asks for any."""
    asked = in_segments(of.phases[-1].targeting) if of.phases else []
    if not asked:
        return people
    principal, memory = context.principal, context.services.memory
    assert principal is not None
    async with context.services.database.tenant(principal.tenant_id) as session:
        codes = await TermRepository(session, memory).codes(
            principal.tenant_id, SUBJECTS, {person.subject for person in people}
        )
        found = await MemberRepository(session, memory.members).of(principal.tenant_id, asked)
    known = np.array([codes.get(person.subject, 0) for person in people], np.int32)
    inside = {segment: members.among(known) for segment, members in found.items()}
    return [
        replace(person, segments=frozenset(segment for segment, of_it in inside.items() if of_it[place]))
        for place, person in enumerate(people)
    ]


async def _exposed(context: Context, of: Experiment, people: Sequence[Person]) -> Mapping[str, str]:
    """The variants that some were shown already, of those who may get another now.

    While there has been one phase only these are who may have left a segment that it is for.
    """
    if of.status is not Status.RUNNING:
        return {}
    if len(of.phases) < 2:
        targeting = of.phases[-1].targeting
        people = [one for one in people if not matches(targeting, one)] if in_segments(targeting) else []
    if not people:
        return {}
    principal = context.principal
    assert principal is not None
    scheme = of.scheme(principal.currency, principal.timezone)
    async with context.services.database.tenant(principal.tenant_id) as session:
        return await first_variants(
            session, context.services.memory, principal.tenant_id, scheme, [person.subject for person in people]
        )
