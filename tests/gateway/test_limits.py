"""The document guard: what it refuses, what tools need, and that its work grows with the document alone."""

import pytest
import strawberry
from graphql import GraphQLError, get_introspection_query, parse

from gateway import limits as limits_module
from gateway.costs import Costs
from gateway.limits import Limits, guard, ordered_fragments


@strawberry.type
class Item:
    name: str

    @strawberry.field
    def owner(self) -> "Item":
        return self

    @strawberry.field
    def items(self, first: int) -> "list[Item]":
        return [self] * first


@strawberry.type
class Edge:
    node: Item
    cursor: str


@strawberry.type
class Page:
    edges: list[Edge]


@strawberry.type
class Query:
    item: Item
    plain: list[Item]

    @strawberry.field
    def page(self, first: int = 50, top: int | None = None) -> Page:
        return Page(edges=[])


SCHEMA = strawberry.Schema(query=Query)._schema


def nested(levels: int) -> str:
    return "{ item {" + "owner {" * (levels - 3) + "name" + "}" * (levels - 3) + "} }" if levels > 2 else ""


def doubling(levels: int) -> str:
    links = (f"fragment F{n} on Item {{ ...F{n + 1} ...F{n + 1} }}" for n in range(levels))
    return "{ item { ...F0 } } " + " ".join(links) + f" fragment F{levels} on Item {{ name }}"


def refused(source: str, limits: Limits | None = None) -> str:
    with pytest.raises(GraphQLError) as caught:
        guard(parse(source), limits or Limits())
    return caught.value.message


def test_depth_counts_fields_up_to_its_limit() -> None:
    assert guard(parse(nested(11)), Limits(depth=10)) is False
    assert "deeper than 10" in refused(nested(12), Limits(depth=10))


def test_depth_is_counted_through_fragments() -> None:
    spread = "{ item { ...A } } fragment A on Item { owner { ...B } } fragment B on Item { owner { name } }"
    assert guard(parse(spread), Limits(depth=4)) is False
    assert "deeper than 3" in refused(spread, Limits(depth=3))


def test_aliases_are_counted_once_for_each_spread() -> None:
    source = "{ a: item { ...A } b: item { ...A } } fragment A on Item { c: name d: name }"
    assert guard(parse(source), Limits(aliases=6)) is False
    assert "5 aliases" in refused(source, Limits(aliases=5))


def test_directives_are_counted_wherever_they_stand() -> None:
    source = "query Q @a { item @a { ...A @a } } fragment A on Item @a { name @a }"
    assert guard(parse(source), Limits(directives=5)) is False
    assert "4 directives" in refused(source, Limits(directives=4))
    assert "20 directives" in refused("{ item { name " + "@a " * 21 + "} }")


def test_operations_are_bounded() -> None:
    source = " ".join(f"query Q{n} {{ item {{ name }} }}" for n in range(11))
    assert "more than 10 operations" in refused(source)
    assert guard(parse(source), Limits(operations=11)) is False


def test_doubling_fragments_are_refused() -> None:
    assert "5000 fields" in refused(doubling(22))
    assert guard(parse(doubling(5)), Limits()) is False


@pytest.mark.parametrize("levels", [20, 40, 80])
def test_each_selection_is_visited_once_however_fragments_spread(levels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    visited = 0
    measure = limits_module._Meter._selection

    def count(meter: limits_module._Meter, node: object) -> limits_module.Measure:
        nonlocal visited
        visited += 1
        return measure(meter, node)  # type: ignore[arg-type]

    monkeypatch.setattr(limits_module._Meter, "_selection", count)
    guard(parse(doubling(levels)), Limits(selections=2**200))
    assert visited == 2 * levels + 3


@pytest.mark.parametrize(
    "source",
    [
        "{ ...A } fragment A on Query { ...A }",
        "{ ...A } fragment A on Query { item { ...B } } fragment B on Item { owner { ...A } }",
        "{ item { name } } fragment A on Item { ...B } fragment B on Item { owner { ...A } }",
    ],
)
def test_circular_fragments_are_refused(source: str) -> None:
    assert "spreads itself" in refused(source)


def test_fragments_come_after_those_they_spread() -> None:
    document = parse("{ ...A } fragment A on Q { ...B ...C } fragment B on Q { ...C } fragment C on Q { x }")
    assert [fragment.name.value for fragment in ordered_fragments(document)] == ["C", "B", "A"]


def test_a_chain_of_hundreds_of_fragments_needs_no_deep_stack() -> None:
    links = " ".join(f"fragment F{n} on Item {{ ...F{n + 1} }}" for n in range(1_500))
    assert guard(parse("{ item { ...F0 } } " + links + " fragment F1500 on Item { name }"), Limits()) is False


@pytest.mark.parametrize(
    "options",
    [
        {},
        {
            "descriptions": True,
            "specified_by_url": True,
            "directive_is_repeatable": True,
            "schema_description": True,
            "input_value_deprecation": True,
            "one_of": True,
        },
    ],
)
def test_the_query_that_tools_send_is_allowed(options: dict[str, bool]) -> None:
    assert guard(parse(get_introspection_query(**options)), Limits()) is True


def test_introspection_of_one_type_may_look_one_type_further() -> None:
    source = '{ a: __type(name: "A") { fields { type { fields { name } } } } b: __type(name: "B") { name } }'
    assert guard(parse(source), Limits()) is True


@pytest.mark.parametrize(
    "inside",
    [
        "types { fields { type { fields { name } } } }",
        "types { possibleTypes { fields { name } } }",
        "types { fields { args { type { inputFields { name } } } } }",
        "types { fields { type { ...T } } } } } fragment T on __Type { fields { name } } query Q { a { b",
        "types { " + "ofType { " * 20 + "name" + " }" * 20 + " }",
        "a: types { name }",
    ],
)
def test_introspection_loops_are_refused(inside: str) -> None:
    assert "introspection" in refused("query { __schema { " + inside + " } }")
    assert "introspection" in refused("query { a: __schema { types { name } } }")


def cost(source: str, **variables: object) -> int:
    document = parse(source)
    costs = Costs(SCHEMA, document)
    return costs.of(document.definitions[0], variables)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("source", "variables", "expected"),
    [
        ("{ item { name } }", {}, 2),
        ("{ plain { name } }", {}, 2),
        ("{ page(first: 3) { edges { node { name } } } }", {}, 1 + 3 * 3),
        ("{ page { edges { cursor } } }", {}, 1 + 50 * 2),
        ("query($n: Int) { page(first: $n) { edges { cursor } } }", {"n": 7}, 1 + 7 * 2),
        ("query($n: Int = 4) { page(first: $n) { edges { cursor } } }", {}, 1 + 4 * 2),
        ("query($n: Int) { page(first: $n) { edges { cursor } } }", {}, 1 + 50 * 2),
        ("query($n: Int) { page(first: $n) { edges { cursor } } }", {"n": "x"}, 1 + 2),
        ("{ page(first: -5) { edges { cursor } } }", {}, 1 + 2),
        ("{ page(first: 2, top: 5) { edges { cursor } } }", {}, 1 + 10 * 2),
        ("{ item { items(first: 10) { items(first: 10) { name } } } }", {}, 2 + 10 * (1 + 10)),
        ("{ page(first: 9) { ...P } } fragment P on Page { edges { cursor } }", {}, 1 + 9 * 2),
        ("{ page(first: 9) { ... { edges { cursor } } ... on Page { edges { cursor } } } }", {}, 1 + 9 * 4),
        ("{ __schema { types { name } } }", {}, 1),
    ],
)
def test_cost_multiplies_lists_by_the_size_asked_for(source: str, variables: dict[str, object], expected: int) -> None:
    assert cost(source, **variables) == expected


def test_cost_with_other_variables_is_counted_again() -> None:
    document = parse("query($n: Int) { page(first: $n) { edges { cursor } } }")
    costs = Costs(SCHEMA, document)
    operation = document.definitions[0]
    given: list[dict[str, object]] = [{"n": 1}, {"n": 100}, {}, {"n": None}, {"n": 0}, {"n": [3]}, {"n": True}]
    for _ in range(2):
        found = [costs.of(operation, variables) for variables in given]  # type: ignore[arg-type]
        assert found == [3, 201, 101, 3, 3, 3, 3]
    assert [costs.of(operation, {"n": n}) for n in range(1, 100)] == [1 + 2 * n for n in range(1, 100)]  # type: ignore[arg-type]
