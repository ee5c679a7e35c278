"""What an error takes with it: the field that it is of, and nothing beside that."""

from typing import TypeVar

from strawberry.types.base import StrawberryOptional, get_object_definition

T = TypeVar("T")


def each_by_itself(root: type[T]) -> type[T]:
    """A root type, each of whose fields may be null.

    An error of a field that may not be null takes everything beside it: a dashboard all of its answers for one
    question that was asked wrongly.
    """
    for field in get_object_definition(root, strict=True).fields:
        if not isinstance(field.type, StrawberryOptional):
            field.type = StrawberryOptional(field.type)
    return root
