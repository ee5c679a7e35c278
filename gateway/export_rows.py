"""Rows of an answer's table, and how CSV, JSON and lines of JSON write them."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from resolvers.analysis.intake import camel
from schema.export_tables import Column, Form, Path, Source, Table

Places = tuple[Any, ...]
"""The answer, and the item of each of a table's lists that a row is in."""

_QUOTED = re.compile(r'[",;\t\r\n]|^\s|\s$|^$')
# What spreadsheets take for the beginning of a formula, in both widths; some of them pass over white space before it.
_FORMULA = re.compile(r"\s*[=+\-@＝＋－＠]|[\t\r\n]")


@dataclass(frozen=True, slots=True)
class Cells:
    """One column as it is written: its heading, and where a row has its cell."""

    name: str
    form: Form
    find: Callable[[Places, int], Any]


def columns(table: Table, answer: Any) -> list[Cells]:
    """The columns of an answer's table; which dimensions and steps it was broken down by, the answer tells."""
    return [cells for column in table.columns for cells in _cells(table, column, answer)]


def rows(table: Table, written: Sequence[Cells], answer: Any) -> Iterator[list[Any]]:
    """The rows of an answer's table, one cell for each of the columns ``written``."""
    for places in _places(table.lists, (answer,)):
        for place in range(_height(table, places)):
            yield [cells.find(places, place) for cells in written]


def _places(lists: Sequence[Path], above: Places) -> Iterator[Places]:
    if not lists:
        yield above
        return
    for item in _at(above[-1], lists[0]) or ():
        yield from _places(lists[1:], (*above, item))


def _height(table: Table, places: Places) -> int:
    """How many rows an item makes: one, or as many as its longest list has values."""
    if not table.exploded:
        return 1
    vectors = (column for column in table.columns if column.source is Source.VECTOR)
    return max(len(_at(places[column.depth], column.path) or ()) for column in vectors)


def _at(value: Any, path: Path) -> Any:
    """What stands at a path; None where anything on it is null."""
    for name in path:
        if value is None:
            return None
        value = value[name]
    return value


def _cells(table: Table, column: Column, answer: Any) -> Iterator[Cells]:
    depth, path, name, form = column.depth, column.path, column.name, column.form
    match column.source:
        case Source.VALUE:
            yield Cells(name, form, lambda places, _: _at(places[depth], path))
        case Source.PLACE:
            yield Cells(name, form, lambda _, place: place)
        case Source.VECTOR:
            yield Cells(name, form, lambda places, place: _nth(_at(places[depth], path), place))
        case Source.GRID:
            held = (_at(places[depth], path) or () for places in _places(table.lists, (answer,)))
            for number in range(max(map(len, held), default=0)):
                yield _grid(column, number)
        case Source.KEYS:
            keys = (key for places in _places(table.lists[:depth], (answer,)) for key in _at(places[depth], path))
            for dimension in dict.fromkeys(key["dimension"] for key in keys):
                yield _key(column, dimension)


def _grid(column: Column, number: int) -> Cells:
    def find(places: Places, place: int) -> Any:
        return _nth(_nth(_at(places[column.depth], column.path), number), place)

    return Cells(f"{column.name}.{number}", column.form, find)


def _key(column: Column, dimension: str) -> Cells:
    def find(places: Places, _: int) -> Any:
        keys = _at(places[column.depth], column.path)
        return next((key["value"] for key in keys if key["dimension"] == dimension), None)

    return Cells(camel(dimension.lower()), column.form, find)


def _nth(values: Sequence[Any] | None, place: int) -> Any:
    return values[place] if values is not None and place < len(values) else None


class Csv:
    """Comma-separated values, RFC 4180: null is an empty cell, an empty text is quoted."""

    media_type = "text/csv; charset=utf-8; header=present"

    def begin(self, written: Sequence[Cells]) -> bytes:
        """The headings."""
        return _line([_text(cells.name) for cells in written])

    def row(self, written: Sequence[Cells], values: Sequence[Any], *, first: bool) -> bytes:
        """One row."""
        return _line([_cell(cells.form, value) for cells, value in zip(written, values, strict=True)])

    def end(self) -> bytes:
        """Nothing."""
        return b""


class Lines:
    """Lines of JSON, an object each, numbers as GraphQL has them."""

    media_type = "application/x-ndjson"

    def begin(self, written: Sequence[Cells]) -> bytes:
        """Nothing."""
        return b""

    def row(self, written: Sequence[Cells], values: Sequence[Any], *, first: bool) -> bytes:
        """One row."""
        return _object(written, values) + b"\n"

    def end(self) -> bytes:
        """Nothing."""
        return b""


class Json:
    """One array of the objects that lines of JSON would hold."""

    media_type = "application/json"

    def begin(self, written: Sequence[Cells]) -> bytes:
        """The array's beginning."""
        return b"["

    def row(self, written: Sequence[Cells], values: Sequence[Any], *, first: bool) -> bytes:
        """One row."""
        return (b"\n" if first else b",\n") + _object(written, values)

    def end(self) -> bytes:
        """The array's end."""
        return b"\n]\n"


Writer = Csv | Lines | Json
WRITERS: dict[str, type[Writer]] = {"csv": Csv, "ndjson": Lines, "json": Json}
"""By the ending of the file."""


def _object(written: Sequence[Cells], values: Sequence[Any]) -> bytes:
    return orjson.dumps({cells.name: value for cells, value in zip(written, values, strict=True)})


def _line(cells: Sequence[str]) -> bytes:
    return (",".join(cells) + "\r\n").encode()


def _cell(form: Form, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    # Decimals are text in JSON; what is a number by its type is none that could be a formula.
    if form is Form.NUMBER:
        return str(value)
    return _text(value if isinstance(value, str) and form is Form.TEXT else orjson.dumps(value).decode())


def _text(text: str) -> str:
    """The text as a cell: what a spreadsheet would compute has an apostrophe before it."""
    if _FORMULA.match(text):
        text = f"'{text}"
    return '"' + text.replace('"', '""') + '"' if _QUOTED.search(text) else text
