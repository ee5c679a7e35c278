"""The crowd lets in what can be answered soon."""

import pytest

from gateway.admission import Crowd
from resolvers.errors import Overloaded
from tests.gateway.test_rates import Clock


def _serve(crowd: Crowd, clock: Clock, requests: int, seconds: float) -> int:
    """Have so many come at once and be answered together after so long; how many were let in."""
    tickets = []
    for _ in range(requests):
        try:
            ticket = crowd.ticket()
        except Overloaded:
            continue
        ticket.enter()
        tickets.append(ticket)
    clock.now += seconds
    for ticket in tickets:
        ticket.answered()
        ticket.leave()
    return len(tickets)


def test_a_burst_is_let_in_however_long_it_takes() -> None:
    clock = Clock()
    crowd = Crowd(100, least=5, clock=clock)
    assert _serve(crowd, clock, 100, 4.0) == 100
    assert crowd.under_way == 0


def test_room_shrinks_to_what_is_answered_soon_and_grows_again() -> None:
    clock = Clock()
    crowd = Crowd(100, least=5, seconds=0.3, clock=clock)
    # A hundred a second are answered, three times as many come.
    let_in = [_serve(crowd, clock, 3 * crowd.room, crowd.room / 100) for _ in range(60)]
    # So whoever is let in waits for 0.7 s at most.
    assert all(25 <= served <= 70 for served in let_in[20:])
    for _ in range(10):
        clock.now += 0.5
        _serve(crowd, clock, 1, 0.01)
    assert crowd.room == 100


def test_room_never_falls_below_the_least() -> None:
    clock = Clock()
    crowd = Crowd(100, least=5, clock=clock)
    for _ in range(50):
        _serve(crowd, clock, 200, 30.0)
    assert crowd.room == 5


def test_slow_answers_among_quick_ones_are_not_overload() -> None:
    clock = Clock()
    crowd = Crowd(10, least=1, clock=clock)
    for _ in range(30):
        slow, quick = crowd.ticket(), crowd.ticket()
        clock.now += 2
        late = crowd.ticket()
        clock.now += 0.01
        for ticket in (slow, quick, late):
            ticket.answered()
    assert crowd.room == 10


def test_a_ticket_counts_once_and_not_after_it_was_left() -> None:
    crowd = Crowd(1)
    ticket = crowd.ticket()
    ticket.enter()
    ticket.enter()
    assert crowd.under_way == 1
    with pytest.raises(Overloaded) as refused:
        crowd.ticket()
    assert refused.value.retry_after
    ticket.leave()
    ticket.leave()
    ticket.enter()
    assert crowd.under_way == 0


def test_what_fails_inside_leaves() -> None:
    crowd = Crowd(1)
    with pytest.raises(ValueError, match="no"), crowd.inside():
        raise ValueError("no")
    with crowd.inside():
        assert crowd.under_way == 1
