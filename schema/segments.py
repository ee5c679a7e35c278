"""Segments: groups of subjects told by rules, to filter every analysis by."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, Any

import strawberry
from strawberry.scalars import JSON

from resolvers import segment_members, segment_previews, segments
from resolvers.analysis import segments as values
from resolvers.analysis.periods import PeriodRequest
from resolvers.analysis.questions import Question
from resolvers.context import Context, Role
from schema.access import Info, field
from schema.arguments import read_span
from schema.common import Estimate
from schema.errors import Forbidden, InvalidInput, NotFound, Overloaded, Unauthenticated
from schema.explanations import Explanation
from schema.live import Analysis, Asked
from schema.nodes import IdArgument, NameArgument, Node, encode, key_of, one_of, which
from schema.pages import After, Connection, First, open_cursor, page
from schema.scalars import BigInt
from schema.segment_rules import RulesArgument, SegmentRuleInput, read_rules, write_rules
from schema.shapes import shapes
from schema.subjects import Subject

_GREATEST_ID = 2**31 - 1


@shapes(values.Segment)
@strawberry.type(
    description=(
        "A group of subjects that is kept under a name. Its members are found anew every `refreshEvery`, and whoever "
        "asks about the segment meanwhile is answered with those of `asOf`."
    )
)
class Segment(Node):
    name: str = strawberry.field(description="Its name, unique within the tenant.")
    description: str | None = strawberry.field(description="What it is for; null where nobody said.")
    rules: object = strawberry.field(
        graphql_type=JSON,
        description="Which subjects belong, as the JSON of a `SegmentRuleInput`: send it back as `rules`.",
    )
    refresh_every: timedelta = strawberry.field(description="How often its members are found anew.")
    size: BigInt | None = strawberry.field(description="How many members it has; null before they were first found.")
    as_of: datetime | None = strawberry.field(
        description="The instant that its members are of; null before they were first found."
    )
    current: bool = strawberry.field(
        description=(
            "Whether the members are those of the present rules. Until they are, a question about the segment is "
            "refused as UNAVAILABLE, which is over in seconds."
        )
    )
    problem: str | None = strawberry.field(
        description="Why its members could not be found when that was last tried; null where they were."
    )
    created_at: datetime = strawberry.field(description="When the segment was first saved.")
    updated_at: datetime = strawberry.field(description="When it was last saved.")
    number: strawberry.Private[int]

    @classmethod
    def of(cls, kept: values.Segment) -> "Segment":
        """The segment as GraphQL shows it."""
        names = ("name", "description", "refresh_every", "size", "as_of", "current", "problem")
        shown: dict[str, Any] = {name: getattr(kept, name) for name in (*names, "created_at", "updated_at")}
        return cls(
            id=strawberry.ID(encode("Segment", str(kept.id))),
            number=kept.id,
            rules=write_rules(kept.rules),
            **shown,
        )

    @classmethod
    async def load(cls, context: Context, keys: Sequence[str]) -> dict[str, Node]:
        numbers = {key: number_in(key) for key in keys}
        found = await segments.segments_by_id(context, [number for number in numbers.values() if number])
        return {key: cls.of(found[number]) for key, number in numbers.items() if number in found}

    @field(
        Role.ANALYST,
        Connection[Subject],
        "The subjects in the segment, in the order in which they first appeared.",
    )
    async def members(self, info: Info, first: First = 50, after: After = None) -> Connection[Subject]:
        found = await segment_members.members(
            info.context, self.number, first=first, after=open_cursor("Subject", after)
        )
        nodes = [Subject.of(one) for one in found.subjects]
        return page("Subject", nodes, found.cursors, has_next=found.has_next, after=after)


def number_in(key: str) -> int:
    """The number that a key of a segment is; 0, which no segment has, where it is none."""
    digits = key if key.isascii() and key.isdigit() and len(key) <= 10 else "0"
    return int(digits) if int(digits) <= _GREATEST_ID else 0


@shapes(values.Condition)
@strawberry.type(description="One condition of a segment's rules by itself.")
class SegmentCondition:
    path: str = strawberry.field(description="Where it stands in the rules, e.g. `rules.all[1]`.")
    subjects: BigInt = strawberry.field(description="How many subjects meet it, whatever the other conditions say.")
    note: str | None = strawberry.field(
        description=(
            "What hints at a mistake, e.g. a value or property that no event has ever carried; null where nothing does."
        )
    )


@shapes(values.SegmentPreviewAnswer)
@strawberry.type(description="Whom rules are true of now.")
class SegmentPreviewAnswer:
    size: BigInt = strawberry.field(description="How many subjects meet the rules.")
    share: Estimate = strawberry.field(
        description="size / all subjects that any event is about, a ratio; its value is null where there are none."
    )
    conditions: list[SegmentCondition] = strawberry.field(description="Each condition by itself, in order.")
    as_of: datetime = strawberry.field(description="The instant at which the answer was read from the log.")
    explain: Explanation = strawberry.field(description="How the numbers were come by.")

    @field(
        Role.ANALYST,
        list[Subject],
        "Up to 20 of the subjects, those that appeared first.",
    )
    async def sample(self) -> list[Subject]:
        return [Subject.of(one) for one in self.sample]  # type: ignore[attr-defined]


def _preview(context: Context, rules: RulesArgument) -> Asked[values.SegmentPreviewAnswer]:
    rule = read_rules(rules)

    async def seek(question: Question) -> values.SegmentPreviewAnswer:
        return await segment_previews.preview_segment(context, rule, question.max_age)

    return Asked(Question(PeriodRequest(last="1d")), seek, segment_previews.kinds(rule))


PREVIEW_SEGMENT = Analysis(
    _preview,
    SegmentPreviewAnswer,
    "Whom a segment's rules are true of, before it is saved: how many subjects, some of them, each condition's part.",
    least="5s",
)


@strawberry.input(description="A segment to keep.")
class SaveSegmentInput:
    name: str = strawberry.field(
        description="1 to 200 characters; without `id`, a segment of the same name is replaced and keeps its id."
    )
    rules: SegmentRuleInput = strawberry.field(description="Which subjects belong.")
    description: str | None = strawberry.field(default=None, description="What it is for, at most 2,000 characters.")
    refresh_every: object = strawberry.field(
        graphql_type=timedelta,
        default="1h",
        description="How often its members are found anew, `1m` to `31d`.",
    )
    id: strawberry.ID | None = strawberry.field(
        default=None, description="The segment to change, also its name; absent to keep a new one or that of the name."
    )


@strawberry.type(description="The segment is kept.")
class SaveSegmentPayload:
    segment: Segment = strawberry.field(
        description=(
            "The segment as it is kept now. Where its members take longer to find than a request may, `current` is "
            "false until they are."
        )
    )


@strawberry.input(description="A segment to refresh.")
class RefreshSegmentInput:
    id: strawberry.ID | None = strawberry.field(default=None, description="The segment's global id; or give `name`.")
    name: str | None = strawberry.field(default=None, description="The segment's name; or give `id`.")


@strawberry.type(description="The segment's members are found anew.")
class RefreshSegmentPayload:
    segment: Segment = strawberry.field(description="The segment as it is now.")
    refreshed: bool = strawberry.field(
        description="Whether its members were found at once; false where that takes longer, and is done in seconds."
    )


@strawberry.input(description="A segment to delete.")
class DeleteSegmentInput:
    id: strawberry.ID | None = strawberry.field(default=None, description="The segment's global id; or give `name`.")
    name: str | None = strawberry.field(default=None, description="The segment's name; or give `id`.")


@strawberry.type(description="The segment is deleted.")
class DeleteSegmentPayload:
    deleted_id: strawberry.ID = strawberry.field(description="The global id that the segment had.")
    segment: Segment = strawberry.field(description="The segment as it was; `node` finds it no more.")


SaveSegmentResult = Annotated[
    SaveSegmentPayload | InvalidInput | NotFound | Unauthenticated | Forbidden | Overloaded,
    strawberry.union("SaveSegmentResult", description="The segment that is kept, or why it is not."),
]
RefreshSegmentResult = Annotated[
    RefreshSegmentPayload | NotFound | InvalidInput | Unauthenticated | Forbidden | Overloaded,
    strawberry.union("RefreshSegmentResult", description="The segment that is refreshed, or why none is."),
]
DeleteSegmentResult = Annotated[
    DeleteSegmentPayload | NotFound | InvalidInput | Unauthenticated | Forbidden | Overloaded,
    strawberry.union("DeleteSegmentResult", description="The segment that is deleted, or why none is."),
]


@strawberry.type
class SegmentQuery:
    preview_segment = PREVIEW_SEGMENT.query()

    @field(
        Role.VIEWER,
        Connection[Segment],
        "The segments that the tenant keeps, in the order in which they were first saved.",
    )
    async def segments(self, info: Info, first: First = 50, after: After = None) -> Connection[Segment]:
        found = await segments.segments(info.context, first=first, after=open_cursor("Segment", after))
        nodes = [Segment.of(kept) for kept in found.segments]
        return page("Segment", nodes, found.cursors, has_next=found.has_next, after=after)

    @field(
        Role.VIEWER,
        Segment | None,
        "The segment with a global id, or of a name: give exactly one. Null where it does not exist (any more).",
    )
    async def segment(self, info: Info, id: IdArgument = None, name: NameArgument = None) -> Node | None:
        if one_of(id, name) is not None:
            found = await segments.segments_called(info.context, [name or ""])
            return Segment.of(found[0]) if found else None
        key = key_of(Segment, id or "", "id")
        return (await Segment.load(info.context, [key])).get(key)


@strawberry.type
class SegmentSubscription:
    preview_segment = PREVIEW_SEGMENT.subscription()


@strawberry.type
class SegmentMutation:
    @field(
        Role.ANALYST,
        SaveSegmentResult,
        "Keep a segment under a name, in place of the one that had the name, and find its members.",
    )
    async def save_segment(
        self, info: Info, input: Annotated[SaveSegmentInput, strawberry.argument(description="The segment.")]
    ) -> SaveSegmentPayload:
        draft = segments.Draft(input.name, read_rules(input.rules), input.description)
        draft = replace(draft, refresh_every=read_span(input.refresh_every, "refreshEvery"))
        if input.id is not None:
            draft = replace(draft, id=number_in(key_of(Segment, input.id, "id")))
        return SaveSegmentPayload(segment=Segment.of(await segments.save_segment(info.context, draft)))

    @field(
        Role.ANALYST,
        RefreshSegmentResult,
        "Find a segment's members now, rather than when they are due.",
    )
    async def refresh_segment(
        self, info: Info, input: Annotated[RefreshSegmentInput, strawberry.argument(description="Which segment.")]
    ) -> RefreshSegmentPayload:
        asked = which(Segment, input.id, input.name, number_in)
        found, done = await segments.refresh_segment(info.context, asked)
        return RefreshSegmentPayload(segment=Segment.of(found), refreshed=done)

    @field(
        Role.ANALYST,
        DeleteSegmentResult,
        "Delete a segment that no other one's rules name; no event is lost by it.",
    )
    async def delete_segment(
        self,
        info: Info,
        input: Annotated[DeleteSegmentInput, strawberry.argument(description="Which segment to delete.")],
    ) -> DeleteSegmentPayload:
        gone = await segments.delete_segment(info.context, which(Segment, input.id, input.name, number_in))
        segment = Segment.of(gone)
        return DeleteSegmentPayload(deleted_id=segment.id, segment=segment)
