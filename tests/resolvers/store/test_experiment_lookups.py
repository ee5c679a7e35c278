"""Units of experiments are looked up by their subject, whatever PostgreSQL was last told of how large a table is."""

from datetime import timedelta

import pytest
from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.analysis.experiments import Measure, Tally, UnitMetric
from resolvers.context import Context
from resolvers.store.database import Database, driver
from resolvers.store.experiment_sums import UnitRepository
from resolvers.store.schema_version import migrate
from tests.conftest import fresh_database
from tests.factories import event, new_principal, purchase, running_services, store
from tests.resolvers.store.experiment_logs import BUYS, KEY, START, WINDOW, scheme

_PEOPLE = 300
_READ = """SELECT coalesce(sum(seq_scan) FILTER (WHERE relname LIKE 'experiment%'), 0)::integer,
    coalesce(sum(seq_tup_read + idx_tup_fetch) FILTER (WHERE relname LIKE 'event\\_2%'), 0)::integer
FROM pg_stat_xact_user_tables"""


@pytest.mark.parametrize("begun", [False, True], ids=["all of them", "those touched since"])
async def test_tables_that_were_empty_when_they_were_last_looked_at_are_not_read_for_each_unit(
    postgres_url: str, begun: bool
) -> None:
    url = await fresh_database(postgres_url, "gateway_lookups")
    await migrate(url)
    owner = await Database.open(url, owner=True, pool_size=1)
    principal = await new_principal(owner)
    # Sales alone: an index that holds nothing else would hold all that is asked for.
    of = scheme(1, metrics=(UnitMetric(Measure(Tally.SUM, BUYS, "amount"), WINDOW),), breakdowns=())
    try:
        async with running_services(url) as services:
            context = Context(services, principal)
            async with services.database.tenant(principal.tenant_id) as session:
                await UnitRepository(session, services.memory, principal.tenant_id).begin(1)
            if begun:
                await store(context, *_shown(0))
                async with services.database.tenant(principal.tenant_id) as session:
                    await UnitRepository(session, services.memory, principal.tenant_id).fold(of, batch=10_000)
                    await _emptied(session, principal.tenant_id)
            await _looked_at(owner)
            for person in range(1, _PEOPLE, 50):
                await store(context, *(one for number in range(person, person + 50) for one in _shown(number)))
            async with services.database.tenant(principal.tenant_id) as session:
                units = UnitRepository(session, services.memory, principal.tenant_id)
                assert (await units.fold(of, batch=10_000))[0] == _PEOPLE
                scans, events = await (await driver(session)).fetchrow(_READ)
                assert scans < _PEOPLE / 10
                assert events < 10 * _PEOPLE
    finally:
        await owner.close()


def _shown(number: int) -> list[dict[str, object]]:
    """Somebody is shown a variant, and buys."""
    dimensions = {"experiment": KEY, "variant": ("plain", "bold")[number % 2]}
    seen = {"id": f"x{number}", "subject": f"s{number}", "occurredAt": START, "dimensions": dimensions}
    bought = {"id": f"p{number}", "subject": f"s{number}", "occurredAt": START + timedelta(minutes=1)}
    return [event(kind="EXPOSURE", name="exposure", **seen), purchase("5", **bought)]


async def _emptied(session: AsyncSession, tenant_id: int) -> None:
    for table in ("experiment_unit", "experiment_statistics"):
        await (await driver(session)).execute(f"DELETE FROM {table} WHERE tenant_id = $1", tenant_id)


async def _looked_at(owner: Database) -> None:
    async with owner.engine.connect() as connection:
        raw = (await connection.get_raw_connection()).driver_connection
        assert raw is not None
        await raw.execute("VACUUM (ANALYZE) experiment_unit, experiment_statistics, experiment_top")
