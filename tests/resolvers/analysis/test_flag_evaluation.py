"""Evaluating flags: shares that grow, shares that are met, reasons, and JSON that comes back as it was."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from resolvers.analysis.flag_evaluation import Evaluator, FlagError, FlagReason, expected
from resolvers.analysis.flag_json import environment_from, environment_to
from resolvers.analysis.flag_targeting import Person, attributes, targets
from resolvers.analysis.flags import (
    WHOLE,
    Flag,
    FlagEnvironment,
    FlagType,
    Prerequisite,
    Ramp,
    RampStep,
    Rule,
    ScheduledStep,
    Share,
    always,
)
from tests.flag_worlds import NOON, environment, environments, flag, wheres

SUBJECTS = [f"subject-{n}" for n in range(20_000)]


def variations(of: Flag, subjects: list[str], at: Any = NOON) -> dict[str, str | None]:
    flags = {of.key: of}
    return {one: Evaluator(flags, "production", Person(one), at).evaluate(of.key).variation for one in subjects}


def reaching(parts: int, *shares: Share) -> Flag:
    return flag("new-search", environment(rules=(Rule(shares or always("on"), parts=parts),)))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, WHOLE), min_size=2, max_size=5), st.integers(0, WHOLE))
def test_whoever_a_growing_share_has_reached_keeps_what_it_got(shares: list[int], first: int) -> None:
    split = Share("on", first), Share("third", WHOLE - first)
    of = flag("f", environment(rules=(Rule(split),)))
    of = replace(of, variations=(*of.variations, replace(of.variations[0], key="third")))
    before: dict[str, str | None] = {}
    for parts in sorted(shares):
        rule = Rule(split, parts=parts)
        grown = replace(of, environments={"production": environment(rules=(rule,))})
        after = variations(grown, SUBJECTS[:300])
        assert all(after[one] == got for one, got in before.items() if got != "off")
        before = after


def test_a_ramp_keeps_whoever_it_has_reached() -> None:
    steps = tuple(RampStep(100 * n, timedelta(hours=1)) for n in (1, 5, 25, 50, 100))
    of = flag("f", environment(rules=(Rule(always("on"), ramp=Ramp(NOON, steps)),)))
    had: set[str] = set()
    for hour, percent in enumerate((0, 1, 5, 25, 50, 100, 100)):
        now = variations(of, SUBJECTS, NOON + timedelta(hours=hour) - timedelta(microseconds=1))
        on = {one for one, got in now.items() if got == "on"}
        assert had <= on
        assert len(on) / len(SUBJECTS) == pytest.approx(percent / 100, abs=0.01)
        had = on


def test_shares_are_met() -> None:
    parts = 3_000
    got = Counter(variations(reaching(parts), SUBJECTS).values())
    assert chisquare([got["on"], got["off"]], [len(SUBJECTS) * 0.3, len(SUBJECTS) * 0.7]).pvalue > 0.001
    # Who is reached says nothing of who gets which variation.
    of = reaching(parts, Share("on", 2_000), Share("off", 8_000))
    setup = replace(of.environments["production"], default=always("on"))
    both = variations(replace(of, environments={"production": setup}), SUBJECTS)
    reached = [one for one, got in variations(reaching(parts), SUBJECTS).items() if got == "on"]
    among = Counter(both[one] for one in reached)
    assert chisquare([among["on"], among["off"]], [len(reached) * 0.2, len(reached) * 0.8]).pvalue > 0.001


ANN = Person("ann")


def evaluated(of: FlagEnvironment | Flag, who: Person = ANN, **others: Flag) -> Any:
    made = of if isinstance(of, Flag) else flag("f", of)
    return Evaluator({made.key: made, **others}, "production", who, NOON).evaluate(made.key)


SPLIT = Share("on", 5_000), Share("off", 5_000)


@pytest.mark.parametrize(
    ("setup", "reason", "rule"),
    [
        (environment(default=always("on")), FlagReason.STATIC, None),
        (environment(default=SPLIT), FlagReason.SPLIT, None),
        (environment(rules=(Rule(always("on"), parts=0),)), FlagReason.DEFAULT, None),
        (environment(schedule=(ScheduledStep(NOON + timedelta(1), False),)), FlagReason.DEFAULT, None),
        (environment(rules=(Rule(always("on")),)), FlagReason.TARGETING_MATCH, 0),
        (environment(rules=(Rule(SPLIT),)), FlagReason.SPLIT, 0),
        (environment(rules=(Rule(always("on"), parts=0), Rule(always("on"), parts=9_999))), FlagReason.SPLIT, 1),
        (environment(on=False, rules=(Rule(always("on")),)), FlagReason.DISABLED, None),
        (environment(schedule=(ScheduledStep(NOON, False),)), FlagReason.DISABLED, None),
        (environment(prerequisites=(Prerequisite("x", ("on",)),)), FlagReason.DISABLED, None),
        (environment(name="staging"), FlagReason.DISABLED, None),
    ],
)
def test_reasons(setup: FlagEnvironment, reason: FlagReason, rule: int | None) -> None:
    found = evaluated(setup)
    assert (found.reason, found.rule) == (reason, rule)


def test_errors() -> None:
    assert evaluated(flag("f", archived_at=NOON)).error is FlagError.FLAG_NOT_FOUND
    rolled = environment(rules=(Rule(always("on"), parts=1),))
    found = evaluated(rolled, Person(None))
    assert (found.error, found.value, found.reason) == (FlagError.TARGETING_KEY_MISSING, None, FlagReason.ERROR)
    # So does a flag that needs one of these.
    needs = flag("g", environment(prerequisites=(Prerequisite("f", ("on",)),)))
    assert evaluated(needs, Person(None), f=flag("f", rolled)).error is FlagError.TARGETING_KEY_MISSING
    # Where no share is drawn, nobody has to say who it is.
    assert evaluated(environment(default=always("on")), Person(None)).value is True
    of = flag("f")
    assert expected(evaluated(of), of, FlagType.STRING).error is FlagError.TYPE_MISMATCH
    assert expected(evaluated(of), of, FlagType.BOOLEAN).error is None


@settings(max_examples=100, deadline=None)
@given(environments(("x", "y")))
def test_an_environment_comes_back_from_json_as_it_was(made: FlagEnvironment) -> None:
    kept = orjson.loads(orjson.dumps(environment_to(made)))
    assert environment_from("production", kept) == made


@given(wheres)
def test_what_people_are_targeted_by_is_known(where: Any) -> None:
    assert targets(where)
    assert set(attributes(where)) <= {
        "plan",
        "requestType",
        "channel",
        "role",
        "age",
        "device.os",
        "device.deep.er",
        "absent",
    }
