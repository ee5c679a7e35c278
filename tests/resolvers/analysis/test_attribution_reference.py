"""Attribution over public paths and journeys, against what other tools give."""

import csv
import gzip
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from resolvers.analysis.attribution import Model
from resolvers.analysis.attribution_bootstrap import chain_intervals
from resolvers.analysis.attribution_markov import removal_effects, shared
from resolvers.analysis.attribution_models import WHOLE, Tally, apportioned, tally
from resolvers.analysis.attribution_paths import CONVERTED, LOST, START, Paths, paths_of
from resolvers.analysis.attribution_sales import UNIT, Amounts, amounts_of
from tests.resolvers.analysis.attribution_oracle import (
    Event,
    arrays,
    of_whole_paths,
    transitions_of,
)
from tests.resolvers.analysis.attribution_oracle import (
    journeys as journeys_of,
)

SHARED = Path(__file__).resolve().parents[4] / "shared"
pytestmark = [
    pytest.mark.reference,
    pytest.mark.skipif(not SHARED.is_dir(), reason="the public reference data are not beside this repository"),
]
MICROSECONDS = 1_000_000
DAY = 86_400 * MICROSECONDS
EVER = 10_000 * DAY
MODELS = {
    "first": Model.FIRST_TOUCH,
    "last": Model.LAST_TOUCH,
    "linear": Model.LINEAR,
    "position_40_20_40": Model.POSITION,
    "time_decay_half_life_7d": Model.TIME_DECAY,
}
SHAPLEY = "zhao2018_v(S)=conversions_of_paths_within_S (closed form: equal split over distinct channels)"


class Credited:
    """Credits by channel."""

    def __init__(self, channels: Sequence[str], paths: Paths, amounts: Amounts) -> None:
        self.channels, self.paths, self.amounts = channels, paths, amounts
        models = [model for model in Model if model is not Model.MARKOV]
        self.tally: Tally = tally(paths, paths.code, len(channels), amounts, models, 7 * DAY)
        self.effects = removal_effects(paths.transitions, np.arange(len(channels), dtype=np.int32))

    def conversions(self, model: Model) -> dict[str, float]:
        return self._named(apportioned(self.tally.credits[model].conversions, WHOLE, 9))

    def revenue(self, model: Model) -> dict[str, float]:
        return self._named(apportioned(self.tally.credits[model].revenue, WHOLE * UNIT, 12))

    def markov(self) -> dict[str, float]:
        touched = int(np.count_nonzero(self.paths.touches))
        return self._named(apportioned(shared(touched * WHOLE, self.effects), WHOLE, 9))

    def removal_effects(self) -> dict[str, float]:
        return self._named(self.effects.tolist())

    def transitions(self) -> dict[str, int]:
        names = {START: "(start)", CONVERTED: "(conv)", LOST: "(null)", **dict(enumerate(self.channels))}
        found = self.paths.transitions
        return {
            f"{names[source]}->{names[target]}": count
            for source, target, count in zip(
                found.source.tolist(), found.target.tolist(), found.count.tolist(), strict=True
            )
        }

    def _named(self, numbers: Sequence[Decimal | float]) -> dict[str, float]:
        return dict(zip(self.channels, map(float, numbers), strict=True))


def reference(name: str, tool: str) -> dict[str, Any]:
    figures: dict[str, dict[str, Any]] = json.loads((SHARED / "reference" / f"attribution_{name}.json").read_text())
    return figures[tool]


def rows(name: str) -> Iterator[dict[str, str]]:
    with gzip.open(SHARED / "data" / name, "rt", encoding="utf-8", newline="") as lines:
        yield from csv.DictReader(lines)


@pytest.fixture(scope="module")
def customers() -> list[Event]:
    numbers: dict[str, int] = {}
    found = []
    for row in rows("journeys62k/attribution_data.csv.gz"):
        converted = row["conversion"] == "1"
        at = datetime.fromisoformat(row["time"])
        found.append(
            Event(
                subject=numbers.setdefault(row["customer_id"], len(numbers)),
                at=int(at.timestamp()) * MICROSECONDS,
                touch=True,
                conversion=converted,
                code=CHANNELS.index(row["channel"]),
                amount=Decimal(row["conversion_value"]) if converted else None,
            )
        )
    return found


CHANNELS = ["Facebook", "Instagram", "Online Display", "Online Video", "Paid Search"]


def credited(events: Sequence[Event], lookback: int) -> Credited:
    journeys, sales = arrays(events)
    paths = paths_of(journeys, 0, lookback)
    return Credited(CHANNELS, paths, amounts_of(paths, sales))


def test_journeys_of_customers(customers: list[Event]) -> None:
    expected = reference("journeys62k", "duckdb_mam_exact")
    found = credited(customers, EVER)
    assert found.paths.subject.size == expected["converted_journeys"] == 1_838
    assert found.paths.subject.size + found.paths.lost == expected["journeys"] == 9_506
    assert Decimal(found.amounts.total()) / UNIT == Decimal(str(expected["revenue"])) == Decimal("11423.5")
    for name, model in MODELS.items():
        assert found.conversions(model) == pytest.approx(expected["duckdb_conversions"][name], abs=1e-6)
        assert found.revenue(model) == pytest.approx(expected["duckdb_value"][name], abs=1e-6)
    assert found.conversions(Model.SHAPLEY) == pytest.approx(expected["shapley"][SHAPLEY], abs=1e-6)


def test_removal_effects_of_customers(customers: list[Event]) -> None:
    expected = reference("journeys62k", "duckdb_mam_exact")
    found = credited(customers, EVER)
    assert found.transitions() == expected["markov_order1_exact"]["transition_count"]
    effects = expected["markov_order1_exact"]["removal_effect"]
    assert found.removal_effects() == pytest.approx(effects, abs=1e-9)
    assert found.removal_effects() == pytest.approx(expected["dp6_mam_removal_effect"], abs=1e-9)
    assert found.markov() == pytest.approx(expected["markov_order1_conversions"], abs=1e-6)


@pytest.mark.parametrize(("days", "key"), [(7, "7d"), (1, "1d")])
def test_journeys_within_a_lookback(customers: list[Event], days: int, key: str) -> None:
    expected = reference("journeys62k", "duckdb_mam_exact")[f"duckdb_conversions_lookback_{key}"]
    found = credited(customers, timedelta(days=days) // timedelta(microseconds=1))
    for name in ("first", "last", "linear", "time_decay_half_life_7d"):
        assert found.conversions(MODELS[name]) == pytest.approx(expected[name], abs=1e-6)


@pytest.fixture(scope="module")
def many() -> Credited:
    """The paths of the table, each as often as it says, the money of a path on one of its conversions."""
    table = list(rows("pathdata/pathdata.csv.gz"))
    channels = sorted({value for row in table for value in row["path"].split(" > ")})
    events: list[Event] = []
    for row in table:
        codes = [channels.index(value) for value in row["path"].split(" > ")]
        value = Decimal(row["total_conversion_value"]).quantize(Decimal("1e-12"))
        converted = int(row["total_conversions"])
        assert converted or not value
        for number in range(converted + int(row["total_null"])):
            subject = len(events)
            events += [Event(subject, 0, touch=True, conversion=False, code=code) for code in codes]
            if number < converted:
                amount = Decimal(0) if number else value
                events.append(Event(subject, 0, touch=False, conversion=True, amount=amount))
    journeys, sales = arrays(events)
    paths = paths_of(journeys, 0, 0)
    return Credited(channels, paths, amounts_of(paths, sales))


def test_a_table_of_paths(many: Credited) -> None:
    expected = reference("pathdata", "sql_mam_exact")
    assert (many.paths.subject.size, many.paths.lost) == (expected["total_conversions"], expected["total_null"])
    for name in ("first", "last", "linear", "position_40_20_40"):
        found = many.conversions(MODELS[name])
        assert found == pytest.approx(expected["rule_models_conversions"][name], abs=1e-6)
        assert many.revenue(MODELS[name]) == pytest.approx(expected["rule_models_value"][name], abs=1e-6)
    assert many.conversions(Model.SHAPLEY) == pytest.approx(expected["shapley"][SHAPLEY], abs=1e-6)
    assert many.conversions(Model.SHAPLEY)["alpha"] == pytest.approx(7_627.944, abs=5e-4)


def test_removal_effects_of_a_table_of_paths(many: Credited) -> None:
    expected = reference("pathdata", "sql_mam_exact")
    assert many.transitions() == expected["markov_order1_exact"]["transition_count"]
    assert many.removal_effects() == pytest.approx(expected["markov_order1_exact"]["removal_effect"], abs=1e-9)
    assert many.markov() == pytest.approx(expected["markov_order1_conversions"], abs=1e-6)


def table_of(paths: Sequence[tuple[Sequence[int], bool]], values: int) -> NDArray[np.int64]:
    """The steps of each path, in a table of its own."""
    taken = np.zeros((len(paths), values + 1, values + 2), np.int64)
    for place, (codes, converted) in enumerate(paths):
        for step in pairwise([values, *codes, values + converted]):
            taken[place][step] += 1
    return taken


@pytest.mark.parametrize(("name", "narrowest", "widest"), [("customers", 0.9, 1.1), ("paths", 0.8, 1.1)])
def test_steps_of_real_chains_vary_much_as_whole_paths_do(
    customers: list[Event], name: str, narrowest: float, widest: float
) -> None:
    counted: Counter[tuple[tuple[int, ...], bool]] = Counter()
    if name == "customers":
        for journey in journeys_of(customers, 0, EVER):
            counted[tuple(code for code, _ in journey.touches), journey.amount is not None] += 1
    else:
        table = list(rows("pathdata/pathdata.csv.gz"))
        channels = sorted({value for row in table for value in row["path"].split(" > ")})
        for row in table:
            codes = tuple(channels.index(value) for value in row["path"].split(" > "))
            counted[codes, True] += int(row["total_conversions"])
            counted[codes, False] += int(row["total_null"])
    paths = [path for path, count in counted.items() if count]
    times = np.array([counted[path] for path in paths])
    values = 1 + max(max(codes) for codes, _ in paths)
    taken = table_of(paths, values)
    shared = sum(counted[path] for path in paths if path[1])
    found = chain_intervals(
        transitions_of(np.tensordot(times, taken, 1)), np.arange(values, dtype=np.int32), np.arange(values), values,
        shared, 2_000,
    )  # fmt: skip
    assert found is not None
    low, high = found
    expected = shared * of_whole_paths(taken, times, 2_000)
    width = expected[1] - expected[0]
    assert (np.abs(np.array([low, high]) - expected) < 0.15 * width).all()
    assert narrowest < ((high - low) / width).min()
    assert ((high - low) / width).max() < widest
