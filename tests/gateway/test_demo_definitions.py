"""What the demo's company has defined is there once, and tells something."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest

from gateway import demo
from gateway.app import Gateway
from gateway.commands.demonstration import Progressed, define, ensure_tenant, load
from gateway.commands.importing import writer_of
from gateway.demo_company import EXPERIMENTS, variant_of
from gateway.demo_definitions import DRAFTS, FLAG, RUNNING, SEGMENTS, SLO, rates
from gateway.settings import load_settings
from resolvers import ai_budgets, experiments, flags, funnels, personas, segments, slo_status
from resolvers.analysis.experiment_assignment import AssignmentReason
from resolvers.analysis.experiments import Status
from resolvers.analysis.periods import PeriodRequest
from resolvers.analysis.questions import Question
from resolvers.context import Context, Role
from resolvers.exchange_rates import exchange_rates
from resolvers.experiment_assignment import assignments
from resolvers.experiment_results import Asking, experiment_results
from resolvers.flag_changes import toggle_flag
from resolvers.revenue import revenue
from resolvers.store.schema_version import migrate
from tests.conftest import fresh_database

DAYS, PEOPLE = 40, 500
WHOLE = Question(PeriodRequest(last="90d"))


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "generate", partial(demo.generate, days=DAYS))
    monkeypatch.setattr(demo, "DAYS", DAYS)


@pytest.fixture
async def url(postgres_url: str) -> str:
    made = await fresh_database(postgres_url, "gateway_demo_definitions")
    await migrate(made)
    return made


@pytest.fixture
async def told(url: str, tmp_path: Path) -> Progressed:
    """A story that is told, with all that is defined in it."""
    settings, progressed = load_settings(), Progressed.read(tmp_path / "demo.json", PEOPLE)
    await ensure_tenant(url, settings, progressed.key)
    await load(url, settings, progressed)
    await define(url, settings, progressed)
    assert progressed.defined
    return progressed


@pytest.fixture
async def context(url: str, told: Progressed) -> AsyncIterator[Context]:
    gateway = Gateway(load_settings(), url)
    await gateway.start()
    yield gateway.context(replace(await writer_of(url, "demo"), role=Role.ADMIN))
    await gateway.stop()


async def test_the_company_has_defined_what_there_is_to_define(context: Context) -> None:
    kept = {segment.name: segment for segment in (await segments.segments(context)).segments}
    assert {draft.name for draft in SEGMENTS} < set(kept)
    assert all(kept[draft.name].size for draft in SEGMENTS)
    assert next(persona.slug for persona in await personas.personas(context)) == "champion"
    assert [saved.name for saved in (await funnels.funnels(context)).funnels] == ["From landing to paying"]
    assert [budget.definition.name for budget in (await ai_budgets.ai_budgets(context)).budgets] == ["all"]
    assert await flags.flag(context, FLAG.key) is not None
    stands = await slo_status.slo(context, SLO.key, WHOLE)
    assert stands.budget.total > stands.budget.bad > 0
    found = {one.key: one.status for one in (await experiments.experiments(context)).experiments}
    assert found == dict.fromkeys(RUNNING, Status.RUNNING) | dict.fromkeys(DRAFTS, Status.DRAFT)


async def test_defining_again_adds_nothing_and_leaves_alone_what_was_changed(
    context: Context, url: str, told: Progressed
) -> None:
    await toggle_flag(context, FLAG.key, "production", on=False)

    async def all_there_is() -> list[object]:
        known = await experiments.known(context)
        return [
            [segment.id for segment in (await segments.segments(context)).segments],
            [persona.id for persona in await personas.personas(context)],
            [(one.id, one.status, one.phases) for one in known.experiments.values()],
            await flags.flag(context, FLAG.key),
            (await slo_status.slo(context, SLO.key, WHOLE)).definition,
            (await funnels.funnels(context)).funnels[0].id,
        ]

    before = await all_there_is()
    await define(url, load_settings(), told)
    assert await all_there_is() == before


async def test_the_running_experiment_counts_whom_the_story_exposed(context: Context) -> None:
    found = await experiment_results(context, Asking("guided_start"), WHOLE)
    assert min(one.units for one in found.units) > 10
    assert found.sample_ratio is not None
    assert not found.sample_ratio.suspicious
    people = [f"person-{number:05}" for number in range(1, 100)]
    for key in EXPERIMENTS:
        given = await assignments(context, key, people)
        assert {one.reason for one in given} == {AssignmentReason.ASSIGNED}
        assert [one.variant for one in given] == [variant_of(key, person) for person in people]


async def test_money_of_all_currencies_is_converted(context: Context) -> None:
    answer = await revenue(context, WHOLE)
    assert answer.unconverted == ()
    assert answer.total.amount > 0
    page = await exchange_rates(context, of=None, base=None, period=None, first=500)
    assert {rate.base for rate in page.rates} == {"EUR", "GBP"}


def test_rates_reach_from_before_the_story_until_long_after() -> None:
    first = datetime(2026, 1, 1, tzinfo=UTC).date()
    told = list(rates(first))
    assert len({(rate["date"], rate["base"]) for rate in told}) == len(told)
    assert min(rate["date"] for rate in told) < first.isoformat()
    assert max(rate["date"] for rate in told) > (first + timedelta(days=demo.DAYS + 180)).isoformat()
    assert all(Decimal("1.06") < Decimal(rate["rate"]) < Decimal("1.30") for rate in told)
