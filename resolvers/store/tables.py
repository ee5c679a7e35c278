"""All tables at one place, for migrations and for the test that holds them against the real schema."""

from sqlmodel import SQLModel

from resolvers.store import (
    events,
    exchange_rates,
    experiment_units,
    experiments,
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
    experiment_units.ExperimentStateRow,
    experiment_units.ExperimentStatisticsRow,
    experiment_units.ExperimentTopRow,
    experiment_units.ExperimentUnitRow,
    experiments.ExperimentChangeRow,
    experiments.ExperimentRow,
    experiments.HoldoutRow,
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
