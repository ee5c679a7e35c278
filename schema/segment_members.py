"""Who is in a segment, as a list of its own: to be paged through, and downloaded."""

from typing import Annotated

import strawberry

from resolvers import segment_members, segments
from resolvers.analysis.filters import InSegment
from resolvers.context import Role
from schema.access import Info, field
from schema.conditions import segment_reference
from schema.pages import After, Connection, First, open_cursor, page
from schema.subjects import Subject


@strawberry.type
class SegmentMemberQuery:
    @field(
        Role.ANALYST,
        Connection[Subject],
        "The subjects in a segment as of its last refresh, in the order in which they first appeared: what "
        "`Segment.members` pages through, to be downloaded from `/export/segmentMembers.csv` too.",
    )
    async def segment_members(
        self,
        info: Info,
        segment: Annotated[
            strawberry.ID, strawberry.argument(description="The segment, given by its `id` or its name.")
        ],
        first: First = 50,
        after: After = None,
    ) -> Connection[Subject]:
        named = InSegment(segment_reference(segment, "segment"), field="segment")
        (found,) = await segments.segments_named(info.context, [named])
        shown = await segment_members.members(info.context, found.id, first=first, after=open_cursor("Subject", after))
        nodes = [Subject.of(one) for one in shown.subjects]
        return page("Subject", nodes, shown.cursors, has_next=shown.has_next, after=after)
