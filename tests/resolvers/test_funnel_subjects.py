"""Who came how far in a funnel over a stored log, and what goes with converting."""

from datetime import timedelta
from random import Random

import pytest

from resolvers.analysis.filters import DimensionIs, Op
from resolvers.analysis.funnel_outcomes import Outcome
from resolvers.analysis.questions import Question
from resolvers.answers import live
from resolvers.context import Context
from resolvers.funnel_checks import kinds
from resolvers.funnel_correlations import funnel_correlations
from resolvers.funnel_subjects import funnel_subjects
from resolvers.store.database import Database
from tests.factories import event, new_principal, store
from tests.resolvers.funnel_logs import DEFINITIONS, HOUR, PERIOD, START, expected, random_log, shop, step


async def test_subjects_are_those_whom_the_funnel_counts(context: Context) -> None:
    log = random_log(Random(9))
    await store(context, *(sent.event() for sent in log))
    for definition in DEFINITIONS.values():
        told = expected(log, definition)
        for index in range(1, len(definition.steps)):
            if definition.steps[index].optional or definition.steps[index - 1].optional:
                continue
            takers = {log[way.entry].subject for way in told if index in [one[0] for one in way.took]}
            before = {log[way.entry].subject for way in told if index == 1 or index - 1 in [one[0] for one in way.took]}
            for outcome, wanted in ((Outcome.REACHED, takers), (Outcome.DROPPED, before - takers)):
                found = await funnel_subjects(context, definition, Question(PERIOD), step=index, outcome=outcome)
                assert sorted(one.subject for one in found.subjects) == sorted(f"s{who}" for who in wanted)


async def test_pages_of_subjects_leave_none_out(context: Context, owner: Database) -> None:
    names = [f"p{n}" for n in range(7)]
    await store(context, *(event(subject=name, name="view", occurredAt=START + HOUR) for name in names))
    stranger = Context(context.services, await new_principal(owner))
    await store(stranger, event(subject="stranger", name="view", occurredAt=START + HOUR))
    pages, after = [], None
    while True:
        page = await funnel_subjects(
            context, shop(), Question(PERIOD), step=1, outcome=Outcome.DROPPED, first=3, after=after
        )
        pages.append([one.subject for one in page.subjects])
        if not page.has_next:
            break
        after = page.cursors[-1]
        await store(context, event(subject=names[0], name="view", occurredAt=START + 2 * HOUR))
    assert sorted(name for page in pages for name in page) == names
    assert [len(page) for page in pages] == [3, 3, 1]
    theirs = await funnel_subjects(stranger, shop(), Question(PERIOD), step=0, outcome=Outcome.REACHED)
    assert [one.subject for one in theirs.subjects] == ["stranger"]


async def test_a_watcher_sees_who_drops_out_and_who_comes_on(context: Context) -> None:
    definition = shop()
    await store(context, event(subject="ann", name="view", occurredAt=START))

    async def first() -> list[str]:
        page = await funnel_subjects(context, definition, Question(PERIOD), step=1, outcome=Outcome.DROPPED)
        return [one.subject for one in page.subjects]

    watched = live(context, kinds(definition), first, timedelta(0))
    assert await anext(watched) == ["ann"]
    await store(context, event(subject="bob", name="view", occurredAt=START))
    assert await anext(watched) == ["ann", "bob"]
    await store(context, event(subject="ann", name="cart", occurredAt=START + HOUR))
    assert await anext(watched) == ["bob"]
    await watched.aclose()  # type: ignore[attr-defined]


async def test_what_goes_with_converting(context: Context, owner: Database) -> None:
    made = []
    for n in range(200):
        plan = "pro" if n % 2 else "free"
        made.append(event(subject=f"p{n}", name="view", occurredAt=START, dimensions={"plan": plan, "persona": str(n)}))
        if n % (3 if plan == "pro" else 10) == 0:
            made.append(event(subject=f"p{n}", name="buy", occurredAt=START + HOUR))
    await store(context, *made)
    definition = shop(step("view"), step("buy"))
    found = await funnel_correlations(context, definition, Question(PERIOD))
    assert (found.entered, found.converted) == (200, 33 + 20)
    # Every person has a persona of their own: too few of each to be tested; nobody has any other dimension.
    assert (found.tested, found.untested) == (2, 200 + 14)
    best, worst = found.associations
    assert {best.key.value, worst.key.value} == {"pro", "free"}
    assert best.odds_ratio.value is not None
    assert worst.odds_ratio.value == pytest.approx(1 / best.odds_ratio.value)
    only = await funnel_correlations(
        context, definition, Question(PERIOD, where=DimensionIs("plan", Op.IN, ("pro",))), dimensions=("plan",)
    )
    assert (only.entered, only.associations, only.untested) == (100, (), 1)
    stranger = Context(context.services, await new_principal(owner))
    assert (await funnel_correlations(stranger, definition, Question(PERIOD))).entered == 0
