"""Lists in pages, as Relay's cursor connections specify them, forward only."""

from collections.abc import Sequence
from typing import Annotated, Generic, TypeVar

import strawberry

from schema.errors import refusal
from schema.nodes import Node, decode, encode

MAX_PAGE = 500

First = Annotated[int, strawberry.argument(description=f"How many to return at most, 1 to {MAX_PAGE}.")]
After = Annotated[
    str | None,
    strawberry.argument(
        description="Continue after this cursor, the `endCursor` of the page before; absent or null for the first page."
    ),
]

N = TypeVar("N", bound=Node)


@strawberry.type(description="Where a page lies in its list.")
class PageInfo:
    has_next_page: bool = strawberry.field(description="Whether more follow after this page.")
    has_previous_page: bool = strawberry.field(description="Whether this page was asked for `after` another.")
    start_cursor: str | None = strawberry.field(description="The first item's cursor; null on an empty page.")
    end_cursor: str | None = strawberry.field(
        description="The last item's cursor, to pass as `after` for the next page; null on an empty page."
    )


@strawberry.type(description="An item of a list and its place in it.")
class Edge(Generic[N]):
    cursor: str = strawberry.field(
        description="The item's place: opaque, valid in this list only, and stable while the list grows."
    )
    node: N = strawberry.field(description="The item.")


@strawberry.type(description="A page of a list.")
class Connection(Generic[N]):
    edges: list[Edge[N]] = strawberry.field(description="The page's items, at most `first`.")
    page_info: PageInfo = strawberry.field(description="Where the page lies in its list.")


def open_cursor(kind: str, after: str | None) -> str | None:
    """The resolvers' cursor in a client's; BadInput where it is one of another list, or none."""
    if after is None:
        return None
    found, cursor = decode(after) or ("", "")
    if found != f"{kind}Cursor":
        raise refusal("after", "is no cursor of this list; pass on an `endCursor` that it gave")
    return cursor


def page(kind: str, nodes: Sequence[N], cursors: Sequence[str], *, has_next: bool, after: str | None) -> Connection[N]:
    """A page of nodes of one kind with the resolvers' cursor of each."""
    sealed = [encode(f"{kind}Cursor", cursor) for cursor in cursors]
    return Connection(
        edges=[Edge(cursor=cursor, node=node) for cursor, node in zip(sealed, nodes, strict=True)],
        page_info=PageInfo(
            has_next_page=has_next,
            has_previous_page=after is not None,
            start_cursor=sealed[0] if sealed else None,
            end_cursor=sealed[-1] if sealed else None,
        ),
    )
