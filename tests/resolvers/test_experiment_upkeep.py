"""Upkeep of experiments: what is folded in the background answers the same, and can be proven and made anew."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from json import dumps, loads

from resolvers.analysis.events import Kind
from resolvers.analysis.experiment_answers import ExperimentAnswer
from resolvers.analysis.experiments import (
    Experiment,
    ExperimentDefinition,
    ExperimentMetric,
    MetricRole,
    Step,
    UnitMetric,
    Variant,
)
from resolvers.analysis.explanations import Source
from resolvers.analysis.metrics import Direction
from resolvers.analysis.periods import PeriodRequest
from resolvers.analysis.questions import Question
from resolvers.context import Context, Principal
from resolvers.experiment_changes import create_experiment, take_step, update_experiment
from resolvers.experiment_checks import of_catalogue
from resolvers.experiment_results import Asking, experiment_results
from resolvers.experiment_upkeep import (
    experiment_keys,
    fold_behind,
    fold_experiments,
    rebuild_experiments,
    verify_experiments,
)
from resolvers.sharing import ANSWERS
from resolvers.store.database import Database, driver
from resolvers.store.experiment_sums import UnitRepository
from resolvers.store.terms import TermMemory
from tests.factories import event, purchase, store

START = datetime(2026, 3, 1, tzinfo=UTC)
WINDOW = timedelta(days=7)


def metric(slug: str, role: MetricRole = MetricRole.GOAL, **of: Decimal) -> ExperimentMetric:
    value, per = of_catalogue(slug)
    return ExperimentMetric(slug, role, Direction.UP, UnitMetric(value, WINDOW, per, **of), slug)


def definition() -> ExperimentDefinition:
    return ExperimentDefinition(
        name="Button",
        variants=(Variant("plain", "Plain", 5_000, control=True), Variant("bold", "Bold", 5_000)),
        metrics=(
            metric("conversion_rate"),
            metric("revenue", cap_at=Decimal("0.9")),
            metric("average_order_value", MetricRole.SECONDARY),
        ),
    )


async def started(context: Context) -> Experiment:
    made = await create_experiment(context, "button", definition())
    return await take_step(context, made.id, Step.START, at=START)


def crowd(first: int, last: int) -> list[dict[str, object]]:
    found = []
    for number in range(first, last):
        who, at = f"s{number}", START + timedelta(hours=number)
        variant = ("plain", "bold")[number % 2]
        shown = {"experiment": "button", "variant": variant}
        found.append(event(kind=Kind.EXPOSURE.name, name="exposure", subject=who, occurredAt=at, dimensions=shown))
        if number % 3 == 0:
            found.append(purchase(str(number + 1), subject=who, occurredAt=at + timedelta(hours=1)))
    return found


async def asked(context: Context) -> ExperimentAnswer:
    context.renew()
    return await experiment_results(context, Asking("button"), Question(PeriodRequest(last="1h")))


async def test_what_is_folded_answers_the_same(context: Context, principal: Principal) -> None:
    await started(context)
    memory, database = TermMemory(), context.services.database
    await store(context, *crowd(0, 60))
    before = await asked(context)
    assert before.explain.source is Source.LOG
    assert await fold_experiments(database, memory, principal.tenant_id) == 60
    assert await fold_experiments(database, memory, principal.tenant_id) == 0
    await store(context, *crowd(60, 80))
    after = await asked(context)
    assert (after.explain.source, after.explain.tail) == (Source.UNITS, 27)
    assert [one.units for one in after.units] == [40, 40]
    await fold_behind(database, memory)
    async with database.tenant(principal.tenant_id) as session:
        held = await (await driver(session)).fetchrow("SELECT folded_to FROM experiment_state")
    assert held[0] == 107
    assert [one.arms for one in (await asked(context)).metrics] == [one.arms for one in after.metrics]
    # Gateways that share answers read back what another one wrote.
    assert ANSWERS.read(loads(dumps(ANSWERS.write(after)))) == after


async def test_time_alone_makes_no_other_answer_each_second(context: Context) -> None:
    await started(context)
    await store(context, *crowd(0, 60))
    noon = START + timedelta(days=10, hours=12)
    found = []
    for later in (timedelta(seconds=1), timedelta(seconds=59), timedelta(seconds=61)):
        moment = replace(context.services, now=lambda later=later: noon + later)
        # Whatever happens meanwhile has it reckoned again.
        await store(context, purchase("1", subject=f"stranger-{later}", occurredAt=noon))
        found.append(await asked(Context(moment, context.principal)))
    told = [(one.days, [effect.days_to_go for metric in one.metrics for effect in metric.effects]) for one in found]
    assert found[0].multiple.as_of < found[1].multiple.as_of
    assert told[0] == told[1]
    assert [days for days, _ in told] == [10.5, 10.5, 10.5 + 1 / 1440]


async def test_proven_and_made_anew(context: Context, principal: Principal) -> None:
    await started(context)
    memory, database = TermMemory(), context.services.database
    await store(context, *crowd(0, 30))
    await fold_experiments(database, memory, principal.tenant_id)
    keys = await experiment_keys(database, principal.tenant_id)

    async def wrong(database: Database) -> list[tuple[str, int, int]]:
        return [
            (one.key, one.units, one.wrong) async for one in verify_experiments(database, principal.tenant_id, keys)
        ]

    assert await wrong(database) == [("button", 30, 0)]
    async with database.tenant(principal.tenant_id) as session:
        await (await driver(session)).execute("DELETE FROM experiment_unit WHERE variant = 1")
    assert (await wrong(database))[0][1:] == (15, 15)
    made = [one.units async for one in rebuild_experiments(database, principal.tenant_id, keys)]
    assert made == [30]
    assert await wrong(database) == [("button", 30, 0)]


async def test_a_phase_that_comes_while_folding_waits_is_not_lost(context: Context, principal: Principal) -> None:
    made = await started(context)
    memory, database = TermMemory(), context.services.database
    await store(context, *crowd(0, 40))
    await fold_experiments(database, memory, principal.tenant_id)
    soon = datetime.now(UTC) + timedelta(hours=1)
    await store(context, *(one | {"occurredAt": soon.isoformat()} for one in crowd(40, 50)))
    async with database.tenant(principal.tenant_id) as session:
        # Somebody folds, by what the experiment was: whoever adds a phase waits for it, and mends it.
        units = UnitRepository(session, memory, principal.tenant_id)
        assert await units.hold(made.id)
        change = asyncio.create_task(update_experiment(context, made.id, {"traffic": 5_000}, new_phase=True))
        await units.fold(made.scheme("USD", "UTC"), batch=1_000)
    changed = await change
    assert len(changed.phases) == 2
    keys = await experiment_keys(database, principal.tenant_id)
    found = [one.wrong async for one in verify_experiments(database, principal.tenant_id, keys)]
    assert found == [0]
