"""Personas: named profiles, given to subjects by their events or by rules."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import strawberry
from strawberry.scalars import JSON

from resolvers import personas
from resolvers.analysis import personas as values
from resolvers.context import Context, Role
from schema.access import Info, field
from schema.errors import Forbidden, InvalidInput, NotFound, Overloaded, Unauthenticated
from schema.nodes import Node, encode, which
from schema.pages import After, Connection, First, open_cursor, page
from schema.segment_rules import SegmentRuleInput, read_rules, write_rules
from schema.segments import Segment, number_in
from schema.shapes import enumerate_in_schema, shapes

enumerate_in_schema(
    values.Assignment,
    "How subjects come by a persona.",
    {
        "EVENTS": "Their events say it: those whose dimension `persona` is the slug are the persona's.",
        "RULES": "They meet its rules, and those of no persona of less priority.",
    },
    name="PersonaAssignment",
)


@shapes(values.Persona)
@strawberry.type(description="A named profile of subjects.")
class Persona(Node):
    slug: str = strawberry.field(description="Its short name, unique: what the dimension `persona` of events says.")
    name: str = strawberry.field(description="Its name to show.")
    description: str | None = strawberry.field(description="Who these are; null where nobody said.")
    priority: int = strawberry.field(
        description="Of the personas whose rules a subject meets it has the one of the least priority, then slug."
    )
    assignment: values.Assignment = strawberry.field(description="How subjects come by it.")
    rules: object | None = strawberry.field(
        graphql_type=JSON | None,
        description="Its rules, as the JSON of a `SegmentRuleInput`; null where events give it.",
    )
    created_at: datetime = strawberry.field(description="When the persona was first saved.")
    updated_at: datetime = strawberry.field(description="When it was last saved.")
    segment_number: strawberry.Private[int | None]

    @classmethod
    def of(cls, kept: values.Persona) -> "Persona":
        """The persona as GraphQL shows it."""
        names = ("slug", "name", "description", "priority", "assignment", "created_at", "updated_at")
        shown: dict[str, Any] = {name: getattr(kept, name) for name in names}
        return cls(
            id=strawberry.ID(encode("Persona", str(kept.id))),
            rules=None if kept.rules is None else write_rules(kept.rules),
            segment_number=kept.segment_id,
            **shown,
        )

    @classmethod
    async def load(cls, context: Context, keys: Sequence[str]) -> dict[str, Node]:
        numbers = {key: number_in(key) for key in keys}
        found = await personas.personas_by_id(context, [number for number in numbers.values() if number])
        return {key: cls.of(found[number]) for key, number in numbers.items() if number in found}

    @field(
        Role.VIEWER,
        Segment | None,
        "The segment of those whom rules give it to, to filter any analysis by; null where events give it.",
    )
    async def segment(self, info: Info) -> Segment | None:
        if self.segment_number is None:
            return None
        kept = (await personas.segments_of_personas(info.context)).get(self.segment_number)
        return None if kept is None else Segment.of(kept)


@strawberry.input(description="A persona to keep.")
class SavePersonaInput:
    slug: str = strawberry.field(
        description="1 to 100 characters; a persona kept under the same slug is replaced and keeps its id."
    )
    name: str = strawberry.field(description="1 to 200 characters to show.")
    description: str | None = strawberry.field(default=None, description="Who these are, at most 2,000 characters.")
    priority: int = strawberry.field(
        default=100,
        description="0 to 1,000: of the personas whose rules a subject meets it has the one of the least priority.",
    )
    rules: SegmentRuleInput | None = strawberry.field(
        default=None,
        description="Which subjects have it; absent where events say it by their dimension `persona`.",
    )


@strawberry.type(description="The persona is kept.")
class SavePersonaPayload:
    persona: Persona = strawberry.field(description="The persona as it is kept now.")


@strawberry.input(description="A persona to delete.")
class DeletePersonaInput:
    id: strawberry.ID | None = strawberry.field(default=None, description="The persona's global id; or give `slug`.")
    slug: str | None = strawberry.field(default=None, description="The persona's slug; or give `id`.")


@strawberry.type(description="The persona is deleted.")
class DeletePersonaPayload:
    deleted_id: strawberry.ID = strawberry.field(description="The global id that the persona had.")


SavePersonaResult = Annotated[
    SavePersonaPayload | InvalidInput | Unauthenticated | Forbidden | Overloaded,
    strawberry.union("SavePersonaResult", description="The persona that is kept, or why it is not."),
]
DeletePersonaResult = Annotated[
    DeletePersonaPayload | NotFound | InvalidInput | Unauthenticated | Forbidden | Overloaded,
    strawberry.union("DeletePersonaResult", description="The persona that is deleted, or why none is."),
]


@strawberry.type
class PersonaQuery:
    @field(
        Role.VIEWER,
        Connection[Persona],
        "The personas that the tenant keeps, by priority and then by slug.",
    )
    async def personas(self, info: Info, first: First = 50, after: After = None) -> Connection[Persona]:
        found = await personas.persona_page(info.context, first=first, after=open_cursor("Persona", after))
        nodes = [Persona.of(kept) for kept in found.personas]
        return page("Persona", nodes, found.cursors, has_next=found.has_next, after=after)

    @field(Role.VIEWER, Persona | None, "The persona of a slug. Null where there is none (any more).")
    async def persona(
        self, info: Info, slug: Annotated[str, strawberry.argument(description="The persona's slug.")]
    ) -> Persona | None:
        kept = await personas.personas(info.context)
        return next((Persona.of(one) for one in kept if one.slug == slug), None)


@strawberry.type
class PersonaMutation:
    @field(Role.ANALYST, SavePersonaResult, "Keep a persona under a slug, in place of the one that had the slug.")
    async def save_persona(
        self, info: Info, input: Annotated[SavePersonaInput, strawberry.argument(description="The persona.")]
    ) -> SavePersonaPayload:
        rules = None if input.rules is None else read_rules(input.rules)
        draft = personas.PersonaDraft(input.slug, input.name, input.description, input.priority, rules)
        return SavePersonaPayload(persona=Persona.of(await personas.save_persona(info.context, draft)))

    @field(
        Role.ANALYST,
        DeletePersonaResult,
        "Delete a persona; whom its rules meant has the next one whose rules fit.",
    )
    async def delete_persona(
        self,
        info: Info,
        input: Annotated[DeletePersonaInput, strawberry.argument(description="Which persona to delete.")],
    ) -> DeletePersonaPayload:
        asked = which(Persona, input.id, input.slug, number_in, "slug")
        return DeletePersonaPayload(deleted_id=Persona.of(await personas.delete_persona(info.context, asked)).id)
