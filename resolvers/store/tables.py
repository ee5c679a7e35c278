"""All tables at one place, for migrations and for the test that holds them against the real schema."""

from sqlmodel import SQLModel

from resolvers.store import (
    events,
    exchange_rates,
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
    events.EventRow,
    events.EventKeyRow,
    exchange_rates.ExchangeRateRow,
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
