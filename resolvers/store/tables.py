"""All tables at one place, for migrations and for the test that holds them against the real schema."""

from sqlmodel import SQLModel

from resolvers.store import (
    ai_budgets,
    events,
    exchange_rates,
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
    ai_budgets.AiBudgetRow,
    events.EventRow,
    events.EventKeyRow,
    exchange_rates.ExchangeRateRow,
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
