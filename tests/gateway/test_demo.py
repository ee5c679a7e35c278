from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from typing import Any

import pytest

from gateway.demo import generate, trickle
from gateway.demo_company import CURRENCIES, EXPERIMENTS, variant_of
from resolvers.analysis.events import Event
from resolvers.analysis.intake import validate

END = datetime(2026, 5, 20, 13, 30, tzinfo=UTC)
STORY = {"days": 90, "people": 1_000}


@pytest.fixture(scope="module")
def story() -> list[dict[str, Any]]:
    return list(generate(7, END, **STORY))


@pytest.fixture(scope="module")
def lives(story: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found = defaultdict(list)
    for event in story:
        if event["kind"] != "SPEND":
            found[event["subject"]].append(event)
    return found


def test_every_event_is_valid(story: list[dict[str, Any]]) -> None:
    for raw in story:
        assert isinstance(validate(raw, now=END, new_id=str), Event), raw


def test_the_same_seed_tells_the_same_story(story: list[dict[str, Any]]) -> None:
    assert list(generate(7, END, **STORY)) == story
    other = list(islice(generate(8, END, **STORY), 50))
    assert not {event["id"] for event in other} & {event["id"] for event in story}


def test_it_is_told_in_order_of_time_and_ends_on_time(story: list[dict[str, Any]]) -> None:
    times = [datetime.fromisoformat(event["occurredAt"]) for event in story]
    assert all(earlier <= later for earlier, later in pairwise(times))
    assert times[-1] < END
    assert END - times[0] < timedelta(days=92)
    assert END - times[0] > timedelta(days=89)
    assert len({event["id"] for event in story}) == len(story)


def test_it_holds_every_kind_and_grows(story: list[dict[str, Any]]) -> None:
    kinds = Counter(event["kind"] for event in story)
    assert set(kinds) == {"CONVERSION", "AI_INTERACTION", "TOUCHPOINT", "EXPOSURE", "PRODUCT", "SPEND", "SUBSCRIPTION"}
    names = {event["name"] for event in story if event["kind"] == "CONVERSION"}
    assert names == {"signup", "subscription", "renewal", "purchase", "upgrade", "churn"}
    middle = (END - timedelta(days=45)).isoformat()
    assert sum(event["occurredAt"] > middle for event in story) > len(story) * 0.6


def test_nobody_pays_before_signing_up_and_who_churned_is_gone(
    lives: dict[str, list[dict[str, Any]]],
) -> None:
    paid = churned = 0
    for life in lives.values():
        names = [event["name"] for event in life]
        for position, event in enumerate(life):
            before = names[:position]
            if "amount" in event:
                assert "signup" in before
                assert event["currency"] == CURRENCIES.get(event["dimensions"]["location"], "USD")
                paid += 1
            if event["name"] in {"renewal", "upgrade", "purchase", "churn"}:
                assert "subscription" in before
            if event["name"] == "churn":
                assert position == len(life) - 1
                churned += 1
        assert names.count("signup") <= 1
        assert names.count("subscription") <= 1
    assert paid > 50
    assert churned > 0


def test_a_subscription_is_what_the_last_payment_bought(lives: dict[str, list[dict[str, Any]]]) -> None:
    running = ended = 0
    for life in lives.values():
        bought = [event for event in life if event["name"] in {"subscription", "upgrade"}]
        told = [event for event in life if event["kind"] == "SUBSCRIPTION"]
        assert [event["amount"] for event in told if event["name"] != "ended"] == [one["amount"] for one in bought]
        churned = [event["name"] for event in life].count("churn")
        assert [event["name"] for event in told].count("ended") == churned
        running += len(told) > 0
        ended += churned
    assert running > ended > 0


def test_plans_change_only_when_bought(lives: dict[str, list[dict[str, Any]]]) -> None:
    for life in lives.values():
        plan = None
        for event in life:
            seen = event["dimensions"].get("plan")
            if event["name"] in {"subscription", "upgrade"}:
                plan = seen
            elif plan is None:
                plan = seen
                assert seen in {None, "free"}
            else:
                assert seen == plan


def test_a_person_sees_one_variant_and_the_guided_start_sells_more(story: list[dict[str, Any]]) -> None:
    variants: dict[tuple[str, str], set[str]] = defaultdict(set)
    buyers = {event["subject"] for event in story if event["name"] == "subscription"}
    for event in story:
        if event["kind"] == "EXPOSURE":
            dimensions = event["dimensions"]
            variants[event["subject"], dimensions["experiment"]].add(dimensions["variant"])
    assert all(len(seen) == 1 for seen in variants.values())
    rates = {}
    for variant in ("control", "guided"):
        exposed = {subject for (subject, _), seen in variants.items() if variant in seen}
        assert len(exposed) > 50
        rates[variant] = len(exposed & buyers) / len(exposed)
    assert rates["guided"] > rates["control"]


def test_variants_are_those_that_the_gateway_assigns_in_their_shares(story: list[dict[str, Any]]) -> None:
    told: dict[str, Counter[str]] = defaultdict(Counter)
    for event in story:
        if event["kind"] == "EXPOSURE":
            experiment, variant = event["dimensions"]["experiment"], event["dimensions"]["variant"]
            assert variant == variant_of(experiment, event["subject"])
            told[experiment][variant] += 1
    assert set(told) == set(EXPERIMENTS)
    for experiment, weights in EXPERIMENTS.items():
        for variant, weight in weights.items():
            assert told[experiment][variant] / told[experiment].total() == pytest.approx(weight / 10_000, abs=0.07)


def test_a_session_stays_within_its_day_and_its_person(story: list[dict[str, Any]]) -> None:
    seen: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for event in story:
        if "session" in event:
            seen[event["session"]].add((event["subject"], event["occurredAt"][:10]))
    assert all(len(places) == 1 for places in seen.values())


def test_the_trickle_goes_on_where_the_story_ended(story: list[dict[str, Any]]) -> None:
    now = END

    def clock() -> datetime:
        return now

    told = {event["id"] for event in story}
    people = {event["subject"] for event in story if "subject" in event}
    live = []
    for delay, event in islice(trickle(7, END, clock, rate=5.0, **STORY), 400):
        assert delay > 0
        now += timedelta(seconds=delay)
        assert abs(datetime.fromisoformat(event["occurredAt"]) - now) < timedelta(milliseconds=2)
        assert isinstance(validate(event, now=now, new_id=str), Event)
        live.append(event)
    assert not told & {event["id"] for event in live}
    assert sum(event.get("subject") in people for event in live) > 200
    assert 40 < (now - END).total_seconds() < 160
