"""From paths to the answer of an attribution question: values ranked, credits rounded so that they still sum."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from resolvers.analysis.attribution import AttributionAnswer, AttributionDefinition, Model, ModelCredits
from resolvers.analysis.attribution_bootstrap import Bounds
from resolvers.analysis.attribution_rows import COARSE, Costs, Credited, Found, Rows
from resolvers.analysis.attribution_statistics import money, path_statistics
from resolvers.analysis.estimates import Money, quotient
from resolvers.analysis.explanations import Explanation
from resolvers.errors import BadInput

MOST_VALUES = {Model.MARKOV: 1_000, Model.SHAPLEY: 100}
"""The most values on the paths of a period that a model is computed for."""


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
    present = Credited(definition, now, values, models)
    earlier = None if before is None else Credited(definition, before, values, models)
    ranking = present.credits[models[0]].conversions
    rows = Rows.of(values, ranking, costs, top, direct=bool(present.direct or (earlier and earlier.direct)))
    shares = {model: rows.columns(present, model) for model in models}
    bounds = rows.intervals(now.paths, present, definition, models)
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
                model,
                shares[model],
                previous[model],
                cost,
                bounds.get(model),
                rows.effects(present) if model is Model.MARKOV else None,
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


def _model(
    model: Model,
    shares: tuple[list[Decimal], list[Decimal]],
    previous: tuple[list[Decimal], list[Decimal]] | None,
    cost: Sequence[Decimal | None],
    bounds: Bounds | None,
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
        low=bounds and tuple(map(_rounded, bounds[0].tolist())),
        high=bounds and tuple(map(_rounded, bounds[1].tolist())),
        removal_effect=effects,
    )


def _rounded(credit: float) -> Decimal:
    return Decimal(f"{credit:.{COARSE}f}")
