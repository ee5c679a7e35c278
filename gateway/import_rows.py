"""The rows of a file, one at a time: CSV or NDJSON, packed by gzip or not, however long it is."""

import csv
import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import orjson

from gateway.import_conditions import Cell
from gateway.import_plan import ImportPlan
from resolvers.errors import BadInput

LONGEST_LINE = 1_000_000


class Row(NamedTuple):
    """A row: the number of the line that it ends on, its text and its cells.

    ``values`` is a list for CSV, a mapping for NDJSON, and None where the row cannot be read, for ``problem``.
    """

    line: int
    raw: str
    values: Any
    problem: str = ""


class Rows:
    """The rows of an open file and the names of its columns; raises BadInput as soon as it proves damaged."""

    def __init__(self, file: TextIO, plan: ImportPlan, form: str, position: Callable[[], int]) -> None:
        self.position = position
        """Bytes of the file that have been read, packed as they are."""
        self._header: list[str] | None = None
        lines = _Lines(file)
        if form == "csv":
            reader = csv.reader(lines, delimiter=plan.delimiter)
            with _damage():
                self._header = [name.strip() for name in next(reader, [])]
            if not self._header:
                raise BadInput("The file has no header.", field="file")
            if not plan.maps:
                raise BadInput("A CSV file needs at least one column mapped.", field="map")
            self._rows = _csv_rows(reader, lines, self._header, plan.delimiter)
        else:
            self._rows = _ndjson_rows(lines)

    def __iter__(self) -> Iterator[Row]:
        with _damage():
            yield from self._rows

    def cell_of(self, column: str) -> Cell:
        """What reads ``column`` of a row; raises BadInput where there is none of that name."""
        if self._header is None:
            return _json_cell(column)
        if column not in self._header:
            raise BadInput(f"There is no column {column!r}; there are {', '.join(self._header)}.", field="map")
        index = self._header.index(column)
        return lambda values: values[index].strip() or None

    def shown(self, row: Row) -> Any:
        """The row as a rejects file holds it."""
        if self._header is not None and row.values is not None:
            return dict(zip(self._header, row.values, strict=True))
        return row.raw


@contextmanager
def open_rows(path: Path, plan: ImportPlan) -> Iterator[Rows]:
    """Open a file for reading; raises BadInput where it cannot be read as what it is said to be."""
    names = [suffix.lower() for suffix in path.suffixes]
    form = plan.format or ("ndjson" if {".ndjson", ".jsonl", ".json"} & set(names) else "csv")
    with ExitStack() as stack:
        with _damage():
            raw = stack.enter_context(path.open("rb"))
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
        content: Any = gzip.GzipFile(fileobj=raw) if packed else raw
        # Bytes that are no text must spoil their own row only, where they are refused as surrogates.
        text = io.TextIOWrapper(content, plan.encoding, errors="surrogateescape", newline="")
        yield Rows(stack.enter_context(text), plan, form, raw.tell)


@contextmanager
def _damage() -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, UnicodeError, zlib.error, csv.Error) as error:
        raise BadInput(f"The file cannot be read: {error}.", field="file") from None


class _Lines:
    """Lines of a file of which none may take more than its share of memory; ``cut`` tells that one was longer."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self.cut = False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._file.readline(LONGEST_LINE)
        if not line:
            raise StopIteration
        if len(line) == LONGEST_LINE and line[-1] != "\n":
            self.cut = True
            while (rest := self._file.readline(LONGEST_LINE)) and rest[-1] != "\n":
                pass
        return line


def _csv_rows(reader: Any, lines: _Lines, header: list[str], delimiter: str) -> Iterator[Row]:
    width = len(header)
    while True:
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            lines.cut = False
            yield Row(reader.line_num, "", None, f"is no CSV: {error}")
            continue
        line = reader.line_num
        if lines.cut:
            lines.cut = False
            yield Row(line, "", None, _TOO_LONG)
        elif len(values) == width:
            yield Row(line, "\x1f".join(values), values)
        elif values:
            problem = f"has {len(values)} columns where the header has {width}"
            yield Row(line, delimiter.join(values), None, problem)


def _ndjson_rows(lines: _Lines) -> Iterator[Row]:
    for number, text in enumerate(lines, start=1):
        raw = text.strip()
        if lines.cut:
            lines.cut = False
            yield Row(number, "", None, _TOO_LONG)
        elif raw:
            try:
                values = orjson.loads(raw)
            except orjson.JSONDecodeError as error:
                yield Row(number, raw, None, f"is no JSON: {error.msg}")
                continue
            if type(values) is dict:
                yield Row(number, raw, values)
            else:
                yield Row(number, raw, None, "is not a JSON object")


_TOO_LONG = f"is longer than {LONGEST_LINE} characters"


def _json_cell(column: str) -> Cell:
    path = column.split(".")

    def cell(values: Any) -> Any:
        found = values.get(column)
        if found is None:
            found = values
            for name in path:
                found = found.get(name) if type(found) is dict else None
        if type(found) is str:
            found = found.strip()
        return None if found == "" else found

    return cell
