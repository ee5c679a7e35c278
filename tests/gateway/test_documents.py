"""Prepared documents: what they say, what they cost the second time, and how many are kept."""

import pytest
import strawberry

from gateway import documents as documents_module
from gateway.documents import Documents
from gateway.limits import Limits
from schema.one_of import checked_by_graphql
from tests.gateway.graphql_world import Mutation, Query, Subscription

SCHEMA = checked_by_graphql(strawberry.Schema(query=Query, mutation=Mutation, subscription=Subscription))._schema


def messages(source: str, limits: Limits | None = None) -> list[str]:
    return [error["message"] for error in Documents(SCHEMA, limits or Limits()).get(source).errors]


def codes(source: str) -> set[str]:
    return {error["extensions"]["code"] for error in Documents(SCHEMA, Limits()).get(source).errors}


def test_a_valid_document_is_ready_to_execute() -> None:
    prepared = Documents(SCHEMA, Limits()).get("query A { hello } mutation B { write }")
    assert prepared.errors == ()
    assert prepared.document is not None
    assert set(prepared.operations) == {"A", "B"}
    assert not prepared.introspects


def test_introspection_is_noticed_wherever_it_hides() -> None:
    documents = Documents(SCHEMA, Limits())
    assert documents.get("{ __schema { queryType { name } } }").introspects
    assert documents.get('{ ...A } fragment A on Query { ... { x: __type(name: "A") { name } } }').introspects
    assert not documents.get("{ __typename item { __typename } }").introspects


def test_the_second_reading_parses_and_validates_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    documents = Documents(SCHEMA, Limits())
    first = [documents.get(source) for source in ("{ hello }", "{ nope }", "{")]

    def never(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(documents_module, "parse", never)
    monkeypatch.setattr(documents_module, "validate", never)
    assert [documents.get(source) for source in ("{ hello }", "{ nope }", "{")] == first


def test_the_least_recently_used_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    documents = Documents(SCHEMA, Limits(cached_documents=2))
    kept, other = documents.get("{ a: hello }"), documents.get("{ b: hello }")
    assert documents.get("{ a: hello }") is kept
    documents.get("{ c: hello }")
    assert len(documents) == 2
    assert documents.get("{ a: hello }") is kept
    assert documents.get("{ b: hello }") is not other


def test_the_cache_is_bounded_in_tokens() -> None:
    documents = Documents(SCHEMA, Limits(cached_tokens=100))
    for number in range(50):
        documents.get("{ " + "hello " * 18 + f"a{number}: hello }}")
    assert 1 <= len(documents) <= 5
    documents.get("{ " + "hello " * 200 + "}")
    assert len(documents) <= 5


@pytest.mark.parametrize(
    "source",
    ["", "{", "{ hello", "query {{ hello }", '{ hello(name: "\\ud800") }', "\x00", "{" + "a{" * 900, "[" * 1500],
)
def test_what_is_no_graphql_fails_to_parse(source: str) -> None:
    assert codes(source) == {"GRAPHQL_PARSE_FAILED"}


def test_tokens_comments_and_text_are_bounded() -> None:
    assert "2000 tokens" in messages("{" + "hello " * 2_000 + "}")[0]
    assert messages("{ hello }" + "#\n" * 2_001) != []
    assert messages("{ hello }" + " " * 262_144) != []


@pytest.mark.parametrize(
    "source",
    [
        "{ nope }",
        "{ ...A } fragment A on Query { ...A }",
        "{ ...Missing }",
        "{ integer(value: " + "9" * 5_000 + ") }",
        "{ choose(choice: {}) }",
        '{ choose(choice: {number: 1, text: "a"}) }',
        "{ choose(choice: {number: $missing}) }",
        "{ ...F } fragment F on Query { choose(choice: {number: $missing}) }",
        "query($n: Int) { choose(choice: {number: $n}) }",
        "subscription { a: count(to: 1) b: count(to: 1) }",
        "type Query { a: Int }",
        "{ " + "item { owner { name } } " * 280 + "}",
        "{ " + "hello " * 1_900 + "}",
    ],
)
def test_what_is_not_valid_fails_validation(source: str) -> None:
    assert codes(source) == {"GRAPHQL_VALIDATION_FAILED"}


@pytest.mark.parametrize(
    "source",
    [
        "fragment F on Query { choose(choice: {number: $n}) } query($n: Int!) { ...F }",
        "query($n: Int!) { ...F } fragment F on Query { choose(choice: {number: $n}) }",
    ],
)
def test_one_of_inputs_in_fragments_are_valid(source: str) -> None:
    assert messages(source) == []


def test_messages_are_short_however_long_the_value() -> None:
    assert all(len(message) <= 501 for message in messages("{ integer(value: " + "9" * 5_000 + ") }"))


def test_errors_of_one_document_are_bounded() -> None:
    assert len(messages("{ " + " ".join(f"nope{n}" for n in range(500)) + " }")) == 21
