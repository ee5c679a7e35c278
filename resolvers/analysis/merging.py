"""Runs of events merged into one: what several months hold of a span, in the order of subject, time and arrival."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.ascending import Ascending
from resolvers.analysis.blocks import each
from resolvers.analysis.columns import Coded, EventRun, Moments
from resolvers.analysis.journeys import chronological, cuts_of

_MS = 1_000

Indexes = NDArray[np.unsignedinteger]


class Piece(NamedTuple):
    """Merged columns of a range of subjects."""

    subject: Ascending
    ticks: Indexes
    coded: Mapping[str, Indexes]


def merged(runs: Sequence[EventRun], start_us: int, end_us: int) -> EventRun:
    """The events from ``start_us`` to before ``end_us``; of simultaneous ones those of an earlier run come first.

    Runs are in that order each, and have the same coded columns. A range of subjects at a time, as all columns at once
    would take many times their memory.
    """
    base = start_us // _MS * _MS
    whole = all(run.moments.unit_us == _MS for run in runs) and (end_us - base) // _MS < np.iinfo(np.uint32).max
    unit = _MS if whole else 1
    kind: np.dtype[np.unsignedinteger] = np.dtype(np.uint32 if whole else np.uint64)
    codings = {name: _coding([run.coded[name] for run in runs]) for name in runs[0].coded}
    cuts = cuts_of([run.subject for run in runs])

    def piece(place: int) -> Piece:
        parts = [run.part(cut[place], cut[place + 1]) for run, cut in zip(runs, cuts, strict=True)]
        rows = [_rows(part.moments, start_us, end_us) for part in parts]
        subject = np.concatenate([part.subject[own] for part, own in zip(parts, rows, strict=True)])
        at = np.concatenate([part.moments.microseconds(own) for part, own in zip(parts, rows, strict=True)])
        order = chronological(subject, at)
        at -= base
        at //= unit
        coded = {
            name: _indexes(coding, [part.coded[name] for part in parts], rows)[order]
            for name, coding in codings.items()
        }
        return Piece(Ascending.of(subject[order]), at.astype(kind)[order], coded)

    pieces = each(piece, range(len(cuts[0]) - 1))
    return EventRun(
        Ascending.joined([one.subject for one in pieces]),
        Moments(np.concatenate([one.ticks for one in pieces]), base, unit),
        {
            name: Coded(codes, np.concatenate([one.coded[name] for one in pieces]))
            for name, (codes, _) in codings.items()
        },
    )


Coding = tuple[NDArray[np.int32], list[Indexes]]
"""The codes of a column, and for each run the place among them of each of its own codes."""


def _coding(columns: Sequence[Coded | None]) -> Coding:
    none = np.zeros(1, np.int32)
    own = [none if column is None else column.codes for column in columns]
    codes = np.unique(np.concatenate(own))
    kind = np.min_scalar_type(max(0, codes.size - 1))
    return codes, [np.searchsorted(codes, one).astype(kind) for one in own]


def _indexes(coding: Coding, columns: Sequence[Coded | None], rows: Sequence[NDArray[np.intp]]) -> Indexes:
    return np.concatenate(
        [
            np.full(own.size, places[0]) if column is None else places[column.index[own]]
            for places, column, own in zip(coding[1], columns, rows, strict=True)
        ]
    )


def _rows(moments: Moments, start_us: int, end_us: int) -> NDArray[np.intp]:
    within = moments.within(start_us, end_us)
    if isinstance(within, np.ndarray):
        return np.flatnonzero(within)
    return np.arange(moments.ticks.size if within else 0)
