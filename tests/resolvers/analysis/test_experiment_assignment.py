"""Whom an experiment gives what: shares as they are said, and independent of everything else that parts subjects."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from scipy.stats import chi2_contingency, chisquare

from resolvers.analysis.experiment_assignment import Assignment, AssignmentReason, assigned
from resolvers.analysis.experiment_phases import Phase
from resolvers.analysis.experiment_targeting import Person
from resolvers.analysis.experiments import ExclusiveGroup, Experiment, ExperimentDefinition, Status, Variant

AT = datetime(2026, 3, 1, tzinfo=UTC)
PEOPLE = [Person(f"user-{number}", {}) for number in range(100_000)]
WEIGHTS = {"plain": 2_000, "bold": 3_000, "loud": 5_000}


def running(key: str, *, traffic: int = 7_000, **given: Any) -> Experiment:
    variants = tuple(Variant(name, name, weight, control=name == "plain") for name, weight in WEIGHTS.items())
    definition = ExperimentDefinition(key, variants, (), traffic=traffic, **given)
    phase = Phase(1, AT, tuple(WEIGHTS.values()), traffic, definition.targeting)
    return Experiment(1, key, key, Status.RUNNING, definition, (phase,), AT, AT, None, None)


def everybody(of: Experiment, holdouts: dict[str, int] | None = None) -> Sequence[Assignment]:
    return [assigned(of, person, holdouts or {}) for person in PEOPLE]


def test_a_hundred_thousand_subjects_are_parted_as_holdout_group_traffic_and_weights_say() -> None:
    of = running("checkout", holdout="2026", group=ExclusiveGroup("page", 2_500, 6_000))
    found = everybody(of, {"2026": 1_000})
    counts = Counter(one.variant or one.reason.name for one in found)
    taking = 0.9 * 0.6 * 0.7
    expected = {"HOLDOUT": 0.1, "GROUP": 0.9 * 0.4, "TRAFFIC": 0.9 * 0.6 * 0.3}
    expected |= {name: taking * weight / 10_000 for name, weight in WEIGHTS.items()}
    assert counts.keys() == expected.keys()
    shares = [share * len(PEOPLE) for share in expected.values()]
    assert chisquare([counts[name] for name in expected], shares).pvalue > 1e-4


def test_two_experiments_know_nothing_of_each_other() -> None:
    one, other = (everybody(running(key, traffic=10_000)) for key in ("checkout", "search"))
    assert {found.reason for found in (*one, *other)} == {AssignmentReason.ASSIGNED}
    pairs = Counter((mine.variant, theirs.variant) for mine, theirs in zip(one, other, strict=True))
    assert chi2_contingency([[pairs[a, b] for b in WEIGHTS] for a in WEIGHTS]).pvalue > 1e-4
    for found in (one, other):
        counts = Counter(mine.variant for mine in found)
        shares = [len(PEOPLE) * weight / 10_000 for weight in WEIGHTS.values()]
        assert chisquare([counts[name] for name in WEIGHTS], shares).pvalue > 1e-4
