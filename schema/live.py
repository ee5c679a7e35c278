"""An analysis as two fields of one name, arguments and type: asked once on Query, kept current on Subscription."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from strawberry.types.arguments import StrawberryArgument
from strawberry.types.field import StrawberryField
from strawberry.types.fields.resolver import StrawberryResolver

from resolvers import answers
from resolvers.analysis.questions import Question
from resolvers.answers import Kinds
from resolvers.context import Context, Role
from schema.access import Info, field
from schema.arguments import EveryArgument, MaxAgeArgument, read_interval, read_max_age
from schema.errors import refusal

T = TypeVar("T")

STATE = "state"
"""The key of a field's metadata that says whether each of its answers tells all there is: a later one stands for it."""

_LIVE = (
    "Sends the present answer at once, and then each that differs from the one before: after a commit that "
    "changes it, or when time moves its period on."
)


@dataclass(frozen=True, slots=True)
class Asked(Generic[T]):
    """A question that has been read: how to answer it, and the kinds of events that can change the answer."""

    question: Question
    seek: Callable[[Question], Awaitable[T]]
    kinds: Kinds

    async def answer(self, max_age: timedelta | None = None) -> T:
        """The answer, at most ``max_age`` older than the log."""
        return await self.seek(replace(self.question, max_age=max_age))


def _max_age(max_age: MaxAgeArgument = None) -> None:
    """Carries the argument that asking once has more."""


def arguments_of(of: Callable[..., Any]) -> list[StrawberryArgument]:
    """The arguments of a function that reads a question."""
    arguments = StrawberryResolver(of).arguments
    return [argument for argument in arguments if argument.python_name != "context"]


@dataclass(frozen=True)
class Analysis(Generic[T]):
    """``read`` takes the context and the field's arguments, with their defaults and descriptions.

    An answer that is dear to come by has a ``least`` time between two of them, which is what is taken by default too.
    """

    read: Callable[..., Asked[T]]
    graphql_type: object
    description: str
    least: str | None = None
    arguments: Sequence[StrawberryArgument] | None = None
    """Those of the field, where it is not ``read`` that has them."""
    role: Role = Role.VIEWER
    """Who may ask."""

    def query(self) -> StrawberryField:
        """The field that answers once."""

        async def resolver(info: Info, max_age: object = None, **arguments: Any) -> T:
            oldest = read_max_age(max_age)
            return await self._asked(info.context, arguments).answer(oldest)

        once = field(self.role, self.graphql_type, self.description)(resolver)
        once.arguments = [*self.own_arguments(), *arguments_of(_max_age)]
        once.metadata = MappingProxyType({STATE: True})
        return once

    def subscription(self) -> StrawberryField:
        """The field that answers again whenever the answer changes."""

        async def resolver(info: Info, every: object, **arguments: Any) -> AsyncIterator[T]:
            interval = read_interval(every)
            if self.least is not None and interval < read_interval(self.least):
                raise refusal("every", f"must be at least {self.least} of this answer, which is dear to come by")
            asked = self._asked(info.context, arguments)
            # Refused while the client still waits for the subscription to begin; the answer is kept for the stream.
            await asked.answer()
            kinds = asked.kinds | answers.segments_of(asked.question.where)
            return answers.live(info.context, kinds, asked.answer, interval)

        def more(every: EveryArgument = self.least or "1s") -> None:
            """Carries the argument that the live twin has more."""

        description = f"{self.description}\n\n{_LIVE}"
        if self.least is not None:
            description += f" `every` is at least `{self.least}` here."
        again = field(self.role, self.graphql_type, description, is_subscription=True)(resolver)
        again.arguments = [*self.own_arguments(), *arguments_of(more)]
        again.metadata = MappingProxyType({STATE: True})
        return again

    def own_arguments(self) -> list[StrawberryArgument]:
        """The arguments that both fields have."""
        return arguments_of(self.read) if self.arguments is None else list(self.arguments)

    def _asked(self, context: Context, arguments: dict[str, Any]) -> Asked[T]:
        return self.read(context, **arguments)
