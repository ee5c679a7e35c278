"""Flags evaluated: what somebody gets, and what many do."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import strawberry
from strawberry.scalars import JSON

from resolvers import flag_evaluations
from resolvers.analysis import flag_evaluation
from resolvers.analysis import flags as values
from resolvers.context import Role
from schema.access import Info, field
from schema.errors import Forbidden, InvalidInput, Overloaded, Unauthenticated, invalid
from schema.shapes import enumerate_in_schema, shapes

enumerate_in_schema(
    flag_evaluation.FlagReason,
    "Why a flag has the value it has, as OpenFeature names it.",
    {
        "STATIC": "It is on and has no rules: everybody gets the default.",
        "DEFAULT": "No rule took the subject: it gets the default.",
        "TARGETING_MATCH": "A rule took the subject for what is known of it.",
        "SPLIT": "The subject's place among all decided: a rule's share, or a split.",
        "DISABLED": "It is off, a prerequisite is not met, or it is not set up in the environment.",
        "ERROR": "There is no value, and `error` says why: the application takes its own.",
    },
)
enumerate_in_schema(
    flag_evaluation.FlagError,
    "Why there is no value, as OpenFeature names it.",
    {
        "FLAG_NOT_FOUND": "There is no flag of the key, or it is archived.",
        "TARGETING_KEY_MISSING": "Shares are drawn, and there is no subject.",
        "TYPE_MISMATCH": "The flag is of another type than `expect`.",
        "INVALID_CONTEXT": "The context cannot be read.",
        "GENERAL": "Something else.",
    },
    name="FlagErrorCode",
)


def _value(root: strawberry.Parent[flag_evaluation.FlagEvaluation]) -> object:
    return root.value


@shapes(flag_evaluation.FlagEvaluation)
@strawberry.type(description="What a flag comes to for somebody.")
class FlagEvaluation:
    flag: str = strawberry.field(description="The flag's key.")
    variation: str | None = strawberry.field(description="The key of the variation; null where there is an error.")
    reason: flag_evaluation.FlagReason = strawberry.field(description="Why it is that.")
    rule: int | None = strawberry.field(description="The place, from 0, of the rule that decided; null where none did.")
    prerequisite: str | None = strawberry.field(
        description="The key of the flag that has no variation which is needed; null where that is not the reason."
    )
    error: flag_evaluation.FlagError | None = strawberry.field(
        description="Why there is no value; null where there is one."
    )
    message: str | None = strawberry.field(description="The same in English; null where there is a value.")
    value: object | None = strawberry.field(
        resolver=_value, graphql_type=JSON | None, description="The value; null where there is an error."
    )


def _error(root: strawberry.Parent[flag_evaluations.SubjectFlags]) -> InvalidInput | None:
    return None if root.error is None else invalid(root.error.field, root.error.message)


@shapes(flag_evaluations.SubjectFlags)
@strawberry.type(description="What flags come to for a subject.")
class SubjectFlags:
    subject: str | None = strawberry.field(description="The subject, as it was sent; null where none was given.")
    evaluations: list[FlagEvaluation] = strawberry.field(
        description="One for each flag asked for, in their order; empty where there is an error."
    )
    error: InvalidInput | None = strawberry.field(
        resolver=_error,
        description="What to change of the subject or its context, whose `field` is such as `subjects[3].context`; "
        "null where it was evaluated.",
    )


_SUBJECT = "Whom it is about, as events name it; where absent, flags that draw shares come to an error."
_CONTEXT = (
    "What is known of the subject, a JSON object: attributes that rules ask for, such as `role`, and dimensions by "
    "their names, such as `plan`. Nothing of it is stored."
)
SubjectArgument = Annotated[str | None, strawberry.argument(description=_SUBJECT)]
ContextArgument = Annotated[object | None, strawberry.argument(graphql_type=JSON | None, description=_CONTEXT)]
KeysArgument = Annotated[
    Sequence[str] | None,
    strawberry.argument(
        description="The flags' keys, answered in this order; absent: all that are not archived, by key."
    ),
]
EnvironmentArgument = Annotated[
    str, strawberry.argument(description="The environment's name; one that no flag is set up in is refused.")
]
ExpectArgument = Annotated[
    values.FlagType | None,
    strawberry.argument(description="The type that the application needs: flags of another come to an error."),
]


@strawberry.input(description="A subject and what is known of it.")
class FlagSubjectInput:
    subject: str | None = strawberry.field(default=None, description=_SUBJECT)
    context: object | None = strawberry.field(graphql_type=JSON | None, default=None, description=_CONTEXT)


@strawberry.type
class FlagEvaluationQuery:
    @field(
        None,
        list[FlagEvaluation],
        "What flags come to for a subject: at most 10,000 of them in one call. Nothing is stored of it but how often "
        "each variation was given.",
        is_instant=True,
    )
    async def evaluate_flags(
        self,
        info: Info,
        subject: SubjectArgument = None,
        context: ContextArgument = None,
        keys: KeysArgument = None,
        environment: EnvironmentArgument = values.PRODUCTION,
        expect: ExpectArgument = None,
    ) -> tuple[flag_evaluation.FlagEvaluation, ...]:
        who = flag_evaluations.person(subject, context)
        return await flag_evaluations.evaluate_flags(info.context, who, keys, environment, expect)

    @field(
        None,
        list[SubjectFlags],
        "What flags come to for up to 1,000 subjects, in their order: at most 10,000 evaluations in one call. One that "
        "cannot be read has an `error`, and takes nothing from the others.",
    )
    async def evaluate_flags_of(
        self,
        info: Info,
        subjects: Annotated[
            list[FlagSubjectInput], strawberry.argument(description="The subjects, and what is known of each.")
        ],
        keys: KeysArgument = None,
        environment: EnvironmentArgument = values.PRODUCTION,
    ) -> tuple[flag_evaluations.SubjectFlags, ...]:
        asked = [(one.subject, one.context) for one in subjects]
        return await flag_evaluations.evaluate_flags_of(info.context, asked, keys, environment)


@strawberry.input(description="Flags that somebody is shown.")
class RecordFlagExposuresInput:
    subject: str = strawberry.field(description="Who is shown them.")
    keys: list[str] = strawberry.field(description="The flags' keys.")
    context: object | None = strawberry.field(graphql_type=JSON | None, default=None, description=_CONTEXT)
    environment: str = strawberry.field(default=values.PRODUCTION, description="The environment's name.")
    id: str | None = strawberry.field(
        default=None,
        description=(
            "The id of the exposures, yours to choose, to which each flag's key is added: sent again they are stored "
            "once. Where absent, each is given a new one."
        ),
    )
    occurred_at: object | None = strawberry.field(
        graphql_type=datetime | None, default=None, description="When they were shown; now where absent."
    )
    session: str | None = strawberry.field(default=None, description="The visit it belongs to.")


@shapes(flag_evaluations.Exposures)
@strawberry.type(description="The exposures are stored.")
class RecordFlagExposuresPayload:
    evaluations: list[FlagEvaluation] = strawberry.field(
        description="What the flags came to, in the order of `keys`; of errors nothing is stored."
    )
    accepted: int = strawberry.field(description="How many exposures were stored now; repeats are not stored again.")


RecordFlagExposuresResult = Annotated[
    RecordFlagExposuresPayload | InvalidInput | Unauthenticated | Forbidden | Overloaded,
    strawberry.union("RecordFlagExposuresResult", description="The exposures that are stored, or why none are."),
]


@strawberry.type
class FlagEvaluationMutation:
    @field(
        Role.INGEST,
        RecordFlagExposuresResult,
        "Evaluate flags and store that somebody was shown what they came to: an event of the kind EXPOSURE for each, "
        "named `flag_exposure`, whose dimensions `feature` and `experiment` are the flag's key and `variant` the "
        "variation's.",
    )
    async def record_flag_exposures(
        self,
        info: Info,
        input: Annotated[RecordFlagExposuresInput, strawberry.argument(description="Who is shown what.")],
    ) -> flag_evaluations.Exposures:
        who = flag_evaluations.person(input.subject, input.context)
        event = {"id": input.id, "occurredAt": input.occurred_at, "session": input.session}
        given = {name: value for name, value in event.items() if value is not None}
        return await flag_evaluations.record_flag_exposures(info.context, who, input.keys, input.environment, given)
