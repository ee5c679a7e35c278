"""Who was helped by AI, and which conversions were: over columns of events.

- A conversion is assisted if it says so, or if its subject had an AI interaction up to ``lookback`` before it, that
  instant included; of simultaneous events those that arrived earlier came before.
- A subject that converted in the period is assisted if the first of these conversions is; any other if it had an AI
  interaction in the period.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.attribution_paths import places_among_sales
from resolvers.analysis.journeys import Journeys
from resolvers.analysis.numbering import Codes, Ints, Numbering

Bools = NDArray[np.bool_]

INTERACTION, CONVERSION, SALE, FLAGGED, PRESENT = range(5)
"""The steps that events have to be read by; PRESENT makes its subject one of those who are compared."""


@dataclass(frozen=True, slots=True, eq=False)
class Conversions:
    """The conversions of a period as columns; ``sale`` as in Paths, ``person`` is the place of the subject."""

    subject: Codes
    at: Ints
    sale: Codes
    assisted: Bools
    person: NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Observed:
    """The subjects of a period as columns, and their conversions; ``group`` is the number of their combination."""

    group: Codes
    assisted: Bools
    converted: Bools
    conversions: Conversions


def observed(events: Journeys, start_us: int, lookback_us: int, numbering: Numbering) -> Observed:
    """Those who are present from ``start_us`` on; ``events`` reach ``lookback_us`` further back."""
    events = events.in_order()
    is_call, converts, _, flagged, present = (_step(events, step) for step in range(5))
    inside = events.at >= start_us
    begins = np.ones(events.subject.size, np.bool_)
    begins[1:] = events.subject[1:] != events.subject[:-1]
    starts = np.flatnonzero(begins)
    who = np.cumsum(begins) - 1
    assisted = flagged | _helped(events.at, is_call, starts[who], lookback_us)
    closing = np.flatnonzero(converts & inside)
    first = np.full(starts.size, -1)
    # Of several writes to one place the last one stays: that of the first conversion.
    first[who[closing[::-1]]] = closing[::-1]
    converted = first >= 0
    using = _any(who, is_call & inside, starts.size)
    counts = _any(who, present & inside, starts.size)
    kept = np.flatnonzero(counts)
    closing = closing[counts[who[closing]]]
    carried = [_carried(who, codes, present & inside, starts.size)[kept] for codes in events.dimensions]
    return Observed(
        group=numbering.numbers(carried, kept.size),
        assisted=np.where(converted, assisted[first], using)[kept],
        converted=converted[kept],
        conversions=Conversions(
            subject=events.subject[closing],
            at=events.at[closing],
            sale=places_among_sales(events)[closing],
            assisted=assisted[closing],
            person=np.searchsorted(kept, who[closing]),
        ),
    )


def joined(parts: Sequence[Observed]) -> Observed:
    """The subjects of all parts, one part after the other."""
    before = np.cumsum([0, *(part.group.size for part in parts)])
    of = [part.conversions for part in parts]
    return Observed(
        group=np.concatenate([part.group for part in parts]),
        assisted=np.concatenate([part.assisted for part in parts]),
        converted=np.concatenate([part.converted for part in parts]),
        conversions=Conversions(
            subject=np.concatenate([part.subject for part in of]),
            at=np.concatenate([part.at for part in of]),
            sale=np.concatenate([part.sale for part in of]),
            assisted=np.concatenate([part.assisted for part in of]),
            person=np.concatenate([part.person + shift for part, shift in zip(of, before, strict=False)]),
        ),
    )


def _step(events: Journeys, step: int) -> Bools:
    meets: Bools = (events.steps >> step & 1).astype(np.bool_)
    return meets


def _helped(at: Ints, is_call: Bools, start: NDArray[np.intp], lookback_us: int) -> Bools:
    """Whether the last call of the same subject, up to each row, is no older than ``lookback_us``."""
    last = np.maximum.accumulate(np.where(is_call, np.arange(at.size), -1))
    found: Bools = (last >= start) & (at - at[last] <= lookback_us)
    return found


def _any(who: NDArray[np.intp], rows: Bools, subjects: int) -> Bools:
    found = np.zeros(subjects, np.bool_)
    found[who[rows]] = True
    return found


def _carried(who: NDArray[np.intp], codes: Codes, rows: Bools, subjects: int) -> Codes:
    """The last code that each subject carried in some rows; 0 for none."""
    found = np.zeros(subjects, np.int32)
    chosen = rows & (codes != 0)
    found[who[chosen]] = codes[chosen]
    return found
