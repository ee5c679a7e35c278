"""Funnels of every rule over a stored log, from the log and from segments, against a walk in plain Python."""

from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from resolvers.analysis.explanations import Source
from resolvers.analysis.filters import DimensionIs, Filter, NameIs, Op
from resolvers.analysis.funnel_rules import Rules
from resolvers.analysis.funnels import (
    Constant,
    Counting,
    Effect,
    Entry,
    Exclusion,
    FunnelDefinition,
    Order,
    Step,
    Trait,
)
from resolvers.analysis.periods import Compare, Granularity, PeriodRequest
from resolvers.analysis.questions import Question
from resolvers.context import Context
from resolvers.errors import BadInput
from resolvers.funnel_subjects import Outcome, funnel_correlations, funnel_subjects
from resolvers.funnels import funnel, funnels_by_id, save_funnel
from resolvers.store.database import Database
from resolvers.store.folding import fold
from resolvers.store.funnels import FunnelRepository
from tests.factories import event, new_principal, store
from tests.resolvers.analysis.funnel_oracle import Row, Told, oracle

START = datetime(2026, 3, 1, tzinfo=UTC)
END = START + timedelta(hours=20)
PERIOD = PeriodRequest(start=START, end=END)
HOUR = timedelta(hours=1)
NAMES = ("view", "cart", "ship", "buy", "help", "other")


def step(name: str, **rules: Any) -> Step:
    return Step(name, NameIs((name,)), **rules)


def shop(*steps: Step, hours: float = 6, entry: Entry = Entry.FIRST, **rules: Any) -> FunnelDefinition:
    return FunnelDefinition(steps or (step("view"), step("cart"), step("buy")), hours * HOUR, entry, **rules)


HELP = NameIs(("help",))
DEFINITIONS = {
    "ordered": shop(),
    "later": shop(strictly_later=True, entry=Entry.ANY),
    "strict": shop(order=Order.STRICT, entry=Entry.ANY),
    "any order": shop(order=Order.ANY, entry=Entry.ANY),
    "optional": shop(step("view"), step("cart"), step("ship", optional=True), step("buy")),
    "strict optional": shop(
        step("view"), step("ship", optional=True), step("buy"), order=Order.STRICT, entry=Entry.ANY
    ),
    "step window": shop(step("view"), step("cart", within=2 * HOUR), step("buy", within=HOUR), entry=Entry.ANY),
    "cut": shop(exclusions=(Exclusion(HELP),)),
    "remove": shop(exclusions=(Exclusion(HELP, 1, 2, Effect.REMOVE),)),
    "excluded step": shop(exclusions=(Exclusion(NameIs(("view",)), 0, 1),), entry=Entry.ANY),
    "totals": shop(counting=Counting.TOTALS, hours=3),
    "sessions": shop(counting=Counting.SESSIONS),
    "same feature": shop(constant=(Constant(dimension="feature"),), entry=Entry.ANY),
    "same order": shop(constant=(Constant(trait=Trait.ORDER),), entry=Entry.ANY),
    "same size": shop(constant=(Constant(property=("goods", "size")),), counting=Counting.TOTALS),
    "sessions of a feature": shop(
        constant=(Constant(dimension="feature"), Constant(trait=Trait.SESSION)), counting=Counting.SESSIONS
    ),
}


@dataclass(frozen=True)
class Sent:
    subject: int
    hour: int
    name: str
    feature: str | None
    session: str | None
    order: str | None
    size: int | str | None

    def event(self) -> dict[str, Any]:
        fields: dict[str, Any] = {"session": self.session, "dimensions": self.feature and {"feature": self.feature}}
        fields["properties"] = {"goods": {"size": self.size}}
        if self.order:
            fields |= {"kind": "CONVERSION", "orderId": self.order}
        at = START + self.hour * HOUR
        given = {name: value for name, value in fields.items() if value is not None}
        return event(subject=f"s{self.subject}", name=self.name, occurredAt=at, **given)

    def holds(self, constant: Constant) -> object:
        if constant.dimension:
            return self.feature
        if constant.property:
            return None if self.size is None else (type(self.size), self.size)
        return self.session if constant.trait is Trait.SESSION else self.order


def random_log(random: Random) -> list[Sent]:
    return [
        Sent(
            random.randrange(8),
            random.randrange(26),
            random.choice(NAMES),
            random.choice(["a", "a", "b", None]),
            random.choice(["x", "x", "y", None]),
            random.choice(["o1", "o1", "o2", None]),
            random.choice([1, 1, "1", 2, None]),
        )
        for _ in range(260)
    ]


def expected(log: list[Sent], definition: FunnelDefinition) -> list[Told]:
    filters: list[Filter] = [one.where for one in (*definition.steps, *definition.exclusions)]
    held = [*([Constant(trait=Trait.SESSION)] if definition.counting is Counting.SESSIONS else [])]
    held += definition.constant
    codes: dict[object, int] = {None: 0}
    rows = [
        Row(
            sent.subject,
            sent.hour * HOUR // timedelta(microseconds=1),
            frozenset(bit for bit, one in enumerate(filters) if isinstance(one, NameIs) and sent.name in one.names),
            tuple(codes.setdefault(sent.holds(one), len(codes)) for one in held),
        )
        for sent in log
    ]
    end_us = (END - START) // timedelta(microseconds=1)
    return oracle(rows, replace(Rules.of(definition, END), entry_end_us=end_us))


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
    with pytest.raises(BadInput) as refused:
        await funnel_subjects(context, shop(), question, step=3, outcome=Outcome.REACHED)
    assert refused.value.field == "step"


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
