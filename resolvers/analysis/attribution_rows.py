"""The rows of an attribution: which values are shown, and what models and costs give to each row."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Context, Decimal
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.attribution import AttributionDefinition, AttributionValues, Model, Part
from resolvers.analysis.attribution_bootstrap import Bounds, chain_intervals, intervals
from resolvers.analysis.attribution_markov import removal_effects, shared
from resolvers.analysis.attribution_models import WHOLE, Credits, Tally, apportioned, shares_of, tally
from resolvers.analysis.attribution_paths import Paths
from resolvers.analysis.attribution_sales import PLACES, UNIT, Amounts, Sales, amounts_of
from resolvers.analysis.periods import Period

COARSE = 9
"""Decimal places of credits, and of money unless it has more itself."""

_EXACT = Context(prec=60)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Costs:
    """What values cost: each that is known, the sum of all others, and the sum of all; None where no cost is known."""

    by_value: Mapping[str | None, Decimal]
    rest: Decimal | None
    total: Decimal | None


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What there is in a period: its paths, the values behind the codes on them, and its sales."""

    period: Period
    paths: Paths
    texts: Mapping[int, str]
    sales: Sales

    @property
    def codes(self) -> NDArray[np.int32]:
        """The codes on the paths, ascending; 0 stands for touches that carry no value."""
        target = self.paths.transitions.target
        return np.unique(target[target >= 0])


class Credited:
    """What the values of an answer are credited with in one period."""

    def __init__(
        self, definition: AttributionDefinition, found: Found, values: Sequence[str | None], models: Sequence[Model]
    ) -> None:
        place = {value: place for place, value in enumerate(values)}
        self.codes = codes = found.codes
        self.of_code = of_code = np.array([place[found.texts.get(code)] for code in codes.tolist()], np.int32)
        self.index: NDArray[np.int32] = of_code[np.searchsorted(codes, found.paths.code)]
        self.amounts: Amounts = amounts_of(found.paths, found.sales)
        touched = found.paths.touches > 0
        self.conversions = touched.size
        self.direct = int(np.count_nonzero(~touched))
        self.shared = self.conversions - self.direct
        self.direct_revenue = self.amounts.part(~touched).total()
        half_life_us = definition.half_life // _MICROSECOND
        by_path = [model for model in models if model is not Model.MARKOV]
        self.tally: Tally = tally(found.paths, self.index, len(values), self.amounts, by_path, half_life_us)
        self.credits = dict(self.tally.credits)
        self.effects: dict[int, float] = {}
        if Model.MARKOV in models:
            effects = removal_effects(found.paths.transitions, codes)
            self.effects = dict(zip(of_code.tolist(), effects.tolist(), strict=True))
            revenue = self.amounts.total() - self.direct_revenue
            credits = Credits([0] * len(values), [0] * len(values))
            for parts, total in (credits.conversions, self.shared), (credits.revenue, revenue):
                for at, share in zip(of_code.tolist(), shared(WHOLE * total, effects), strict=True):
                    parts[at] = share
            self.credits[Model.MARKOV] = credits


@dataclass(frozen=True, slots=True)
class Rows:
    """Which rows an answer has: values by their places, all others together, and direct conversions."""

    values: Sequence[str | None]
    shown: list[int]
    hidden: list[int]
    other: bool
    direct: bool

    @classmethod
    def of(cls, values: Sequence[str | None], credit: Sequence[int], costs: Costs, top: int, *, direct: bool) -> "Rows":
        """Show the ``top`` values of most ``credit``, of equals those that cost more, then the first."""
        ranked = sorted(
            range(len(values)), key=lambda place: (-credit[place], -costs.by_value.get(values[place], Decimal(0)))
        )
        hidden = ranked[top:]
        return cls(values, ranked[:top], hidden, bool(hidden) or costs.rest is not None, direct)

    def _gathered(self, of_values: Sequence[int], direct: int) -> list[int]:
        found = [of_values[place] for place in self.shown]
        if self.other:
            found.append(sum(of_values[place] for place in self.hidden))
        return [*found, direct] if self.direct else found

    def columns(self, credited: Credited, model: Model) -> tuple[list[Decimal], list[Decimal]]:
        """What a model gives to each row: conversions and money."""
        parts = credited.credits[model]
        revenue = self._gathered(parts.revenue, WHOLE * credited.direct_revenue)
        fine = sum(revenue) % (WHOLE * 10 ** (PLACES - COARSE))
        return (
            apportioned(self._gathered(parts.conversions, WHOLE * credited.direct), WHOLE, COARSE),
            apportioned(revenue, WHOLE * UNIT, PLACES if fine else COARSE),
        )

    def costs(self, costs: Costs) -> list[Decimal | None]:
        """What each row costs."""
        found = [costs.by_value.get(self.values[place]) for place in self.shown]
        if self.other:
            known = [costs.by_value[value] for place in self.hidden if (value := self.values[place]) in costs.by_value]
            known += [] if costs.rest is None else [costs.rest]
            found.append(_total(known))
        return [*found, None] if self.direct else found

    def intervals(
        self, paths: Paths, credited: Credited, definition: AttributionDefinition, models: Sequence[Model]
    ) -> dict[Model, Bounds]:
        """The intervals of the credits of each row, where they are asked for."""
        if not definition.resamples:
            return {}
        of_value = np.full(len(self.values), len(self.shown))
        of_value[self.shown] = np.arange(len(self.shown))
        by_path = [model for model in models if model is not Model.MARKOV]
        half_life_us = definition.half_life // _MICROSECOND
        shares = shares_of(paths, credited.index, len(self.values), by_path, half_life_us)
        direct = len(self.shown) + self.other
        row, rows = of_value[credited.index], direct + self.direct
        found = intervals(paths, row, rows, direct if self.direct else None, shares, definition.resamples)
        if Model.MARKOV in models:
            of_code = of_value[credited.of_code]
            bounds = chain_intervals(
                paths.transitions, credited.codes, of_code, rows, credited.shared, definition.resamples
            )
            if bounds is not None:
                if self.direct:
                    bounds[0][direct] = bounds[1][direct] = credited.direct
                found[Model.MARKOV] = bounds
        return found

    def effects(self, credited: Credited) -> tuple[float | None, ...]:
        """The removal effect of each value that is shown; 0 of those on no path."""
        found = [credited.effects.get(place, 0.0) for place in self.shown]
        return (*found, *(None for _ in range(self.other + self.direct)))

    def described(
        self, credited: Credited, cost: Sequence[Decimal | None], credits: Sequence[Sequence[Decimal]]
    ) -> AttributionValues:
        """The rows themselves; ``credits`` are those of the models that sum up."""
        counts = credited.tally
        assisted = [met - last for met, last in zip(counts.conversions, counts.last, strict=True)]
        rest = self.other * [Part.OTHER] + self.direct * [Part.DIRECT]
        return AttributionValues(
            part=(*(Part.VALUE for _ in self.shown), *rest),
            value=(*(self.values[place] for place in self.shown), *(None for _ in rest)),
            touches=tuple(self._gathered(counts.touches, 0)),
            conversions=tuple(self._gathered(counts.conversions, credited.direct)),
            assisted=tuple(self._gathered(assisted, 0)),
            cost=tuple(cost),
            spread=tuple(_spreads(credits, len(cost))),
        )


def _total(amounts: Sequence[Decimal]) -> Decimal | None:
    """The sum; None of nothing."""
    return reduce(_EXACT.add, amounts) if amounts else None


def _spreads(credits: Sequence[Sequence[Decimal]], rows: int) -> Iterator[Decimal | None]:
    for row in range(rows):
        column = [credit[row] for credit in credits]
        yield _EXACT.subtract(max(column), min(column)) if len(column) > 1 else None
