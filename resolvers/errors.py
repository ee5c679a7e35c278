"""What can go wrong in an answer, said so that its reader knows what to change.

A resolver raises one of these; the schema turns it into a typed result of a mutation or an error of a query whose
``extensions.code`` is ``code``. Anything else that escapes is a defect and is masked by the gateway.
"""

from enum import Enum


class GatewayError(Exception):
    """A failure that the caller may read: ``message`` is safe to show, ``field`` names the argument at fault."""

    code = "INTERNAL_SERVER_ERROR"

    def __init__(self, message: str, *, field: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.retry_after = retry_after
        """Seconds after which the same request may succeed; None where repeating it is useless."""


class BadInput(GatewayError):
    """An argument cannot be answered; ``field`` says which."""

    code = "BAD_USER_INPUT"


class IllegalStep(GatewayError):
    """What was asked for cannot be done as things are; ``possible`` names what can be."""

    code = "BAD_USER_INPUT"

    def __init__(self, message: str, *, possible: tuple[Enum, ...], field: str | None = None) -> None:
        super().__init__(message, field=field)
        self.possible = possible


class NotFound(GatewayError):
    """The thing named does not exist for this tenant."""

    code = "NOT_FOUND"


class Unauthenticated(GatewayError):
    """No key, or one that is unknown, revoked or expired."""

    code = "UNAUTHENTICATED"


class Forbidden(GatewayError):
    """The key's role does not reach this field."""

    code = "FORBIDDEN"


class RateLimited(GatewayError):
    """The caller asks for more than its share; ``retry_after`` says when to come back."""

    code = "RATE_LIMITED"


class Overloaded(GatewayError):
    """The gateway is full for the moment; ``retry_after`` says when to come back."""

    code = "OVERLOADED"


class Unavailable(GatewayError):
    """The database cannot be reached for the moment; ``retry_after`` says when to come back."""

    code = "UNAVAILABLE"


class Pending(Unavailable):
    """What one question needs is still being made; others can be answered meanwhile."""


class TimedOut(GatewayError):
    """The answer took longer than an operation may."""

    code = "TIMEOUT"


def said_by(which: int | str, called: str = "name") -> str:
    """The field of an input that says which one is meant: by its id, a number, or by what it is ``called``."""
    return "id" if isinstance(which, int) else called
