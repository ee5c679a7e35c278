"""Tables: any answer as rows and columns, told from its type alone, so that an analysis added later has them too.

An answer's own table has one row of all that stands in it once. Each list of objects makes a table of its own, a row an
item, and so does each object that holds lists side by side (``at[i]``, ``value[i]``): a row a place in them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache

from graphql import (
    GraphQLField,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    is_leaf_type,
)
from strawberry.schema.schema_converter import GraphQLCoreConverter

ANSWER, ROWS, GROUPS, LISTS = "answer", "rows", "groups", "lists"
"""The names of the table of an answer that is one object, of one that is a list or a connection, of a breakdown, and of
the lists that an answer itself holds side by side."""
BESIDE = "beside"
"""The key of a field's metadata that names the field, of the same object, whose rows its columns belong to."""

_NUMBERS = frozenset({"Int", "Float", "BigInt", "Decimal"})
_NAMES = frozenset({"id", "slug", "name", "key"})
_KEYS = "DimensionValue"
_ASIDE = frozenset({"Money", "ModelFinding", "PersonaPreference", "SegmentSummary"})
"""Items of which no table is what an answer is about."""
_FOREMOST = frozenset({"ExperimentEffect"})
"""Items that an answer is about, wherever in it they stand."""
_KEPT = "Node"
"""What implements it is told by its own row first."""

Path = tuple[str, ...]


class Form(Enum):
    """What a cell holds."""

    TEXT = "text"
    NUMBER = "number"
    JSON = "json"


class Source(Enum):
    """How a column finds its cells."""

    VALUE = "value"
    """The value at its path."""
    VECTOR = "vector"
    """The value at the row's place in the list at its path."""
    GRID = "grid"
    """Likewise, of each list in the list at its path: a column each."""
    KEYS = "keys"
    """Of the list of dimension values at its path: a column each dimension."""
    PLACE = "place"
    """The row's place in the lists, from 0."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column, or as many as its source says."""

    name: str
    depth: int
    """Where its path begins: 0 at the answer, 1 at the item of the table's first list, and so on."""
    path: Path
    form: Form
    source: Source = Source.VALUE


@dataclass(frozen=True, slots=True)
class Table:
    """One table of an answer."""

    name: str
    lists: tuple[Path, ...]
    """The lists whose items are gone through for its rows: the path of each from the item of the one before."""
    columns: tuple[Column, ...]
    aside: bool = False
    """Whether it is never what the answer is about."""
    foremost: bool = False
    """Whether it is what the answer is about."""

    @property
    def exploded(self) -> bool:
        """Whether an item makes a row for each place in its lists."""
        return any(column.source is Source.VECTOR for column in self.columns)

    def paths(self) -> Iterator[Path]:
        """What has to be selected for it, from the answer."""
        for column in self.columns:
            begin = tuple(name for part in self.lists[: column.depth] for name in part)
            if column.source is Source.KEYS:
                yield (*begin, *column.path, "dimension")
                yield (*begin, *column.path, "value")
            elif column.source is not Source.PLACE:
                yield (*begin, *column.path)


def bare(type_: GraphQLOutputType) -> GraphQLOutputType:
    """The type without its not being null."""
    return type_.of_type if isinstance(type_, GraphQLNonNull) else type_


def is_connection(type_: GraphQLOutputType) -> bool:
    """Whether it is a list in pages."""
    named = bare(type_)
    return isinstance(named, GraphQLObjectType) and named.name.endswith("Connection")


@cache
def tables(type_: GraphQLOutputType) -> Mapping[str, Table]:
    """The tables of an answer of this type, by name, in the order in which the type holds them; none of a value."""
    named, paged = bare(type_), is_connection(type_)
    lists: tuple[Path, ...] = ()
    path: Path = ()
    if paged:
        assert isinstance(named, GraphQLObjectType)
        edge = _item(named.fields["edges"].type)
        assert isinstance(edge, GraphQLObjectType)
        named, lists, path = bare(edge.fields["node"].type), (("edges",),), ("node",)
    elif isinstance(named, GraphQLList):
        named, lists = _item(named), ((),)
    if not isinstance(named, GraphQLObjectType):
        return {}
    survey = _Survey(paged)
    survey.rows(named, ROWS if lists else ANSWER, lists, path, (), ())
    return {table.name: table for table in survey.tables if table.columns}


def default(found: Mapping[str, Table], *, grouped: bool) -> Table:
    """The table that an answer is about: its groups where it was broken down, else its first list, else itself.

    Of something that is kept, such as an experiment, it is always itself.
    """
    if ROWS in found:
        return found[ROWS]
    if grouped and GROUPS in found:
        return found[GROUPS]
    if foremost := next((table for table in found.values() if table.foremost), None):
        return foremost
    lists = (table for table in found.values() if not table.aside and "." not in table.name)
    return next((table for table in lists if table.name not in (ANSWER, GROUPS)), found[ANSWER])


def _item(type_: GraphQLOutputType) -> GraphQLOutputType:
    inner = bare(type_)
    return bare(inner.of_type) if isinstance(inner, GraphQLList) else inner


def _kept(type_: GraphQLObjectType) -> bool:
    return _KEPT in (one.name for one in type_.interfaces)


def _plain(type_: GraphQLObjectType) -> dict[str, GraphQLField]:
    """The fields that need no arguments: what has some is another question."""
    return {name: field for name, field in type_.fields.items() if not field.args}


def _vectors(type_: GraphQLObjectType) -> dict[str, GraphQLField]:
    """The lists of values that an object holds side by side; none where there are not several.

    Those of something that is kept, such as what can be done to an experiment, have nothing to do with each other.
    """
    if _kept(type_):
        return {}
    found = {
        name: field
        for name, field in _plain(type_).items()
        if isinstance(bare(field.type), GraphQLList) and not isinstance(_core(field.type), GraphQLObjectType)
    }
    return found if len(found) > 1 else {}


def _core(type_: GraphQLOutputType) -> GraphQLOutputType:
    """What the lists hold in the end."""
    inner = bare(type_)
    return _core(inner.of_type) if isinstance(inner, GraphQLList) else inner


def _form(type_: GraphQLOutputType) -> Form:
    name = getattr(bare(type_), "name", None)
    return Form.NUMBER if name in _NUMBERS else Form.JSON if name in (None, "JSON") else Form.TEXT


class _Survey:
    """Finds the tables of a type."""

    def __init__(self, paged: bool) -> None:
        self.tables: list[Table] = []
        self._paged = paged
        """Whether rows are written before all are known: what columns there are must not depend on them."""

    def rows(
        self,
        type_: GraphQLObjectType,
        name: str,
        lists: tuple[Path, ...],
        path: Path,
        inherited: tuple[Column, ...],
        seen: tuple[GraphQLObjectType, ...],
        beside: tuple[Column, ...] = (),
    ) -> None:
        """Add the table of a list's items, or of the answer, and those of what they hold."""
        place = len(self.tables)
        self.tables.append(Table(name, lists, ()))
        columns = [*inherited, *(self._place(type_, beside) if lists else ()), *beside]
        named = (*inherited, *self._names(type_, name, len(lists), path))
        below = _Place(name, lists, named if lists else ())
        self._object(type_, below, path, (), columns, (*seen, type_))
        if lists:
            columns += self._lists(type_, len(lists), path, ())
        else:
            self._side_by_side(type_, below, path, (LISTS,))
        # What tells rows apart comes first, wherever the type has it.
        columns.sort(key=lambda column: column.source is not Source.KEYS)
        foremost = type_.name in _FOREMOST or (not lists and _kept(type_))
        self.tables[place] = Table(name, lists, tuple(columns), type_.name in _ASIDE, foremost)

    def _object(
        self,
        type_: GraphQLObjectType,
        place: "_Place",
        path: Path,
        prefix: Path,
        columns: list[Column],
        seen: tuple[GraphQLObjectType, ...],
    ) -> None:
        """Add what an object tells its row, and the tables of the lists in it."""
        vectors, depth = _vectors(type_), len(place.lists)
        for name, field in _plain(type_).items():
            inner, here, shown = bare(field.type), (*path, name), (*prefix, name)
            title = ".".join(shown)
            if is_leaf_type(inner):
                columns.append(Column(title, depth, here, _form(inner)))
            elif isinstance(inner, GraphQLObjectType) and inner not in seen:
                self._object(inner, place, here, shown, columns, (*seen, inner))
                self._side_by_side(inner, place, here, shown)
            elif isinstance(inner, GraphQLList) and name not in vectors:
                item = _item(inner)
                if not isinstance(item, GraphQLObjectType):
                    columns.append(Column(title, depth, here, Form.JSON))
                elif item.name == _KEYS and not self._paged:
                    columns.append(Column("", depth, here, Form.TEXT, Source.KEYS))
                elif item not in seen:
                    beside = self._beside(type_, field, depth, path, prefix)
                    below = (*place.lists, here)
                    self.rows(item, place.below(shown), below, (), place.columns, seen, beside)

    def _side_by_side(self, type_: GraphQLObjectType, place: "_Place", path: Path, shown: Path) -> None:
        """Add the table of an object that holds lists side by side."""
        if vectors := self._lists(type_, len(place.lists), path, ()):
            numbered = self._place(type_, ())
            columns = [*place.columns, *numbered]
            for name, field in _plain(type_).items() if path else ():
                if is_leaf_type(inner := bare(field.type)):
                    columns.append(Column(name, len(place.lists), (*path, name), _form(inner)))
            self.tables.append(Table(place.below(shown), place.lists, (*columns, *vectors), bool(numbered)))

    def _place(self, type_: GraphQLObjectType, beside: tuple[Column, ...]) -> list[Column]:
        """The rows' place, where nothing else says what they are of."""
        vectors = _vectors(type_).values()
        dated = any(getattr(_core(field.type), "name", "") == "DateTime" for field in vectors)
        return [] if not vectors or dated or beside else [Column("place", 0, (), Form.NUMBER, Source.PLACE)]

    def _lists(self, type_: GraphQLObjectType, depth: int, path: Path, prefix: Path) -> list[Column]:
        columns = []
        for name, field in _vectors(type_).items():
            item = _item(field.type)
            grid = isinstance(item, GraphQLList) and not self._paged
            form, source = _form(_core(field.type)) if grid else _form(item), Source.GRID if grid else Source.VECTOR
            columns.append(Column(".".join((*prefix, name)), depth, (*path, name), form, source))
        return columns

    def _beside(
        self, type_: GraphQLObjectType, field: GraphQLField, depth: int, path: Path, prefix: Path
    ) -> tuple[Column, ...]:
        """The columns of the object whose rows those of a list's items belong to."""
        definition = field.extensions.get(GraphQLCoreConverter.DEFINITION_BACKREF)
        other = None if definition is None else definition.metadata.get(BESIDE)
        if other is None:
            return ()
        held = bare(type_.fields[other].type)
        assert isinstance(held, GraphQLObjectType)
        return tuple(self._lists(held, depth, (*path, other), (*prefix, other)))

    def _names(self, type_: GraphQLObjectType, name: str, depth: int, path: Path) -> Iterator[Column]:
        """What tells an item from others, for the rows of the lists in it."""
        vectors = _vectors(type_)
        for key, field in _plain(type_).items():
            inner = bare(field.type)
            if is_leaf_type(inner):
                yield Column(f"{name}.{key}", depth, (*path, key), _form(inner))
            elif isinstance(inner, GraphQLObjectType):
                for part in sorted(_NAMES & _plain(inner).keys()):
                    if is_leaf_type(leaf := bare(inner.fields[part].type)):
                        yield Column(f"{name}.{key}.{part}", depth, (*path, key, part), _form(leaf))
            elif key not in vectors and getattr(_item(inner), "name", "") == _KEYS and not self._paged:
                yield Column("", depth, (*path, key), Form.TEXT, Source.KEYS)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in an answer a table's rows are, and what those of its lists are told of them."""

    name: str
    lists: tuple[Path, ...]
    columns: tuple[Column, ...]

    def below(self, shown: Path) -> str:
        """The name of a table in it."""
        return ".".join(shown if self.name in (ANSWER, ROWS) else (self.name, *shown))
