"""Exchange rates from files, as a central bank publishes them."""

import gzip
import zipfile
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from gateway.rate_files import read_rates
from resolvers.analysis.exchange_rates import ExchangeRate
from resolvers.errors import BadInput

TODAY = date(2026, 3, 10)
TABLE = "Date,USD,JPY,ROL,\n2026-03-09,1.25,N/A,N/A,\n2026-03-06,1.2,157,,\n"
RATES = [
    ExchangeRate(date(2026, 3, 9), "EUR", "USD", Decimal("1.25")),
    ExchangeRate(date(2026, 3, 6), "EUR", "USD", Decimal("1.2")),
    ExchangeRate(date(2026, 3, 6), "EUR", "JPY", Decimal(157)),
]


def written(folder: Path, name: str, table: str = TABLE) -> Path:
    path = folder / name
    if name.endswith(".zip"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("eurofxref-hist.csv", table)
    elif name.endswith(".gz"):
        path.write_bytes(gzip.compress(table.encode()))
    else:
        path.write_text(table)
    return path


@pytest.mark.parametrize("name", ["r.csv", "r.csv.gz", "r.zip"])
def test_a_file_is_read_however_it_is_packed(tmp_path: Path, name: str) -> None:
    found = read_rates(written(tmp_path, name), "EUR", TODAY)
    assert (found.rates, found.unknown) == (RATES, ("ROL",))


@pytest.mark.parametrize(
    ("name", "table", "said"),
    [
        ("r.csv", "", "first column"),
        ("r.csv", "USD,Date\n1,2026-03-09\n", "first column"),
        ("r.csv", "Date,USD\n2026-03-09,1.25\n2026-03-08,0\n", "Line 3, USD: rate must be"),
        ("r.csv", "Date,USD\n09.03.2026,1.25\n", "Line 2, USD: date must be"),
        ("r.csv", "Date,USD\n2030-03-09,1.25\n", "Line 2, USD: date must be at most"),
    ],
)
def test_a_file_that_is_none_is_refused_by_line(tmp_path: Path, name: str, table: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        read_rates(written(tmp_path, name, table), "EUR", TODAY)


@pytest.mark.parametrize("name", ["r.csv", "r.csv.gz", "r.zip"])
def test_a_damaged_file_is_told(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, name)
    path.write_bytes(b"\xff\xfe" + path.read_bytes()[:-30])
    with pytest.raises(BadInput, match="cannot be read"):
        read_rates(path, "EUR", TODAY)
