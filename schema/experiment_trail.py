"""The trail of what was done to experiments: by whom, when and why, listed and watched."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Annotated

import strawberry
from strawberry.scalars import JSON

from resolvers import experiment_trail
from resolvers.context import Context, Role
from resolvers.experiments import experiment as experiment_of
from schema.access import Info, field
from schema.actors import Actor
from schema.errors import refusal
from schema.experiment_documents import shown
from schema.experiments import KeyArgument, number_in
from schema.nodes import Node, encode
from schema.pages import MAX_PAGE, After, Connection, First, open_cursor, page
from schema.shapes import enumerate_in_schema

enumerate_in_schema(
    experiment_trail.ExperimentAction,
    "What was done to an experiment.",
    {
        "CREATE": "It was created, as a draft.",
        "UPDATE": "It was changed, or a new phase begun.",
        "START": "It was started.",
        "PAUSE": "It was paused.",
        "RESUME": "It was resumed.",
        "COMPLETE": "It was completed.",
        "ARCHIVE": "It was archived.",
    },
)


@strawberry.type(description="Something that was done to an experiment; it is never changed or deleted.")
class ExperimentChange(Node):
    experiment: str = strawberry.field(description="The experiment's key.")
    number: int = strawberry.field(description="Its place among what was done to the experiment; 1 for the first.")
    action: experiment_trail.ExperimentAction = strawberry.field(description="What was done.")
    at: datetime = strawberry.field(description="When.")
    by: Actor | None = strawberry.field(description="The key that did it; null where there is no such key any more.")
    reason: str | None = strawberry.field(description="Why, as who did it said; null where nobody said.")
    before: JSON | None = strawberry.field(
        description="What was changed as it was before, by name, as inputs give it; null where it was created."
    )
    after: JSON = strawberry.field(description="What was changed as it is since, by name, as inputs give it.")

    @classmethod
    def of(cls, change: experiment_trail.ExperimentChange) -> "ExperimentChange":
        """The change as GraphQL shows it."""
        return cls(
            id=strawberry.ID(encode("ExperimentChange", f"{change.experiment_id}.{change.number}")),
            experiment=change.experiment,
            number=change.number,
            action=change.action,
            at=change.at,
            by=change.by,  # type: ignore[arg-type]  # the value that the type shapes
            reason=change.reason,
            before=None if change.before is None else JSON(shown(change.before)),
            after=JSON(shown(change.after)),
        )

    @classmethod
    async def load(cls, context: Context, keys: Sequence[str]) -> dict[str, Node]:
        parted = {key: key.partition(".") for key in keys}
        wanted = {key: (number_in(of), number_in(number)) for key, (of, _, number) in parted.items()}
        found = await experiment_trail.changes_by_number(context, set(wanted.values()))
        return {key: cls.of(found[place]) for key, place in wanted.items() if place in found}


@strawberry.type
class ExperimentTrailQuery:
    @field(
        Role.VIEWER,
        Connection[ExperimentChange],
        "What was done to an experiment, newest first: the audit trail.",
    )
    async def experiment_changes(
        self, info: Info, experiment: KeyArgument, first: First = 50, after: After = None
    ) -> Connection[ExperimentChange]:
        cursor = open_cursor("ExperimentChange", after)
        found = await experiment_trail.experiment_changes(info.context, experiment, first=first, after=cursor)
        nodes = [ExperimentChange.of(change) for change in found.changes]
        return page("ExperimentChange", nodes, found.cursors, has_next=found.has_next, after=after)


@strawberry.type
class ExperimentTrailSubscription:
    @field(
        Role.VIEWER,
        list[ExperimentChange],
        (
            "What is done to an experiment, as it is done, oldest first. Each message holds those changes that came "
            f"together, at most {MAX_PAGE}; none is left out and none comes twice."
        ),
        is_subscription=True,
    )
    async def experiment_changes(
        self,
        info: Info,
        experiment: KeyArgument,
        since: Annotated[
            int | None,
            strawberry.argument(
                description="Begin after the change of this `number`, so that none is missed; 0 for all there were, "
                "absent: with what is done from now."
            ),
        ] = None,
    ) -> AsyncIterator[list[ExperimentChange]]:
        if since is not None and since < 0:
            raise refusal("since", "must be the number of a change, or 0")
        of = await experiment_of(info.context, experiment)
        return _shown(experiment_trail.changes_stream(info.context, of, since=since))


async def _shown(
    stream: AsyncGenerator[tuple[experiment_trail.ExperimentChange, ...]],
) -> AsyncIterator[list[ExperimentChange]]:
    # Closed together with the subscription, not whenever it is collected.
    async with aclosing(stream):
        async for batch in stream:
            yield [ExperimentChange.of(change) for change in batch]
