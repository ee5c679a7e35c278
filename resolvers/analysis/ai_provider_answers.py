"""From statistics and outcomes to a comparison of providers: each group against the best."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import numpy as np

from resolvers.analysis.ai_calls import AiCalls
from resolvers.analysis.ai_provider_statistics import Plain
from resolvers.analysis.ai_providers import AiServiceGroup, Outcome
from resolvers.analysis.differences import Difference, of_means, of_shares
from resolvers.analysis.estimates import Estimate, Quality, Unit, estimate, quotient, share
from resolvers.analysis.experiment_statistics import Share
from resolvers.analysis.metrics import DimensionValue
from resolvers.analysis.numbering import Codes, different_among
from resolvers.analysis.roi_tally import Rows, Tally, total

CAUTION = (
    "Requests were not given to models at random: a model that is asked harder things, or by other people, may look "
    "better or worse than it is. Subjects whom several models served count for each of them, so that differences "
    "between conversion rates are surer, or less sure, than their intervals say."
)

_LATENCIES = ("latency_p50", "latency_p95", "latency_p99")
_THOUSAND = Decimal(1000)


def outcomes(tally: Tally) -> list[Outcome]:
    """What came of each row of a tally, and of all together in a last one.

    A subject converted if it has a conversion at or after its first call of the row in the period.
    """
    paths = tally.found.paths
    people, place = np.unique(paths.subject, return_inverse=True)
    last = np.full(people.size, np.iinfo(np.int64).min)
    np.maximum.at(last, place, paths.at)

    def converting(calls: AiCalls, row: Rows) -> tuple[Rows, Codes]:
        # Of the calls of a subject the first is the one that most conversions come after.
        found = np.flatnonzero(np.isin(calls.subject, people))
        found = found[last[np.searchsorted(people, calls.subject[found])] >= calls.moments.microseconds(found)]
        return row[found], calls.subject[found]

    values = [total(sums.value) for sums in tally.sums()]
    served = different_among(((row, calls.subject) for calls, row in tally.calls()), tally.rows)
    converted = different_among((converting(calls, row) for calls, row in tally.calls()), tally.rows)
    return [Outcome(*of) for of in zip(served, converted, values, strict=True)]


@dataclass(frozen=True, slots=True)
class Told:
    """How numbers are told."""

    currency: str
    as_of: datetime

    def figures(self, now: Plain, outcome: Outcome, before: Plain | None, earlier: Outcome | None) -> dict[str, Any]:
        """The fields of AiServiceFigures; the latter two are those of the period compared with."""
        then = {} if before is None or earlier is None else _values(before, earlier)
        values = _values(now, outcome)

        def told(name: str, n: int, unit: Unit, definition: str, **more: Any) -> Estimate:
            return estimate(
                values[name],
                n=n,
                as_of=self.as_of,
                definition=definition,
                unit=unit,
                currency=self.currency,
                previous=then.get(name),
                **more,
            )

        return {
            "calls": now.calls,
            "unpriced": now.calls - now.priced,
            "cost": told("cost", now.costs, Unit.MONEY, "Sum of the known costs of the calls."),
            "cost_per_call": told(
                "cost_per_call",
                now.costs,
                Unit.MONEY,
                "Mean of the known costs of the calls.",
                numerator=now.cost,
                denominator=Decimal(now.costs),
                interval=now.cost_interval,
            ),
            "cost_per_1k_tokens": told(
                "cost_per_1k_tokens",
                now.costs,
                Unit.MONEY,
                "Cost divided by thousands of tokens, read and written, of the calls with a cost.",
            ),
            **{
                name: told(name, now.timed, Unit.MILLISECONDS, f"The duration that {percent} % of calls keep within.")
                for name, percent in zip(_LATENCIES, (50, 95, 99), strict=True)
            },
            "success": self._share(
                now.successes, now.said, "Calls that succeeded, of those that say.", then.get("success")
            ),
            "calibration": now.calibration,
            "conversion_rate": self._share(
                outcome.converted,
                outcome.subjects,
                "Subjects with a conversion at or after their first such call of the period, of all with such a call.",
                then.get("conversion_rate"),
            ),
            "value": told("value", outcome.subjects, Unit.MONEY, "Parts of amounts credited to the calls."),
            "value_per_call": told("value_per_call", now.calls, Unit.MONEY, "Value divided by calls."),
        }

    def _share(self, successes: int, n: int, definition: str, previous: Decimal | None) -> Estimate:
        return share(successes, n, as_of=self.as_of, definition=definition, previous=previous)


def _values(now: Plain, outcome: Outcome) -> Mapping[str, Decimal | None]:
    whole = now.costs == now.priced
    return {
        "cost": now.cost if now.costs or not now.calls else None,
        "cost_per_call": quotient(now.cost, Decimal(now.costs)),
        # Where some costs are not converted there are tokens too many.
        "cost_per_1k_tokens": quotient(now.cost * _THOUSAND, Decimal(now.tokens)) if whole and now.costs else None,
        **{name: _exact(value) for name, value in zip(_LATENCIES, now.latencies, strict=True)},
        "success": quotient(Decimal(now.successes), Decimal(now.said)),
        "conversion_rate": quotient(Decimal(outcome.converted), Decimal(outcome.subjects)),
        "value": outcome.value,
        "value_per_call": quotient(outcome.value, Decimal(now.calls)),
    }


def _exact(number: float | None) -> Decimal | None:
    return None if number is None else Decimal(f"{number:.12g}")


Group = tuple[tuple[DimensionValue, ...], bool, Plain, Outcome, dict[str, Any]]
"""Its keys, whether it is all others, its plain numbers, what came of it and its figures."""


def compared(groups: Sequence[Group]) -> tuple[tuple[AiServiceGroup, ...], dict[str, Any]]:
    """The groups, each held against the best, and which are the best."""
    best: dict[str, Any] = {
        "cheapest": _best(groups, "cost_per_call", min),
        "fastest": _best(groups, "latency_p95", min),
        "most_successful": _best(groups, "success", max),
        "most_converting": _best(groups, "conversion_rate", max),
    }

    def against(name: str, place: int, difference: Callable[[Group, Group], Difference | None]) -> Difference | None:
        other = best[name]
        return None if other is None or other == place else difference(groups[place], groups[other])

    found = tuple(
        AiServiceGroup(
            **figures,
            keys=keys,
            other=other,
            cost_per_call_difference=against("cheapest", place, lambda a, b: of_means(a[2].costing, b[2].costing)),
            latency_difference=against("fastest", place, _slower),
            success_difference=against(
                "most_successful", place, lambda a, b: of_shares(a[2].succeeding, b[2].succeeding)
            ),
            conversion_difference=against("most_converting", place, lambda a, b: of_shares(_rate(a), _rate(b))),
        )
        for place, (keys, other, _, _, figures) in enumerate(groups)
    )
    return found, best


def _best(groups: Sequence[Group], name: str, better: Callable[..., int]) -> int | None:
    """The best of the groups shown that have enough behind them, of equals the first."""
    known = {
        place: figures[name].value
        for place, (_, other, _, _, figures) in enumerate(groups)
        if not other and figures[name].quality is Quality.SUFFICIENT
    }
    return better(known, key=known.__getitem__) if known else None


def _slower(one: Group, other: Group) -> Difference | None:
    mine, best = one[4]["latency_p95"].value, other[4]["latency_p95"].value
    return None if mine is None else Difference(mine - best, None, "Percentiles are told without an interval.")


def _rate(group: Group) -> Share:
    return Share(group[3].subjects, group[3].converted)
