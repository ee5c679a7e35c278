"""From paths to the answer of an attribution question: values ranked, credits rounded so that they still sum."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Context, Decimal
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from resolvers.analysis.attribution import (
    AttributionAnswer,
    AttributionDefinition,
    AttributionValues,
    Model,
    ModelCredits,
    Part,
)
from resolvers.analysis.attribution_markov import removal_effects, weights
from resolvers.analysis.attribution_models import WHOLE, Credits, Tally, apportioned, tally
from resolvers.analysis.attribution_paths import Paths
from resolvers.analysis.attribution_sales import PLACES, UNIT, Amounts, Sales, amounts_of
from resolvers.analysis.attribution_statistics import money, path_statistics
from resolvers.analysis.estimates import Money, quotient
from resolvers.analysis.explanations import Explanation
from resolvers.analysis.periods import Period
from resolvers.errors import BadInput

MOST_VALUES = {Model.MARKOV: 1_000, Model.SHAPLEY: 100}
"""The most values on the paths of a period that a model is computed for."""

_COARSE = 9
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


@dataclass(frozen=True, slots=True)
class Circumstances:
    """How an answer came about, and what it leaves out."""

    currency: str
    unconverted: tuple[Money, ...]
    unconverted_cost: tuple[Money, ...]
    explain: Explanation
    as_of: datetime


def answer(
    definition: AttributionDefinition,
    now: Found,
    before: Found | None,
    costs: Costs,
    top: int,
    circumstances: Circumstances,
) -> AttributionAnswer:
    """The answer for a period, compared with another where one is given.

    The ``top`` values with the most credit by the first model are shown, of equals those that cost more, then in the
    order of their texts. Raises BadInput for a model that the number of values forbids.
    """
    models = _models(definition, max(found.codes.size for found in (now, before) if found is not None))
    values = _values(costs, *(found for found in (now, before) if found is not None))
    present = _Credited(definition, now, values, models)
    earlier = None if before is None else _Credited(definition, before, values, models)
    rows = _Rows.of(values, present, costs, top, direct=bool(present.direct or (earlier and earlier.direct)))
    shares = {model: rows.columns(present, model) for model in models}
    previous = {model: None if earlier is None else rows.columns(earlier, model) for model in models}
    cost = rows.costs(costs)
    return AttributionAnswer(
        definition=definition,
        period=now.period,
        previous_period=None if before is None else before.period,
        conversions=present.conversions,
        direct=present.direct,
        lost=now.paths.lost,
        revenue=money(present.amounts.total()),
        cost=costs.total,
        values=rows.described(
            present, cost, [shares[model][0] for model in models if model is not Model.PARTICIPATION]
        ),
        value_count=len(values),
        models=tuple(
            _model(
                model, shares[model], previous[model], cost, rows.effects(present) if model is Model.MARKOV else None
            )
            for model in models
        ),
        paths=path_statistics(now.paths, present.index, values, present.amounts),
        currency=circumstances.currency,
        unconverted=circumstances.unconverted,
        unconverted_cost=circumstances.unconverted_cost,
        explain=circumstances.explain,
        as_of=circumstances.as_of,
    )


def _models(definition: AttributionDefinition, values: int) -> tuple[Model, ...]:
    """The models to compute for so many values on paths."""
    asked = definition.models or tuple(Model)
    refused = [model for model in asked if values > MOST_VALUES.get(model, values)]
    if refused and definition.models:
        raise BadInput(
            f"{refused[0].name} is computed for at most {MOST_VALUES[refused[0]]:,} values; the paths have {values:,}. "
            "Ask for other models or another dimension, or narrow the touches down.",
            field="models",
        )
    return tuple(model for model in asked if model not in refused)


def _values(costs: Costs, *periods: Found) -> list[str | None]:
    """All values that are on a path or cost something, in the order of their texts, none last."""
    found = set(costs.by_value)
    for one in periods:
        found.update(one.texts.get(code) for code in one.codes.tolist())
    return sorted(found, key=lambda value: (value is None, value or ""))


class _Credited:
    """What the values of an answer are credited with in one period."""

    def __init__(
        self, definition: AttributionDefinition, found: Found, values: Sequence[str | None], models: Sequence[Model]
    ) -> None:
        place = {value: place for place, value in enumerate(values)}
        codes = found.codes
        of_code = np.array([place[found.texts.get(code)] for code in codes.tolist()], np.int64)
        self.index: NDArray[np.int64] = of_code[np.searchsorted(codes, found.paths.code)]
        self.amounts: Amounts = amounts_of(found.paths, found.sales)
        touched = found.paths.touches > 0
        self.conversions = touched.size
        self.direct = int(np.count_nonzero(~touched))
        self.direct_revenue = self.amounts.part(~touched).total()
        half_life_us = definition.half_life // _MICROSECOND
        by_path = [model for model in models if model is not Model.MARKOV]
        self.tally: Tally = tally(found.paths, self.index, len(values), self.amounts, by_path, half_life_us)
        self.credits = dict(self.tally.credits)
        self.effects: dict[int, float] = {}
        if Model.MARKOV in models:
            effects = removal_effects(found.paths.transitions, codes)
            self.effects = dict(zip(of_code.tolist(), effects.tolist(), strict=True))
            shares = [0] * len(values)
            for at, share in zip(of_code.tolist(), weights(effects), strict=True):
                shares[at] = share
            count, revenue = self.conversions - self.direct, self.amounts.total() - self.direct_revenue
            self.credits[Model.MARKOV] = Credits([count * one for one in shares], [revenue * one for one in shares])


@dataclass(frozen=True, slots=True)
class _Rows:
    """Which rows an answer has: values by their places, all others together, and direct conversions."""

    values: Sequence[str | None]
    shown: list[int]
    hidden: list[int]
    other: bool
    direct: bool

    @classmethod
    def of(cls, values: Sequence[str | None], credited: _Credited, costs: Costs, top: int, *, direct: bool) -> "_Rows":
        ranking = next(iter(credited.credits.values())).conversions
        ranked = sorted(
            range(len(values)), key=lambda place: (-ranking[place], -costs.by_value.get(values[place], Decimal(0)))
        )
        hidden = ranked[top:]
        return cls(values, ranked[:top], hidden, bool(hidden) or costs.rest is not None, direct)

    def _gathered(self, of_values: Sequence[int], direct: int) -> list[int]:
        found = [of_values[place] for place in self.shown]
        if self.other:
            found.append(sum(of_values[place] for place in self.hidden))
        return [*found, direct] if self.direct else found

    def columns(self, credited: _Credited, model: Model) -> tuple[list[Decimal], list[Decimal]]:
        """What a model gives to each row: conversions and money."""
        parts = credited.credits[model]
        revenue = self._gathered(parts.revenue, WHOLE * credited.direct_revenue)
        fine = sum(revenue) % (WHOLE * 10 ** (PLACES - _COARSE))
        return (
            apportioned(self._gathered(parts.conversions, WHOLE * credited.direct), WHOLE, _COARSE),
            apportioned(revenue, WHOLE * UNIT, PLACES if fine else _COARSE),
        )

    def costs(self, costs: Costs) -> list[Decimal | None]:
        """What each row costs."""
        found = [costs.by_value.get(self.values[place]) for place in self.shown]
        if self.other:
            known = [costs.by_value[value] for place in self.hidden if (value := self.values[place]) in costs.by_value]
            known += [] if costs.rest is None else [costs.rest]
            found.append(_total(known))
        return [*found, None] if self.direct else found

    def effects(self, credited: _Credited) -> tuple[float | None, ...]:
        """The removal effect of each value that is shown; 0 of those on no path."""
        found = [credited.effects.get(place, 0.0) for place in self.shown]
        return (*found, *(None for _ in range(self.other + self.direct)))

    def described(
        self, credited: _Credited, cost: Sequence[Decimal | None], credits: Sequence[Sequence[Decimal]]
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


def _model(
    model: Model,
    shares: tuple[list[Decimal], list[Decimal]],
    previous: tuple[list[Decimal], list[Decimal]] | None,
    cost: Sequence[Decimal | None],
    effects: tuple[float | None, ...] | None,
) -> ModelCredits:
    credit, revenue = shares
    return ModelCredits(
        model=model,
        credit=tuple(credit),
        revenue=tuple(revenue),
        cost_per_credit=tuple(
            None if spent is None else quotient(spent, part) for spent, part in zip(cost, credit, strict=True)
        ),
        roas=tuple(None if spent is None else quotient(part, spent) for spent, part in zip(cost, revenue, strict=True)),
        previous_credit=previous and tuple(previous[0]),
        previous_revenue=previous and tuple(previous[1]),
        removal_effect=effects,
    )
