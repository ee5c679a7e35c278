"""Whether variables are small enough to be coerced: each object of an input type takes a moment in everybody's way."""

from collections.abc import Mapping

from graphql import ListTypeNode, NamedTypeNode, NonNullTypeNode, OperationDefinitionNode, TypeNode

MOST_CONTAINERS = 3_000
"""Lists and objects in a variable that is no batch."""
LONGEST_LIST = 10_000
_BATCHES = frozenset({"EventInput", "IngestEventsInput", "SetExchangeRatesInput"})


def are_modest(operation: OperationDefinitionNode, variables: Mapping[str, object]) -> bool:
    """Whether what ``variables`` hold for ``operation`` may be coerced; linear in what is allowed."""
    for definition in operation.variable_definitions or ():
        value = variables.get(definition.variable.name.value)
        if isinstance(value, list | dict) and not _is_modest(value, _named(definition.type) in _BATCHES):
            return False
    return True


def _named(node: TypeNode) -> str:
    if isinstance(node, ListTypeNode | NonNullTypeNode):
        return _named(node.type)
    return node.name.value if isinstance(node, NamedTypeNode) else ""


def _is_modest(value: object, batch: bool) -> bool:
    stack, containers = [value], 0
    while stack:
        value = stack.pop()
        if not isinstance(value, list | dict):
            continue
        containers += 1
        if len(value) > LONGEST_LIST or (containers > MOST_CONTAINERS and not batch):
            return False
        stack.extend(value if isinstance(value, list) else value.values())
    return True
