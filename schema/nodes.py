"""Global identification: whatever has an ``id`` can be fetched again by it."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, ClassVar

import strawberry

from resolvers.context import Context, Role
from schema.access import Info, field
from schema.errors import refusal

MAX_IDS = 100


def encode(kind: str, key: str) -> str:
    """An opaque text that holds a kind and a key."""
    return urlsafe_b64encode(f"{kind}:{key}".encode()).decode().rstrip("=")


def decode(text: str) -> tuple[str, str] | None:
    """The kind and key of an opaque text; None where it is none of ours."""
    try:
        content = urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except (NotBase64, UnicodeError, ValueError):
        return None
    kind, colon, key = content.partition(":")
    # Only the one spelling that encode gives is taken: base64 has several for the same bytes.
    return (kind, key) if colon and encode(kind, key) == text else None


@strawberry.interface(description="Anything with a global id, by which `node` finds it again.")
class Node:
    types: ClassVar[dict[str, "type[Node]"]] = {}
    """Each type by its GraphQL name."""

    id: strawberry.ID = strawberry.field(
        description="Global id: opaque, the same for as long as the object exists, unique among all types."
    )

    def __init_subclass__(cls) -> None:
        Node.types[cls.__name__] = cls

    @classmethod
    async def load(cls, context: Context, keys: Sequence[str]) -> Mapping[str, "Node"]:
        """Those of the keys that the caller's tenant has, each with its object; any text may come as a key."""
        raise NotImplementedError


def _reference(text: str, field: str) -> tuple[type[Node], str]:
    kind, key = decode(text) or ("", "")
    if kind not in Node.types:
        raise refusal(field, "is no id of this gateway; pass on what a field `id` gave")
    return Node.types[kind], key


def key_of(node_type: type[Node], text: str, field: str) -> str:
    """The key in a global id of one type; BadInput on ``field`` where it is none."""
    found, key = _reference(text, field)
    if found is not node_type:
        raise refusal(field, f"is an id of the type {found.__name__}; one of the type {node_type.__name__} is needed")
    return key


IdArgument = Annotated[strawberry.ID | None, strawberry.argument(description="Its global id.")]
NameArgument = Annotated[str | None, strawberry.argument(description="Its name.")]


def one_of(id: str | None, name: str | None, called: str = "name") -> str | None:
    """The name of what is looked for, None where it is the id that is given; BadInput unless exactly one of them is."""
    if (id is None) == (name is None):
        raise refusal("id" if id is None else called, f"must be given, or the other: exactly one of id and {called}")
    return name


def which(
    node_type: type[Node], id: str | None, name: str | None, number: Callable[[str], int], called: str = "name"
) -> int | str:
    """The number or the name of what is meant, as resolvers take it; BadInput as ``one_of`` says, or for another's id.

    ``number`` makes a number of a key.
    """
    found = one_of(id, name, called)
    return number(key_of(node_type, id or "", "id")) if found is None else found


@strawberry.type
class NodeQuery:
    @field(
        Role.VIEWER,
        Node | None,
        "The object with a global id. Null where it does not exist (any more) for this tenant.",
    )
    async def node(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="A global id, as a field `id` gave it.")],
    ) -> Node | None:
        node_type, key = _reference(id, "id")
        return (await node_type.load(info.context, [key])).get(key)

    @field(
        Role.VIEWER,
        list[Node | None],
        "The objects with these global ids, in the order of the ids; null for each that does not exist.",
    )
    async def nodes(
        self,
        info: Info,
        ids: Annotated[list[strawberry.ID], strawberry.argument(description=f"At most {MAX_IDS} global ids.")],
    ) -> list[Node | None]:
        if len(ids) > MAX_IDS:
            raise refusal("ids", f"must be at most {MAX_IDS}")
        references = [_reference(id, f"ids[{index}]") for index, id in enumerate(ids)]
        found = {}
        for node_type in {node_type for node_type, _ in references}:
            keys = [key for of_type, key in references if of_type is node_type]
            found[node_type] = await node_type.load(info.context, list(dict.fromkeys(keys)))
        return [found[node_type].get(key) for node_type, key in references]
