"""Folding of ledgers and measures: those of a run made of other runs and of new events."""

from collections.abc import Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.ledgers import LEDGERS, MEASURED, Ledger
from resolvers.analysis.measures import Measures
from resolvers.analysis.periods import epoch_us
from resolvers.store.ledger_rows import entries_of, ledger_rows, measures_of
from resolvers.store.run_parts import Events, aside, between, parts_of
from resolvers.store.segment_codec import pack_ledger, pack_measures, seal
from resolvers.store.segments import Run, SegmentRepository, month_bounds


async def append_ledgers(
    segments: SegmentRepository,
    tenant_id: int,
    run: Run,
    old: Sequence[Run],
    events: Events,
    order: NDArray[np.intp],
) -> None:
    """Write the ledgers and measures of a run made of ``old`` ones and of new events, whose order in it is ``order``.

    Where one it is made of has none yet, it has none either. Raises BrokenError.
    """
    place = await aside(np.argsort, order)
    reach = between(int(events["position"][0]) - 1, int(events["position"][-1]), run.month)
    for name, kind in LEDGERS.items():
        parts = await parts_of(segments, tenant_id, old, name)
        if any(part is None for part in parts):
            return
        new = await ledger_rows(segments.session, tenant_id, kind, reach, measured=name == MEASURED)
        ledgers = list(zip(old, cast(list[Ledger], parts), strict=True))
        rows = await aside(_rows_of, ledgers, events, new, place)
        await segments.fill(tenant_id, run, name, await aside(_ledger, tenant_id, run, name, ledgers, new, rows))
        if name == MEASURED:
            said = await parts_of(segments, tenant_id, old, "measures")
            if all(part is not None for part in said):
                measures = cast(list[Measures], said)
                await segments.fill(
                    tenant_id, run, "measures", await aside(_measures, tenant_id, run, measures, new, rows)
                )


def _rows_of(
    parts: Sequence[tuple[Run, Ledger]], events: Events, new: Events, place: NDArray[np.intp]
) -> list[NDArray[np.intp]]:
    """Where in such a run the entries of ledgers lie, and the new ones; ``place`` says it of each row it is made of."""
    rows, seen = list[NDArray[np.intp]](), 0
    for one, ledger in parts:
        rows.append(place[seen + ledger.row.codes.astype(np.intp)])
        seen += one.rows
    among = np.searchsorted(events["position"].astype(np.int64), new["position"].astype(np.int64))
    return [*rows, place[seen + among]]


def _ledger(
    tenant_id: int,
    run: Run,
    name: str,
    parts: Sequence[tuple[Run, Ledger]],
    new: Events,
    rows: Sequence[NDArray[np.intp]],
) -> bytes:
    """A ledger of such a run, sealed; ``rows`` say where in it the entries lie."""
    latest = Ledger.of(rows[-1], entries_of(new), epoch_us(month_bounds(run.month)[0]))
    found = Ledger.merged([*(ledger for _, ledger in parts), latest], [*rows[:-1], latest.row.codes])
    return seal(pack_ledger(found), run.place(tenant_id, name))


def _measures(
    tenant_id: int, run: Run, parts: Sequence[Measures], new: Events, rows: Sequence[NDArray[np.intp]]
) -> bytes:
    """The measures of such a run, sealed."""
    found = Measures.merged([*parts, Measures.of(measures_of(new))], np.argsort(np.concatenate(rows)))
    return seal(pack_measures(found), run.place(tenant_id, "measures"))
