"""All tables at one place, for migrations and for the test that holds them against the real schema."""

from sqlmodel import SQLModel

from resolvers.store import (
    ai_budgets,
    events,
    exchange_rates,
    flag_tallies,
    flags,
    funnels,
    keys,
    members,
    personas,
    presence,
    prices,
    recommendations,
    rollups,
    segment_definitions,
    segment_rollups,
    segments,
    tenants,
    terms,
    versions,
)

metadata = SQLModel.metadata
TABLES = (
    ai_budgets.AiBudgetRow,
    events.EventRow,
    events.EventKeyRow,
    exchange_rates.ExchangeRateRow,
    flag_tallies.FlagTallyRow,
    flags.FlagChangeRow,
    flags.FlagRow,
    funnels.FunnelRow,
    keys.ApiKeyRow,
    personas.PersonaRow,
    presence.PresenceRow,
    presence.PresenceStateRow,
    prices.ModelPriceRow,
    recommendations.RecommendationRow,
    rollups.RollupDayRow,
    rollups.RollupRow,
    segments.JourneySegmentRow,
    segments.JourneyStateRow,
    segment_definitions.SegmentRow,
    members.SegmentMembersRow,
    segment_rollups.SegmentRollupRow,
    tenants.TenantRow,
    terms.TermRow,
    versions.DataVersionRow,
)
