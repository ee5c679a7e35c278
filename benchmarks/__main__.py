"""``python -m benchmarks``: every ratio, or some of them."""

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated

import platformdirs
import typer
import uvloop
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks import report
from benchmarks.analyses import ai_providers, ai_roi, cohorts
from benchmarks.assignments import assignments
from benchmarks.attribution import attribution
from benchmarks.bench import Bench
from benchmarks.dashboard import dashboard
from benchmarks.experiments import experiment
from benchmarks.flags import flag_evaluations
from benchmarks.funnels import funnel
from benchmarks.lists import list_of_objects
from benchmarks.memory import memory
from benchmarks.overload import overload
from benchmarks.ratios import Line
from benchmarks.segmented import segmented
from benchmarks.subscribers import subscribers
from benchmarks.subscriptions import recurring_revenue
from benchmarks.upkeep import upkeep
from benchmarks.writing import batches, single_events
from gateway.embedded import EmbeddedPostgres
from gateway.postgres_server import EmbeddedPostgresError
from gateway.telemetry import configure_logging

ROWS: dict[str, Callable[[Bench], Awaitable[list[Line]]]] = {
    "singles": single_events,
    "batches": batches,
    "upkeep": upkeep,
    "dashboard": dashboard,
    "funnel": funnel,
    "attribution": attribution,
    "cohorts": cohorts,
    "segment": segmented,
    "roi": ai_roi,
    "providers": ai_providers,
    "recurring": recurring_revenue,
    "experiment": experiment,
    "assignment": assignments,
    "flags": flag_evaluations,
    "subscribers": subscribers,
    "list": list_of_objects,
    "overload": overload,
    "memory": memory,
}
"""What there is to measure; ``dashboard`` is computed and repeated."""

EventsOption = Annotated[int, typer.Option(min=1_000, help="Events of the log that questions are asked of.")]
OnlyOption = Annotated[list[str] | None, typer.Option(help=f"One of {', '.join(ROWS)}. Repeat for several.")]
RoundsOption = Annotated[int, typer.Option(min=1, help="How often each side is measured, in turns.")]
SubscribersOption = Annotated[int, typer.Option(min=1, help="Subscribers of one question.")]
SecondsOption = Annotated[float, typer.Option(min=0.01, help="How long a server is asked in one round.")]
OutOption = Annotated[Path | None, typer.Option(help="File for everything measured, as JSON.")]
DataDirOption = Annotated[
    Path | None, typer.Option(help="Where events are kept between runs.", show_default="a per-user folder")
]


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def run(
    events: EventsOption = 10_000_000,
    only: OnlyOption = None,
    rounds: RoundsOption = 5,
    subscribers: SubscribersOption = 5_000,
    seconds: SecondsOption = 2.0,
    out: OutOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Measure the gateway against bare things, interleaved, and print one line a ratio."""
    if unknown := [name for name in only or () if name not in ROWS]:
        raise typer.BadParameter(f"There is no {unknown[0]}; there are {', '.join(ROWS)}.")
    configure_logging("console", "error")
    folder = data_dir or platformdirs.user_cache_path("metrics-gateway-benchmarks", appauthor=False)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(highlight=False, markup=False)
    lines: list[Line] = []
    try:
        with EmbeddedPostgres(folder) as server, Progress(*columns, console=console, transient=True) as progress:
            bench = Bench(
                server.url,
                folder.absolute(),
                progress,
                events=events,
                rounds=rounds,
                subscribers=subscribers,
                seconds=seconds,
            )
            for name in only or ROWS:
                for one in uvloop.run(_measured(name, bench)):
                    lines.append(one)
                    console.print(report.line(one), soft_wrap=True)
                if out is not None:
                    report.write(out, bench, lines)
    except EmbeddedPostgresError as error:
        sys.exit(str(error))


async def _measured(name: str, bench: Bench) -> list[Line]:
    return await ROWS[name](bench)


if __name__ == "__main__":
    app()
