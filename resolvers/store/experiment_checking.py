"""What is kept of an experiment held against the log."""

from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.analysis.experiments import Scheme
from resolvers.store.database import driver
from resolvers.store.experiment_sums import OF_UNIT, UnitRepository
from resolvers.store.experiment_unit_sql import Coded
from resolvers.store.terms import TermMemory

_UNITS = ", ".join(OF_UNIT)
_DIFFERING = f"""WITH fresh ({_UNITS}) AS MATERIALIZED ({{fresh}}),
kept AS (
    SELECT {_UNITS} FROM experiment_unit WHERE tenant_id = {{tenant}} AND experiment_id = {{experiment}}
)
SELECT (SELECT count(*) FROM kept), count(*) FROM fresh FULL JOIN kept USING (subject)
WHERE to_jsonb(fresh) IS DISTINCT FROM to_jsonb(kept)"""  # noqa: S608  # constants only
_COUNT = "SELECT count(*) FROM experiment_unit WHERE tenant_id = $1 AND experiment_id = $2"


async def differing(session: AsyncSession, memory: TermMemory, tenant_id: int, scheme: Scheme) -> tuple[int, int]:
    """How many units are kept, and how many units and sums are not as the log says up to where they reach."""
    units = UnitRepository(session, memory, tenant_id)
    reach = await units.reach(scheme)
    if not reach.folded_to:
        return 0, 0
    connection = await driver(session)
    coded = await Coded.of(units.terms, tenant_id, scheme)
    if coded.experiment is None:
        count = await connection.fetchval(_COUNT, tenant_id, scheme.experiment_id)
        return count, count
    fresh, arguments = coded.statement(reach.folded_to, None)
    places = {"tenant": f"${len(arguments) + 1}::integer", "experiment": f"${len(arguments) + 2}::integer"}
    count, wrong = await connection.fetchrow(
        _DIFFERING.format(fresh=fresh, **places), *arguments, tenant_id, scheme.experiment_id
    )
    return count, wrong + await units.differing_sums(coded, reach)
