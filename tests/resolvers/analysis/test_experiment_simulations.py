"""Experiments made up by chance and asked about as anybody would: how often what is said of them is wrong."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest
from scipy.stats import chisquare

from resolvers.analysis.bucketing import Purpose, chosen, place, within
from resolvers.analysis.estimates import Unit
from resolvers.analysis.experiment_answers import ExperimentAnswer, WarningCode
from resolvers.analysis.experiment_cells import ALL, BY_DAY, Cell, Cells
from resolvers.analysis.experiment_decisions import Decision
from resolvers.analysis.experiment_looks import Sample
from resolvers.analysis.experiment_metric_results import Described, Material, ResultsQuestion
from resolvers.analysis.experiment_phases import Phase
from resolvers.analysis.experiment_plans import PlannedShare, Terms, sample_size
from resolvers.analysis.experiment_results import Results
from resolvers.analysis.experiments import (
    Experiment,
    ExperimentDefinition,
    ExperimentMetric,
    Measure,
    MetricRole,
    MultipleExposures,
    Status,
    Tally,
    UnitMetric,
    Variant,
)
from resolvers.analysis.explanations import Explanation, Source
from resolvers.analysis.filters import EVERYTHING
from resolvers.analysis.metrics import Direction

START = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
RATE, EFFECT = 0.2, 0.05


def experiment(*, sequential: bool) -> Experiment:
    of = UnitMetric(Measure(Tally.ANY), 7 * DAY)
    definition = ExperimentDefinition(
        name="Placebo",
        variants=(Variant("a", "a", 5_000, control=True), Variant("b", "b", 5_000)),
        metrics=(ExperimentMetric("converts", MetricRole.GOAL, Direction.UP, of),),
        minimum_runtime=DAY,
        minimum_sample=100,
        minimum_effect=Decimal(str(EFFECT / RATE)),
        sequential=sequential,
    )
    phase = Phase(1, START, (5_000, 5_000), 10_000, EVERYTHING)
    return Experiment(1, "placebo", "placebo", Status.RUNNING, definition, (phase,), START, START)


def sums(cut: int, value: int, units: int, converted: Sequence[int]) -> list[Cell]:
    """The cells of so many units of each variant."""
    zero, cells = Decimal(0), []
    for variant, count in enumerate(map(Decimal, converted)):
        cells.append(Cell(1, cut, value, variant, False, 0, units, zero, zero, zero, zero, zero, zero, zero, zero))
        cells.append(Cell(1, cut, value, variant, False, 1, 0, count, zero, zero, count, zero, zero, zero, zero))
    return cells


def counted(cells: Sequence[Cell]) -> Cells:
    return Cells(cells, 2, 1, phase=1, once=False)


def look(
    of: Experiment, units: int, converted: tuple[int, int], days: float, course: np.ndarray | None = None
) -> ExperimentAnswer:
    """The results of so many units of each variant; by the ``course`` of how many had converted of those of each day,
    of whom as many came as on another."""
    cells = sums(ALL, 0, units, converted)
    material = Material(
        counted(cells),
        {},
        {},
        [Described(Unit.RATIO, "Those who convert.")],
        "USD",
        "UTC",
        START + days * DAY,
        Explanation(Source.UNITS, len(cells), 0.0, 0),
    )
    found = Results(of, ResultsQuestion(1, MultipleExposures.FIRST), material)
    if course is None or not found.planned:
        return found.answer()
    first, a_day = (START - EPOCH).days, units // course.shape[1]
    by_day = counted([cell for day in range(course.shape[1]) for cell in sums(BY_DAY, first + day, a_day, (0, 0))])
    day = found.last_planned_day(by_day)
    if day is None:
        return found.answer()
    came = day - first + 1
    return found.answer(Sample(day, counted(sums(BY_DAY, 0, came * a_day, course[:, came - 1].tolist()))))


def paths(runs: int, looks: int, per_look: int, rates: tuple[float, float]) -> np.ndarray:
    """How many had converted, by run, variant and look."""
    chance = np.random.default_rng(5)
    return np.stack([chance.binomial(per_look, rate, (runs, looks)).cumsum(1) for rate in rates], axis=1)


@pytest.mark.parametrize("sequential", [True, False])
def test_without_effect_little_is_decided_wrongly_however_often_somebody_looks(sequential: bool) -> None:
    of, runs, looks, per_look = experiment(sequential=sequential), 200, 6, 200
    wrong = peeked = last = 0
    for a, b in paths(runs, looks, per_look, (RATE, RATE)):
        found = [
            look(of, per_look * (place + 1), (int(a[place]), int(b[place])), place + 1.0) for place in range(looks)
        ]
        (effects,) = zip(*(one.metrics[0].effects for one in found), strict=True)
        wrong += any(one.significant for one in effects)
        peeked += any((one.p_value or 1) < 0.05 for one in effects)
        last += (effects[-1].p_value or 1) < 0.05
        # What is not what it seems says so, each time.
        early = [place for place, one in enumerate(found) if not one.planned_end_reached]
        assert all(WarningCode.PEEKING in {warning.code for warning in found[place].warnings} for place in early)
        assert {found[place].decision for place in early} <= {Decision.KEEP_RUNNING, Decision.SHIP, Decision.ROLL_BACK}
        if not sequential:
            assert not any(found[place].ship for place in early)
    assert 0.02 < last / runs < 0.08
    assert peeked / runs > 0.1
    # At any look by sequences; at the planned end, and early by sequences, by p-values.
    assert wrong / runs <= (0.05 if sequential else 0.08)


def test_whoever_goes_on_after_the_planned_end_is_fooled_no_more_often_than_who_stopped_there() -> None:
    of, runs, looks, per_look = experiment(sequential=False), 200, 15, 400
    wrong = fixed = planned = 0
    for run in paths(runs, looks, per_look, (RATE, RATE)):
        found = [
            look(of, per_look * place, (int(run[0, place - 1]), int(run[1, place - 1])), place, run[:, :place])
            for place in range(1, looks + 1)
        ]
        there = [one for one in found if one.planned_end_reached]
        fixed += any((one.metrics[0].effects[0].p_value or 1) < 0.05 for one in there)
        wrong += any(one.metrics[0].effects[0].significant for one in there)
        last = found[-1]
        assert last.planned_sample is not None
        assert last.planned_sample.later > 0
        assert [warning.code for warning in last.warnings] == [WarningCode.LATE_LOOK]
        assert "only harm counts" in last.why or last.decision is Decision.KEEP_RUNNING
        told = last.metrics[0].effects[0].planned
        assert told is not None
        planned += told.p_value < 0.05
        assert last.metrics[0].effects[0].significant is (told.p_value < 0.05)
    assert planned / runs < 0.08
    # The day may be another one where the control's share is told anew, and then the test is of other units.
    assert wrong / runs < 0.1
    assert fixed / runs > 0.1


def test_with_the_planned_units_the_effect_is_found_as_often_as_planned() -> None:
    of, runs = experiment(sequential=False), 600
    size = sample_size(PlannedShare(RATE), EFFECT, Terms(0.05, 0.8))
    found = [
        look(of, size.control, (int(a[0]), int(b[0])), 14.0)
        for a, b in paths(runs, 1, size.control, (RATE, RATE + EFFECT))
    ]
    shipped = sum(one.ship == "b" for one in found)
    # By the rate that came about, half of the experiments think that the planned power is just not reached.
    significant = sum((one.metrics[0].effects[0].p_value or 1) < 0.05 for one in found)
    assert 0.76 < significant / runs < 0.84
    assert shipped <= significant


def test_a_million_subjects_are_parted_as_weights_and_traffic_say() -> None:
    units = [f"user-{number}" for number in range(1_000_000)]
    counts = [0, 0, 0]
    taking = 0
    for unit in units:
        counts[chosen(place(Purpose.VARIANT, "million", unit), (20, 30, 50))] += 1
        taking += within(place(Purpose.TRAFFIC, "million", unit), 70, 100)
    assert chisquare(counts, [200_000, 300_000, 500_000]).pvalue > 0.01
    assert chisquare([taking, 1_000_000 - taking], [700_000, 300_000]).pvalue > 0.01
