"""What can go wrong, as types: a mutation answers with one of these instead of failing."""

from enum import Enum
from typing import Any

import strawberry
from strawberry.types.field import StrawberryField

from resolvers import errors
from resolvers.analysis.experiments import Step
from schema.shapes import enumerate_in_schema


class ErrorCode(Enum):
    BAD_USER_INPUT = errors.BadInput.code
    NOT_FOUND = errors.NotFound.code
    UNAUTHENTICATED = errors.Unauthenticated.code
    FORBIDDEN = errors.Forbidden.code
    RATE_LIMITED = errors.RateLimited.code
    OVERLOADED = errors.Overloaded.code
    UNAVAILABLE = errors.Unavailable.code
    TIMEOUT = errors.TimedOut.code


enumerate_in_schema(
    ErrorCode,
    "What sort of failure it is; the same code stands in `extensions.code` where a query fails.",
    {
        "BAD_USER_INPUT": "The input cannot be taken; correct it and send it again.",
        "NOT_FOUND": "What the input names does not exist.",
        "UNAUTHENTICATED": "No key was sent, or one that is unknown or revoked.",
        "FORBIDDEN": "The key's role does not reach this field.",
        "RATE_LIMITED": "The key or its tenant asks too often or for too much; send the same again later.",
        "OVERLOADED": "The gateway is full for the moment; send the same again later.",
        "UNAVAILABLE": "The gateway cannot reach its database for the moment; send the same again later.",
        "TIMEOUT": "It took longer than an operation may. It may still have been done: send the same ids again.",
    },
)

enumerate_in_schema(
    Step,
    "What can be done to an experiment.",
    {
        "UPDATE": "`updateExperiment`.",
        "START": "`startExperiment`.",
        "PAUSE": "`pauseExperiment`.",
        "RESUME": "`resumeExperiment`.",
        "COMPLETE": "`completeExperiment`.",
        "ARCHIVE": "`archiveExperiment`.",
    },
    name="ExperimentStep",
)

_MESSAGE = "What went wrong and what to change, in English, safe to show."


@strawberry.interface(description="Why something was not done, said so that its sender knows what to change.")
class Error:
    message: str = strawberry.field(description=_MESSAGE)
    code: ErrorCode = strawberry.field(description="What sort of failure it is.")


@strawberry.type(description="The input cannot be taken; nothing of it was stored.")
class InvalidInput(Error):
    field: str | None = strawberry.field(
        description=(
            "Path of the input field at fault, e.g. `occurredAt` or `steps[2].where`; null where it is no single one."
        )
    )


@strawberry.type(description="What the input names does not exist for this tenant.")
class NotFound(Error):
    field: str | None = strawberry.field(
        description="The input field that names it, e.g. `id`; null where it is no single one."
    )


@strawberry.type(description="It cannot be done to the experiment as it is now; nothing of it was done.")
class IllegalStep(Error):
    possible: list[Step] = strawberry.field(description="What can be done to it now; empty where nothing can be.")


@strawberry.type(description="No key was sent, or one that is unknown or revoked.")
class Unauthenticated(Error):
    pass


@strawberry.type(description="The key's role does not reach this field.")
class Forbidden(Error):
    pass


@strawberry.type(description="The gateway could not do it just now; the same request may succeed later.")
class Overloaded(Error):
    retry_after: float | None = strawberry.field(
        description="Seconds after which to try again; null where the gateway cannot tell."
    )


class AsResult:
    """Turns exceptions of some classes into a type, in every field whose result union has that type."""

    def __init__(
        self,
        exception_type: tuple[type[errors.GatewayError], ...],
        error_type: type[Error],
        *details: str,
    ) -> None:
        self.exception_type = exception_type
        self.error_type = error_type
        self.details = details

    def handle(self, exception: errors.GatewayError, *, field: StrawberryField, info: strawberry.Info) -> Error:
        details: dict[str, Any] = {name: getattr(exception, name) for name in self.details}
        return self.error_type(message=exception.message, code=ErrorCode(exception.code), **details)


HANDLERS = (
    AsResult((errors.BadInput,), InvalidInput, "field"),
    AsResult((errors.IllegalStep,), IllegalStep, "possible"),
    AsResult((errors.NotFound,), NotFound, "field"),
    AsResult((errors.Unauthenticated,), Unauthenticated),
    AsResult((errors.Forbidden,), Forbidden),
    AsResult((errors.RateLimited, errors.Overloaded, errors.Unavailable, errors.TimedOut), Overloaded, "retry_after"),
)
"""A mutation names the errors it can meet in its result; any other exception rises and is masked by the gateway."""


def invalid(field: str | None, message: str) -> InvalidInput:
    """The error of one part of the input, where the rest was answered."""
    return InvalidInput(message=message, code=ErrorCode.BAD_USER_INPUT, field=field)


def refusal(field: str, message: str) -> errors.BadInput:
    """BadInput whose message begins with the field at fault."""
    return errors.BadInput(f"{field} {message}.", field=field)
