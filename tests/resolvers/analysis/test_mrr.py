"""MRR and its movements: by the published rules, and against the plain way of walking events one by one."""

from collections import defaultdict
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_EVEN, Context, Decimal
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolvers.analysis.exchange_rates import DAY_US
from resolvers.analysis.mrr import GAINS, LOSSES, Movement, Tally, merged, movements, ranked, tally
from resolvers.analysis.subscriptions import (
    TIMES_A_YEAR,
    Exchange,
    Interval,
    Step,
    SubscriptionEvents,
    amounts,
    changes,
    decimal,
    monthly,
)

USD, EUR = 1, 2
GROUPS = [("a",), ("b",), ("c",)]
EXACT = Context(prec=80, rounding=ROUND_HALF_EVEN)


@dataclass(frozen=True)
class Said:
    """One event, told shortly."""

    at: int
    step: Step
    pays: int = 0
    customer: int = 1
    subscription: int = 0
    currency: int = USD
    inside: bool = True
    group: int = 0


def started(at: int, pays: int, **more: Any) -> Said:
    return Said(at, Step.STARTED, pays, **more)


def changed(at: int, pays: int, **more: Any) -> Said:
    return Said(at, Step.CHANGED, pays, **more)


def ended(at: int, **more: Any) -> Said:
    return Said(at, Step.ENDED, **more)


def columns(said: list[Said], order: list[int] | None = None) -> SubscriptionEvents:
    """The events as columns; ``order`` shuffles the rows, whose positions stay those in ``said``."""
    rows = [(place, said[place]) for place in (order if order is not None else range(len(said)))]

    def column(name: str) -> Any:
        return np.array([getattr(one, name) for _, one in rows], dtype=np.int64)

    return SubscriptionEvents(
        customer=column("customer"),
        subscription=column("subscription"),
        at=column("at"),
        position=np.array([place for place, _ in rows], dtype=np.int64),
        step=column("step"),
        monthly=amounts([one.pays for _, one in rows]),
        currency=column("currency"),
        inside=np.array([one.inside for _, one in rows], dtype=bool),
        group=column("group"),
    )


def told(*said: Said) -> list[tuple[int, Movement, int]]:
    """Each movement in the tenant's currency: when, which, by how much."""
    found = changes(columns(list(said)))
    moved = movements(found.of(found.currency == USD))
    return sorted((at, Movement(kind), size) for at, kind, size in zip(moved.at, moved.kind, moved.size, strict=True))


NEW, EXPANSION, CONTRACTION, CHURN, REACTIVATION = Movement


def test_the_published_story_of_a_customer() -> None:
    gold = monthly(Decimal(2000), TIMES_A_YEAR[Interval.YEAR])
    silver = monthly(Decimal(60), TIMES_A_YEAR[Interval.MONTH])
    back = monthly(Decimal(150), TIMES_A_YEAR[Interval.MONTH])
    assert round(decimal(gold), 2) == Decimal("166.67")
    assert told(
        started(1, gold, subscription=1),
        started(2, silver, subscription=2),
        ended(3, subscription=2),
        ended(4, subscription=1),
        started(5, back, subscription=3),
    ) == [(1, NEW, gold), (2, EXPANSION, silver), (3, CONTRACTION, silver), (4, CHURN, gold), (5, REACTIVATION, back)]


@pytest.mark.parametrize(
    ("amount", "interval", "a_month"),
    [
        ("1200", Interval.YEAR, "100"),
        ("600", Interval.YEAR, "50"),
        ("100", Interval.MONTH, "100"),
        ("90", Interval.QUARTER, "30"),
        ("30", Interval.HALF_YEAR, "5"),
        ("12", Interval.WEEK, "52"),
        ("12", Interval.DAY, "365"),
        ("0.000000000001", Interval.MONTH, "0.000000000001"),
        ("1000000000000", Interval.DAY, "30416666666666.666666666667"),
        ("0", Interval.YEAR, "0"),
    ],
)
def test_every_interval_comes_to_so_much_a_month(amount: str, interval: Interval, a_month: str) -> None:
    assert decimal(monthly(Decimal(amount), TIMES_A_YEAR[interval])) == Decimal(a_month)


def test_what_happens_at_one_instant_is_one_movement_or_none() -> None:
    assert told(started(1, 50, subscription=1), ended(2, subscription=1), started(2, 75, subscription=2)) == [
        (1, NEW, 50),
        (2, EXPANSION, 25),
    ]
    assert told(started(1, 50, subscription=1), ended(2, subscription=1), started(2, 50, subscription=2)) == [
        (1, NEW, 50)
    ]


def test_an_end_at_the_instant_of_a_start_renews_what_ran_and_voids_what_did_not() -> None:
    assert told(started(1, 50), started(2, 60), ended(2)) == [(1, NEW, 50), (2, EXPANSION, 10)]
    assert told(started(1, 50), ended(1)) == []
    assert told(started(1, 50), ended(3), started(4, 60), ended(4)) == [(1, NEW, 50), (3, CHURN, 50)]
    assert told(started(1, 50), changed(2, 60), ended(2)) == [(1, NEW, 50), (2, CHURN, 50)]
    assert told(started(1, 50), started(2, 60), ended(2), changed(2, 70)) == [(1, NEW, 50), (2, EXPANSION, 20)]


def test_of_two_words_at_one_instant_the_change_and_then_the_later_stored_one_counts() -> None:
    assert told(changed(1, 70), started(1, 50)) == [(1, NEW, 70)]
    assert told(started(1, 50), started(1, 40)) == [(1, NEW, 40)]
    assert told(changed(1, 50), changed(1, 80), started(1, 40)) == [(1, NEW, 80)]


def test_what_has_no_start_begins_with_its_first_word_and_what_has_only_an_end_never_was() -> None:
    assert told(changed(1, 50), changed(2, 60)) == [(1, NEW, 50), (2, EXPANSION, 10)]
    assert told(ended(1), ended(2)) == []
    assert told(changed(1, 50), ended(2), changed(3, 50), ended(4), ended(5)) == [
        (1, NEW, 50),
        (2, CHURN, 50),
        (3, REACTIVATION, 50),
        (4, CHURN, 50),
    ]


def test_a_trial_is_no_customer_until_it_pays() -> None:
    assert told(started(1, 0), changed(2, 50), changed(3, 0), changed(4, 50), ended(5)) == [
        (2, NEW, 50),
        (3, CHURN, 50),
        (4, REACTIVATION, 50),
        (5, CHURN, 50),
    ]
    assert told(started(1, 0), ended(2)) == []


def test_a_change_of_currency_alone_moves_nothing() -> None:
    assert told(started(1, 50), changed(2, 40, currency=EUR), changed(3, 90, currency=EUR), changed(4, 60)) == [
        (1, NEW, 50),
        (4, EXPANSION, 10),
    ]
    assert told(started(1, 50), changed(2, 40, currency=EUR), ended(3)) == [(1, NEW, 50), (3, CHURN, 50)]
    assert told(started(1, 50, currency=EUR), changed(2, 40), changed(3, 90)) == []
    # What ended may begin again in another currency, and a trial has none.
    assert told(started(1, 50, currency=EUR), ended(2), started(3, 40)) == [(3, NEW, 40)]
    assert told(started(1, 0, currency=EUR), changed(2, 40)) == [(2, NEW, 40)]


def test_what_is_not_asked_about_pays_nothing_there() -> None:
    assert told(started(1, 50), changed(2, 80, inside=False), changed(3, 60)) == [
        (1, NEW, 50),
        (2, CHURN, 50),
        (3, REACTIVATION, 60),
    ]


def test_each_group_is_a_business_of_its_own() -> None:
    found = changes(columns([started(1, 50, group=0), changed(2, 80, group=1), started(3, 7, customer=2, group=2)]))
    moved = movements(found)
    assert [tally(moved, [0, 9], group).ending for group in (0, 1, 2)] == [(0,), (80,), (7,)]
    assert tally(moved, [0, 9], 0).moved[CHURN] == (50,)
    assert tally(moved, [0, 9], 1).moved[NEW] == (80,)
    assert ranked(moved, 0, 9, GROUPS) == [1, 2, 0]
    assert ranked(moved, 3, 9, GROUPS) == [1, 2]
    rest = movements(merged(found, [1], 3))
    assert tally(rest, [0, 9], 1).ending == (7,)
    assert tally(rest, [0, 9], 1).moved[NEW] == (57,)


def test_nothing_comes_to_nothing() -> None:
    moved = movements(changes(columns([])))
    found = tally(moved, [0, 5, 9], 0)
    assert found.start == found.ending == found.customers == (0, 0)
    assert ranked(moved, 0, 9, GROUPS[:1]) == []
    assert found.whole().ending == (0,)


def test_groups_that_pay_as_much_are_in_the_order_of_their_texts() -> None:
    moved = movements(changes(columns([started(1, 5, customer=group, group=group) for group in range(3)])))
    assert ranked(moved, 0, 9, [("b",), (None,), ("a",)]) == [2, 0, 1]


def test_amounts_of_64_bits_are_exact_whatever_they_sum_up_to() -> None:
    large = (1 << 62) - 1
    said = [one for who in range(9) for one in (started(1, large, customer=who), changed(2, large - who, customer=who))]
    found = changes(columns(said))
    assert found.delta.dtype == np.int64
    assert tally(movements(found), [0, 2, 9], 0).ending == (9 * large, 9 * large - 36)
    # Those of one customer.
    of_one = movements(changes(columns([started(1, large, subscription=number) for number in range(9)])))
    assert tally(of_one, [0, 9], 0).ending == (9 * large,)


def test_amounts_beyond_64_bits_are_exact() -> None:
    large = monthly(Decimal(10**12), 365)
    said = [started(1, large + 1, customer=who) for who in range(50)] + [ended(2, customer=3)]
    found = tally(movements(changes(columns(said))), [0, 2, 9], 0)
    assert found.ending == (50 * (large + 1), 49 * (large + 1))
    assert found.moved[CHURN] == (0, large + 1)


def test_parts_that_are_worked_on_apart_come_to_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    said = [
        one
        for who in range(40)
        for one in (
            started(who % 5, 50 + who, customer=who, group=who % 3),
            changed(3 + who % 4, 10 * who, customer=who, group=who % 2),
            ended(6 + who % 3, customer=who),
        )
    ]
    edges = [0, 3, 5, 9]
    whole = movements(changes(columns(said)))
    monkeypatch.setattr("resolvers.analysis.subscriptions.PART", 7)
    parts = movements(changes(columns(said)))
    assert parts.at.size == whole.at.size > 80
    for group in range(3):
        assert tally(parts, edges, group) == tally(whole, edges, group)
    assert ranked(parts, 3, 9, GROUPS) == ranked(whole, 3, 9, GROUPS)


EVENTS = st.lists(
    st.builds(
        Said,
        at=st.integers(0, 6),
        step=st.sampled_from(Step),
        pays=st.sampled_from([0, 1, 2, 5, (1 << 62) - 1, 10**24]),
        customer=st.integers(1, 2),
        subscription=st.integers(0, 2),
        currency=st.sampled_from([USD, USD, EUR]),
        inside=st.sampled_from([True, True, False]),
        group=st.integers(0, 2),
    ),
    max_size=14,
)
EDGES = st.lists(st.integers(0, 7), min_size=2, max_size=6, unique=True).map(sorted)


Factors = dict[tuple[int, int], Decimal]
"""What one unit of a currency comes to at home, by currency and instant."""


def walked(said: list[Said], group: int | None, factors: Factors) -> dict[int, dict[int, int]]:
    """What each customer pays from each instant on, walking subscription by subscription."""
    paid: dict[int, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for who in sorted({(one.customer, one.subscription) for one in said}):
        own = [one for one in said if (one.customer, one.subscription) == who]
        runs, home, held, factor = False, 0, 0, Decimal(0)
        for at in range(8):
            now = [one for one in own if one.at == at]
            last = {step: [one for one in now if one.step is step][-1:] for step in Step}
            word = (last[Step.CHANGED] or last[Step.STARTED])[-1:]
            if last[Step.ENDED] and not (runs and last[Step.STARTED]):
                word = []
                runs, home, counts = False, 0, 0
            elif word:
                runs = True
                (state,) = word
                if state.pays == 0:
                    home = 0
                elif home == 0:
                    home = state.currency
                    factor = Decimal(1) if home == USD else factors.get((home, at), Decimal(0))
                if state.pays and state.currency == home:
                    held = state.pays
                shown = state.inside and (group is None or state.group == group)
                counts = int(EXACT.multiply(Decimal(held), factor).to_integral_value()) if home and shown else 0
            elif at == 0:
                counts = 0
            paid[who[0]][at] += counts
    return paid


def expected(said: list[Said], edges: list[int], group: int | None, factors: Factors) -> dict[Movement, list[int]]:
    sizes = {one: [0] * (len(edges) - 1) for one in Movement}
    for paid in walked(said, group, factors).values():
        ever, before = False, 0
        for at in range(8):
            after = paid[at]
            kind = None
            if before == 0 and after:
                kind, ever = REACTIVATION if ever else NEW, True
            elif after == 0 and before:
                kind = CHURN
            elif after != before:
                kind = EXPANSION if after > before else CONTRACTION
            if kind is not None:
                for place, (low, high) in enumerate(pairwise(edges)):
                    if low <= at < high:
                        sizes[kind][place] += abs(after - before)
            before = after
    return sizes


RATES = st.dictionaries(
    st.tuples(st.just(EUR), st.integers(0, 6)), st.sampled_from([Decimal("0.5"), Decimal("1.085"), Decimal(3)])
)


@given(EVENTS, EDGES, RATES, st.randoms(use_true_random=False))
def test_movements_are_those_of_a_walk_and_always_explain_the_ending(
    said: list[Said], edges: list[int], factors: Factors, random: Any
) -> None:
    order = list(range(len(said)))
    random.shuffle(order)
    events = columns(said, order)
    # An instant is a day, so that each has a rate of its own.
    found = changes(replace(events, at=events.at * DAY_US), Exchange(USD, factors))
    found = replace(found, at=found.at // DAY_US).of(found.currency == USD)
    whole = tally(movements(replace(found, group=np.zeros_like(found.group))), edges, 0)
    assert {kind: list(sizes) for kind, sizes in whole.moved.items()} == expected(said, edges, None, factors)
    by_group = [tally(movements(found), edges, group) for group in range(3)]
    for group, one in enumerate(by_group):
        assert {kind: list(sizes) for kind, sizes in one.moved.items()} == expected(said, edges, group, factors)
    assert [sum(one.ending[-1] for one in by_group)] == list(whole.ending[-1:])
    for one in (whole, whole.whole(), *by_group):
        holds(one)


def holds(one: Tally) -> None:
    """The identity of every bucket, in money and in customers, and that each begins where the last ended."""
    for place, start in enumerate(one.start):
        gains = sum(one.moved[kind][place] for kind in GAINS)
        losses = sum(one.moved[kind][place] for kind in LOSSES)
        assert one.ending[place] == start + gains - losses >= 0
        came = one.counts[NEW][place] + one.counts[REACTIVATION][place]
        assert one.customers[place] == one.customers_at_start[place] + came - one.counts[CHURN][place] >= 0
    assert one.start[1:] == one.ending[:-1]
    assert one.customers_at_start[1:] == one.customers[:-1]
