"""Results told: a line a ratio, and a file of everything."""

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from benchmarks.bench import Bench
from benchmarks.ratios import Line, Ratio, Skipped

_WIDTH = 30


def line(told: Line) -> str:
    """A ratio in a line: name, median (least to greatest), reach, verdict, what was measured."""
    if isinstance(told, Skipped):
        return f"{told.name:<{_WIDTH}} skipped: {told.reason}"
    unit = f" {told.unit}" if told.unit else ""
    figures = f"{_short(told.median)} ({_short(min(told.values))}–{_short(max(told.values))}){unit}"
    return f"{told.name:<{_WIDTH}} {figures:<26} {_reach(told):<12} {told.verdict:<7} {told.detail}"


def _reach(told: Ratio) -> str:
    if told.reach is None:
        return ""
    return f"{'≥' if told.reach.at_least else '≤'} {_short(told.reach.bound)}{' ' + told.unit if told.unit else ''}"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def write(path: Path, bench: Bench, lines: Sequence[Line]) -> None:
    """Everything measured, as JSON."""
    path.write_bytes(
        orjson.dumps({"run": run(bench), "lines": [_full(one) for one in lines]}, option=orjson.OPT_INDENT_2)
    )


def run(bench: Bench) -> dict[str, Any]:
    """When, on what and how much was measured."""
    return {
        "at": datetime.now(UTC).replace(microsecond=0),
        "machine": f"{os.cpu_count()} × {_processor()}, {platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "events": bench.events,
        "rounds": bench.rounds,
        "subscribers": bench.subscribers,
        "load": os.getloadavg()[0],
    }


def _full(told: Line) -> dict[str, Any]:
    if isinstance(told, Skipped):
        return asdict(told)
    return asdict(told) | {"median": told.median, "verdict": told.verdict}


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.machine()
    names = [row.partition(":")[2].strip() for row in text.splitlines() if row.startswith("model name")]
    return names[0] if names else platform.machine()
