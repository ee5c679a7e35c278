"""Experiments made, changed, and taken from step to step, each change written down."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

from resolvers.analysis.experiment_json import phase_to, to_json
from resolvers.analysis.experiment_phases import Phase
from resolvers.analysis.experiments import (
    Experiment,
    ExperimentDefinition,
    Scheme,
    Status,
    Step,
)
from resolvers.context import Context, Principal, Role
from resolvers.errors import BadInput, IllegalStep, NotFound
from resolvers.experiment_checks import LONGEST_TEXT, checked, checked_key, named_segments, numbered_parts
from resolvers.experiment_groups import placed
from resolvers.experiments import experiment_of
from resolvers.segments import numbers_named
from resolvers.store.experiment_sums import UnitRepository
from resolvers.store.experiments import ExperimentRepository, ExperimentRow

MOST_EXPERIMENTS = 1_000
MOST_PHASES = 100
_PHASED = {"variants": "weights", "traffic": "shares of traffic", "targeting": "conditions of whom it is for"}
"""What makes a new phase of an experiment that has started, and what it is called."""
_FIXED = ("group", "holdout")
"""What cannot change once an experiment has started."""


class Changing:
    """A change of a tenant's experiments under way, which others wait for."""

    def __init__(self, context: Context, principal: Principal, repository: ExperimentRepository) -> None:
        self.principal = principal
        self.repository = repository
        self.units = UnitRepository(repository.session, context.services.memory, principal.tenant_id)
        self.now = context.services.now()

    async def row(self, experiment_id: int) -> ExperimentRow:
        for found in await self.repository.by_ids([experiment_id]):
            return found
        raise NotFound("There is no such experiment.", field="id")

    async def done(
        self, row: ExperimentRow, step: Step | None, reason: str | None, changed: Mapping[str, Any]
    ) -> Experiment:
        """Keep a row, and write down what was done to it."""
        if reason is not None and (len(reason) > LONGEST_TEXT or "\0" in reason):
            raise BadInput(f"A reason has at most {LONGEST_TEXT:,} characters.", field="reason")
        saved = await self.repository.save(row)
        assert saved.experiment_id is not None
        action = step.value if step is not None else ""
        await self.repository.log(saved.experiment_id, self.now, self.principal.key_id, action, reason, changed)
        return experiment_of(saved)

    async def parted(self, of: Experiment, since: datetime) -> None:
        """Bring what is kept of its units to a phase, or an end, since then."""
        await self.units.parted(of.scheme(self.principal.currency, self.principal.timezone), since)


@asynccontextmanager
async def changing_experiments(context: Context) -> AsyncIterator[Changing]:
    """A change of the tenant's experiments or holdouts, which shows everywhere once it is committed."""
    principal = context.require(Role.ANALYST)
    async with context.services.database.tenant(principal.tenant_id) as session:
        repository = ExperimentRepository(session, principal.tenant_id)
        await repository.hold()
        yield Changing(context, principal, repository)


async def create_experiment(
    context: Context, key: str, definition: ExperimentDefinition, *, salt: str | None = None, reason: str | None = None
) -> Experiment:
    """Keep a new experiment as a draft; raises BadInput, Forbidden.

    Its salt, fixed from now on, is its key unless given.
    """
    context.require(Role.ANALYST)
    checked_key(key)
    chosen = key if salt is None else checked_key(salt, "salt", what="A salt")
    checked(definition)
    parts = {name: getattr(definition, name) for name in ("targeting", "where", "metrics")}
    numbers = await numbers_named(context, named_segments(parts))
    definition = replace(definition, **numbered_parts(parts, numbers))
    async with changing_experiments(context) as changing:
        others = [experiment_of(row) for row in await changing.repository.all()]
        if len(others) >= MOST_EXPERIMENTS:
            raise BadInput(f"At most {MOST_EXPERIMENTS:,} experiments are kept.", field="key")
        if any(other.key == key for other in others):
            raise BadInput(
                "There is an experiment with this key; keys are never given twice, so choose another.", field="key"
            )
        definition = await placed(changing.repository, definition, others)
        row = ExperimentRow(
            tenant_id=changing.principal.tenant_id,
            key=key,
            salt=chosen,
            status=Status.DRAFT.value,
            definition=to_json(definition),
            phases=[],
        )
        told = {"key": key, "salt": chosen, **row.definition}
        made = {name: {"from": None, "to": part} for name, part in told.items()}
        return await changing.done(await changing.repository.add(row), None, reason, made)


async def update_experiment(
    context: Context,
    experiment_id: int,
    given: Mapping[str, Any],
    *,
    new_phase: bool = False,
    reason: str | None = None,
) -> Experiment:
    """Change parts of a definition, named as its attributes are; raises BadInput, IllegalStep, NotFound.

    Of an experiment that has started, other weights, traffic or targeting make a ``new_phase``, which must be asked
    for: units that were exposed before stay in theirs. Where nothing is other than it was, nothing is written down.
    """
    given = numbered_parts(given, await numbers_named(context, named_segments(given)))
    async with changing_experiments(context) as changing:
        row = await changing.row(experiment_id)
        before = experiment_of(row)
        _check_possible(before, Step.UPDATE)
        definition = checked(_kept_place(before.definition, replace(before.definition, **given)))
        phased = _phased(before, definition)
        if phased and not new_phase:
            raise BadInput(
                f"The experiment has started: other {' and '.join(_PHASED[name] for name in phased)} begin a new "
                "phase; ask for it by `newPhase: true`. Who was exposed before stays with the phase before.",
                field=phased[0],
            )
        others = [experiment_of(other) for other in await changing.repository.all() if other.key != row.key]
        definition = await placed(changing.repository, definition, others)
        changed = _differences(to_json(before.definition), to_json(definition))
        if not changed:
            return before
        row.definition = to_json(definition)
        if phased:
            if len(before.phases) >= MOST_PHASES:
                raise BadInput(f"An experiment has at most {MOST_PHASES} phases; start another one.", field="newPhase")
            phase = _phase(before, definition, changing.now)
            if before.status is Status.PAUSED:
                phase = phase.paused(changing.now)
            phases = [*before.phases[:-1], before.phases[-1].resumed(changing.now), phase]
            row.phases = list(map(phase_to, phases))
            changed["phase"] = {"from": len(before.phases), "to": phase.number}
        after = await changing.done(row, Step.UPDATE, reason, changed)
        if before.phases and _scheme(changing, before).edition != _scheme(changing, after).edition:
            await changing.units.begin(experiment_id)
        elif phased:
            await changing.parted(after, changing.now)
        return after


def _kept_place(before: ExperimentDefinition, after: ExperimentDefinition) -> ExperimentDefinition:
    """``after`` in the place of its group that it has, where it asks for as much of the same."""
    old, new = before.group, after.group
    if old is None or new is None or (old.name, old.parts) != (new.name, new.parts):
        return after
    return replace(after, group=old)


def _scheme(changing: Changing, of: Experiment) -> Scheme:
    return of.scheme(changing.principal.currency, changing.principal.timezone)


def _phased(before: Experiment, after: ExperimentDefinition) -> list[str]:
    """Which changes make a new phase; raises BadInput for those that cannot be made at all."""
    if before.status is Status.DRAFT:
        return []
    old = before.definition
    for name in _FIXED:
        if getattr(old, name) != getattr(after, name):
            raise BadInput(f"The {name} is settled when an experiment starts; make another experiment.", field=name)
    if [(one.key, one.control) for one in old.variants] != [(one.key, one.control) for one in after.variants]:
        raise BadInput(
            "Which variants there are, and which is the control, is settled when an experiment starts; make another.",
            field="variants",
        )
    weights = [[one.weight for one in of.variants] for of in (old, after)]
    changed = {
        "variants": weights[0] != weights[1],
        "traffic": old.traffic != after.traffic,
        "targeting": old.targeting != after.targeting,
    }
    phased = [name for name in _PHASED if changed[name]]
    if phased and before.status is Status.COMPLETED:
        raise BadInput("A completed experiment has no other phase.", field=phased[0])
    return phased


def _phase(of: Experiment, definition: ExperimentDefinition, at: datetime) -> Phase:
    weights = tuple(variant.weight for variant in definition.variants)
    return Phase(len(of.phases) + 1, at, weights, definition.traffic, definition.targeting)


def _differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    return {name: {"from": before[name], "to": after[name]} for name in after if before[name] != after[name]}


def _check_possible(of: Experiment, step: Step) -> None:
    if step not in of.possible:
        state = "archived" if of.archived_at is not None else _STATES.get(of.status, of.status.value)
        can = ", ".join(one.value for one in of.possible)
        raise IllegalStep(
            f"The experiment is {state} and cannot be {_PAST[step]}. Possible now: {can or 'nothing'}.",
            possible=of.possible,
            field="id",
        )


_STATES = {Status.DRAFT: "a draft"}
_PAST = {
    Step.UPDATE: "changed",
    Step.START: "started",
    Step.PAUSE: "paused",
    Step.RESUME: "resumed",
    Step.COMPLETE: "completed",
    Step.ARCHIVE: "archived",
}
_AFTER = {
    Step.START: Status.RUNNING,
    Step.PAUSE: Status.PAUSED,
    Step.RESUME: Status.RUNNING,
    Step.COMPLETE: Status.COMPLETED,
}


async def take_step(
    context: Context, experiment_id: int, step: Step, *, at: datetime | None = None, reason: str | None = None
) -> Experiment:
    """Start, pause, resume, complete or archive; raises IllegalStep saying what is possible, NotFound, BadInput.

    ``at`` is since when exposures count, or until when: of START and COMPLETE, now where absent.
    """
    async with changing_experiments(context) as changing:
        row = await changing.row(experiment_id)
        before = experiment_of(row)
        _check_possible(before, step)
        instant = _instant(before, at, changing.now)
        changed: dict[str, Any] = {}
        if step is Step.ARCHIVE:
            row.archived_at = changing.now
            changed["archived_at"] = _begun(changing.now)
        else:
            row.status = _AFTER[step].value
            changed["status"] = {"from": before.status.value, "to": row.status}
        if step is Step.START:
            _check_ready(before)
            row.phases = [phase_to(_phase(before, before.definition, instant))]
            changed["started_at"] = _begun(instant)
            await changing.units.begin(experiment_id)
        if step in (Step.PAUSE, Step.RESUME):
            last = before.phases[-1]
            last = last.paused(instant) if step is Step.PAUSE else last.resumed(instant)
            row.phases = list(map(phase_to, (*before.phases[:-1], last)))
        if step is Step.COMPLETE:
            row.completed_at = instant
            changed["completed_at"] = _begun(instant)
        after = await changing.done(row, step, reason, changed)
        if step is Step.COMPLETE:
            await changing.parted(after, instant)
        return after


def _begun(at: datetime) -> dict[str, Any]:
    return {"from": None, "to": at.isoformat()}


def _check_ready(of: Experiment) -> None:
    if not of.definition.metrics:
        raise BadInput("An experiment without a metric decides nothing; give it one by updateExperiment.", field="id")


def _instant(of: Experiment, at: datetime | None, now: datetime) -> datetime:
    if at is None:
        return now
    if at > now:
        raise BadInput("at must not be in the future; leave it out for now.", field="at")
    if of.phases and at <= (began := of.phases[-1].started_at):
        raise BadInput(f"at must be after the present phase began: {began.isoformat()}.", field="at")
    return at
