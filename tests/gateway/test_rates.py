"""Callers may go at their rate in the long run, and faster for a while."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rates import BURST_SECONDS, Rate, network
from resolvers.errors import RateLimited


class Clock:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def _taken(rate: Rate, caller: str, times: int) -> int:
    """How many of so many attempts pass."""
    passed = 0
    for _ in range(times):
        try:
            rate.take(caller)
            passed += 1
        except RateLimited:
            pass
    return passed


def test_a_burst_passes_and_then_the_rate_holds() -> None:
    clock = Clock()
    rate = Rate(2, clock=clock)
    burst = int(2 * BURST_SECONDS)
    assert _taken(rate, "ann", 100) == burst + 1
    clock.now += 5
    assert _taken(rate, "ann", 100) == 10
    assert _taken(rate, "bob", 100) == burst + 1


def test_who_is_refused_is_told_when_to_come_back() -> None:
    clock = Clock()
    rate = Rate(2, clock=clock)
    rate.take("ann", 30)
    with pytest.raises(RateLimited) as refused:
        rate.take("ann")
    assert refused.value.retry_after == 5
    clock.now += 5
    rate.take("ann")


def test_what_is_given_back_can_be_taken_again() -> None:
    rate = Rate(1, clock=Clock())
    for _ in range(100):
        rate.take("ann", 8)
        rate.give("ann", 8)
    rate.give("nobody", 8)
    assert _taken(rate, "ann", 100) == 11


def test_a_rate_of_nothing_is_without_limit() -> None:
    rate = Rate(0)
    assert _taken(rate, "ann", 1_000) == 1_000
    assert len(rate) == 0


@given(st.lists(st.tuples(st.integers(0, 50), st.floats(0, 3)), max_size=200))
def test_the_buckets_that_are_kept_are_bounded(requests: list[tuple[int, float]]) -> None:
    clock = Clock()
    rate = Rate(10, callers=8, clock=clock)
    for caller, seconds in requests:
        clock.now += seconds
        rate.take(caller)
        assert len(rate) <= 8


def test_a_network_of_version_6_counts_as_one_address() -> None:
    assert network("203.0.113.7") == "203.0.113.7"
    assert network("2001:db8::1") == network("2001:db8::ffff%eth0") != network("2001:db8:0:1::1")
    assert network("no:address") == "no:address"
    assert network("") == ""
