"""Passes over some of the subjects at a time are together what one walk over all of them is."""

from itertools import pairwise
from random import Random
from typing import Any

import numpy as np
import pytest

from resolvers.analysis.explanations import Source
from resolvers.analysis.filters import EVERYTHING, MeasureIs, Op
from resolvers.analysis.journeys import Journeys, joined
from resolvers.context import Context, Principal
from resolvers.store import folding, journey_passes
from resolvers.store.folding import fold
from resolvers.store.journey_passes import in_passes
from resolvers.store.journeys import JourneyRepository, Reading
from resolvers.store.logged_journeys import JourneyQuestion
from resolvers.store.segment_cache import SegmentCache
from tests.resolvers.store.journey_logs import ALL_TIME, STEPS, condition, execute, made, read, same, take


class Between:
    """Counts how often there was time to give memory back."""

    def __init__(self) -> None:
        self.times = 0

    async def __call__(self) -> None:
        self.times += 1


async def passed(
    context: Context, tenant_id: int, cache: SegmentCache, asked: JourneyQuestion, between: Between
) -> Reading[Journeys]:
    async with context.services.database.snapshot(tenant_id) as session:
        repository = JourneyRepository(session, context.services.memory, cache)
        return await in_passes(repository, tenant_id, asked, lambda part: part, between)


def spread(random: Random, number: int) -> dict[str, Any]:
    """An event of one of many people."""
    found = made(random, number)
    return found | {"subject": f"s{random.randrange(60)}"} if found["subject"] else found


@pytest.fixture
async def folded(
    context: Context, principal: Principal, plain: Principal, monkeypatch: pytest.MonkeyPatch, request: Any
) -> Random:
    """A log of several runs a month, and events that are not folded yet; ``plain`` has the same, never folded."""
    random = Random(request.param)
    monkeypatch.setattr(folding, "LARGEST_RUN", 120)
    monkeypatch.setattr(journey_passes, "_ROWS", random.choice([20, 70]))
    monkeypatch.setattr("resolvers.analysis.journeys.SMALL", random.choice([0, 40]))
    number = 0
    for count in (130, 60, 40):
        await take(context, plain, [spread(random, number + place) for place in range(count)])
        await fold(context.services.database, principal.tenant_id)
        number += count
    await take(context, plain, [spread(random, number + place) for place in range(20)])
    return random


@pytest.mark.parametrize("folded", range(4), indirect=True)
async def test_all_passes_together_are_the_log(
    context: Context, principal: Principal, plain: Principal, folded: Random
) -> None:
    cache = SegmentCache()
    for _ in range(4):
        by = folded.sample(["channel", "persona", "agent"], folded.randrange(3))
        asked = JourneyQuestion(ALL_TIME, folded.choice([EVERYTHING, condition(folded)]), STEPS, by)
        between = Between()
        found = await passed(context, principal.tenant_id, cache, asked, between)
        expected = await read(context, plain.tenant_id, cache, asked.period, asked.where, STEPS, by)
        assert same(joined(found.parts, ordered=False), expected)
        assert between.times > 2
        filled = [part.subject for part in found.parts if part.subject.size]
        assert all(one[-1] < other[0] for one, other in pairwise(sorted(filled, key=lambda part: int(part[0]))))
        assert found.explain.source is Source.JOURNEYS
        assert found.segments > 2
        assert 0 <= found.explain.tail <= 20
        assert found.explain.rows > 150
    # Nothing is kept but the subjects, which tell where to cut.
    assert {key[2] for key in cache._columns} == {"subject"}


@pytest.mark.parametrize("folded", [0], indirect=True)
async def test_a_run_that_is_damaged_is_passed_over(
    context: Context, principal: Principal, plain: Principal, folded: Random
) -> None:
    damage = "UPDATE journey_segment SET name = set_byte(name, 30, 255 - get_byte(name, 30))"
    await execute(context, principal.tenant_id, f"{damage} WHERE month = '2026-02-01'")
    cache = SegmentCache()
    found = await passed(context, principal.tenant_id, cache, JourneyQuestion(ALL_TIME, EVERYTHING, STEPS), Between())
    expected = await read(context, plain.tenant_id, cache, ALL_TIME, EVERYTHING, STEPS)
    assert same(joined(found.parts, ordered=False), expected)
    assert cache.lost == {principal.tenant_id}


@pytest.mark.parametrize("folded", [0], indirect=True)
async def test_what_needs_no_passes_has_none(
    context: Context, principal: Principal, folded: Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    between = Between()
    large = JourneyQuestion(ALL_TIME, MeasureIs("amount", Op.GT, 20), STEPS)
    assert (await passed(context, principal.tenant_id, SegmentCache(), large, between)).explain.source is Source.LOG
    monkeypatch.setattr(journey_passes, "_ROWS", 1_000)
    asked = JourneyQuestion(ALL_TIME, EVERYTHING, STEPS)
    found = await passed(context, principal.tenant_id, SegmentCache(), asked, between)
    assert np.sum([part.subject.size for part in found.parts]) == found.explain.rows > 150
    assert between.times == 0
