"""Flags in time: ramps and schedules that go on by themselves, guardrails that stop them, what is kept and cached."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from resolvers import flag_upkeep
from resolvers.analysis.filters import All, DimensionIs, Op
from resolvers.analysis.flag_guards import Verdict
from resolvers.analysis.flag_targeting import Person
from resolvers.analysis.flags import (
    Bound,
    GuardAction,
    Guardrail,
    Ramp,
    RampState,
    RampStep,
    Rule,
    ScheduledStep,
    always,
)
from resolvers.context import Context, Role, Services
from resolvers.errors import BadInput
from resolvers.flag_changes import (
    EnvironmentDraft,
    FlagDraft,
    RampMove,
    create_flag,
    set_flag_environment,
    steer_ramp,
    toggle_flag,
)
from resolvers.flag_coverage import SAMPLE, coverage
from resolvers.flag_evaluations import evaluate_flags
from resolvers.flag_upkeep import attend_due
from resolvers.flags import FlagAction, Wanted, flag_changes, flags, given, known, stale
from resolvers.store.database import Database, driver
from resolvers.store.flag_tallies import KEPT
from tests.factories import event, new_principal, running_services, store

HOUR = timedelta(hours=1)


class Clock:
    """A clock that is put forward by hand."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC).replace(microsecond=0)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def timed(database_url: str, clock: Clock, owner: Database) -> AsyncIterator[Context]:
    """A tenant's admin at a process whose clock stands still."""
    async with running_services(database_url, now=clock) as services:
        yield Context(services, await new_principal(owner))


async def actions(context: Context) -> list[tuple[FlagAction, str | None, bool]]:
    """What was done, oldest first: the action, where, and whether by somebody."""
    found = (await flag_changes(context, first=100)).changes
    return [(one.action, one.environment, one.by is not None) for one in reversed(found)]


async def variation(context: Context, subject: str = "ann") -> str | None:
    return (await evaluate_flags(context, Person(subject), ["f"]))[0].variation


def ramp(clock: Clock, *guardrails: Guardrail) -> Rule:
    steps = RampStep(0, HOUR), RampStep(5_000, HOUR), RampStep(10_000, HOUR)
    return Rule(always("on"), ramp=Ramp(clock(), steps, guardrails))


def guardrail(action: GuardAction, *, compared: bool) -> Guardrail:
    feature = DimensionIs("feature", Op.IN, ("f",))
    exposed = All((feature, DimensionIs("variant", Op.IN, ("on",))))
    control = All((feature, DimensionIs("variant", Op.NOT_IN, ("on",)))) if compared else None
    limit = Decimal("-0.2") if compared else Decimal("0.5")
    return Guardrail("ai_success_rate", Bound.BELOW, limit, exposed, control, 10, HOUR, action)


def calls(variant: str, good: int, bad: int, at: datetime) -> list[dict[str, Any]]:
    """AI interactions of people with a variant."""
    dimensions = {"feature": "f", "variant": variant, "provider": "p", "model": "m"}
    made = {"kind": "AI_INTERACTION", "name": "ai", "dimensions": dimensions, "occurredAt": at}
    return [event(**made, subject=f"{variant}{n}", success=n < good) for n in range(good + bad)]


async def test_a_schedule_and_a_ramp_go_on_by_themselves_and_are_told_of(timed: Context, clock: Clock) -> None:
    await create_flag(timed, FlagDraft("f"))
    schedule = ScheduledStep(clock() + HOUR, True), ScheduledStep(clock() + 5 * HOUR, False)
    await set_flag_environment(timed, "f", EnvironmentDraft(rules=(ramp(clock),), schedule=schedule))
    services, start = timed.services, clock()
    seen = []
    for hour in range(6):
        clock.now = start + hour * HOUR
        seen.append(await variation(timed))
        await attend_due(services)
        await attend_due(services)
        assert await variation(timed) == seen[-1]
    assert seen == ["off", seen[1], "on", "on", "on", "off"]
    done = [(FlagAction.CREATE, None, False), (FlagAction.CONFIGURE, "production", False)]
    assert await actions(timed) == [
        *done,
        (FlagAction.RAMP_STEP, "production", False),
        (FlagAction.SCHEDULE, "production", False),
        (FlagAction.RAMP_STEP, "production", False),
        (FlagAction.RAMP_STEP, "production", False),
        (FlagAction.SCHEDULE, "production", False),
    ]
    environment = (await known(timed)).flags["f"].environments["production"]
    assert (environment.on, environment.schedule) == (False, ())


@pytest.mark.parametrize("compared", [False, True])
@pytest.mark.parametrize("action", list(GuardAction))
async def test_a_guardrail_stops_a_ramp(timed: Context, clock: Clock, action: GuardAction, compared: bool) -> None:
    await create_flag(timed, FlagDraft("f"))
    draft = EnvironmentDraft(on=True, rules=(ramp(clock, guardrail(action, compared=compared)),))
    await set_flag_environment(timed, "f", draft)
    clock.now += HOUR
    # Too few to tell, and what was before the ramp counts for nothing.
    await store(timed, *calls("on", 0, 9, clock() - HOUR / 2), *calls("off", 20, 0, clock() - HOUR / 2))
    await attend_due(timed.services)
    state = (await known(timed)).flags["f"].environments["production"].rules[0].ramp
    assert state is not None
    assert state.state is RampState.RUNNING
    await store(timed, *calls("on", 0, 30, clock() - HOUR / 3))
    clock.now += timedelta(minutes=1)
    await attend_due(timed.services)
    state = (await known(timed)).flags["f"].environments["production"].rules[0].ramp
    assert state is not None
    pauses = action is GuardAction.PAUSE
    assert (state.state, state.since) == (RampState.PAUSED if pauses else RampState.ROLLED_BACK, clock())
    (last,) = (await flag_changes(timed, first=1)).changes
    assert last.action is (FlagAction.RAMP_PAUSE if pauses else FlagAction.RAMP_ROLL_BACK)
    assert last.by is None
    assert (last.reason or "").startswith("Guardrail: ai_success_rate is 0 (n = 39)")
    clock.now += 10 * HOUR
    shares = await asyncio.gather(*(variation(timed, f"s{n}") for n in range(40)))
    assert set(shares) == ({"on", "off"} if pauses else {"off"})
    before = len(await actions(timed))
    await attend_due(timed.services)
    assert len(await actions(timed)) == before


async def test_a_paused_ramp_is_guarded_too_and_what_cannot_be_read_hinders_nothing(
    timed: Context, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, unreadable = flag_upkeep.verdict_of, timedelta(days=3)

    async def verdict_of(context: Context, guardrail: Guardrail, *others: Any) -> Verdict:
        if guardrail.window == unreadable:
            raise BadInput("There is no such segment.")
        return await real(context, guardrail, *others)

    monkeypatch.setattr(flag_upkeep, "verdict_of", verdict_of)
    guard = guardrail(GuardAction.ROLL_BACK, compared=False)
    rule = ramp(clock, replace(guard, window=unreadable), guard)
    await create_flag(timed, FlagDraft("f"))
    await set_flag_environment(timed, "f", EnvironmentDraft(on=True, rules=(rule,)))
    clock.now += HOUR
    await steer_ramp(timed, "f", "production", 0, RampMove.PAUSE)
    await store(timed, *calls("on", 0, 30, clock() - HOUR / 3))
    clock.now += timedelta(minutes=1)
    await attend_due(timed.services)
    assert (await actions(timed))[-1] == (FlagAction.RAMP_ROLL_BACK, "production", False)


async def test_a_ramp_whose_guardrails_are_quiet_goes_on(timed: Context, clock: Clock) -> None:
    await create_flag(timed, FlagDraft("f"))
    rule = ramp(clock, guardrail(GuardAction.ROLL_BACK, compared=False))
    await set_flag_environment(timed, "f", EnvironmentDraft(on=True, rules=(rule,)))
    clock.now += 2 * HOUR
    await store(timed, *calls("on", 20, 10, clock() - HOUR / 2))
    await attend_due(timed.services)
    assert await variation(timed) == "on"
    # Another setup with the same ramp is no new start.
    other = replace(rule, name="renamed", ramp=replace(rule.ramp, guardrails=()))  # type: ignore[type-var]
    await set_flag_environment(timed, "f", EnvironmentDraft(on=True, rules=(other,)))
    found = (await known(timed)).flags["f"].environments["production"].rules[0].ramp
    assert found is not None
    assert (found.noted, found.guardrails) == (2, ())


async def test_two_processes_write_down_a_step_once(timed: Context, clock: Clock, database_url: str) -> None:
    await create_flag(timed, FlagDraft("f"))
    await set_flag_environment(timed, "f", EnvironmentDraft(on=True, rules=(ramp(clock),)))
    async with running_services(database_url, now=clock) as second:
        clock.now += HOUR
        await asyncio.gather(*(attend_due(services) for services in (timed.services, second) * 3))
    assert [one[0] for one in await actions(timed)].count(FlagAction.RAMP_STEP) == 1


async def test_changes_at_the_same_time_are_all_made(context: Context) -> None:
    await create_flag(context, FlagDraft("f"))
    names = [f"e{n}" for n in range(8)]
    await asyncio.gather(*(set_flag_environment(context, "f", EnvironmentDraft(name)) for name in names))
    found = (await known(context)).flags["f"]
    assert set(found.environments) == {"production", *names}
    assert [one.version for one in (await flag_changes(context)).changes] == list(range(9, 0, -1))


async def test_what_is_cached_is_what_is_kept(context: Context, services: Services, database_url: str) -> None:
    keys = [f"k{n}" for n in range(5)]
    async with running_services(database_url) as other:
        elsewhere = Context(other, context.principal)
        for key in keys:
            await create_flag(context, FlagDraft(key))
            assert list((await known(elsewhere)).flags) == sorted(keys[: keys.index(key) + 1])
        await toggle_flag(elsewhere, "k3", "production", True)
        held = await known(context)
        assert held.flags["k3"].environments["production"].on
        async with running_services(database_url) as third:
            fresh = await known(Context(third, context.principal))
        assert (fresh.version, fresh.flags) == (held.version, held.flags)


async def test_staleness_is_told_from_what_was_evaluated(timed: Context, clock: Clock) -> None:
    for key in ("asked", "unasked"):
        await create_flag(timed, FlagDraft(key))
        await set_flag_environment(timed, key, EnvironmentDraft(on=True, rules=(Rule(always("on"), parts=1),)))
    clock.now += timedelta(days=31)
    await evaluate_flags(timed, Person("ann"), ["asked"])
    await timed.services.tallies.flush(timed.services.database, clock())
    assert [one.key for one in (await flags(timed, Wanted(stale=True))).flags] == ["unasked"]
    assert [one.key for one in (await flags(timed, Wanted(stale=False))).flags] == ["asked"]
    held = (await known(timed)).flags
    assert [one.reason.value for one in await stale(timed, held["unasked"])] == ["never_evaluated"]
    assert [(one.variation, one.evaluations) for one in await given(timed, held["asked"], 1)] == [("off", 1)]
    clock.now += timedelta(days=31)
    assert [one.reason.value for one in await stale(timed, held["asked"])] == ["not_evaluated"]


async def test_what_was_given_long_ago_is_forgotten(timed: Context, clock: Clock, owner: Database) -> None:
    other = Context(timed.services, await new_principal(owner))
    for one in (timed, other):
        await create_flag(one, FlagDraft("f"))
    held, tallies, database = (await known(timed)).flags["f"], timed.services.tallies, timed.services.database
    days = []
    both = (timed, other)
    for later, active in ((0, both), (1, both), (KEPT.days, both[:1]), (1, both[:1])):
        clock.now += timedelta(days=later)
        for one in active:
            await evaluate_flags(one, Person("ann"))
        await tallies.flush(database, clock())
        async with database.tenant(timed.require(Role.VIEWER).tenant_id) as session:
            days.append(await (await driver(session)).fetchval("SELECT count(*) FROM flag_tally"))
        # What is written on the same day, too, stays.
        await tallies.flush(database, clock())
    assert days == [1, 2, 2, 2]
    assert [one.evaluations for one in await given(timed, held, 366)] == [2]
    async with database.tenant(other.require(Role.VIEWER).tenant_id) as session:
        assert await (await driver(session)).fetchval("SELECT count(*) FROM flag_tally") == 2


async def test_the_coverage_of_many_is_told_from_a_sample(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resolvers.flag_coverage.SAMPLE", 500)
    assert SAMPLE == 5_000
    await create_flag(context, FlagDraft("f"))
    draft = EnvironmentDraft(on=True, rules=(Rule(always("on"), parts=2_500),))
    await set_flag_environment(context, "f", draft)
    now = datetime.now(UTC)
    await store(context, *(event(subject=f"s{n}", occurredAt=now) for n in range(2_000)))
    found = await coverage(context, (await known(context)).flags["f"])
    assert (found.subjects, found.sampled) == (2_000, 500)
    on, off = found.shares
    assert (on.variation, off.variation, on.share.n) == ("on", "off", 500)
    assert on.share.interval is not None
    assert on.share.interval.low < Decimal("0.25") < on.share.interval.high
    assert await coverage(context, (await known(context)).flags["f"]) == found


async def test_upkeep_of_one_tenant_leaves_others_alone(timed: Context, clock: Clock, owner: Database) -> None:
    other = Context(timed.services, await new_principal(owner))
    for context in (timed, other):
        await create_flag(context, FlagDraft("f"))
    await set_flag_environment(timed, "f", EnvironmentDraft(on=True, rules=(ramp(clock),)))
    clock.now += HOUR
    await attend_due(timed.services)
    assert len(await actions(timed)) == 3
    assert len(await actions(other)) == 1
    assert other.require(Role.ADMIN).tenant_id != timed.require(Role.ADMIN).tenant_id
