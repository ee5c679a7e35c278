"""Costs and credits added up by row and bucket, exactly: rounded so that every sum still holds."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Context, Decimal
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.ai_calls import AiCalls
from resolvers.analysis.attribution_models import WHOLE, apportioned, shares_of, tally
from resolvers.analysis.attribution_paths import Paths
from resolvers.analysis.attribution_rows import COARSE
from resolvers.analysis.attribution_sales import PLACES, UNIT, Amounts, Sales, amounts_of
from resolvers.analysis.numbering import Codes, Ints, different
from resolvers.analysis.periods import Period
from resolvers.analysis.roi import RoiDefinition
from resolvers.analysis.roi_payback import Payback, payback

EXACT = Context(prec=80)
"""Wide enough for any sum of amounts that the log can hold."""

_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What there is in a period: its AI interactions, the paths to its conversions, and what these brought in.

    On paths the code of a touch is 1 more than the number of its combination; 0 of one that is not asked about.
    """

    period: Period
    calls: AiCalls
    paths: Paths
    sales: Sales

    def numbers(self) -> set[int]:
        """The combinations that cost or earn something here."""
        return {*np.unique(self.calls.group).tolist(), *(np.unique(self.paths.code[self.paths.code > 0]) - 1).tolist()}


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
        self.of_call: NDArray[np.integer] = row_of[found.calls.group]
        # The last row, which is not shown, takes what is owed to others.
        self.of_touch: NDArray[np.integer] = np.append(row_of, rows)[found.paths.code - 1]
        self.amounts: Amounts = amounts_of(found.paths, found.sales)
        self.conversion = np.repeat(np.arange(found.paths.touches.size), found.paths.touches)

    def _bucket(self, at: Ints) -> NDArray[np.intp]:
        return np.searchsorted(self._edges, at, side="right") - 1

    def sums(self) -> list[Sums]:
        """Each row, and all of them together in a last one."""
        calls, width, size = self.found.calls, self.buckets, self.rows * self.buckets
        cell = self.of_call * width + self._bucket(calls.at)
        count = _with_whole(np.bincount(cell, minlength=size).tolist(), width)
        cost = [apportioned([units], UNIT, PLACES)[0] for units in _with_whole(calls.summed(cell, size), width)]
        conversions, value = self._credits()
        known, unpriced = (self._counted(rows) for rows in (calls.known, ~calls.priced))
        told = calls.subject > 0
        subjects = different(self.of_call[told], calls.subject[told], self.rows)

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

    def whole(self) -> tuple[int, Decimal]:
        """All conversions, and what they brought in."""
        return self.found.paths.touches.size, apportioned([self.amounts.total()], UNIT, PLACES)[0]

    def _counted(self, calls: NDArray[np.bool_]) -> list[int]:
        counts: list[int] = np.bincount(self.of_call[calls], minlength=self.rows).tolist()
        return [*counts, sum(counts)]

    def _credits(self) -> tuple[list[Decimal], list[Decimal]]:
        """Conversions and money credited to each cell."""
        paths, size, model = self.found.paths, self.rows * self.buckets, self.definition.model
        cell = np.where(
            self.of_touch == self.rows,
            size,
            self.of_touch * self.buckets + self._bucket(paths.at)[self.conversion],
        )
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
        calls, paths = self.found.calls, self.found.paths
        cost = (calls.whole.astype(np.float64) * UNIT + calls.fraction) * WHOLE
        value = shares * self.amounts.approximate(paths.touches.size)[self.conversion]
        at = paths.at[self.conversion]

        def of(call: NDArray[np.intp] | slice, touch: NDArray[np.intp]) -> Payback | None:
            def exact() -> tuple[Any, Any]:
                amount = self.amounts.units(paths.touches.size)[self.conversion[touch]]
                costs = (calls.whole[call].astype(object) * UNIT + calls.fraction[call]) * WHOLE
                return costs, shares[touch].astype(object) * amount

            return payback(calls.at[call], cost[call], at[touch], value[touch], exact)

        in_time = np.argsort(at, kind="stable")
        touches = _by_row(self.of_touch[in_time], self.rows)
        found = [
            of(call, in_time[touch]) for call, touch in zip(_by_row(self.of_call, self.rows), touches, strict=True)
        ]
        return [*found, of(slice(None), in_time[self.of_touch[in_time] < self.rows])]


def _by_row(row: NDArray[np.integer], rows: int) -> list[NDArray[np.intp]]:
    """Where each of ``rows`` rows is met, in the order given."""
    # Numbers of 16 bits are sorted by counting.
    order = np.argsort(row.astype(np.min_scalar_type(rows)), kind="stable")
    return np.split(order, np.cumsum(np.bincount(row, minlength=rows)[:rows]))[:rows]
