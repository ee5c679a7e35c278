"""What the GraphQL endpoint is made of: given by the composition root, shared by all its transports."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import strawberry

from gateway.admission import Crowd
from gateway.limits import Limits
from gateway.sessions import Sessions
from gateway.whole import Versions
from resolvers.context import Principal
from resolvers.live.rounds import Rounds
from resolvers.live.turns import Turns


class Observer(Protocol):
    """Is told what happens at the endpoint; its methods must be quick and must not raise."""

    def operation(self, name: str | None, kind: str, seconds: float, code: str | None) -> None:
        """A query or mutation was answered, or any operation refused (``kind`` is then ``unknown``)."""

    def subscription_opened(self, name: str | None) -> None:
        """A subscription began to run."""

    def subscription_closed(self, name: str | None, seconds: float, code: str | None) -> None:
        """A subscription ended, for whatever reason; ``code`` is its last result's error."""


class NullObserver:
    """An observer that looks away."""

    def operation(self, name: str | None, kind: str, seconds: float, code: str | None) -> None:
        """Do nothing."""

    def subscription_opened(self, name: str | None) -> None:
        """Do nothing."""

    def subscription_closed(self, name: str | None, seconds: float, code: str | None) -> None:
        """Do nothing."""


class Authenticate(Protocol):
    """Whose token this is; None without a token. It is asked at every operation, so it must be cheap."""

    async def __call__(self, token: str | None, address: str = "") -> Principal | None:
        """Raises ``Unauthenticated`` for a token that is not good, ``RateLimited`` for a caller, which is at
        ``address`` where it has no good one, that asks too often.
        """


class Charge(Protocol):
    """Counts what an answer costs; raises ``RateLimited`` for a caller that asks for too much."""

    def __call__(self, principal: Principal | None, cost: int, *, apart: bool = False) -> None:
        """Costs counted ``apart``, those of exports, take nothing from what the caller may ask for beside them."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One GraphQL endpoint."""

    schema: strawberry.Schema
    authenticate: Authenticate
    context: Callable[[Principal | None], object]
    """A fresh context for one operation."""
    sessions: Sessions
    limits: Limits = field(default_factory=Limits)
    observer: Observer = field(default_factory=NullObserver)
    versions: Versions | None = None
    """The present data versions, by which answers may be given again; without it each is sought anew."""
    charge: Charge = lambda principal, cost, *, apart=False: None
    """Told the cost of each answer that has to be computed; raises ``RateLimited``."""
    crowd: Crowd = field(default_factory=Crowd)
    """Requests under way, and the operations of WebSockets."""
    writes: Crowd = field(default_factory=Crowd)
    """Mutations among them, which wait for the database together."""
    turns: Turns = field(default_factory=Turns)
    """Where queries are computed."""
    rounds: Rounds = field(default_factory=Rounds)
    """Of the event loop, in which operations of WebSockets begin."""
    allowed_origins: frozenset[str] = frozenset()
    """Origins, besides the gateway's own, whose pages may open WebSockets (``https://host[:port]``); ``*`` is any."""
