"""The contract with whoever writes queries: types that match the values behind them, said in full, named alike."""

import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLUnionType,
    get_named_type,
    is_introspection_type,
    is_specified_scalar_type,
)
from strawberry.types.base import get_object_definition
from strawberry.types.field import StrawberryField

import schema as package
from resolvers.analysis.events import DIMENSIONS
from resolvers.analysis.intake import camel
from schema import schema
from schema.shapes import SHAPES
from tests import ai_contract as ai
from tests import experiment_contract as experiments
from tests import flag_contract as flags
from tests import foretelling_contract as foretelling
from tests import segments_contract as segments

TYPES: dict[str, GraphQLNamedType] = {
    name: named
    for name, named in schema._schema.type_map.items()
    if not is_introspection_type(named) and not is_specified_scalar_type(named)
}
OBJECTS = {name: named for name, named in TYPES.items() if isinstance(named, GraphQLObjectType)}
ROOTS = {"Query", "Mutation", "Subscription"}
WHOLE = ("Query", "Subscription")
"""Roots, all fields of which may be null."""
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


def shaped() -> Iterator[tuple[str, StrawberryField, tuple[type, ...]]]:
    """Each field that is read off a value as it is, with the classes that may have it."""
    for graphql_type, values in SHAPES.items():
        definition = get_object_definition(graphql_type, strict=True)
        for field in definition.fields:
            if (
                field.base_resolver is None
                and f"{definition.name}.{field.python_name}" not in FIELDS_MADE_BY_THE_SCHEMA
            ):
                yield definition.name, field, values


def fits(graphql_type: Any, hint: Any) -> bool:
    """Whether every value of a Python type is one that the GraphQL type can carry, nulls included."""
    optional = get_origin(hint) is UnionType and NoneType in get_args(hint)
    if optional:
        (hint,) = (part for part in get_args(hint) if part is not NoneType)
    if isinstance(graphql_type, GraphQLNonNull) is optional:
        return False
    inner = graphql_type.of_type if isinstance(graphql_type, GraphQLNonNull) else graphql_type
    match inner:
        case GraphQLList():
            item, *rest = get_args(hint)
            return get_origin(hint) is tuple and rest == [...] and fits(inner.of_type, item)
        case GraphQLEnumType():
            values = {value.value for value in inner.values.values()}
            return hint is inner.wrapped_cls or (hint is str and all(type(value) is str for value in values))
        case GraphQLScalarType(name="JSON"):
            return get_origin(hint) is Mapping
        case GraphQLScalarType():
            return hint is SCALARS[inner.name]
        case GraphQLObjectType(name="EventDimensions"):
            return hint == Mapping[str, str]
        case GraphQLObjectType():
            return any(
                values[0] is hint and get_object_definition(shape, strict=True).name == inner.name
                for shape, values in SHAPES.items()
            )
    return False


@pytest.mark.parametrize(
    ("name", "field", "values"), [pytest.param(*of, id=f"{of[0]}.{of[1].name}") for of in shaped()]
)
def test_a_field_is_there_on_the_value_behind_it(name: str, field: StrawberryField, values: tuple[type, ...]) -> None:
    hints = [get_type_hints(value) | properties(value) for value in values]
    (hint,) = {known[field.python_name] for known in hints if field.python_name in known}
    graphql_type = fields_of(name)[schema.config.name_converter.from_field(field)].type
    assert fits(graphql_type, hint), f"{graphql_type} does not fit {hint}"


def properties(value: type) -> dict[str, Any]:
    """What a value makes when it is asked for."""
    made = {name: one.fget for name, one in vars(value).items() if isinstance(one, property)}
    return {name: get_type_hints(one)["return"] for name, one in made.items()}


@pytest.mark.parametrize("graphql_type", SHAPES, ids=lambda graphql_type: graphql_type.__name__)
def test_nothing_of_a_value_is_left_out_unawares(graphql_type: type) -> None:
    definition = get_object_definition(graphql_type, strict=True)
    shown = {field.python_name for field in definition.fields}
    for value in SHAPES[graphql_type]:
        hidden = {name for name in get_type_hints(value) if name not in shown}
        assert hidden == {name for name in hidden if f"{value.__name__}.{name}" in NOT_SHOWN}


def test_every_type_has_a_value_behind_it() -> None:
    names = {get_object_definition(graphql_type, strict=True).name for graphql_type in SHAPES}
    assert names | MADE_BY_THE_SCHEMA == set(OBJECTS)
    assert not names & MADE_BY_THE_SCHEMA


@pytest.mark.parametrize("name", ["EventDimensions", "DimensionsInput"])
def test_every_dimension_can_be_read_and_sent(name: str) -> None:
    assert list(TYPES[name].fields) == [camel(dimension) for dimension in DIMENSIONS]  # type: ignore[attr-defined]


def descriptions() -> Iterator[tuple[str, str | None]]:
    for name, named in TYPES.items():
        yield name, named.description
        if isinstance(named, GraphQLEnumType):
            yield from ((f"{name}.{value}", of.description) for value, of in named.values.items())
        if isinstance(named, GraphQLInputObjectType):
            yield from ((f"{name}.{field}", of.description) for field, of in named.fields.items())
        if isinstance(named, GraphQLObjectType | GraphQLInterfaceType):
            for field, of in named.fields.items():
                yield f"{name}.{field}", of.description
                yield from ((f"{name}.{field}({arg}:)", about.description) for arg, about in of.args.items())


def test_everything_is_described_in_whole_sentences() -> None:
    poor = [
        place
        for place, text in descriptions()
        if not text or not text.rstrip().endswith((".", ":")) or text[0] in " \n" or "strawberry" in text.lower()
    ]
    assert poor == []


def test_a_field_that_may_be_null_says_when() -> None:
    silent = [
        f"{name}.{field}"
        for name in OBJECTS
        for field, of in fields_of(name).items()
        if not isinstance(of.type, GraphQLNonNull)
        and "null" not in (of.description or "").lower()
        # Of all fields of a root alike the root says it.
        and (name not in WHOLE or "null" not in (OBJECTS[name].description or ""))
    ]
    assert silent == []


@pytest.mark.parametrize("name", WHOLE)
def test_an_error_of_a_root_field_costs_the_others_nothing(name: str) -> None:
    assert [field for field, of in fields_of(name).items() if isinstance(of.type, GraphQLNonNull)] == []


@pytest.mark.parametrize("name", fields_of("Mutation"))
def test_a_mutation_takes_an_input_and_answers_with_a_union(name: str) -> None:
    field, capital = fields_of("Mutation")[name], name[0].upper() + name[1:]
    assert {argument: str(of.type) for argument, of in field.args.items()} == {"input": f"{capital}Input!"}
    assert str(field.type) == f"{capital}Result!"
    union = get_named_type(field.type)
    assert isinstance(union, GraphQLUnionType)
    payload, *failures = union.types
    assert payload.name.endswith("Payload")
    assert {failure.name for failure in failures} >= {"InvalidInput", "Unauthenticated", "Forbidden", "Overloaded"}
    assert all("Error" in {interface.name for interface in failure.interfaces} for failure in failures)


def test_a_list_is_a_connection_or_bounded() -> None:
    lists = {
        f"{name}.{field}"
        for name, named in TYPES.items()
        if isinstance(named, GraphQLObjectType | GraphQLInterfaceType) and not name.endswith("Connection")
        for field, of in named.fields.items()
        if isinstance(getattr(of.type, "of_type", None), GraphQLList) or isinstance(of.type, GraphQLList)
    }
    assert lists == set(BOUNDED)


@pytest.mark.parametrize("name", [name for name in OBJECTS if name.endswith("Connection")])
def test_a_connection_is_as_relay_specifies(name: str) -> None:
    item = name.removesuffix("Connection")
    assert {field: str(of.type) for field, of in fields_of(name).items()} == {
        "edges": f"[{item}Edge!]!",
        "pageInfo": "PageInfo!",
    }
    assert {field: str(of.type) for field, of in fields_of(f"{item}Edge").items()} == {
        "cursor": "String!",
        "node": f"{item}!",
    }
    assert "Node" in {interface.name for interface in OBJECTS[item].interfaces}
    (field,) = (of for of in fields_of("Query").values() if str(of.type) == name)
    assert str(field.args["first"].type) == "Int!"
    assert str(field.args["after"].type) == "String"


ANALYSES = {
    "metric",
    "metrics",
    "revenue",
    "recurringRevenue",
    "cohorts",
    "funnel",
    "funnelCorrelations",
    "attribution",
    "experimentResults",
    *ai.ANALYSES,
    *foretelling.LEAST_EVERY,
    *segments.ANALYSES,
}
WATCHED_LISTS = {"recommendations", "funnelSubjects", *foretelling.LISTS}
"""Lists that can be watched as analyses can."""
LEAST_EVERY = {
    **foretelling.LEAST_EVERY,
    **dict.fromkeys(foretelling.LISTS, "1m"),
    **segments.LEAST_EVERY,
    "recommendations": "10s",
    "funnelSubjects": "10s",
}


def test_every_analysis_has_a_live_twin() -> None:
    asked, watched = fields_of("Query"), fields_of("Subscription")
    analyses = {name for name, of in asked.items() if get_named_type(of.type).name.endswith(("Answer", "BySegment"))}
    assert analyses == set(watched) - {"events", "flagChanges", "experimentChanges"} - WATCHED_LISTS == ANALYSES
    for name in analyses | WATCHED_LISTS:
        once, again = asked[name], watched[name]
        assert str(once.type) == str(again.type)
        ask, watch = [
            {argument: (str(of.type), of.default_value, of.description) for argument, of in field.args.items()}
            for field in (once, again)
        ]
        assert watch.pop("every")[:2] == ("Duration!", LEAST_EVERY.get(name, "1s"))
        assert ask.pop("maxAge")[:2] == ("Duration", None)
        assert ask == watch


NOT_TAKEN = {
    "previewSegment": {"where", "by", "compare"},
    "segmentOverlap": {"where", "by", "compare"},
    "aiBudget": {"where", "compare"},
    "attribution": {"by"},
    "attributionBySegment": {"by"},
    "funnelCorrelations": {"by"},
    "funnelCorrelationsBySegment": {"by"},
    "segmentTraits": {"by"},
    "experimentResults": {"where", "compare"},
}
"""What analyses do not take: they are of people, of a budget's own calls and period, are breakdowns themselves, or hold
variants against each other."""


@pytest.mark.parametrize("name", sorted(ANALYSES))
def test_every_analysis_is_filtered_broken_down_and_compared(name: str) -> None:
    missing = {"where", "by", "compare"} - set(fields_of("Query")[name].args)
    assert missing == NOT_TAKEN.get(name, set())


def test_names() -> None:
    for name, named in TYPES.items():
        assert re.fullmatch(r"[A-Z][A-Za-z0-9]*", name)
        assert isinstance(named, GraphQLInputObjectType) == name.endswith("Input") or name == "InvalidInput"
        assert isinstance(named, GraphQLUnionType) == name.endswith("Result")
        if isinstance(named, GraphQLEnumType):
            assert all(re.fullmatch(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*", value) for value in named.values)
        elif isinstance(named, GraphQLObjectType | GraphQLInterfaceType | GraphQLInputObjectType):
            is_input = isinstance(named, GraphQLInputObjectType)
            assert is_input or "id" not in named.fields or name == "Node" or TYPES["Node"] in named.interfaces
            assert all(re.fullmatch(r"[a-z][A-Za-z0-9]*", field) for field in named.fields)


def test_the_printed_schema_is_the_schema() -> None:
    printed = Path(package.__file__).with_name("schema.graphql").read_text(encoding="utf-8")
    assert printed == f"{schema.as_str()}\n", "refresh it: gateway schema --out schema/schema.graphql"
