"""What an export asks: a field of Query with its arguments, as the GraphQL operation that any client could send.

The operation selects what the table needs and no more; so arguments, roles, costs and errors are those of the field.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from graphql import GraphQLField, GraphQLSchema

from resolvers.context import Role
from resolvers.errors import BadInput, NotFound
from schema.export_tables import Path, Table, default, is_connection, tables

PAGE = ("first", "after")
"""The arguments by which a list is gone through."""
_PAGE_INFO = (("pageInfo", "hasNextPage"), ("pageInfo", "endCursor"))
_PERSONAL = "subject"
"""The field that names people, wherever it stands."""
_SHOWN = 80


@dataclass(frozen=True, slots=True)
class ExportQuestion:
    """What is asked for an export."""

    field: str
    table: Table | None
    """The table wanted; None for the answer as it is."""
    query: str
    variables: Mapping[str, Any]
    paged: bool
    """Whether the operation asks for a page, by the variables ``first`` and ``after``."""
    tables: tuple[str, ...]
    """The names of all tables that the answer has."""
    needs: Role
    """Who may have it, beside whom the field itself asks for: lists of people are for analysts."""


def export_question(
    schema: GraphQLSchema, field: str, arguments: Mapping[str, Any], table: str | None, *, whole: bool
) -> ExportQuestion:
    """The question that an export asks of a field; where no ``table`` is named, of the ``whole`` answer or its default.

    Raises NotFound for a field that cannot be exported and BadInput for a table or an argument that there is not.
    """
    definition = query_field(schema, field)
    found = {} if definition is None else tables(definition.type)
    if definition is None or not found:
        raise NotFound(f"There is no export of {_cut(field)}; name an analysis or a list of Query.", field="field")
    paged = is_connection(definition.type)
    types = {name: str(argument.type) for name, argument in definition.args.items()}
    for name in arguments:
        if name not in types:
            raise BadInput(f"{field} takes no argument {_cut(name)}.", field=f"arguments.{_cut(name)}")
        if paged and name in PAGE:
            raise BadInput("An export holds the whole list: leave first and after out.", field=f"arguments.{name}")
    wanted = _table(found, table, whole=whole, grouped=bool(arguments.get("by")))
    # Rows of one list are what can be written while the next page is read; an answer cannot.
    if paged and wanted is None:
        wanted = default(found, grouped=False)
    paths = list(wanted.paths() if wanted is not None else (path for one in found.values() for path in one.paths()))
    given = [*arguments, *(PAGE if paged else ())]
    selection = _selection([*paths, *(_PAGE_INFO if paged else ())])
    declared = ", ".join(f"${name}: {types[name]}" for name in given)
    passed = ", ".join(f"{name}: ${name}" for name in given)
    # An operation may not have empty parentheses.
    query = f"query Export{f'({declared})' if given else ''} {{ {field}{f'({passed})' if given else ''} {selection} }}"
    personal = any(path[-1] == _PERSONAL for path in paths)
    needs = Role.ANALYST if personal else Role.VIEWER
    return ExportQuestion(field, wanted, query, dict(arguments), paged, tuple(found), needs)


def query_field(schema: GraphQLSchema, name: str) -> GraphQLField | None:
    """A field of Query; None where there is none of the name."""
    return None if schema.query_type is None else schema.query_type.fields.get(name)


def _table(found: Mapping[str, Table], name: str | None, *, whole: bool, grouped: bool) -> Table | None:
    if name is None:
        return None if whole else default(found, grouped=grouped)
    if name not in found:
        raise BadInput(f"There is no table {_cut(name)}; there are {', '.join(found)}.", field="table")
    return found[name]


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _selection(paths: Iterable[Path]) -> str:
    """The selection set that holds these paths."""
    tree: dict[str, Any] = {}
    for path in paths:
        place = tree
        for name in path:
            place = place.setdefault(name, {})
    return _written(tree)


def _written(tree: Mapping[str, Any]) -> str:
    fields = (f"{name} {_written(below)}" if below else name for name, below in tree.items())
    return f"{{ {' '.join(fields)} }}"
