"""Where in the input an error lies: the field that ``extensions.field`` names, also of what GraphQL itself refuses.

GraphQL says it in words or by a node of the document; resolvers say it by a dotted path with indexes, such as
``metrics[1].margin``. Here the former becomes the latter.
"""

import re
from collections.abc import Iterator

from graphql import (
    ArgumentNode,
    DocumentNode,
    GraphQLError,
    ListValueNode,
    Node,
    ObjectFieldNode,
    VariableNode,
)

_INPUT = "input"
"""The argument of mutations, whose fields are told by themselves."""
_VALUE = re.compile(
    r"(?:Variable '\$(?P<variable>\w+)'|Argument '(?P<argument>\w+)') has invalid (?:default )?value"
    r"(?: at (?P<at>[.\[][\w.\[\]]*))?: ",
    re.ASCII,
)
"""How GraphQL says where in a variable or an argument something is wrong."""
_LACKING = re.compile(
    r"Expected value of type '\w+' (?:to include required|not to include unknown) field '(?P<field>\w{1,100})'",
    re.ASCII,
)
"""Of an object that lacks a field, or has one too many: the place is that of the object."""
_REQUIRED = re.compile(r"Argument '(?:@?[\w.]+\()?(?P<field>\w+)(?::\))?' of (?:required )?type '", re.ASCII)

Path = tuple[str | int, ...]


class Places:
    """The places of input in a document; it is walked when first asked for one."""

    def __init__(self, document: DocumentNode) -> None:
        self._document = document
        self._paths: dict[int, Path] = {}
        self._variables: dict[str, Path] = {}

    def of(self, error: GraphQLError) -> str | None:
        """The dotted path of what ``error`` is about; None where that is no input, or no single one."""
        if not self._paths:
            self._walk()
        if (required := _REQUIRED.match(error.message)) is not None:
            return required["field"]
        value = _VALUE.match(error.message)
        rest = error.message[value.end() :] if value is not None else error.message
        path = self._of_nodes(error) if value is None else self._of_value(value)
        lacking = _LACKING.match(rest)
        # The node of a field too many is the field itself.
        if path is not None and lacking is not None and path[-1:] != (lacking["field"],):
            path = (*path, lacking["field"])
        return _dotted(path) if path else None

    def _of_value(self, found: re.Match[str]) -> Path:
        at = found["at"] or ""
        keys = [int(key) if key.isdigit() else key for key in re.findall(r"\w+", at, re.ASCII)]
        name = found["argument"]
        start = (name,) if name is not None else self._variables.get(found["variable"], (found["variable"],))
        return (*start, *keys)

    def _of_nodes(self, error: GraphQLError) -> Path | None:
        known = [self._paths[id(node)] for node in error.nodes or () if id(node) in self._paths]
        return known[0] if known else None

    def _walk(self) -> None:
        pending: list[tuple[Node, Path]] = [(self._document, ())]
        for node, path in pending:  # which grows meanwhile
            if path:
                self._paths[id(node)] = path
            if isinstance(node, VariableNode) and path:
                self._variables.setdefault(node.name.value, path)
            pending += _within(node, path)


def _within(node: Node, path: Path) -> Iterator[tuple[Node, Path]]:
    """The nodes right within one, each with its path as input, which is empty outside of arguments."""
    for key in node.keys:
        inside = getattr(node, key, None)
        for place, child in enumerate(inside if isinstance(inside, list | tuple) else [inside]):
            if isinstance(child, ArgumentNode | ObjectFieldNode):
                yield child, (*path, child.name.value)
            elif isinstance(child, Node):
                yield child, (*path, place) if isinstance(node, ListValueNode) else path


def _dotted(path: Path) -> str:
    """``metrics[1].margin`` of what lies in ``input``; the argument itself by its own name."""
    first, *rest = path[1:] if path[0] == _INPUT and len(path) > 1 else path
    return str(first) + "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in rest)
