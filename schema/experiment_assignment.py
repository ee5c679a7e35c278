"""Who gets which variant, and that it was shown."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

import strawberry

from resolvers import experiment_assignment
from resolvers.analysis import experiment_assignment as values
from resolvers.context import Role
from resolvers.experiment_assignment import MOST_SUBJECTS
from schema.access import Info, field
from schema.dimensions import DimensionsInput
from schema.errors import Forbidden, InvalidInput, NotFound, Overloaded, Unauthenticated, invalid
from schema.experiments import KeyArgument
from schema.shapes import enumerate_in_schema, shapes

enumerate_in_schema(
    values.AssignmentReason,
    "Why a subject gets the variant it gets, or none; the first that applies, in this order.",
    {
        "NOT_RUNNING": "The experiment does not run now.",
        "EXPOSED_BEFORE": "It was shown this variant already, and keeps it, whatever has changed since.",
        "HOLDOUT": "It is among those who are held out.",
        "GROUP": "Its place in the mutually exclusive group is another experiment's, or none's.",
        "TARGETING_MISS": "It is none of those whom the experiment is for, by what `context` says.",
        "TRAFFIC": "It is not in the share of traffic that takes part.",
        "ASSIGNED": "It takes part, with the variant that chance gave it.",
        "ERROR": "Nothing can be said of it, and `error` says why; only where several subjects are asked about.",
    },
)

_CONTEXT = "What is known of the subject: the dimensions that targeting asks for."
ContextArgument = Annotated[DimensionsInput | None, strawberry.argument(description=_CONTEXT)]


def _error(root: strawberry.Parent[values.Assignment]) -> InvalidInput | None:
    return None if root.error is None else invalid(root.error.field, root.error.message)


@shapes(values.Assignment)
@strawberry.type(description="What a subject gets of an experiment.")
class Assignment:
    experiment: str = strawberry.field(description="The experiment's key.")
    subject: str = strawberry.field(description="The subject, as it was sent.")
    variant: str | None = strawberry.field(
        description="The key of its variant; null where it takes no part, and is to see what everybody sees."
    )
    reason: values.AssignmentReason = strawberry.field(description="Why.")
    phase: int | None = strawberry.field(description="The phase under way; null where the experiment never started.")
    error: InvalidInput | None = strawberry.field(
        resolver=_error,
        description="What to change of the subject, whose `field` is such as `subjects[3]`; null unless the reason is "
        "`ERROR`.",
    )


def _said(given: DimensionsInput | None) -> dict[str, Any]:
    return {} if given is None else asdict(given)


@strawberry.type
class AssignmentQuery:
    @field(
        None,
        Assignment,
        "Which variant a subject gets: always the same, by arithmetic that docs/bucketing.md publishes. Nothing is "
        "stored; call `recordExposure` once it is shown.",
        is_instant=True,
    )
    async def assignment(
        self,
        info: Info,
        experiment: KeyArgument,
        subject: Annotated[str, strawberry.argument(description="The subject, as its events name it.")],
        context: ContextArgument = None,
    ) -> values.Assignment:
        return await experiment_assignment.assignment(info.context, experiment, subject, _said(context))

    @field(
        None,
        list[Assignment],
        "The same for many subjects of whom the same is known, in their order. One that is empty or too long has the "
        "reason `ERROR`, and takes nothing from the others.",
    )
    async def assignments(
        self,
        info: Info,
        experiment: KeyArgument,
        subjects: Annotated[
            list[str],
            strawberry.argument(
                description=f"At most {MOST_SUBJECTS:,} subjects of at most 500 characters, as events name them."
            ),
        ],
        context: ContextArgument = None,
    ) -> tuple[values.Assignment, ...]:
        return await experiment_assignment.assignments(info.context, experiment, subjects, _said(context))


@strawberry.input(description="A subject that is shown an experiment now.")
class RecordExposureInput:
    experiment: str = strawberry.field(description="The experiment's key.")
    subject: str = strawberry.field(description="The subject, at most 500 characters.")
    context: DimensionsInput | None = strawberry.field(
        default=None, description=f"{_CONTEXT} The exposure carries them, for breakdowns."
    )
    id: str | None = strawberry.field(
        default=None, description="The event's id, at most 200 characters, so that repeating is safe; made if absent."
    )
    occurred_at: object | None = strawberry.field(
        graphql_type=datetime | None, default=None, description="When it was shown; now where absent."
    )


@strawberry.type(description="The subject is assigned, and its exposure stored if it takes part.")
class RecordExposurePayload:
    assignment: Assignment = strawberry.field(description="What it gets, and why.")
    event_id: str | None = strawberry.field(
        description="The id of the exposure; null where the subject takes no part, and nothing was stored."
    )
    accepted: int = strawberry.field(description="1 where the exposure is new, 0 where it was known or there is none.")


RecordExposureResult = Annotated[
    RecordExposurePayload | NotFound | InvalidInput | Unauthenticated | Forbidden | Overloaded,
    strawberry.union("RecordExposureResult", description="What the subject gets, or why it cannot be said."),
]


@strawberry.type
class AssignmentMutation:
    @field(
        Role.INGEST,
        RecordExposureResult,
        "Assign a subject and store that it was shown its variant, in one call; nothing is stored of one that takes "
        "no part.",
    )
    async def record_exposure(
        self, info: Info, input: Annotated[RecordExposureInput, strawberry.argument(description="Who was shown what.")]
    ) -> RecordExposurePayload:
        raw: dict[str, Any] = {"subject": input.subject, "id": input.id, "occurredAt": input.occurred_at}
        found = await experiment_assignment.record_exposure(info.context, input.experiment, raw, _said(input.context))
        shown: Any = found.assignment
        return RecordExposurePayload(assignment=shown, event_id=found.event_id, accepted=found.accepted)
