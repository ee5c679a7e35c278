"""The commands, as somebody at a shell meets them."""

import asyncio
import json
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import structlog
from typer.testing import CliRunner, Result

from gateway import cli
from gateway.commands import common
from gateway.embedded import EmbeddedPostgres
from gateway.settings import Settings, variable
from resolvers.context import Role
from resolvers.keys import Authenticator, pepper
from resolvers.store.database import Database, connect
from resolvers.store.schema_version import migrate
from schema import schema
from tests.client import Client, running_gateway
from tests.conftest import fresh_database

Command = Callable[..., Result]
SHARED = Path(__file__).parents[3] / "shared"
TOOLS = {
    "FIRST_TOUCH": "first",
    "LAST_TOUCH": "last",
    "LINEAR": "linear",
    "POSITION": "position_40_20_40",
    "TIME_DECAY": "time_decay_half_life_7d",
}
"""What the reference calls each model."""


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No setting, ``.env`` or logging from outside, none left behind."""
    monkeypatch.chdir(tmp_path)
    for field in Settings.model_fields:
        monkeypatch.delenv(variable(field), raising=False)
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger("uvicorn.access").disabled = False
    structlog.reset_defaults()


@pytest.fixture
async def url(postgres_url: str) -> str:
    """A database that nobody has touched."""
    return await fresh_database(postgres_url, "gateway_commands")


@pytest.fixture
def gateway(url: str, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs a command on that database."""
    monkeypatch.setenv("DATABASE_URL", url)
    return lambda *words: CliRunner().invoke(cli.app, list(words))


@pytest.fixture
async def ready(url: str, gateway: Command) -> Command:
    """The same at this version's schema."""
    await migrate(url)
    return gateway


def _fail(command: Command, *words: str) -> str:
    result = command(*words)
    assert result.exit_code == 1, result.output
    assert result.exception is not None
    return str(result.exception)


def test_a_database_that_was_not_migrated_is_refused_until_it_is(gateway: Command) -> None:
    assert "gateway migrate" in _fail(gateway, "tenants", "list")
    assert "is at revision" in gateway("migrate").stdout
    assert gateway("tenants", "list").exit_code == 0


def test_tenants_are_made_and_listed(ready: Command) -> None:
    assert ready("tenants", "create", "acme", "--currency", "EUR", "--timezone", "Europe/Berlin").exit_code == 0
    line = next(line for line in ready("tenants", "list").stdout.splitlines() if "acme" in line)
    assert "EUR" in line
    assert "Europe/Berlin" in line
    assert "There is a tenant acme already." in _fail(ready, "tenants", "create", "acme")


def test_a_key_is_shown_once_and_works_until_it_is_revoked(ready: Command) -> None:
    ready("tenants", "create", "acme")
    made = ready("keys", "create", "--tenant", "acme", "--role", "analyst", "--label", "for [me]")
    secret = made.stdout.strip()
    assert len(secret) > 30
    assert secret not in made.stderr
    listed = ready("keys", "list", "--tenant", "acme").stdout
    assert "analyst" in listed
    assert "for [me]" in listed
    assert secret not in listed
    assert ready("keys", "revoke", "1", "--tenant", "acme").exit_code == 0
    assert "The tenant has no key 9." in _fail(ready, "keys", "revoke", "9", "--tenant", "acme")


async def test_a_key_made_authenticates_with_its_role(url: str, ready: Command) -> None:
    await asyncio.to_thread(ready, "tenants", "create", "acme")
    made = await asyncio.to_thread(ready, "keys", "create", "--tenant", "acme", "--role", "ingest")
    database = await Database.open(url, owner=True)
    try:
        principal = await Authenticator(database, await pepper(database)).authenticate(made.stdout.strip())
    finally:
        await database.close()
    assert principal is not None
    assert (principal.tenant, principal.role) == ("acme", Role.INGEST)


def test_an_unknown_tenant_is_named(ready: Command) -> None:
    assert "no tenant nobody" in _fail(ready, "keys", "create", "--tenant", "nobody")


def test_the_schema_is_printed_and_written(gateway: Command, tmp_path: Path) -> None:
    assert gateway("schema").stdout == f"{schema.as_str()}\n"
    gateway("schema", "--out", str(tmp_path / "s.graphql"))
    assert (tmp_path / "s.graphql").read_text() == f"{schema.as_str()}\n"


def test_an_import_can_be_repeated_and_keeps_what_it_refuses(ready: Command, tmp_path: Path) -> None:
    ready("tenants", "create", "acme")
    file = tmp_path / "orders.csv"
    file.write_text("who,when,paid\nann,2026-05-01T10:00:00Z,10.5\nben,2026-05-01T11:00:00Z,7\nben,never,1\n")
    words = ["import", str(file), "--tenant", "acme", "--set", "kind=CONVERSION", "--set", "name=purchase"]
    words += ["--map", "subject=who", "--map", "occurred_at=when", "--map", "amount=paid"]
    first = ready(*words)
    assert "3 rows: 2 new, 0 known already, 0 left out, 1 refused." in first.stdout
    assert first.exit_code == 1
    assert "0 new, 2 known already" in ready(*words).stdout
    (refused,) = (tmp_path / "orders.csv.rejects.ndjson").read_text().splitlines()
    assert json.loads(refused)["line"] == 4


def test_rates_are_imported_and_once_more_change_nothing(ready: Command, tmp_path: Path) -> None:
    ready("tenants", "create", "acme")
    file = tmp_path / "eurofxref-hist.csv"
    file.write_text("Date,USD,JPY,ROL,\n2026-03-09,1.25,157,N/A,\n2026-03-06,1.2,N/A,N/A,\n")
    words = ["rates", "import", str(file), "--tenant", "acme"]
    first = ready(*words)
    assert "3 rates: 3 new or changed, 0 as they were." in first.stdout
    assert "no event can be in them: ROL." in first.stdout
    assert "3 rates: 0 new or changed, 3 as they were." in ready(*words).stdout
    file.write_text("Date,USD\n2026-03-09,1.26\n2026-03-06,1.20\n")
    assert "2 rates: 1 new or changed" in ready(*words).stdout
    file.write_text("Date,USD\n2026-03-09,-1\n")
    assert "Line 2, USD: rate must be" in _fail(ready, *words)
    assert "XXX is no ISO 4217 code" in _fail(ready, *words, "--base", "XXX")


async def _execute(url: str, statement: str) -> None:
    connection = await connect(url)
    await connection.execute(statement)
    await connection.close()


def test_rollups_are_proven_and_made_anew(url: str, ready: Command, tmp_path: Path) -> None:
    ready("tenants", "create", "acme")
    assert "0 rollups of 0 days" in ready("verify", "--tenant", "acme").stdout
    file = tmp_path / "events.csv"
    file.write_text("who,at\nann,2026-03-01T10:00:00Z\nbob,2026-03-03T10:00:00Z\n", encoding="utf-8")
    columns = ("--set", "kind=PRODUCT", "--set", "name=view", "--map", "subject=who", "--map", "occurred_at=at")
    assert ready("import", str(file), "--tenant", "acme", *columns).exit_code == 0
    assert "As the events say: 4 rollups of 3 days" in ready("verify", "--tenant", "acme").stdout
    asyncio.run(_execute(url, "UPDATE rollup SET n = n + 1 WHERE at >= '2026-03-03'"))
    said = ready("verify", "--tenant", "acme")
    assert "2026-03-03: 2 of 2 rollups are not as the events say." in said.stdout
    assert "gateway rebuild --tenant acme --from 2026-03-03" in str(said.exception)
    assert "2 rollups of 1 days" in ready("rebuild", "--tenant", "acme", "--from", "2026-03-03").stdout
    assert "As the events say: 4 rollups" in ready("verify", "--tenant", "acme").stdout
    assert "before" in _fail(ready, "verify", "--tenant", "acme", "--from", "2026-03-03", "--to", "2026-03-01")


def test_sets_are_proven_and_made_anew(url: str, ready: Command, tmp_path: Path) -> None:
    for tenant in ("acme", "other"):
        ready("tenants", "create", tenant)
        file = tmp_path / "events.csv"
        file.write_text("who,at\nann,2026-03-01T10:00:00Z\nbob,2026-03-03T10:00:00Z\n", encoding="utf-8")
        columns = ("--set", "kind=PRODUCT", "--set", "name=view", "--map", "subject=who", "--map", "occurred_at=at")
        assert ready("import", str(file), "--tenant", tenant, *columns).exit_code == 0
        assert "4 rollups of 3 days, 2 sets" in ready("rebuild", "--tenant", tenant).stdout
    asyncio.run(_execute(url, "UPDATE presence SET hours = set_byte(hours, 30, 255) WHERE day = '2026-03-01'"))
    asyncio.run(_execute(url, "DELETE FROM presence WHERE day = '2026-03-03'"))
    said = ready("verify", "--tenant", "acme")
    assert said.exit_code == 1
    assert "2026-03-01: 1 of 1 sets are not as the events say." in said.stdout
    assert "2026-03-03: 1 of 1 sets are not as the events say." in said.stdout
    assert "gateway rebuild --tenant acme --from 2026-03-01" in str(said.exception)
    assert "2 sets" in ready("rebuild", "--tenant", "acme", "--from", "2026-03-01").stdout
    assert "2 sets" in ready("verify", "--tenant", "acme").stdout
    assert ready("verify", "--tenant", "other").exit_code == 1


def test_segments_are_proven_and_made_anew(url: str, ready: Command, tmp_path: Path) -> None:
    for tenant in ("acme", "other"):
        ready("tenants", "create", tenant)
        file = tmp_path / "events.csv"
        file.write_text("who,at\nann,2026-03-01T10:00:00Z\nbob,2026-05-03T10:00:00Z\n", encoding="utf-8")
        columns = ("--set", "kind=PRODUCT", "--set", "name=view", "--map", "subject=who", "--map", "occurred_at=at")
        assert ready("import", str(file), "--tenant", tenant, *columns).exit_code == 0
        # What was never folded is folded.
        rebuilt = ready("rebuild", "--tenant", tenant).stdout
        assert "2 journey segments of 3 months, 2 events" in rebuilt
    asyncio.run(_execute(url, "UPDATE journey_segment SET at = set_byte(at, 30, 255) WHERE month = '2026-05-01'"))
    said = ready("verify", "--tenant", "acme")
    assert said.exit_code == 1
    assert "2026-05: the segment of positions 1 to 2 is damaged: at." in said.stdout
    assert "2026-03" not in said.stdout
    assert "gateway rebuild --tenant acme --from 2026-05-01" in str(said.exception)
    healed = ready("rebuild", "--tenant", "acme", "--from", "2026-05-01")
    assert "1 journey segments of 1 months, 1 events" in healed.stdout
    sound = ready("verify", "--tenant", "acme")
    assert sound.exit_code == 0
    assert "2 journey segments of 3 months, 2 events" in sound.stdout
    assert "is damaged" in ready("verify", "--tenant", "other").stdout


def test_a_database_that_does_not_come_up_is_said(gateway: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(common, "DATABASE_SECONDS", 0)
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:secret@/x?host=/nowhere")
    message = _fail(gateway, "migrate")
    assert "/nowhere" in message
    assert "did not come up" in message
    assert "secret" not in message


@pytest.mark.parametrize("wrong", ["postgresql://nobody@/postgres", "postgresql://postgres@/no_such_database"])
def test_a_refusal_of_the_database_is_not_waited_out(
    gateway: Command, postgres_url: str, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"{wrong}?{postgres_url.partition('?')[2]}")
    assert "refuses the connection" in _fail(gateway, "migrate")


def test_a_malformed_address_is_said(gateway: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://db:port/x")
    assert "DATABASE_URL is no address" in _fail(gateway, "migrate")


def test_without_a_database_url_the_embedded_one_serves_even_beside_a_gateway(
    gateway: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABASE_URL")
    assert gateway("tenants", "create", "acme", "--data-dir", str(tmp_path)).exit_code == 0
    with EmbeddedPostgres(tmp_path):
        assert "acme" in gateway("tenants", "list", "--data-dir", str(tmp_path)).stdout


def test_a_failure_is_one_sentence(
    gateway: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["gateway", "tenants", "list"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    assert capsys.readouterr().err.startswith("gateway: The database has no schema yet.")


def test_wrong_settings_are_one_sentence_each(
    gateway: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GATEWAY_SECRET", "short")
    monkeypatch.setattr(sys, "argv", ["gateway", "serve"])
    with pytest.raises(SystemExit):
        cli.main()
    assert capsys.readouterr().err.startswith("gateway: GATEWAY_SECRET: ")


@pytest.mark.reference
@pytest.mark.skipif(not SHARED.exists(), reason="the reference data is not beside the repository")
async def test_what_was_imported_is_credited_as_other_tools_do(url: str, ready: Command, tmp_path: Path) -> None:
    await asyncio.to_thread(ready, "tenants", "create", "ads")
    words = ["import", str(SHARED / "data/journeys62k/attribution_data.csv.gz"), "--tenant", "ads"]
    words += ["--rejects", str(tmp_path / "rejects"), "--map", "channel=channel", "--map", "name=interaction"]
    words += ["--map", "subject=customer_id", "--map", "occurredAt=time"]
    # Only conversions have an amount; the file has one for touches too.
    sold = ["--where", "conversion = 1", "--set", "kind=CONVERSION", "--map", "amount=conversion_value"]
    for part, new in (
        ([*sold, "--set", "currency=USD"], "1,838"),
        (
            ["--where", "conversion = 0", "--set", "kind=TOUCHPOINT"],
            "60,645",
        ),
    ):
        imported = await asyncio.to_thread(ready, *words, *part)
        assert f"62,483 rows: {new} new" in imported.stdout
    key = (await asyncio.to_thread(ready, "keys", "create", "--tenant", "ads", "--role", "viewer")).stdout.strip()
    asked = """query ($lookback: Duration!) {
      attribution(period: {from: "2018-07-01T00:00:00Z", to: "2018-08-01T00:00:00Z"}, lookback: $lookback,
          touch: {kind: [TOUCHPOINT, CONVERSION]}) {
        conversions direct lost revenue values { value } models { model credit revenue removalEffect }
      }
    }"""
    async with running_gateway(url, upkeep=False) as (address, _), httpx2.AsyncClient(timeout=20) as http:
        client = Client(address, key, http)
        whole, week = [(await client.ask(asked, lookback=span))["attribution"] for span in ("366d", "7d")]
    expected = json.loads((SHARED / "reference/attribution_journeys62k.json").read_text())["duckdb_mam_exact"]
    assert (whole["conversions"], whole["direct"], whole["conversions"] + whole["lost"]) == (1_838, 0, 9_506)
    assert whole["revenue"] == "11423.5"

    def named(answer: dict[str, Any], model: str, column: str) -> dict[str, float]:
        found = next(one for one in answer["models"] if one["model"] == model)[column]
        return dict(zip(answer["values"]["value"], map(float, found), strict=True))

    for model, name in TOOLS.items():
        assert named(whole, model, "credit") == pytest.approx(expected["duckdb_conversions"][name], abs=1e-6)
        assert named(whole, model, "revenue") == pytest.approx(expected["duckdb_value"][name], abs=1e-6)
    linear = expected["duckdb_conversions_lookback_7d"]["linear"]
    assert named(week, "LINEAR", "credit") == pytest.approx(linear, abs=1e-6)
    markov = expected["markov_order1_exact"]
    assert named(whole, "MARKOV", "removalEffect") == pytest.approx(markov["removal_effect"], abs=1e-9)
    assert named(whole, "MARKOV", "credit") == pytest.approx(expected["markov_order1_conversions"], abs=1e-6)
    (shapley,) = (figures for name, figures in expected["shapley"].items() if name.startswith("zhao2018"))
    assert named(whole, "SHAPLEY", "credit") == pytest.approx(shapley, abs=1e-6)
