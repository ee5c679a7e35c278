"""What sets the members of a segment apart: counted event by event, by statistics known from elsewhere."""

from collections import defaultdict
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from functools import partial
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolvers.analysis.code_sets import CodeSet, shared
from resolvers.analysis.estimates import against
from resolvers.analysis.filters import All, Any, Filter, InSegment, Not, Op
from resolvers.analysis.members import Members, chosen
from resolvers.analysis.metrics import DimensionValue
from resolvers.analysis.periods import Compare, PeriodRequest
from resolvers.analysis.questions import Question
from resolvers.analysis.segment_comparisons import Carried, Carriers, SegmentTrait, traits
from resolvers.analysis.segments import Did, Listed
from resolvers.context import Context
from resolvers.errors import BadInput
from resolvers.segment_comparisons import segment_overlap, segment_traits
from resolvers.segments import Draft, save_segment
from resolvers.store.folding import fold
from tests.factories import NOON, event, store

MARCH = Question(PeriodRequest(start=NOON - timedelta(days=5), end=NOON + timedelta(days=5)))
CODES = st.sets(st.integers(1, 300), max_size=40) | st.sets(st.integers(1, 100_000), max_size=10)


def array(codes: set[int]) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    return np.array(sorted(codes), np.int32)


@given(CODES, CODES)
def test_what_two_sets_share(one: set[int], other: set[int]) -> None:
    sets = [CodeSet.of(array(codes).astype(np.int64)) for codes in (one, other)]
    both = shared(*sets)
    assert both.size == len(one & other)
    assert shared(both, sets[0]).size == both.size


@given(CODES, st.lists(st.integers(0, 100_100), max_size=20))
def test_who_is_among_members(codes: set[int], asked: list[int]) -> None:
    members = Members(array(codes))
    assert members.among(np.array(asked, np.int32)).tolist() == [one in codes for one in asked]
    bits = np.unpackbits(np.frombuffer(members.bits, np.uint8), bitorder="little")
    assert set(np.flatnonzero(bits).tolist()) == codes
    assert Members.where(members.table(50)).codes.tolist() == sorted(one for one in codes if one < 50)


@given(CODES, CODES, st.sampled_from(list(Op)[:2]))
def test_conditions_on_segments_alone_choose_subjects(one: set[int], other: set[int], op: Op) -> None:
    members: dict[int | str, Members] = {1: Members(array(one)), "b": Members(array(other))}
    root: Filter = Any((All((InSegment(1), Not(InSegment("b")))), InSegment("b", op)))
    expected = {
        code for code in range(1, 400) if (code in one and code not in other) or (code in other) is (op is Op.IN)
    }
    assert set(np.flatnonzero(chosen(root, members, 400)).tolist()) == expected


@pytest.mark.parametrize("folded", [False, True])
async def test_traits_are_those_counted_by_hand(context: Context, folded: bool) -> None:
    random = Random(4)
    carried: dict[tuple[str, str], set[str]] = defaultdict(set)
    people, made = [f"p{number}" for number in range(300)], []
    inside = set(people[:100])
    for who in people:
        for _ in range(random.randrange(1, 4)):
            plan = random.choice("aab" if who in inside else "abb")
            channel = random.choice("xyz")
            carried["plan", plan].add(who)
            carried["channel", channel].add(who)
            made.append(event(subject=who, dimensions={"plan": plan, "channel": channel}))
    await store(context, *made, event(subject="late", occurredAt=NOON + timedelta(days=20)))
    if folded:
        assert context.principal is not None
        await fold(context.services.database, context.principal.tenant_id)
    await save_segment(context, Draft("Inside", Listed((*sorted(inside), "late"))))
    found = await segment_traits(context, InSegment("Inside"), MARCH, dimensions=("plan", "channel"))
    assert (found.segment.size, found.subjects, found.members, found.tested, found.untested) == (101, 300, 100, 5, 0)
    for trait in found.traits:
        having = carried[trait.key.dimension, trait.key.value or ""]
        hits = len(having & inside)
        assert (trait.subjects, trait.members) == (len(having), hits)
        lift = (hits / 100) / (len(having) / 300)
        assert trait.lift.value is not None
        assert float(trait.lift.value) == pytest.approx(lift)
        assert trait.odds_ratio.definition.startswith("Odds of being a member")
        assert trait.lift.interval is not None
        assert trait.lift.interval.low < trait.lift.value < trait.lift.interval.high
    first = found.traits[0]
    assert (first.key.dimension, first.key.value, first.significant) == ("plan", "a", True)
    assert found.lookalikes == (len(carried["plan", "a"] - inside),)


async def test_traits_are_held_against_those_of_an_earlier_period(context: Context) -> None:
    random = Random(5)
    people, made = [f"p{number}" for number in range(200)], []
    inside, earlier = people[:60], NOON - timedelta(days=10)
    for who in people:
        for at in (earlier, NOON):
            plan = random.choice("aab" if who in inside else "abb")
            made.append(event(subject=who, dimensions={"plan": plan}, occurredAt=at))
    await store(context, *made)
    await save_segment(context, Draft("Inside", Listed(tuple(inside))))
    asked = partial(segment_traits, context, InSegment("Inside"), dimensions=("plan",))
    then = await asked(Question(PeriodRequest(start=NOON - timedelta(days=15), end=NOON - timedelta(days=5))))
    found = await asked(replace(MARCH, compare=Compare.PREVIOUS_PERIOD))
    assert (found.previous_period, found.subjects) == (then.period, 200)
    before = {one.key: one for one in then.traits}
    assert len(found.traits) == 2
    for trait in found.traits:
        for name in ("share_of_members", "share_of_everybody", "lift", "odds_ratio"):
            assert getattr(trait, name).previous == getattr(before[trait.key], name).value is not None
    assert (await asked(MARCH)).traits == tuple(without(one) for one in found.traits)
    empty = await asked(replace(MARCH, compare=Compare.PREVIOUS_YEAR))
    assert empty.traits == tuple(without(one) for one in found.traits)
    assert empty.previous_period is not None


def without(trait: SegmentTrait) -> SegmentTrait:
    """The same that is held against nothing."""
    names = ("share_of_members", "share_of_everybody", "lift", "odds_ratio")
    return replace(trait, **{name: against(getattr(trait, name), None) for name in names})


def test_the_interval_of_a_lift_holds_as_often_as_it_says() -> None:
    """By simulation: of tables drawn from known shares, 95 % of the intervals hold the lift."""
    cells, draws = np.array([0.1, 0.2, 0.2, 0.5]), 400
    true = Decimal(str(cells[0] / ((cells[0] + cells[1]) * (cells[0] + cells[2]))))
    held = 0
    for both, value, member, _ in np.random.default_rng(1).multinomial(1_000, cells, draws).tolist():
        carriers = [Carriers(DimensionValue("plan", "a"), both + value, both)]
        ((trait,), _) = traits(Carried(carriers, 1_000, both + member), top=1, as_of=NOON)
        assert trait.odds_ratio.definition.startswith("Odds of being a member")
        assert trait.lift.interval is not None
        held += trait.lift.interval.low <= true <= trait.lift.interval.high
    assert 0.92 < held / draws < 0.98


async def test_overlap_refuses_what_cannot_be_compared(context: Context) -> None:
    await save_segment(context, Draft("A", Did()))
    for names, field in ((["A"], "segments"), (["A", "A"], "segments"), (["A", "B"], "segments[1]")):
        named = [InSegment(name, field=f"segments[{place}]") for place, name in enumerate(names)]
        with pytest.raises(BadInput) as refused:
            await segment_overlap(context, named, Question(PeriodRequest(last="1m")))
        assert refused.value.field == field


async def test_a_segment_of_nobody_overlaps_nothing(context: Context) -> None:
    for name in "AB":
        await save_segment(context, Draft(name, Listed(("nobody",))))
    found = await segment_overlap(context, [InSegment("A"), InSegment("B")], Question(PeriodRequest(last="1m")))
    (pair,) = found.pairs
    assert (pair.shared, pair.union, pair.jaccard, pair.share_of_first) == (0, 0, None, None)
    assert (found.in_any, found.in_all) == (0, 0)
