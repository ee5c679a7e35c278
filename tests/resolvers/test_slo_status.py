"""How objectives stand: exactly what the events of each window say, whatever it is read from."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from resolvers.analysis.events import Kind
from resolvers.analysis.explanations import Source
from resolvers.analysis.filters import EVERYTHING, All, DimensionIs, Filter, InSegment, KindIs, Op, PropertyIs
from resolvers.analysis.metrics import Direction
from resolvers.analysis.periods import PeriodRequest
from resolvers.analysis.questions import Question
from resolvers.analysis.segments import Did
from resolvers.analysis.slo_answers import SloAnswer, SloRuleState, SloState
from resolvers.analysis.slos import PERIOD, WINDOWS
from resolvers.context import Context
from resolvers.errors import BadInput, NotFound
from resolvers.metrics import metrics
from resolvers.segments import Draft, save_segment
from resolvers.slo_status import slo as status
from resolvers.slo_status import slo_of_list
from resolvers.slos import slos, update_slo
from tests.factories import event, purchase, store
from tests.resolvers.ai_budget_logs import seen_at
from tests.resolvers.slo_logs import ASKED, DAY, END, HOUR, MINUTE, NOW, call, calls, slo
from tests.statements import counted

SECOND = timedelta(seconds=1)
EDGES = [END - length + shift for length in (*WINDOWS, PERIOD, 45 * MINUTE) for shift in (-SECOND, 0 * SECOND)]


@pytest.fixture
def now(context: Context) -> Context:
    return seen_at(context, NOW)


def of_length(answer: SloAnswer, length: timedelta) -> tuple[int, int]:
    (found,) = (one for one in answer.windows if one.length == length)
    return found.total, found.bad


async def some_calls(context: Context) -> None:
    """Calls about the edges of all windows, and people who buy or do not."""
    rng = Random(7)
    sent = []
    for place, at in enumerate([*EDGES, *(END - rng.randrange(1, 40 * 1_440) * MINUTE for _ in range(150))]):
        dimensions = {"provider": f"p{place % 3}", "feature": f"f{place % 2}"} if place % 5 else {"feature": "f0"}
        properties = {"tier": "gold" if place % 3 else "tin"}
        success = None if place % 11 == 0 else place % 4 > 0
        fields: dict[str, Any] = {"subject": f"s{place % 40}", "dimensions": dimensions, "properties": properties}
        sent.append(call(at, success, durationMs=float(100 * (place % 10)), **fields))
        if place % 3 == 0:
            sent.append(purchase("5", occurredAt=at, subject=f"s{place % 40}", dimensions=dimensions))
    await store(context, *sent)


CONDITIONS: tuple[Filter, ...] = (
    EVERYTHING,
    DimensionIs("provider", Op.IN, ("p1", "p2", "nobody")),
    All((DimensionIs("feature", Op.IN, ("f1",)),)),
    PropertyIs(("tier",), Op.IN, ("gold",)),
    All((DimensionIs("provider", Op.IN, ("p1",)), DimensionIs("feature", Op.IN, ("f1",)))),
    DimensionIs("feature", Op.EXISTS),
)


@pytest.mark.parametrize("where", CONDITIONS)
@pytest.mark.parametrize("slug", ["ai_success_rate", "conversion_rate"])
async def test_a_window_holds_what_the_metric_says_of_it(now: Context, slug: str, where: Filter) -> None:
    await some_calls(now)
    kept = await slo(now, metric=slug, where=where, absent_after=45 * MINUTE)
    answer = await status(now, "calls", ASKED)
    assert (answer.period.start, answer.period.end) == (END - PERIOD, END)
    assert [one.length for one in answer.windows] == list(WINDOWS)
    for length in (*WINDOWS, PERIOD):
        asked = Question(PeriodRequest(start=END - length, end=END), where=where)
        (told,) = await metrics(Context(now.services, now.principal), [slug], asked)
        found = (answer.budget.total, answer.budget.bad) if length == PERIOD else of_length(answer, length)
        assert told.estimate.numerator is not None
        assert found == (told.estimate.n, told.estimate.n - int(told.estimate.numerator)), length
    assert answer.budget.total > of_length(answer, WINDOWS[-1])[0] > of_length(answer, WINDOWS[0])[0] > 0
    # Which way is good is the other way round then.
    await update_slo(now, "calls", {"good": Direction.DOWN})
    turned = await status(now, "calls", ASKED)
    assert [one.total for one in turned.windows] == [one.total for one in answer.windows]
    assert [one.bad for one in turned.windows] == [one.total - one.bad for one in answer.windows]
    assert kept.definition.good is Direction.UP


async def test_an_event_counts_up_to_a_threshold(now: Context) -> None:
    await store(
        now,
        *(call(END - MINUTE, None, durationMs=float(ms)) for ms in (799, 800, 800.5, 5_000)),
        *(call(END - 29 * DAY, None, durationMs=300.0) for _ in range(3)),
        call(END - MINUTE, True),
        event(occurredAt=END - MINUTE, durationMs=9_000.0),
    )
    await slo(now, metric="ai_latency_p95", threshold="800", objective="0.5")
    answer = await status(now, "calls", ASKED)
    assert of_length(answer, 5 * MINUTE) == (4, 2)
    assert (answer.budget.total, answer.budget.bad) == (7, 2)
    assert answer.state is SloState.TICKET
    (group,) = (await status(now, "calls", replace(ASKED, by=("provider",)))).groups
    assert (group.total, group.bad) == (7, 2)
    await update_slo(now, "calls", {"good": Direction.UP})
    assert of_length(await status(now, "calls", ASKED), 5 * MINUTE) == (4, 1)


async def test_few_rows_are_read_of_a_long_log(now: Context) -> None:
    await store(now, *(one for hour in range(29 * 24) for one in calls(END - hour * HOUR - 20 * MINUTE, 3, 1)))
    await slo(now)
    answer = await status(now, "calls", ASKED)
    assert answer.explain.source is Source.ROLLUPS
    # The hours that the windows begin and end within, and rollups of at most 30 days and the hours about them.
    assert answer.explain.tail <= 9 * 4
    assert answer.explain.rows <= 300
    assert (answer.budget.total, answer.budget.bad) == (29 * 24 * 4, 29 * 24)


async def test_it_pages_while_it_burns_and_says_until_when_the_budget_lasts(now: Context) -> None:
    await store(
        now,
        *(one for day in range(1, 30) for one in calls(END - day * DAY, 34, 0)),
        *calls(END - 5 * HOUR, 14, 0),
        *calls(END - 10 * MINUTE, 0, 30),
    )
    await slo(now, objective="0.9", minimum_events=10, cost_per_bad_event="2.50", title="Answers")
    answer = await status(now, "calls", ASKED)
    assert [one.state for one in answer.rules] == [
        SloRuleState.QUIET,
        SloRuleState.FIRING,
        SloRuleState.FIRING,
        SloRuleState.FIRING,
    ]
    assert (answer.state, answer.rules[0].reachable) == (SloState.PAGE, False)
    assert answer.message == (
        "Answers: the error budget burns 6.8× within 6h (30 of 44 bad) and 10× within 30m (30 of 30 bad), "
        "a page from 6× on"
    )
    budget = answer.budget
    assert (budget.total, budget.bad, budget.allowed) == (1_030, 30, Decimal("103"))
    assert (budget.consumed, budget.cost, budget.allowed_cost) == (
        Decimal(30) / 103,
        75,
        Decimal("257.5"),
    )
    assert budget.present is not None
    assert (budget.present.length, budget.present.burn_rate, budget.present.cost) == (HOUR, 10, 75)
    assert budget.exhausted_at is not None
    assert budget.exhausted_at - END == pytest.approx(30 * DAY * 73 / 103 / 10, abs=SECOND)
    # A quarter of an hour later nothing is bad any more: it takes a ticket, but no page.
    later = seen_at(now, NOW + 35 * MINUTE)
    await store(later, *calls(END + 30 * MINUTE, 40, 0))
    after = await status(later, "calls", ASKED)
    assert (after.state, of_length(after, 30 * MINUTE)) == (SloState.TICKET, (40, 0))


async def test_states_without_much_to_tell(now: Context) -> None:
    await slo(now, minimum_events=3)
    assert (await status(now, "calls", ASKED)).state is SloState.NO_DATA
    await store(now, *calls(END - 20 * HOUR, 0, 2))
    assert (await status(now, "calls", ASKED)).state is SloState.LOW_TRAFFIC
    await store(now, *calls(END - 20 * HOUR, 5, 0))
    assert (await status(now, "calls", ASKED)).state is SloState.HEALTHY
    # Nothing else happens: it is absent after as long as the SLO says.
    await update_slo(now, "calls", {"absent_after": 19 * HOUR})
    assert (await status(now, "calls", ASKED)).state is SloState.NO_DATA


async def test_what_used_up_the_budget(now: Context) -> None:
    for provider, good, bad in (("a", 70, 3), ("b", 10, 5), ("c", 1, 0), ("d", 0, 1)):
        await store(now, *calls(END - 3 * DAY, good, bad, dimensions={"provider": provider}))
    await slo(now, cost_per_bad_event="2")
    answer = await status(now, "calls", replace(ASKED, by=("provider",), top=2))
    shown = [([key.value for key in one.keys], one.other, one.total, one.bad, one.cost) for one in answer.groups]
    assert shown == [(["a"], False, 73, 3, 6), (["b"], False, 15, 5, 10), ([], True, 2, 1, 2)]
    assert [one.share for one in answer.groups] == [Decimal(bad) / 9 for bad in (3, 5, 1)]
    assert [one.burn_rate for one in answer.groups][2] == 5
    assert answer.group_count == 4
    assert replace(answer, groups=(), group_count=0) == await status(now, "calls", ASKED)
    for by in (("nothing",), ("provider", "provider")):
        with pytest.raises(BadInput) as refused:
            await status(now, "calls", replace(ASKED, by=by))
        assert refused.value.field == "by"


async def told(context: Context, some: int) -> list[SloAnswer]:
    """How the first of the SLOs stand, each asked for by a field of a list."""
    definitions = [one.definition for one in (await slos(context, first=100)).slos][:some]
    operation = Context(context.services, context.principal)
    return await asyncio.gather(*(slo_of_list(operation, one, ASKED) for one in definitions))


async def test_those_of_a_list_are_read_together(now: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    await some_calls(now)
    for place, where in enumerate((*CONDITIONS, *CONDITIONS)):
        absence, objective = (45 * MINUTE, 2 * DAY)[place % 2], f"0.{place + 10}"
        await slo(now, f"calls{place}", where=where, absent_after=absence, objective=objective)
    for place in range(3):
        await slo(now, f"people{place}", metric="conversion_rate", objective=f"0.{place + 1}")
    latency: dict[str, Any] = {"metric": "ai_latency_p50", "objective": "0.5"}
    for place in range(4):
        await slo(now, f"slow{place}", threshold=str(100 * place + 100), where=CONDITIONS[place % 2], **latency)

    await save_segment(now, Draft("Buyers", Did(KindIs((Kind.CONVERSION,)), PeriodRequest(last="30d"))))
    await slo(now, "buyers", where=InSegment("Buyers"))
    await slo(now, "buying", where=InSegment("Buyers"), metric="conversion_rate")

    async def statements(first: int, last: int) -> int:
        """What it takes to tell some of the SLOs."""
        definitions = [one.definition for one in (await slos(now, first=100)).slos][first:last]
        operation = Context(now.services, now.principal)
        with counted(now.services, monkeypatch) as seen:
            await asyncio.gather(*(slo_of_list(operation, one, ASKED) for one in definitions))
        return len(seen)

    everything = await told(now, 21)
    alone = [await status(now, one.definition.key, ASKED) for one in everything]
    assert everything == alone
    assert 0 < everything[19].budget.total < everything[0].budget.total
    assert len({(one.budget.total, one.budget.bad) for one in everything}) > 8
    # Twelve of every kind of condition take what six take, and people of one condition what one SLO of them takes.
    assert await statements(0, 12) <= await statements(0, 6)
    assert await statements(12, 15) <= await statements(13, 15)
    assert await statements(15, 19) <= await statements(15, 17)


async def test_an_answer_is_kept_for_its_minute(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    async def reads(now: datetime, question: Question = ASKED) -> tuple[bool, SloAnswer]:
        at = seen_at(context, now)
        with counted(at.services, monkeypatch) as seen:
            answer = await status(at, "calls", question)
        return any("FROM event" in one or "FROM rollup" in one for one in seen), answer

    await slo(context)
    start = NOW.replace(second=0)
    await store(context, *calls(start - 5 * MINUTE, 0, 1))
    read, first = await reads(start)
    assert (read, of_length(first, 5 * MINUTE)) == (True, (0, 0))
    assert await reads(start + 59 * SECOND) == (False, first)
    # The next minute asks anew, unless an older answer will do.
    assert await reads(start + MINUTE, replace(ASKED, max_age=2 * MINUTE)) == (False, first)
    read, second = await reads(start + MINUTE)
    assert (read, second.period.end) == (True, first.period.end + MINUTE)
    # And so does whoever asks after a commit.
    await store(context, *calls(start + MINUTE, 0, 1))
    read, third = await reads(start + MINUTE)
    assert (read, of_length(third, 5 * MINUTE)) == (True, (1, 1))
    # What is changed of the SLO is in the next answer.
    await update_slo(context, "calls", {"objective": "0.5"})
    assert (await reads(start + MINUTE))[1].definition.objective == Decimal("0.5")


async def test_there_is_none_of_that_key(now: Context) -> None:
    with pytest.raises(NotFound) as refused:
        await status(now, "calls", ASKED)
    assert refused.value.field == "key"


def test_the_edges_are_those_of_all_windows() -> None:
    ordered: Sequence[datetime] = sorted(set(EDGES))
    assert len(ordered) == 2 * 9
    assert all(before < after for before, after in pairwise(ordered))
