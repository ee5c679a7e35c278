"""What the schema has, and what its contract has to know of it."""

from datetime import date, datetime, timedelta
from decimal import Decimal

from graphql import (
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    is_introspection_type,
    is_specified_scalar_type,
)

from schema import schema
from tests import ai_contract as ai
from tests import experiment_contract as experiments
from tests import flag_contract as flags
from tests import foretelling_contract as foretelling
from tests import segments_contract as segments
from tests import slo_contract as slos

TYPES: dict[str, GraphQLNamedType] = {
    name: named
    for name, named in schema._schema.type_map.items()
    if not is_introspection_type(named) and not is_specified_scalar_type(named)
}
OBJECTS = {name: named for name, named in TYPES.items() if isinstance(named, GraphQLObjectType)}
ROOTS = {"Query", "Mutation", "Subscription"}
MADE_BY_THE_SCHEMA = {
    *ROOTS,
    "PageInfo",
    "EventConnection",
    "EventEdge",
    "SavedFunnelConnection",
    "SavedFunnelEdge",
    "SubjectConnection",
    "SubjectEdge",
    "EventDimensions",
    "SaveFunnelPayload",
    "DeleteFunnelPayload",
    "ExportLinkPayload",
    "RecommendationConnection",
    "RecommendationEdge",
    "AcceptRecommendationPayload",
    "DismissRecommendationPayload",
    "InvalidInput",
    "NotFound",
    "Unauthenticated",
    "Forbidden",
    "Overloaded",
    "DeleteModelPricePayload",
    "ModelPriceConnection",
    "ModelPriceEdge",
    "SetModelPricePayload",
    *flags.MADE,
    *slos.MADE,
    "DeleteExchangeRatePayload",
    "ExchangeRateConnection",
    "ExchangeRateEdge",
    *foretelling.MADE,
    *experiments.MADE,
    *ai.MADE,
    *segments.MADE,
}
"""Types whose values the schema itself makes; every other one shapes a value of the resolvers."""
FIELDS_MADE_BY_THE_SCHEMA = {
    "Event.id",
    "Event.event_id",
    "SavedFunnel.id",
    "Subject.id",
    "ModelPrice.id",
    *flags.IDS,
    *slos.IDS,
    "Recommendation.id",
    "ExchangeRate.id",
    *foretelling.IDS,
    *ai.IDS,
    *segments.IDS,
}
NOT_SHOWN = {
    "Event.content": "only tells repeats from conflicts",
    "StoredEvent.event": "shown as one object with its place in the log",
    "Metric.form": "said by definition",
    "Metric.numerator": "said by definition",
    "Metric.denominator": "said by definition",
    "Metric.squares": "said by definition",
    "Series.form": "what values are told from",
    "Series.numerator": "what values are told from",
    "Series.denominator": "what values are told from",
    "Principal.tenant_id": "a number of the gateway's own",
    "Principal.key_id": "a number of the gateway's own",
    "Principal.tenant": "shown as slug",
    **experiments.NOT_SHOWN,
    **flags.NOT_SHOWN,
    **segments.NOT_SHOWN,
}
SCALARS: dict[str, type] = {
    "String": str,
    "ID": str,
    "Int": int,
    "BigInt": int,
    "Float": float,
    "Boolean": bool,
    "Decimal": Decimal,
    "Date": date,
    "DateTime": datetime,
    "Duration": timedelta,
}
MRR_COLUMNS = ("start", "new", "expansion", "contraction", "churn", "reactivation", "ending", "customersAtStart")
MRR_COLUMNS += ("newCustomers", "expandedCustomers", "contractedCustomers", "churnedCustomers")
MRR_COLUMNS += ("reactivatedCustomers", "customers")
COHORT_COLUMNS = ("retained", "rate", "revenue", "cumulative", "perMember", "previousRate", "previousPerMember")
BOUNDED = {
    "Query.metrics": "as long as slugs, at most 20",
    "Query.metricCatalogue": "the catalogue is fixed",
    "Query.nodes": "as long as ids, at most 100",
    "Subscription.metrics": "as long as slugs, at most 20",
    "Subscription.events": "at most 500 a message",
    "Metric.dimensions": "each dimension once",
    "MetricAnswer.groups": "top + 1",
    "MetricAnswer.unconverted": "each currency once",
    "MetricGroup.keys": "as long as by, at most 3",
    "CohortGroup.cohorts": "as CohortsAnswer.cohorts",
    "CohortGroup.keys": "as long as by, at most 3",
    "CohortsAnswer.groups": "top + 1",
    "RevenueAnswer.groups": "top + 1",
    "RevenueGroup.keys": "as long as by, at most 3",
    "RevenueAnswer.unconverted": "each currency once",
    "FunnelDefinition.steps": "at most 20",
    "FunnelDefinition.exclusions": "at most 10",
    "FunnelDefinition.constant": "at most 3",
    "FunnelConstant.property": "as long as a path of keys",
    "FunnelCorrelationAnswer.associations": "top",
    **{f"FunnelSeries.{column}": "at most 5,000 buckets" for column in ("at", "conversion")},
    "FunnelSeries.counts": "a column for each step, at most 20",
    "FunnelAnswer.steps": "at most 20",
    "FunnelAnswer.groups": "top + 1",
    "FunnelGroup.steps": "at most 20",
    "FunnelGroup.keys": "as long as by, at most 3",
    "TimeToConvert.edges": "fixed by the window",
    "TimeToConvert.histogram": "fixed by the window",
    **flags.BOUNDED,
    **slos.BOUNDED,
    "ExportLinkPayload.tables": "fixed by the type of the answer",
    "Recommendation.about": "at most 2",
    "Recommendation.evidence": "at most 4",
    "RealisedEffect.effects": "at most 2",
    **foretelling.BOUNDED,
    **experiments.BOUNDED,
    **ai.BOUNDED,
    **segments.BOUNDED,
    **{f"Series.{column}": "at most 5,000 buckets" for column in ("at", "value", "exact", "n")},
    **{
        f"RevenueSeries.{column}": "at most 5,000 buckets"
        for column in ("at", "total", "recurring", "oneTime", "orders", "customers", "refunds")
    },
    "RecurringRevenueAnswer.groups": "top + 1",
    "RecurringRevenueAnswer.unconverted": "each currency once",
    "MrrGroup.keys": "as long as by, at most 3",
    **{f"MrrSeries.{column}": "at most 5,000 buckets" for column in ("at", *MRR_COLUMNS)},
    "CohortsAnswer.cohorts": "at most 154, a triangle of 12,000 cells",
    "CohortsAnswer.unconverted": "each currency once",
    **{f"Cohort.{column}": "as many as cohorts" for column in COHORT_COLUMNS},
    "AttributionAnswer.models": "each model once",
    "AttributionAnswer.unconverted": "each currency once",
    "AttributionAnswer.unconvertedCost": "each currency once",
    "AttributionDefinition.models": "each model once",
    "AttributionPath.values": "at most 20",
    "AttributionPaths.top": "at most 20",
    "AttributionPaths.lengths": "fixed: 21",
    **{
        f"AttributionValues.{column}": "top + 2"
        for column in ("part", "value", "touches", "conversions", "assisted", "cost", "spread")
    },
    **{
        f"AttributionCredits.{column}": "top + 2"
        for column in (
            "credit",
            "revenue",
            "costPerCredit",
            "roas",
            "previousCredit",
            "previousRevenue",
            "low",
            "high",
            "removalEffect",
        )
    },
    **{
        f"{receipt}.{column}": "as long as the batch, at most 10,000"
        for receipt in ("Receipt", "TrackPayload", "IngestEventsPayload")
        for column in ("conflicts", "rejected", "ids")
    },
}
"""Lists that are no connection: what bounds each."""


def fields_of(name: str) -> dict[str, GraphQLField]:
    named = TYPES[name]
    assert isinstance(named, GraphQLObjectType | GraphQLInterfaceType)
    return named.fields
