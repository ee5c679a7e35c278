"""Reading journeys and walking them through a funnel, for whoever asks."""

from resolvers.analysis.funnels import FunnelDefinition
from resolvers.analysis.periods import Period
from resolvers.answers import Resolved
from resolvers.context import Context, Role
from resolvers.store import funnel_walks
from resolvers.store.funnel_walks import Walked
from resolvers.store.journeys import JourneyRepository


async def walked(
    context: Context,
    definition: FunnelDefinition,
    asked: Resolved,
    period: Period,
    by: tuple[str, ...] = (),
    by_step: int | None = 0,
) -> Walked:
    """The walks that enter in a period, with the dimensions of the events that ``by_step`` took, None for the last."""
    principal, services = context.require(Role.VIEWER), context.services
    async with services.database.tenant(principal.tenant_id) as session:
        repository = JourneyRepository(session, services.memory, services.segments)
        return await funnel_walks.walked(repository, principal.tenant_id, definition, asked.where, period, by, by_step)
