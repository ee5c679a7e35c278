"""Reading journeys and walking them through a funnel, for whoever asks."""

from collections.abc import Sequence

from resolvers.context import Context, Role
from resolvers.store import funnel_walks
from resolvers.store.funnel_walks import Walked, WalkQuestion, Walks
from resolvers.store.journeys import JourneyRepository


async def walked(context: Context, asked: WalkQuestion) -> Walked:
    """The walks that are asked for."""
    principal, services = context.require(Role.VIEWER), context.services
    async with services.database.tenant(principal.tenant_id) as session:
        repository = JourneyRepository(session, services.memory, services.segments)
        return await funnel_walks.walked(repository, principal.tenant_id, asked)


async def walks(context: Context, asked: Sequence[WalkQuestion]) -> Walks:
    """Several questions about walks, read together."""
    principal, services = context.require(Role.VIEWER), context.services
    async with services.database.tenant(principal.tenant_id) as session:
        repository = JourneyRepository(session, services.memory, services.segments)
        return await Walks.held_for(repository, principal.tenant_id, asked)
