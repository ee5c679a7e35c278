"""So much begins in a round of the loop, and whoever waits is begun, passed or refused as was promised."""

import asyncio
import itertools
from collections.abc import Callable
from functools import partial

import pytest

from resolvers.errors import Overloaded
from resolvers.live.rounds import Rounds


class Line:
    """Notes who began and who was refused."""

    def __init__(self, rounds: Rounds) -> None:
        self.rounds = rounds
        self.begun: list[int] = []
        self.refused: list[int] = []

    def join(self, *numbers: int, weight: int = 1) -> None:
        for number in numbers:
            self.rounds.join(partial(self.begun.append, number), partial(self.refused.append, number), weight)


class Hand:
    """A clock that is moved by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def _idle() -> float:
    return 0.0


async def _rounds(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not done():  # noqa: ASYNC110  # a round of the loop is what is waited for
            await asyncio.sleep(0)


async def test_so_many_begin_in_a_round_in_the_order_they_came() -> None:
    line = Line(Rounds(3, spent=_idle))
    line.join(*range(8))
    assert (line.begun, line.rounds.waiting) == ([0, 1, 2], 5)
    sizes = [3]
    while line.rounds.waiting:
        await asyncio.sleep(0)
        sizes.append(len(line.begun))
    assert line.begun == list(range(8))
    assert all(after - before <= 3 for before, after in itertools.pairwise(sizes))
    await _rounds(lambda: line.rounds._left == 3)
    line.join(8)
    assert line.begun[-1] == 8


async def test_what_is_heavy_takes_from_the_rounds_that_follow() -> None:
    line = Line(Rounds(2, spent=_idle))
    line.join(0, weight=7)
    line.join(1)
    assert line.begun == [0]
    for left in (-3, -1):
        await _rounds(lambda left=left: line.rounds._left == left)
        assert line.begun == [0]
    await _rounds(lambda: not line.rounds.waiting)
    assert line.begun == [0, 1]


async def test_less_begins_in_long_rounds_but_never_nothing_and_more_in_short_ones() -> None:
    spent = Hand()
    line = Line(Rounds(64, 0.01, spent=spent))
    line.join(*range(200))
    assert len(line.begun) == 64
    spent.now += 0.1
    await _rounds(lambda: len(line.begun) > 64)
    assert (line.rounds.room, len(line.begun)) == (6, 70)
    spent.now += 1.0
    await _rounds(lambda: len(line.begun) > 70)
    assert (line.rounds.room, len(line.begun)) == (4, 74)
    for room in (8, 16, 32, 64):
        before = len(line.begun)
        await _rounds(lambda before=before: len(line.begun) > before or not line.rounds.waiting)
        assert line.rounds.room == room


async def test_work_that_goes_on_comes_before_work_that_is_new() -> None:
    rounds = Rounds(1, spent=_idle)
    line = Line(rounds)
    line.join(*range(9))
    piece = asyncio.create_task(rounds.turn())
    piece.add_done_callback(lambda _: line.begun.append(100))
    await _rounds(lambda: len(line.begun) == 10)
    assert line.begun.index(100) < line.begun.index(5)


async def test_a_turn_lets_others_have_the_loop_even_where_nobody_waits() -> None:
    rounds, seen = Rounds(spent=_idle), list[str]()
    asyncio.get_running_loop().call_soon(seen.append, "other")
    await rounds.turn()
    assert seen == ["other"]


async def test_the_last_that_came_passes_those_who_waited_half_their_patience() -> None:
    clock = Hand()
    line = Line(Rounds(1, patience=1.0, clock=clock, spent=_idle))
    line.join(0, 1, 2, 3)
    clock.now = 0.6
    line.join(4)
    await _rounds(lambda: not line.rounds.waiting)
    # A burst is served whole, however late.
    assert (line.begun, line.refused) == ([0, 4, 3, 2, 1], [])


async def test_who_waited_too_long_is_refused_once_more_than_a_burst_has_come() -> None:
    clock = Hand()
    line = Line(Rounds(1, burst=4, patience=1.0, clock=clock, spent=_idle))
    line.join(0, 1, 2)
    clock.now = 1.5
    line.join(3, 4)
    assert line.refused == []
    # Those who do not even get as far as to wait are of the crowd too.
    line.rounds.refused()
    await _rounds(lambda: not line.rounds.waiting)
    assert (sorted(line.begun), line.refused) == ([0, 3, 4], [1, 2])
    line.join(5, 6)
    clock.now = 9.0
    await _rounds(lambda: not line.rounds.waiting)
    assert line.refused == [1, 2]


async def test_a_new_turn_that_waits_too_long_is_refused() -> None:
    clock = Hand()
    rounds = Rounds(1, burst=2, patience=1.0, clock=clock, spent=_idle)
    turns = [asyncio.create_task(rounds.turn(new=True)) for _ in range(4)]
    await asyncio.sleep(0)
    assert rounds.waiting == 3
    turns[3].cancel()
    clock.now = 2.0
    outcomes = await asyncio.gather(*turns, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [type(None), Overloaded, Overloaded, asyncio.CancelledError]


async def test_what_is_refused_further_on_gives_way_to_what_others_began() -> None:
    line = Line(Rounds(2, spent=_idle))
    line.rounds.wasted()
    line.join(0)
    assert line.begun == []
    await _rounds(lambda: line.begun == [0])
    for _ in range(100):
        line.rounds.wasted()
    assert line.rounds._left >= -64


@pytest.mark.parametrize("turns", [1, 5])
async def test_nothing_is_left_to_do_when_nobody_comes(turns: int) -> None:
    rounds = Rounds(2, spent=_idle)
    await asyncio.gather(*(rounds.turn(new=True) for _ in range(turns)))
    await _rounds(lambda: rounds._before is None)
    assert (rounds.waiting, rounds._left) == (0, 2)
