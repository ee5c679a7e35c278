"""ClickHouse as a yardstick for funnels, in a process of its own: ``python -m benchmarks.clickhouse``.

It reads questions from standard input, a line of JSON each, and answers in the same way. It needs the optional
dependency ``chdb``.
"""

import sys
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import orjson
from chdb.session import Session

from benchmarks.company import SORTS, STEPS, Company

THREADS = 2
_ROW = np.dtype([("subject", "<u4"), ("at", "<u8"), ("name", "u1"), ("persona", "u1")])
_COLUMNS = "subject UInt32, at UInt64, name UInt8, persona UInt8"
_FUNNEL = """
SELECT persona, countIf(level >= 1), countIf(level >= 2), countIf(level >= 3), countIf(level >= 4)
FROM (
    SELECT any(persona) AS persona,
           windowFunnel({window})(at, name = 0 AND at < {end}, name = 1, name = 2, name = 3) AS level
    FROM event WHERE at >= {start} AND at < {end} + {window} AND name < 4 GROUP BY subject
)
WHERE level > 0 GROUP BY persona ORDER BY persona
SETTINGS max_threads = {threads}
FORMAT JSONCompactEachRow
"""


class ClickHouse:
    """A company's events in a table sorted by subject and time."""

    def __init__(self, folder: Path, events: int) -> None:
        self._folder = folder
        self._events = events
        self._session = Session(str(folder / f"clickhouse-{events}"))
        self._session.query("CREATE DATABASE IF NOT EXISTS benchmark")
        self._session.query("USE benchmark")
        self._session.query(
            f"CREATE TABLE IF NOT EXISTS event ({_COLUMNS}) ENGINE = MergeTree"
            " PARTITION BY intDiv(at, 2592000000) ORDER BY (subject, at)"
        )

    def load(self) -> int:
        """Fill the table unless an earlier run has; return how many events it holds."""
        if self._count() != self._events:
            self._session.query("TRUNCATE TABLE event")
            path = self._folder / "clickhouse.rows"
            with path.open("wb") as file:
                for block in Company(self._events).blocks():
                    rows = np.zeros(len(block), _ROW)
                    rows["subject"], rows["at"] = block.subject, block.at
                    rows["name"], rows["persona"] = block.sort, block.values["persona"]
                    file.write(rows.tobytes())
            self._session.query(f"INSERT INTO event SELECT * FROM file('{path}', RowBinary, '{_COLUMNS}')")
            path.unlink()
            self._session.query("OPTIMIZE TABLE event FINAL")
        return self._count()

    def funnel(self, start: int, end: int, window: int) -> tuple[float, list[list[int]]]:
        """Seconds taken, and for each persona its number and how many came to each step; times in milliseconds."""
        assert tuple(sort.name for sort in SORTS[: len(STEPS)]) == STEPS
        sql = _FUNNEL.format(start=start, end=end, window=window, threads=THREADS)
        started = perf_counter()
        found = self._session.query(sql).bytes()
        seconds = perf_counter() - started
        return seconds, [[int(value) for value in orjson.loads(line)] for line in found.splitlines()]

    def _count(self) -> int:
        return int(self._session.query("SELECT count() FROM event FORMAT TabSeparated").bytes())


def main(folder: str, events: str) -> None:
    """Load, then answer until the input ends."""
    clickhouse = ClickHouse(Path(folder), int(events))
    _tell(clickhouse.load())
    for line in sys.stdin:
        _tell(clickhouse.funnel(*orjson.loads(line)))


def _tell(answer: Any) -> None:
    print(orjson.dumps(answer).decode(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
