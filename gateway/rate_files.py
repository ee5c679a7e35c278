"""Files of exchange rates as the European Central Bank publishes them: a day a line, a currency a column.

The first column is ``Date``, the others are named by currencies; ``N/A`` and nothing stand for no rate.
"""

import csv
import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TextIO

from resolvers.analysis.currencies import CURRENCIES
from resolvers.analysis.exchange_rate_values import exchange_rate
from resolvers.analysis.exchange_rates import ExchangeRate
from resolvers.analysis.intake_values import Invalid
from resolvers.errors import BadInput

_DATE = "Date"
_NOTHING = ("", "N/A")


@dataclass(frozen=True, slots=True)
class RateFile:
    """What a file holds; ``unknown`` are columns of currencies that no event can be in."""

    rates: list[ExchangeRate]
    unknown: tuple[str, ...]


def read_rates(path: Path, base: str, today: date) -> RateFile:
    """The rates of a file (.csv, also packed as .gz or .zip); raises BadInput naming the line at fault."""
    with _opened(path) as lines:
        reader = csv.reader(lines)
        header = [name.strip() for name in next(reader, [])]
        if header[:1] != [_DATE]:
            raise _refusal(f"The first column is not {_DATE}: it is no file of a day a line, a currency a column.")
        named = {place: name for place, name in enumerate(header) if place and name}
        known = {place: name for place, name in named.items() if name in CURRENCIES and name != base}
        rates = [
            _rate({"date": row[0].strip(), "base": base, "currency": currency, "rate": cell}, today, reader.line_num)
            for row in reader
            if row
            for place, currency in known.items()
            if place < len(row) and (cell := row[place].strip()) not in _NOTHING
        ]
    return RateFile(rates, tuple(name for name in named.values() if name not in CURRENCIES))


def _rate(raw: dict[str, str], today: date, line: int) -> ExchangeRate:
    try:
        return exchange_rate(raw, today)
    except Invalid as bad:
        raise _refusal(f"Line {line}, {raw['currency']}: {bad.path} {bad.message}.") from None


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    try:
        with ExitStack() as stack:
            if path.suffix.lower() == ".zip":
                archive = stack.enter_context(zipfile.ZipFile(path))
                tables = [name for name in archive.namelist() if name.lower().endswith(".csv")]
                if len(tables) != 1:
                    raise _refusal(f"There are {len(tables)} CSV files in it, not one.")
                plain = stack.enter_context(archive.open(tables[0]))
                yield io.TextIOWrapper(plain, encoding="utf-8-sig", newline="")
            elif path.suffix.lower() == ".gz":
                yield stack.enter_context(gzip.open(path, "rt", encoding="utf-8-sig", newline=""))
            else:
                yield stack.enter_context(path.open(encoding="utf-8-sig", newline=""))
    except (OSError, EOFError, UnicodeDecodeError, csv.Error, zipfile.BadZipFile, zlib.error) as error:
        raise _refusal(f"The file cannot be read: {error}") from None


def _refusal(message: str) -> BadInput:
    return BadInput(message, field="file")
