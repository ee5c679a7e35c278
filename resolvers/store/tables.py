"""All tables at one place, for migrations and for the test that holds them against the real schema."""

from sqlmodel import SQLModel

from resolvers.store import (
    events,
    exchange_rates,
    flag_tallies,
    flags,
    funnels,
    keys,
    presence,
    prices,
    recommendations,
    rollups,
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
    flag_tallies.FlagTallyRow,
    flags.FlagChangeRow,
    flags.FlagRow,
    funnels.FunnelRow,
    keys.ApiKeyRow,
    presence.PresenceRow,
    presence.PresenceStateRow,
    prices.ModelPriceRow,
    recommendations.RecommendationRow,
    rollups.RollupDayRow,
    rollups.RollupRow,
    segments.JourneySegmentRow,
    segments.JourneyStateRow,
    tenants.TenantRow,
    terms.TermRow,
    versions.DataVersionRow,
)
