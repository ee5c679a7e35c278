"""All tables at one place, for migrations and for the test that holds them against the real schema."""

from sqlmodel import SQLModel

from resolvers.store import events, funnels, keys, prices, rollups, tenants, terms, versions

metadata = SQLModel.metadata
TABLES = (
    events.EventRow,
    events.EventKeyRow,
    funnels.FunnelRow,
    keys.ApiKeyRow,
    prices.ModelPriceRow,
    rollups.RollupRow,
    tenants.TenantRow,
    terms.TermRow,
    versions.DataVersionRow,
)
