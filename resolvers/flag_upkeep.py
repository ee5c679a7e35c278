"""Upkeep of flags: guardrails are read, and what time or a guardrail made of a flag is written down."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import NoReturn

import structlog

from resolvers.analysis import flag_times
from resolvers.analysis.filters import Filter
from resolvers.analysis.flag_guards import GuardState, Reading, Verdict, judge, judge_slo
from resolvers.analysis.flags import Flag, Guard, GuardAction, Guardrail, Ramp, RampState, SloGuardrail
from resolvers.analysis.periods import PeriodRequest
from resolvers.analysis.questions import Question
from resolvers.analysis.slo_answers import SloAnswer
from resolvers.context import Context, Principal, Role, Services
from resolvers.errors import GatewayError, NotFound
from resolvers.flag_writing import Doing, apply, due_at, unnoted, with_environment, with_ramp
from resolvers.flags import FlagAction, known
from resolvers.metrics import metrics
from resolvers.slo_status import slo
from resolvers.store.database import driver
from resolvers.store.flags import FlagRepository
from resolvers.store.tenants import TenantRepository

_EVERY = 5.0
_NOBODY = 0
"""The key of the gateway itself."""

log = structlog.get_logger(__name__)


async def keep_flags(services: Services, *, every: float = _EVERY) -> NoReturn:
    """See to the flags that are due, for as long as it is not cancelled."""
    while True:
        try:
            await attend_due(services)
        except GatewayError as error:
            log.warning("flags.upkeep_delayed", reason=error.message)
        except Exception:
            log.exception("flags.upkeep_failed")
        await asyncio.sleep(every)


async def attend_due(services: Services) -> None:
    """See to every flag that is due now, of every tenant; one that fails does not keep the others waiting."""
    now = services.now()
    async with services.database.shared() as session:
        rows = await (await driver(session)).fetch("SELECT tenant_id FROM flags_due($1)", now)
    for row in rows:
        context = Context(services, await _principal(services, row[0]))
        async with services.database.tenant(row[0]) as session:
            keys = await FlagRepository(session, row[0]).due(now)
        for key in keys:
            try:
                await _attend(context, key, now)
            except GatewayError as error:
                log.warning("flags.upkeep_delayed", flag=key, reason=error.message)
            except Exception:
                log.exception("flags.upkeep_failed", flag=key)


async def _principal(services: Services, tenant_id: int) -> Principal:
    """The gateway itself, as one who may read a tenant's metrics."""
    async with services.database.tenant(tenant_id) as session:
        row = await TenantRepository(session).entered(tenant_id)
    return Principal(tenant_id, row.slug, row.currency, row.timezone, _NOBODY, Role.VIEWER)


async def _attend(context: Context, key: str, now: datetime) -> None:
    """Write down what came to pass of one flag, and when to look at it again."""
    tenant_id, database = context.require(Role.VIEWER).tenant_id, context.services.database
    flag = (await known(context)).flags[key]
    for name, environment in flag.environments.items():
        if flag_times.settled(environment, now) != environment:
            doing = Doing(key, FlagAction.SCHEDULE, None, name)
            await apply(database, tenant_id, doing, partial(_settled, name=name), now)
        for rule in environment.rules:
            ramp = rule.ramp
            if ramp is None:
                continue
            if unnoted(ramp, now) is not None:
                doing = Doing(key, FlagAction.RAMP_STEP, None, name, _reached(ramp, now))
                await apply(database, tenant_id, doing, partial(_noted, name=name, of=ramp), now)
            if flag_times.is_on(environment, now) and ramp.starts_at <= now and flag_times.is_watched(ramp, now):
                await _guard(context, key, name, ramp, now)
    flag = (await known(context)).flags[key]
    async with database.tenant(tenant_id) as session:
        await FlagRepository(session, tenant_id).postpone(key, flag.version, due_at(flag, now))


async def _guard(context: Context, key: str, environment: str, ramp: Ramp, now: datetime) -> None:
    """Stop a ramp whose guardrails fire; one that cannot be read keeps no other from being read."""
    for guardrail in ramp.guardrails:
        pauses = guardrail.action is GuardAction.PAUSE
        if pauses and ramp.state is RampState.PAUSED:
            continue
        context.renew()
        try:
            verdict = await verdict_of(context, guardrail, ramp, now)
        except GatewayError as error:
            log.warning("flags.guardrail_unread", flag=key, watched=guardrail.watched, reason=error.message)
            continue
        if verdict.state is not GuardState.FIRING:
            continue
        action = FlagAction.RAMP_PAUSE if pauses else FlagAction.RAMP_ROLL_BACK
        doing = Doing(key, action, None, environment, f"Guardrail: {verdict.message}."[:500])
        stopped = partial(_stopped, name=environment, of=ramp, pauses=pauses)
        await apply(context.services.database, context.require(Role.VIEWER).tenant_id, doing, stopped, now)
        if not pauses:
            return


async def verdict_of(context: Context, guardrail: Guard, ramp: Ramp, now: datetime) -> Verdict:
    """What a guardrail of a ramp says now."""
    if isinstance(guardrail, SloGuardrail):
        return judge_slo(guardrail, await _stands(context, guardrail.slo))
    assert isinstance(guardrail, Guardrail)
    start = max(ramp.starts_at, now - guardrail.window)
    if start >= now:
        return judge(guardrail, Reading(None, 0))
    exposed = await _read(context, guardrail.metric, guardrail.exposed, start, now)
    control = None
    if guardrail.control is not None:
        control = await _read(context, guardrail.metric, guardrail.control, start, now)
    return judge(guardrail, exposed, control)


async def _stands(context: Context, key: str) -> SloAnswer | None:
    """How an SLO stands; None where there is none any more."""
    try:
        return await slo(context, key, Question(PeriodRequest(last="1d")))
    except NotFound:
        return None


async def _read(context: Context, slug: str, where: Filter, start: datetime, end: datetime) -> Reading:
    (answer,) = await metrics(context, [slug], Question(PeriodRequest(start=start, end=end), where=where))
    return Reading(answer.estimate.value, answer.estimate.n)


def _settled(flag: Flag, flags: Mapping[str, Flag], now: datetime, *, name: str) -> Flag:
    environment = flag.environments.get(name)
    return flag if environment is None else with_environment(flag, flag_times.settled(environment, now))


def _noted(flag: Flag, flags: Mapping[str, Flag], now: datetime, *, name: str, of: Ramp) -> Flag:
    return _with_ramp(flag, name, of, now, lambda ramp: replace(ramp, noted=_step(ramp, now)))


def _stopped(flag: Flag, flags: Mapping[str, Flag], now: datetime, *, name: str, of: Ramp, pauses: bool) -> Flag:
    def stopped(ramp: Ramp) -> Ramp:
        if pauses:
            return flag_times.paused(ramp, now) if ramp.state is RampState.RUNNING else ramp
        return ramp if ramp.state is RampState.ROLLED_BACK else flag_times.rolled_back(ramp, now)

    return _with_ramp(flag, name, of, now, stopped)


def _with_ramp(flag: Flag, name: str, of: Ramp, now: datetime, by: Callable[[Ramp], Ramp]) -> Flag:
    """The flag with a ramp changed, wherever it is now; the flag itself where it is no more, or stays as it is."""
    environment = flag.environments.get(name)
    for index, rule in enumerate(environment.rules if environment is not None else ()):
        ramp = rule.ramp
        if environment is not None and ramp is not None and (ramp.starts_at, ramp.steps) == (of.starts_at, of.steps):
            changed = by(ramp)
            return flag if changed == ramp else with_ramp(flag, environment, index, changed, now)
    return flag


def _step(ramp: Ramp, now: datetime) -> int:
    step = unnoted(ramp, now)
    return ramp.noted if step is None else step


def _reached(ramp: Ramp, now: datetime) -> str:
    return f"The ramp has reached {flag_times.ramp_reached(ramp, now) / 100:g} %."
