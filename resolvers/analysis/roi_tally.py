"""Costs and credits added up by row and bucket, exactly: rounded so that every sum still holds."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Context, Decimal
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.ai_calls import AiCalls
from resolvers.analysis.attribution_models import WHOLE, apportioned, shares_of, tally
from resolvers.analysis.attribution_paths import Paths
from resolvers.analysis.attribution_rows import COARSE
from resolvers.analysis.attribution_sales import PLACES, UNIT, Amounts
from resolvers.analysis.blocks import each
from resolvers.analysis.numbering import Codes, Ints, different_among
from resolvers.analysis.periods import Period
from resolvers.analysis.roi import RoiDefinition
from resolvers.analysis.roi_payback import Costs, Exact, Payback, payback

Rows = NDArray[np.unsignedinteger]

EXACT = Context(prec=80)
"""Wide enough for any sum of amounts that the log can hold."""

_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What there is in a period: its AI interactions, the paths to its conversions, and what these brought in.

    On paths the code of a touch is 1 more than the number of its combination; 0 of one that is not asked about.
    """

    period: Period
    calls: Sequence[AiCalls]
    paths: Paths
    amounts: Amounts
    """Those of the conversions that the paths lead to."""

    def numbers(self) -> set[int]:
        """The combinations that cost or earn something here."""
        found = set((np.flatnonzero(np.bincount(self.paths.code)[1:])).tolist())
        return found.union(*(np.flatnonzero(np.bincount(part.group)).tolist() for part in self.calls))


@dataclass(frozen=True, slots=True)
class Sums:
    """What one row comes to, bucket by bucket; ``costs`` counts the calls whose cost is known."""

    calls: list[int]
    cost: list[Decimal]
    conversions: list[Decimal]
    value: list[Decimal]
    costs: int
    unpriced: int
    subjects: int
    payback: Payback | None = None


def total(amounts: Sequence[Decimal]) -> Decimal:
    """The exact sum."""
    return reduce(EXACT.add, amounts, Decimal(0))


def _rows(cells: list[int], width: int) -> list[list[int]]:
    return [cells[start : start + width] for start in range(0, len(cells), width)]


def _with_whole(cells: list[int], width: int) -> list[int]:
    """The cells of rows of ``width``, and after them those of all rows together."""
    return [*cells, *map(sum, zip(*_rows(cells, width), strict=True))]


class Tally:
    """Adds up a period by ``rows`` rows; ``row_of`` is the row of each combination, ``edges_us`` begin the buckets."""

    def __init__(self, definition: RoiDefinition, found: Found, row_of: Codes, rows: int, edges_us: Sequence[int]):
        self.found, self.rows, self.buckets = found, rows, len(edges_us)
        self.half_life_us = definition.half_life // _MICROSECOND
        self.definition = definition
        self._edges = np.array(edges_us, np.int64)
        # The last row, which is not shown, takes what is owed to others.
        numbers = np.append(row_of, rows).astype(np.min_scalar_type(rows))
        self.of_call: list[Rows] = [numbers[part.group] for part in found.calls]
        """The row of each call, part by part."""
        self.of_touch: Rows = numbers[found.paths.code - 1]
        self.amounts: Amounts = found.amounts
        self.conversion = np.repeat(np.arange(found.paths.touches.size, dtype=np.int32), found.paths.touches)

    def _bucket(self, at: Ints) -> NDArray[np.intp]:
        return np.searchsorted(self._edges, at, side="right") - 1

    def sums(self) -> list[Sums]:
        """Each row, and all of them together in a last one."""
        width, size = self.buckets, self.rows * self.buckets

        def counted(part: tuple[AiCalls, Rows]) -> tuple[list[Ints], list[int]]:
            calls, row = part
            cell = row.astype(np.int64) * width + self._bucket(calls.at)
            counts = [np.bincount(row[rows], minlength=self.rows) for rows in (calls.known, ~calls.priced)]
            return [np.bincount(cell, minlength=size), *counts], calls.summed(cell, size)

        found = each(counted, zip(self.found.calls, self.of_call, strict=True))
        count, known, unpriced = (
            sum((counts[place] for counts, _ in found), np.zeros(many, np.int64)).tolist()
            for place, many in enumerate((size, self.rows, self.rows))
        )
        units = [sum(parts) for parts in zip(*(costs for _, costs in found), strict=True)] or [0] * size
        count, known, unpriced = _with_whole(count, width), _with_whole(known, 1), _with_whole(unpriced, 1)
        cost = [apportioned([cell], UNIT, PLACES)[0] for cell in _with_whole(units, width)]
        conversions, value = self._credits()
        subjects = different_among((_told(row, calls.subject) for calls, row in self.calls()), self.rows)

        def of(row: int) -> Sums:
            cells = slice(row * width, (row + 1) * width)
            return Sums(
                calls=count[cells],
                cost=cost[cells],
                conversions=conversions[cells],
                value=value[cells],
                costs=known[row],
                unpriced=unpriced[row],
                subjects=subjects[row],
            )

        return [of(row) for row in range(self.rows + 1)]

    def calls(self) -> Iterator[tuple[AiCalls, Rows]]:
        """The calls, part by part, and the row of each."""
        return zip(self.found.calls, self.of_call, strict=True)

    def whole(self) -> tuple[int, Decimal]:
        """All conversions, and what they brought in."""
        return self.found.paths.touches.size, apportioned([self.amounts.total()], UNIT, PLACES)[0]

    def _credits(self) -> tuple[list[Decimal], list[Decimal]]:
        """Conversions and money credited to each cell."""
        paths, size, model = self.found.paths, self.rows * self.buckets, self.definition.model
        kind = np.min_scalar_type(size + self.buckets)
        cell = self._bucket(paths.at).astype(kind)[self.conversion]
        cell += self.of_touch.astype(kind) * kind.type(self.buckets)
        # All that is not shown is one cell.
        np.minimum(cell, kind.type(size), out=cell)
        credits = tally(paths, cell, size + 1, self.amounts, [model], self.half_life_us).credits[model]
        untouched = paths.touches == 0
        conversions, revenue = list(credits.conversions), list(credits.revenue)
        # With what nothing led to, all is there that is to be split.
        conversions[size] += WHOLE * int(np.count_nonzero(untouched))
        revenue[size] += WHOLE * self.amounts.part(untouched).total()
        fine = sum(revenue) % (WHOLE * 10 ** (PLACES - COARSE))
        return (
            self._rounded(conversions, WHOLE, COARSE),
            self._rounded(revenue, WHOLE * UNIT, PLACES if fine else COARSE),
        )

    def _rounded(self, parts: list[int], whole: int, places: int) -> list[Decimal]:
        """Cells, without the one that is not shown: what they add up to is rounded first, so that no breakdown changes
        it, then each row, then its buckets; and the buckets of all rows together."""
        *cells, rest = parts
        *rows, together = _rows(_with_whole(cells, self.buckets), self.buckets)
        credited = apportioned([sum(together), rest], whole, places)[0]
        rounded = apportioned([sum(row) for row in rows], whole, places, credited)
        return [
            amount
            for row, of_row in zip([*rows, together], [*rounded, credited], strict=True)
            for amount in apportioned(row, whole, places, of_row)
        ]

    def shares(self) -> Ints:
        """What each touch gets of its conversion, in parts of WHOLE."""
        model = self.definition.model
        return shares_of(self.found.paths, self.of_touch, self.rows + 1, [model], self.half_life_us)[model]

    def paybacks(self, shares: Ints) -> list[Payback | None]:
        """When each row paid, and all of them together."""
        paths = self.found.paths
        instants = np.unique(paths.at[paths.touches > 0])
        at = _places(instants, paths.at)
        places = each(lambda part: _places(instants, part.at), self.found.calls)
        amount = self.amounts.approximate(paths.touches.size)

        def costs(row: int) -> Iterator[Costs]:
            for (calls, rows), place in zip(self.calls(), places, strict=True):
                own = slice(None) if row == self.rows else np.flatnonzero(rows == row)
                yield Costs(calls.moments.microseconds(own), place[own], calls.cost.part(own).times(WHOLE))

        def of(row: int) -> Payback | None:
            own = np.flatnonzero(self.of_touch < self.rows if row == self.rows else self.of_touch == row)
            conversion = self.conversion[own]
            earned = np.bincount(at[conversion], shares[own] * amount[conversion], instants.size).astype(np.float64)

            def exact() -> Exact:
                units = np.zeros(instants.size, object)
                np.add.at(
                    units, at[conversion], shares[own].astype(object) * self.amounts.part(conversion).units(own.size)
                )
                return units

            return payback(instants, costs(row), earned, own.size, exact)

        return [of(row) for row in range(self.rows + 1)]


def _told(row: Rows, subject: Codes) -> tuple[Rows, Codes]:
    """The rows and subjects of calls that have one, which mostly are all."""
    return (row, subject) if subject.all() else (row[subject > 0], subject[subject > 0])


def _places(instants: Ints, at: Ints) -> NDArray[np.uint32]:
    """The place of the first of the instants that is not before each time."""
    return np.searchsorted(instants, at).astype(np.uint32)
