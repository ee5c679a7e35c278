"""Funnels over the log: asked, and kept."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from resolvers.analysis.explanations import Source
from resolvers.analysis.filters import All, DimensionIs, NameIs, Op
from resolvers.analysis.funnels import Entry, FunnelDefinition, Step
from resolvers.analysis.periods import Compare, PeriodRequest
from resolvers.analysis.questions import Question
from resolvers.context import Context, Role
from resolvers.errors import BadInput, Forbidden, NotFound, Overloaded
from resolvers.funnels import delete_funnel, funnel, funnels, funnels_by_id, save_funnel
from resolvers.store.database import Database
from resolvers.store.folding import fold
from tests.factories import event, new_principal, store

START = datetime(2026, 3, 1, tzinfo=UTC)
MARCH = PeriodRequest(start=START, end=datetime(2026, 4, 1, tzinfo=UTC))


def definition(*names: str, entry: Entry = Entry.FIRST, days: float = 7) -> FunnelDefinition:
    steps = tuple(Step(name, NameIs((name,))) for name in names)
    return FunnelDefinition(steps, timedelta(days=days), entry)


def path(subject: str, *steps: tuple[str, float], **fields: object) -> list[dict[str, object]]:
    return [
        event(subject=subject, name=name, occurredAt=START + timedelta(hours=hours), **fields) for name, hours in steps
    ]


async def test_each_subject_counts_as_far_as_it_came(context: Context) -> None:
    await store(
        context,
        *path("all", ("view", 1), ("cart", 2), ("buy", 3)),
        *path("late", ("view", 1), ("cart", 2), ("buy", 2 + 7 * 24)),
        *path("backwards", ("buy", 1), ("cart", 2), ("view", 3)),
        *path("again", ("view", 1), ("view", 300), ("cart", 301), ("buy", 302)),
        *path("early", ("view", -1), ("cart", 2), ("buy", 3)),
        *path("past the end", ("view", 31 * 24 - 1), ("cart", 31 * 24 + 1), ("buy", 31 * 24 + 2)),
    )
    asked = definition("view", "cart", "buy")
    first = await funnel(context, asked, Question(MARCH))
    assert [step.count for step in first.steps] == [5, 3, 2]
    assert first.time_to_convert.converters == 2
    every = await funnel(context, definition("view", "cart", "buy", entry=Entry.ANY), Question(MARCH))
    assert [step.count for step in every.steps] == [5, 4, 3]


async def test_the_order_of_arrival_does_not_matter(context: Context, owner: Database) -> None:
    events = [
        *path("ann", ("view", 1), ("cart", 2), ("cart", 2), ("buy", 2)),
        *path("bob", ("view", 5), ("cart", 5)),
    ]
    other = Context(context.services, await new_principal(owner))
    await store(context, *events)
    for one in reversed(events):
        await store(other, one)
    asked = definition("view", "cart", "cart", "buy")
    answers = [await funnel(one, asked, Question(MARCH)) for one in (context, other)]
    assert [step.count for step in answers[0].steps] == [2, 2, 1, 1]
    assert answers[0] == answers[1]


async def test_groups_go_by_the_entry_and_where_narrows_all_steps(context: Context) -> None:
    await store(
        context,
        *path("ann", ("view", 1), dimensions={"channel": "paid"}),
        *path("ann", ("buy", 2), dimensions={"channel": "organic"}),
        *path("bob", ("view", 1), ("buy", 2), dimensions={"channel": "organic"}),
        *path("cleo", ("view", 1)),
    )
    answer = await funnel(context, definition("view", "buy"), Question(MARCH, by=("channel",)))
    counts = {group.keys[0].value: [step.count for step in group.steps] for group in answer.groups}
    assert counts == {"paid": [1, 1], "organic": [1, 1], None: [1, 0]}
    paid = DimensionIs("channel", Op.IN, ("paid",))
    narrowed = await funnel(context, definition("view", "buy"), Question(MARCH, where=paid))
    assert [step.count for step in narrowed.steps] == [1, 0]


async def test_a_comparison_is_with_the_period_before(context: Context) -> None:
    await store(
        context,
        *path("ann", ("view", 1), ("buy", 2)),
        *path("bob", ("view", -24), ("buy", -23)),
        *path("cleo", ("view", -24)),
    )
    answer = await funnel(context, definition("view", "buy"), Question(MARCH, compare=Compare.PREVIOUS_PERIOD))
    assert answer.conversion.value == 1
    assert answer.conversion.previous == Decimal("0.5")
    assert answer.conversion.change == 1


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        (definition("view"), "steps"),
        (definition(*(f"s{n}" for n in range(40))), "steps"),
        (definition("view", "buy", days=0), "window"),
        (definition("view", "buy", days=400), "window"),
        (definition("view", ""), "steps[1].name"),
    ],
)
async def test_what_cannot_be_walked_says_what_to_change(context: Context, asked: FunnelDefinition, field: str) -> None:
    for attempt in (funnel(context, asked, Question(MARCH)), save_funnel(context, "mine", asked)):
        with pytest.raises(BadInput) as refused:
            await attempt
        assert refused.value.field == field


async def test_it_says_what_it_was_read_from_also_when_it_is_kept(context: Context, owner: Database) -> None:
    asked = definition("view", "buy")
    stranger = Context(context.services, await new_principal(owner))
    for one in (context, stranger):
        await store(one, *path("ann", ("view", 1), ("buy", 2), ("other", 3)))
    logged = await funnel(context, asked, Question(MARCH))
    assert (logged.explain.source, logged.explain.rows, logged.explain.tail) == (Source.LOG, 2, 0)
    assert context.principal is not None
    await fold(context.services.database, context.principal.tenant_id)
    # An answer that is kept was come by as it says.
    assert (await funnel(context, asked, Question(MARCH))).explain is logged.explain
    await store(context, *path("bob", ("view", 1)))
    folded = await funnel(context, asked, Question(MARCH))
    assert (folded.explain.source, folded.explain.rows, folded.explain.tail) == (Source.JOURNEYS, 4, 1)
    assert folded.explain.milliseconds > 0
    assert (await funnel(stranger, asked, Question(MARCH))).explain.source is Source.LOG
    assert [step.count for step in folded.steps] == [2, 1]


async def test_nobody_is_an_answer(context: Context) -> None:
    answer = await funnel(context, definition("view", "buy"), Question(MARCH, by=("channel",)))
    assert [step.count for step in answer.steps] == [0, 0]
    assert answer.conversion.value is None
    assert answer.groups == ()


async def test_funnels_are_kept_replaced_listed_and_deleted(context: Context, owner: Database) -> None:
    asked = FunnelDefinition(
        (Step("a", All((NameIs(("view",)), DimensionIs("channel", Op.IN, ("x",))))), Step("b", NameIs(("buy",)))),
        timedelta(hours=36, microseconds=1),
        Entry.ANY,
    )
    kept = await save_funnel(context, "mine", asked)
    assert await funnels_by_id(context, [kept.id, 0]) == {kept.id: kept}
    assert kept.definition == asked
    replaced = await save_funnel(context, "mine", definition("view", "buy"))
    assert replaced.id == kept.id
    assert replaced.definition != asked
    others = [await save_funnel(context, f"f{n}", asked) for n in range(3)]
    first = await funnels(context, first=2)
    assert first.has_next
    rest = await funnels(context, first=2, after=first.cursors[-1])
    assert [one.id for one in (*first.funnels, *rest.funnels)] == [replaced.id, *(one.id for one in others)]
    assert not rest.has_next
    stranger = Context(context.services, await new_principal(owner))
    assert await funnels_by_id(stranger, [kept.id]) == {}
    assert (await funnels(stranger)).funnels == ()
    with pytest.raises(NotFound):
        await delete_funnel(stranger, kept.id)
    assert await delete_funnel(context, kept.id) == replaced
    with pytest.raises(NotFound):
        await delete_funnel(context, kept.id)


async def test_a_viewer_asks_but_does_not_keep(context: Context, owner: Database) -> None:
    viewer = Context(context.services, await new_principal(owner, Role.VIEWER))
    await funnel(viewer, definition("view", "buy"), Question(MARCH))
    with pytest.raises(Forbidden, match="ANALYST"):
        await save_funnel(viewer, "mine", definition("view", "buy"))


@pytest.mark.parametrize("name", ["a\x00b", "two\nlines"])
async def test_a_step_is_named_in_printable_text(context: Context, name: str) -> None:
    with pytest.raises(BadInput) as refused:
        await save_funnel(context, "kept", definition("first", name))
    assert refused.value.field == "steps[1].name"


async def test_who_waits_too_long_for_a_turn_is_told_so(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resolvers.store.turns._WAIT_SECONDS", 0)
    async with context.services.heavy.places, context.services.heavy.places:
        with pytest.raises(Overloaded) as refused:
            await funnel(context, definition("a", "b"), Question(PeriodRequest(last="30d")))
    assert refused.value.retry_after
