"""Funnels of every rule over a stored log, from the log and from segments, against a walk in plain Python."""

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from resolvers.analysis.explanations import Source
from resolvers.analysis.filters import InSegment, NameIs
from resolvers.analysis.funnel_outcomes import Outcome
from resolvers.analysis.funnels import (
    Constant,
    Counting,
    Effect,
    Entry,
    Exclusion,
    FunnelAnswer,
    FunnelDefinition,
    Order,
    Step,
    Trait,
)
from resolvers.analysis.periods import Compare, Granularity
from resolvers.analysis.questions import Question
from resolvers.context import Context
from resolvers.errors import BadInput
from resolvers.funnel_correlations import funnel_correlations
from resolvers.funnel_subjects import funnel_subjects
from resolvers.funnels import funnel, funnel_of_list, funnels_by_id, save_funnel, several_funnels
from resolvers.store.folding import fold
from resolvers.store.funnels import FunnelRepository
from tests.factories import event, store
from tests.resolvers.funnel_logs import DEFINITIONS, HELP, HOUR, PERIOD, START, expected, random_log, shop, step


@pytest.mark.parametrize("seed", range(3))
async def test_every_rule_from_the_log_and_from_segments(context: Context, seed: int) -> None:
    log = random_log(Random(seed))
    assert context.principal is not None
    # What is stored after folding is in time before and after what was folded.
    await store(context, *(sent.event() for sent in log[:170]))
    for source in (Source.LOG, Source.JOURNEYS):
        if source is Source.JOURNEYS:
            await fold(context.services.database, context.principal.tenant_id)
            await store(context, *(sent.event() for sent in log[170:]))
        stored = log[:170] if source is Source.LOG else log
        for name, definition in DEFINITIONS.items():
            told = expected(stored, definition)
            answer = await funnel(context, definition, Question(PERIOD, granularity=Granularity.HOUR))
            reached = [len(told), *(sum(step in [one[0] for one in way.took] for way in told) for step in (1, 2, 3))]
            assert [one.count for one in answer.steps] == reached[: len(definition.steps)], name
            converted = [way.elapsed for way in told if way.elapsed is not None]
            assert answer.time_to_convert.converters == len(converted)
            if converted:
                mean = sum(converted) / len(converted) / 1e6
                assert answer.time_to_convert.mean == pytest.approx(Decimal(mean), abs=Decimal("0.000001"))
            entries = Counter(stored[way.entry].hour for way in told)
            assert list(answer.series.counts[0]) == [entries[hour] for hour in range(20)], name
            for index, one in enumerate(answer.steps[1:], start=1):
                assert one.time_from_previous is not None
                waits = [took[2] for way in told for took in way.took if took[0] == index]
                assert one.time_from_previous.converters == len(waits)
            from_log = any(one.dimension is None for one in definition.constant)
            from_log |= definition.counting is Counting.SESSIONS
            assert answer.explain.source is (Source.LOG if from_log else source)


@pytest.mark.parametrize("folded", [False, True])
async def test_funnels_read_together_are_answered_as_each_alone(context: Context, folded: bool) -> None:
    log = random_log(Random(7))
    assert context.principal is not None
    await store(context, *(sent.event() for sent in log[:150]))
    if folded:
        await fold(context.services.database, context.principal.tenant_id)
    await store(context, *(sent.event() for sent in log[150:]))
    questions = [
        Question(PERIOD, granularity=Granularity.HOUR, by=("feature",), top=1),
        Question(replace(PERIOD, start=START + 5 * HOUR), where=NameIs(("view", "cart", "buy"))),
        Question(replace(PERIOD, end=START + 9 * HOUR), compare=Compare.PREVIOUS_PERIOD),
    ]
    asked = [(one, questions[place % 3]) for place, one in enumerate((*DEFINITIONS.values(), *DEFINITIONS.values()))]
    together = await several_funnels(Context(context.services, context.principal), asked)
    for found, (definition, question) in zip(together, asked, strict=True):
        assert found == await funnel(Context(context.services, context.principal), definition, question)


async def test_one_that_cannot_be_answered_is_refused_alone(context: Context) -> None:
    await store(context, event(subject="ann", name="view", occurredAt=START))
    lost = shop(step("view"), Step("lost", InSegment("Nobody")))
    asked = [funnel_of_list(context, one, Question(PERIOD)) for one in (shop(), lost, shop(hours=2), shop())]
    found = await asyncio.gather(*asked, return_exceptions=True)
    assert [one.steps[0].count for one in found if isinstance(one, FunnelAnswer)] == [1, 1, 1]
    assert isinstance(found[1], BadInput)
    assert "Nobody" in found[1].message


@pytest.mark.parametrize(
    ("by_step", "groups"),
    [
        (0, {"ad": [2, 2, 1], None: [1, 0, 0]}),
        (1, {"mail": [1, 1, 1], "site": [1, 1, 0], None: [1, 0, 0]}),
        (None, {"shop": [1, 1, 1], "site": [1, 1, 0], None: [1, 0, 0]}),
    ],
)
async def test_a_breakdown_by_any_steps_event(
    context: Context, by_step: int | None, groups: dict[str | None, list[int]]
) -> None:
    paths: dict[str, list[str | None]] = {"ann": ["ad", "mail", "shop"], "bob": ["ad", "site"], "cleo": [None]}
    for subject, channels in paths.items():
        for hour, (name, channel) in enumerate(zip(("view", "cart", "buy"), channels, strict=False)):
            dimensions = {"channel": channel} if channel else {}
            await store(
                context,
                event(subject=subject, name=name, occurredAt=START + hour * HOUR, dimensions=dimensions),
            )
    question = Question(PERIOD, by=("channel",), compare=Compare.PREVIOUS_PERIOD)
    found = await funnel(context, shop(), question, by_step=by_step)
    assert {group.keys[0].value: [one.count for one in group.steps] for group in found.groups} == groups
    assert found.biggest_leak is not None
    assert found.biggest_leak.index == 1
    assert (found.series.granularity, found.series.conversion[0]) == (Granularity.HOUR, pytest.approx(1 / 3))


@pytest.mark.parametrize("name", DEFINITIONS)
async def test_nobody_everybody_and_one_have_an_answer(context: Context, name: str) -> None:
    definition = DEFINITIONS[name]
    empty = await funnel(context, definition, Question(PERIOD, by=("feature",)))
    assert ([one.count for one in empty.steps], empty.biggest_leak) == ([0] * len(definition.steps), None)
    assert set(empty.series.conversion) == {None}
    fields = {"kind": "CONVERSION", "session": "x", "orderId": "o", "dimensions": {"feature": "a"}}
    for hour, one in enumerate(part for part in definition.steps if not part.optional):
        at = START + hour * HOUR
        await store(
            context,
            event(subject="ann", name=one.name, occurredAt=at, properties={"goods": {"size": 1}}, **fields),
        )
    everybody = await funnel(context, definition, Question(PERIOD))
    assert (everybody.conversion.value, everybody.biggest_leak) == (1, None)


def wrong(**changes: Any) -> FunnelDefinition:
    return replace(shop(step("view"), step("ship", optional=True), step("cart"), step("buy")), **changes)


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        (shop(step("view", optional=True), step("buy")), "steps[0].optional"),
        (shop(step("view"), step("buy", optional=True)), "steps[1].optional"),
        (shop(step("view", within=HOUR), step("buy")), "steps[0].within"),
        (shop(step("view"), step("buy", within=0 * HOUR)), "steps[1].within"),
        (shop(step("view"), step("buy", within=HOUR), order=Order.ANY), "steps[1].within"),
        (shop(order=Order.ANY, strictly_later=True), "strictlyLater"),
        (wrong(exclusions=(Exclusion(HELP, -1),)), "exclusions[0].after"),
        (wrong(exclusions=(Exclusion(HELP, 1),)), "exclusions[0].after"),
        (wrong(exclusions=(Exclusion(HELP), Exclusion(HELP, 0, 4))), "exclusions[1].before"),
        (wrong(exclusions=(Exclusion(HELP, 2, 2),)), "exclusions[0].before"),
        (wrong(exclusions=(Exclusion(HELP, 0, 2),), order=Order.ANY), "exclusions[0]"),
        (wrong(exclusions=(Exclusion(HELP),) * 11), "exclusions"),
        (wrong(constant=(Constant(dimension="feature"),) * 4), "constant"),
        (wrong(constant=(Constant(),)), "constant[0]"),
        (wrong(constant=(Constant(dimension="feature", trait=Trait.ORDER),)), "constant[0]"),
        (wrong(constant=(Constant(dimension="shoe"),)), "constant[0].dimension"),
        (wrong(constant=(Constant(property=()),)), "constant[0].property"),
    ],
)
async def test_what_cannot_be_walked_names_the_field(context: Context, asked: FunnelDefinition, field: str) -> None:
    attempts = (
        funnel(context, asked, Question(PERIOD)),
        save_funnel(context, "mine", asked),
        funnel_correlations(context, asked, Question(PERIOD)),
        funnel_subjects(context, asked, Question(PERIOD), step=1, outcome=Outcome.REACHED),
    )
    for attempt in attempts:
        with pytest.raises(BadInput) as refused:
            await attempt
        assert refused.value.field == field


async def test_a_question_about_a_step_that_is_not_there_is_refused(context: Context) -> None:
    question = Question(PERIOD)
    attempts = {
        "byStep": funnel(context, shop(), question, by_step=3),
        "step": funnel_subjects(context, shop(), question, step=0, outcome=Outcome.DROPPED),
        "first": funnel_subjects(context, shop(), question, step=1, outcome=Outcome.DROPPED, first=501),
        "after": funnel_subjects(context, shop(), question, step=1, outcome=Outcome.DROPPED, after="x"),
        "counting": funnel_correlations(context, DEFINITIONS["totals"], question),
        "dimensions": funnel_correlations(context, shop(), question, dimensions=("plan", "plan")),
    }
    for field, attempt in attempts.items():
        with pytest.raises(BadInput) as refused:
            await attempt
        assert refused.value.field == field
    with pytest.raises(BadInput, match="no step 3"):
        await funnel_subjects(context, shop(), question, step=3, outcome=Outcome.REACHED)
    with pytest.raises(BadInput, match="at least one dimension"):
        await funnel_correlations(context, shop(), question, dimensions=())


@pytest.mark.parametrize("name", DEFINITIONS)
async def test_a_kept_funnel_keeps_every_rule(context: Context, name: str) -> None:
    kept = await save_funnel(context, name, DEFINITIONS[name])
    assert (await funnels_by_id(context, [kept.id]))[kept.id].definition == DEFINITIONS[name]


async def test_a_funnel_kept_before_there_were_rules_means_what_it_meant(context: Context) -> None:
    assert context.principal is not None
    tenant_id = context.principal.tenant_id
    steps = [{"name": name, "where": ["name", [name]]} for name in ("view", "buy")]
    async with context.services.database.tenant(tenant_id) as session:
        repository = FunnelRepository(session)
        row = await repository.save(tenant_id, "old", {"steps": steps, "window_us": 60_000_000, "entry": "any"})
        assert row.funnel_id is not None
    kept = (await funnels_by_id(context, [row.funnel_id]))[row.funnel_id]
    assert kept.definition == FunnelDefinition((step("view"), step("buy")), timedelta(minutes=1), Entry.ANY)


async def test_as_many_steps_and_exclusions_as_there_may_be(context: Context) -> None:
    assert context.principal is not None
    names = [f"s{n}" for n in range(20)]
    made = [event(name=name, occurredAt=START + n * HOUR / 4) for n, name in enumerate(names)]
    await store(context, *made)
    exclusions = tuple(Exclusion(NameIs((f"x{n}",)), effect=Effect.REMOVE) for n in range(10))
    definition = shop(*map(step, names), order=Order.STRICT, exclusions=exclusions)
    for source in (Source.LOG, Source.JOURNEYS):
        found = await funnel(context, definition, Question(PERIOD))
        assert ([one.count for one in found.steps], found.explain.source) == ([1] * 20, source)
        await fold(context.services.database, context.principal.tenant_id)
        await store(context, event(subject="bob", name="x", occurredAt=START))
    await store(context, event(name="x9", occurredAt=START + HOUR / 8))
    assert [one.count for one in (await funnel(context, definition, Question(PERIOD))).steps] == [0] * 20
