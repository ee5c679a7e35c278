"""Those whom events are about."""

from collections.abc import Sequence

import strawberry

from resolvers import funnel_subjects
from resolvers.analysis import subjects as values
from resolvers.context import Context
from schema.nodes import Node, encode
from schema.shapes import shapes


@shapes(values.Subject)
@strawberry.type(description="Someone or something that events are about: a person, an account, a ticket.")
class Subject(Node):
    subject: str = strawberry.field(description="The name that events give it as their `subject`.")

    @classmethod
    def of(cls, found: values.Subject) -> "Subject":
        """The subject as GraphQL shows it."""
        return cls(id=strawberry.ID(encode("Subject", found.subject)), subject=found.subject)

    @classmethod
    async def load(cls, context: Context, keys: Sequence[str]) -> dict[str, Node]:
        found = await funnel_subjects.subjects_by_name(context, keys)
        return {name: cls.of(subject) for name, subject in found.items()}
