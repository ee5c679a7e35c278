"""Objectives that are kept: which can be, who may, whose they are, and what holds on to them."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from resolvers.analysis.events import Kind
from resolvers.analysis.filters import All, DimensionIs, InSegment, KindIs, Op
from resolvers.analysis.flags import GuardAction, Rule, SloGuardrail, always
from resolvers.analysis.metrics import Direction
from resolvers.analysis.periods import PeriodRequest
from resolvers.analysis.segments import Did
from resolvers.analysis.slos import Severity
from resolvers.context import Context, Role
from resolvers.errors import BadInput, Forbidden, NotFound
from resolvers.flag_changes import EnvironmentDraft, FlagDraft, archive_flag, create_flag, set_flag_environment
from resolvers.segments import Draft, delete_segment, save_segment
from resolvers.slo_checks import SloDraft
from resolvers.slo_status import slo as status
from resolvers.slos import MOST_SLOS, create_slo, delete_slo, slos, slos_by_id, slos_by_key, update_slo
from resolvers.store.database import Database
from tests.factories import new_principal
from tests.resolvers.slo_logs import ASKED, slo
from tests.resolvers.test_flags import Clock, ramp

LATENCY = {"metric": "ai_latency_p95", "threshold": "800"}


async def test_an_slo_is_made_changed_listed_and_deleted(context: Context, owner: Database) -> None:
    made = await slo(context, "calls", cost_per_bad_event="0.25", where=DimensionIs("provider", Op.IN, ("p",)))
    assert (made.definition.title, made.definition.good, made.definition.absent_after) == (
        "calls",
        Direction.UP,
        timedelta(days=1),
    )
    other = await slo(context, "slow", **LATENCY, title="Quick answers")
    assert (other.definition.good, other.definition.threshold) == (Direction.DOWN, 800)
    page = await slos(context, first=1)
    assert (page.slos, page.has_next) == ((made,), True)
    assert (await slos(context, after=page.cursors[0])).slos == (other,)
    changed = await update_slo(context, "calls", {"objective": 0.5, "minimum_events": 7, "title": "Calls"})
    assert (changed.id, changed.created_at) == (made.id, made.created_at)
    assert changed.definition.objective == Decimal("0.5")
    assert (changed.definition.where, changed.definition.cost_per_bad_event) == (
        made.definition.where,
        Decimal("0.25"),
    )
    assert (await slos_by_id(context, [made.id, 0]))[made.id] == changed
    assert (await update_slo(context, "calls", {"cost_per_bad_event": None})).definition.cost_per_bad_event is None
    stranger = Context(context.services, await new_principal(owner))
    assert await slos_by_id(stranger, [made.id, other.id]) == {}
    assert (await slos(stranger)).slos == ()
    refusals = status(stranger, "calls", ASKED), update_slo(stranger, "calls", {}), delete_slo(stranger, made.id)
    for refuse in (*refusals, delete_slo(stranger, "calls"), update_slo(context, "no", {})):
        with pytest.raises(NotFound):
            await refuse
    # What one tenant calls an SLO another may, too.
    theirs = await slo(stranger, "calls", objective="0.7")
    assert (
        (await slos_by_key(context, ["calls"]))["calls"]
        == (await update_slo(context, "calls", {})).definition
        != theirs.definition
    )
    assert (await delete_slo(context, "calls")).id == made.id
    assert (await slos(context)).slos == (other,)
    assert (await slos(stranger)).slos == (theirs,)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"key": ""}, "key"),
        ({"key": "a b"}, "key"),
        ({"key": "taken"}, "key"),
        ({"title": "x" * 201}, "title"),
        ({"title": "a\x00b"}, "title"),
        ({"metric": "no"}, "metric"),
        ({"metric": "revenue"}, "metric"),
        ({"metric": "average_order_value", "threshold": "5"}, "metric"),
        ({"metric": "events"}, "metric"),
        ({"threshold": "5"}, "threshold"),
        ({"metric": "ai_latency_p50"}, "threshold"),
        (LATENCY | {"threshold": "0"}, "threshold"),
        (LATENCY | {"threshold": "-1"}, "threshold"),
        (LATENCY | {"threshold": "soon"}, "threshold"),
        ({"objective": "0"}, "objective"),
        ({"objective": "1"}, "objective"),
        ({"objective": "99"}, "objective"),
        ({"objective": "-0.9"}, "objective"),
        ({"objective": "0.9999999999"}, "objective"),
        ({"objective": None}, "objective"),
        ({"objective": float("nan")}, "objective"),
        ({"good": Direction.NEUTRAL}, "good"),
        ({"minimum_events": 0}, "minimumEvents"),
        ({"minimum_events": 2**31}, "minimumEvents"),
        ({"absent_after": timedelta(minutes=4)}, "absentAfter"),
        ({"absent_after": timedelta(days=31)}, "absentAfter"),
        ({"cost_per_bad_event": "0"}, "costPerBadEvent"),
        ({"cost_per_bad_event": "1e40"}, "costPerBadEvent"),
        ({"where": InSegment("nobody", field="where.segment.in[0]")}, "where.segment.in[0]"),
    ],
)
async def test_slos_that_cannot_be(context: Context, changes: dict[str, Any], field: str) -> None:
    await slo(context, "taken")
    with pytest.raises(BadInput) as refused:
        await slo(context, **{"key": "a"} | changes)
    assert refused.value.field == field
    if "key" not in changes:
        with pytest.raises(BadInput) as refused:
            await update_slo(context, "taken", changes)
        assert refused.value.field == field
    assert [one.definition.key for one in (await slos(context)).slos] == ["taken"]
    assert (await slos(context)).slos[0].definition.objective == Decimal("0.9")


async def test_another_metric_has_its_own_way_to_be_good(context: Context) -> None:
    await slo(context)
    with pytest.raises(BadInput) as refused:
        await update_slo(context, "calls", {"metric": "ai_latency_p95"})
    assert refused.value.field == "threshold"
    assert (await update_slo(context, "calls", LATENCY)).definition.good is Direction.DOWN
    with pytest.raises(BadInput) as refused:
        await update_slo(context, "calls", {"metric": "conversion_rate"})
    assert refused.value.field == "threshold"
    back = await update_slo(context, "calls", {"metric": "conversion_rate", "threshold": None})
    assert (back.definition.good, back.definition.threshold) == (Direction.UP, None)


async def test_who_may_and_how_many(context: Context, owner: Database) -> None:
    viewer = Context(context.services, await new_principal(owner, Role.VIEWER))
    for refuse in slo(viewer), update_slo(viewer, "calls", {}), delete_slo(viewer, "calls"):
        with pytest.raises(Forbidden):
            await refuse
    for number in range(MOST_SLOS):
        await slo(context, f"s{number}")
    with pytest.raises(BadInput, match="more than 100"):
        await slo(context, "more")


async def test_a_segment_that_an_slo_names_stays(context: Context) -> None:
    bought = Did(KindIs((Kind.CONVERSION,)), PeriodRequest(last="30d"))
    segment = await save_segment(context, Draft("Buyers", bought))
    made = await slo(context, where=All((InSegment("Buyers"),)))
    assert made.definition.where == All((InSegment(segment.id),))
    assert (await status(context, "calls", ASKED)).budget.total == 0
    with pytest.raises(BadInput, match='the SLO "calls"'):
        await delete_segment(context, "Buyers")
    await delete_slo(context, "calls")
    await delete_segment(context, "Buyers")


def guarded(severity: Severity, key: str = "calls") -> EnvironmentDraft:
    made = ramp(Clock(), SloGuardrail(key, severity, GuardAction.PAUSE))
    return EnvironmentDraft(on=True, rules=(Rule(always("off")), made))


async def test_what_a_ramp_watches_stays(context: Context) -> None:
    made = await slo(context)
    await slo(context, "other")
    await create_flag(context, FlagDraft("f", environments=(guarded(Severity.PAGE),)))
    for which, field in (("calls", "key"), (made.id, "id")):
        with pytest.raises(BadInput, match='A ramp of the flag "f" watches it') as refused:
            await delete_slo(context, which)
        assert refused.value.field == field
    await delete_slo(context, "other")
    # A flag that is archived may come back.
    await archive_flag(context, "f")
    with pytest.raises(BadInput):
        await delete_slo(context, "calls")
    await archive_flag(context, "f", archived=False)
    await set_flag_environment(context, "f", EnvironmentDraft())
    await delete_slo(context, "calls")


async def test_a_ramp_watches_for_what_there_is(context: Context, owner: Database) -> None:
    stranger = Context(context.services, await new_principal(owner))
    await slo(stranger)
    await create_flag(context, FlagDraft("f"))
    field = "rules[1].ramp.guardrails[0].slo"
    with pytest.raises(BadInput, match="must be the key of an SLO") as refused:
        await set_flag_environment(context, "f", guarded(Severity.PAGE))
    assert refused.value.field == field
    draft = guarded(Severity.PAGE)
    with pytest.raises(BadInput) as refused:
        await create_flag(context, FlagDraft("g", environments=(EnvironmentDraft("x", at="environments[0]."), draft)))
    assert refused.value.field == field
    # Burning at most four times too fast, it calls for no page.
    await slo(context, objective="0.75")
    with pytest.raises(BadInput, match="at most 4 times") as refused:
        await set_flag_environment(context, "f", guarded(Severity.PAGE))
    assert refused.value.field == "rules[1].ramp.guardrails[0].severity"
    await set_flag_environment(context, "f", guarded(Severity.TICKET))
    await update_slo(context, "calls", {"objective": "0.9"})
    await set_flag_environment(context, "f", guarded(Severity.PAGE))
    with pytest.raises(BadInput, match='the flag "f" watches for') as refused:
        await update_slo(context, "calls", {"objective": "0.75"})
    assert refused.value.field == "objective"
    assert (await create_slo(context, SloDraft("low", "conversion_rate", "0.05"))).definition.objective < 1
