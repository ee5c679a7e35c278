"""The contract with whoever writes queries: said in full, named alike, paged or bounded, asked and watched alike."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLUnionType,
    get_named_type,
)

import schema as package
from schema import schema
from tests import ai_contract as ai
from tests import foretelling_contract as foretelling
from tests import segments_contract as segments
from tests import slo_contract as slos
from tests.contract import (
    BOUNDED,
    OBJECTS,
    TYPES,
    fields_of,
)

WHOLE = ("Query", "Subscription")
"""Roots, all fields of which may be null."""


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
    listing = [of for of in fields_of("Query").values() if str(of.type) == name]
    assert listing
    for field in listing:
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
    *slos.ANALYSES,
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
    "aiBudget": {"where"},
    "slo": {"where", "compare"},
    "attribution": {"by"},
    "attributionBySegment": {"by"},
    "funnelCorrelations": {"by"},
    "funnelCorrelationsBySegment": {"by"},
    "segmentTraits": {"by"},
    "experimentResults": {"compare"},
}
"""What analyses do not take: they are of people, of a budget's or an SLO's own events and period, are breakdowns
themselves, or hold variants against each other."""


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
