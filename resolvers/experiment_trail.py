"""What was done to experiments: when, by which key, why, and what it changed."""

from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from functools import partial
from typing import Any

from resolvers.actors import Actor
from resolvers.analysis.experiments import Experiment
from resolvers.answers import patiently
from resolvers.context import Context, Role
from resolvers.experiments import experiment
from resolvers.paging import page_start
from resolvers.store.experiments import EXPERIMENTS, ExperimentChangeRow, ExperimentRepository, Noted
from resolvers.store.keys import ApiKeyRow

_STREAMED = 500


class ExperimentAction(Enum):
    """What can be done to an experiment."""

    CREATE = ""
    UPDATE = "update"
    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    COMPLETE = "complete"
    ARCHIVE = "archive"


@dataclass(frozen=True, slots=True)
class ExperimentChange:
    """Something done to an experiment; ``before`` is None where it was created, ``after`` what it is since then.

    Both hold the parts of its definition that changed, as they are kept, by name.
    """

    experiment_id: int
    experiment: str
    number: int
    action: ExperimentAction
    at: datetime
    by: Actor | None
    reason: str | None
    before: Mapping[str, Any] | None
    after: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ExperimentChangePage:
    """A page of changes, newest first; ``cursors[i]`` leads to what follows ``changes[i]``."""

    changes: tuple[ExperimentChange, ...]
    cursors: tuple[str, ...]
    has_next: bool


async def experiment_changes(
    context: Context, key: str, *, first: int = 50, after: str | None = None
) -> ExperimentChangePage:
    """A page of what was done to an experiment; raises NotFound, BadInput."""
    principal = context.require(Role.VIEWER)
    place = page_start(first, after)
    of = await experiment(context, key)
    async with context.services.database.tenant(principal.tenant_id) as session:
        found = await ExperimentRepository(session, principal.tenant_id).changes(of.id, before=place, limit=first + 1)
    shown = tuple(_change(*row) for row in found[:first])
    return ExperimentChangePage(shown, tuple(str(one.number) for one in shown), len(found) > first)


async def changes_stream(
    context: Context, of: Experiment, *, since: int | None = None
) -> AsyncGenerator[tuple[ExperimentChange, ...]]:
    """What is done to an experiment after a change of that number, or from now on, oldest first, none of it twice."""
    principal, services = context.require(Role.VIEWER), context.services

    async def following(after: int | None, limit: int) -> Sequence[Noted]:
        async with services.database.tenant(principal.tenant_id) as session:
            repository = ExperimentRepository(session, principal.tenant_id)
            return await repository.changes(of.id, after=after, limit=limit)

    with services.bus.listen(principal.tenant_id) as mailbox:
        position = since
        if position is None:
            ((newest, *_),) = await patiently(context, lambda: following(None, 1))
            position = newest.number
        while True:
            found = await patiently(context, partial(following, position, _STREAMED))
            if found:
                position = found[-1][0].number
                yield tuple(_change(*row) for row in found)
            if len(found) < _STREAMED:
                await mailbox.wait(frozenset({EXPERIMENTS}))


async def changes_by_number(
    context: Context, numbers: Collection[tuple[int, int]]
) -> dict[tuple[int, int], ExperimentChange]:
    """Those of the changes that the caller's tenant has, by the experiment's id and their number."""
    principal = context.require(Role.VIEWER)
    async with context.services.database.tenant(principal.tenant_id) as session:
        found = await ExperimentRepository(session, principal.tenant_id).changes_by_number(numbers)
    return {(row.experiment_id, row.number): _change(row, key, of) for row, key, of in found}


def _change(row: ExperimentChangeRow, key: ApiKeyRow | None, of: str) -> ExperimentChange:
    action = ExperimentAction(row.action)
    before = {name: part["from"] for name, part in row.changed.items()}
    return ExperimentChange(
        experiment_id=row.experiment_id,
        experiment=of,
        number=row.number,
        action=action,
        at=row.at,
        by=Actor.of(key),
        reason=row.reason,
        before=None if action is ExperimentAction.CREATE else before,
        after={name: part["to"] for name, part in row.changed.items()},
    )
