"""Compiled selections against graphql-core's own execution: the same data, the same errors."""

import asyncio
import gc
import weakref
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from inspect import isawaitable
from typing import Any

import orjson
import pytest
from graphql import DocumentNode, ExecutionResult, GraphQLError, execute, parse, subscribe, validate
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext as Plain

from gateway.compiled import Compiled, CompiledExecutor
from gateway.instants import EncodedInstants
from tests.gateway.compiled_world import MISSING, SCHEMA, Bough, Colour, Leaf, Odd, Once, boughs, documents, fresh

CORE = SCHEMA._schema
Answers = list[tuple[Any, list[tuple[Any, ...]]]]


def written(data: Any) -> Any:
    """Data with its instants as the answer's encoder writes them, and what is encoded read back."""
    if isinstance(data, dict):
        return {name: written(value) for name, value in data.items()}
    if isinstance(data, list):
        return [written(value) for value in data]
    encoded = isinstance(data, datetime | orjson.Fragment)
    return orjson.loads(orjson.dumps(data, option=orjson.OPT_UTC_Z)) if encoded else data


def read(result: ExecutionResult) -> tuple[Any, list[tuple[Any, ...]]]:
    """A result in a form that can be compared."""

    def told(error: GraphQLError) -> tuple[Any, ...]:
        return error.message, error.path, error.locations, repr(error.original_error)

    return repr(written(result.data)), list(map(told, result.errors or ()))


async def ask(document: DocumentNode, context: Callable[[], Any], variables: dict[str, Any], **how: Any) -> Answers:
    options = {"context_value": context, "variable_values": variables, **how}
    if document.definitions[0].operation.value == "query":  # type: ignore[attr-defined]
        result = execute(CORE, document, **options)
        return [read(await result if isawaitable(result) else result)]
    results: Any = subscribe(CORE, document, **options)
    results = await results if isawaitable(results) else results
    return [read(results)] if isinstance(results, ExecutionResult) else [read(result) async for result in results]


def compare(source: str, bough: Bough, variables: dict[str, Any], compiled: Compiled | None = None) -> Compiled:
    """Ask both ways, twice by the compiled one: as it compiles and once it has."""
    document = parse(source)
    compiled = compiled or Compiled(document)

    async def both() -> None:
        expected = await ask(document, lambda: fresh(bough), variables, executor_class=Plain)
        for _ in range(2):
            how = {"executor_class": CompiledExecutor, "compiled": compiled}
            assert await ask(document, lambda: fresh(bough), variables, **how) == expected

    asyncio.run(both())
    return compiled


SETTINGS = settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
SWITCHES = st.sampled_from([{"on": True}, {"on": False}, {"on": True, "off": True}])


@SETTINGS
@given(documents(), boughs(faults=True), SWITCHES)
def test_any_document_is_answered_alike_whatever_the_values(
    source: str, bough: Bough, variables: dict[str, Any]
) -> None:
    assume(not validate(CORE, parse(source)))
    compare(source, bough, variables)


@SETTINGS
@given(documents("subscription"), boughs(faults=True), SWITCHES)
def test_so_is_any_subscription(source: str, bough: Bough, variables: dict[str, Any]) -> None:
    assume(not validate(CORE, parse(source)))
    compare(source, bough, variables)


def leaf(**changes: Any) -> Leaf:
    """A leaf whose values fit."""
    values: dict[str, Any] = {
        "name": "leaf",
        "text": "t",
        "text_or_null": None,
        "number": 1,
        "real": 0.5,
        "flag": True,
        "key": "k",
        "big": 2**40,
        "exact": Decimal("1.50"),
        "exact_or_null": None,
        "at": datetime(2026, 3, 1, tzinfo=UTC),
        "span": timedelta(hours=1),
        "colour": Colour.PALE,
        "json": {"a": 1},
        "texts": ["a"],
        "texts_or_null": [None],
        "grid": [[1], []],
        "colours": [Colour.RED],
        "instants": [],
    }
    return Leaf(**values | changes)


def bough(**changes: Any) -> Bough:
    """A bough whose values fit."""
    values: dict[str, Any] = {
        "name": "bough",
        "leaf": leaf(),
        "leaf_or_null": None,
        "leaves": [leaf(), leaf()],
        "leaves_or_null": [None, leaf()],
        "named": leaf(),
        "nameds": [None, leaf()],
        "either": leaf(),
        "eithers": [leaf()],
    }
    return Bough(**values | changes)


FIELDS = """{name text textOrNull number real flag key big exact exactOrNull at span colour json texts textsOrNull grid
  colours instants}"""
WHOLE = f"""{{bough {{name leaf {FIELDS} leafOrNull {FIELDS} leaves {FIELDS} leavesOrNull {FIELDS}
  named {{__typename name ...on Leaf {FIELDS}}} nameds {{name}} either {{...on Leaf {FIELDS} ...on Bough {{name}}}}
  eithers {{__typename}}}}}}"""


@pytest.mark.parametrize(
    "value", [None, Odd(), ValueError("raised"), float("inf"), 2**31, 2**53, -(2**53), 1.5, "x", [], MISSING, True]
)
@pytest.mark.parametrize("name", list(vars(leaf())))
def test_a_value_that_does_not_fit_is_reported_alike(name: str, value: Any) -> None:
    odd = leaf(**{name: value})
    compare(WHOLE, bough(leaf=odd, leaves=[leaf(), odd], leaves_or_null=[odd], named=odd, either=odd), {})


@pytest.mark.parametrize("value", [None, Odd(), leaf(), "x", [], [None], ValueError("raised"), MISSING, Once([leaf()])])
@pytest.mark.parametrize("name", list(vars(bough())))
def test_so_is_an_object_that_does_not_fit(name: str, value: Any) -> None:
    compare(WHOLE, bough(**{name: value}), {})


@SETTINGS
@given(
    st.lists(
        st.decimals(allow_nan=False) | st.sampled_from([*map(Decimal, ("0", "-0", "0.0", "100", "1E+2", "-0.50"))])
    ),
    st.lists(st.integers(-(2**31), 2**31) | st.sampled_from([2**30 - 1, 2**30, -(2**30), 1 - 2**30])),
)
def test_numbers_of_any_form_are_written_alike_in_lists(exact: list[Decimal], whole: list[int]) -> None:
    leaves = [leaf(exact=one) for one in exact] + [leaf(number=one, big=one * 2**22) for one in whole]
    compare("{bough {leaves {exact number big}}}", bough(leaves=leaves), {})


def test_objects_of_several_classes_are_told_apart_wherever_they_stand() -> None:
    class Needle(Leaf):
        pass

    needle = Needle(**vars(leaf()))
    for leaves in ([leaf(), needle, leaf(), needle], [leaf(), bough(), leaf()], [leaf(), needle, bough()]):
        compare("{bough {leaves {text exact colour}}}", bough(leaves=leaves), {})


def test_the_same_instants_are_encoded_once_and_others_for_themselves() -> None:
    def at(*hours: int) -> tuple[datetime, ...]:
        return tuple(datetime(2026, 3, 1, hour, tzinfo=UTC) for hour in hours)

    same = at(1, 2)
    for instants in (same, at(1, 2), same, at(3, 4), [*same], at(5), (), same, (None, *same)):
        compare("{bough {leaf {instants}}}", bough(leaf=leaf(instants=instants)), {})
    kept = EncodedInstants()
    assert kept.get(same) is None
    encoded = kept.keep(same, list(same))
    assert kept.get(same) is encoded
    assert kept.get(at(1, 2)) is None
    for hour in range(24):
        for minute in range(60):
            longer = tuple(one + timedelta(hours=hour, minutes=minute) for one in same)
            kept.keep(longer, list(longer))
    assert len(kept) == 64


@pytest.mark.parametrize(
    ("source", "completers"),
    [
        (WHOLE, 1),
        ("{boughs {leaf {text}} either {...on Leaf {text}}}", 2),
        ("{bough {eithers {...on Leaf {text} ...on Bough {leaf {text}}}}}", 1),
        # Below a resolver what it returns is compiled, and so are its siblings.
        ("{bough {shadow {text} leaf {text} leaves {number}}}", 3),
        ("{bough {refused}}", 0),
        ("{text}", 0),
        ("{__schema {types {name}}}", 0),
    ],
)
def test_what_is_compiled(source: str, completers: int) -> None:
    assert len(compare(source, bough(), {})) == completers


def test_each_combination_of_conditions_has_completers_of_its_own_up_to_a_bound() -> None:
    names = [f"v{number}" for number in range(4)]
    fields = " ".join(f"{name}: text @include(if: ${name})" for name in names)
    declared = ", ".join(f"${name}: Boolean!" for name in names)
    document = parse(f"query ({declared}) {{bough {{leaf {{name {fields}}}}}}}")
    compiled = Compiled(document)

    async def every() -> None:
        for number in range(16):
            variables = {name: bool(number >> place & 1) for place, name in enumerate(names)}
            expected = await ask(document, bough, variables, executor_class=Plain)
            assert await ask(document, bough, variables, executor_class=CompiledExecutor, compiled=compiled) == expected

    asyncio.run(every())
    assert len(compiled) == 8


def test_a_selection_larger_than_its_document_may_be_is_not_compiled() -> None:
    # Merged with another node each time, so that no two are of the same nodes and can share a completer.
    other = "...on Bough {leaf {text} leafOrNull {text} leaves {text}}"
    several = " ".join(f"x{number}: either {{...B {other}}}" for number in range(60))
    fragments = f"fragment A on Leaf {FIELDS} fragment B on Bough {{leaf {{...A}} leafOrNull {{...A}} leaves {{...A}}}}"
    source = f"{{bough {{{several}}}}} {fragments}"
    assert len(compare(source, bough(), {})) == 0


def test_an_execution_leaves_nothing_to_its_completers_or_to_the_collector_of_cycles() -> None:
    document = parse(WHOLE)
    compiled = Compiled(document)

    class Context:
        def __call__(self) -> Bough:
            return bough()

    async def once() -> weakref.ref[Context]:
        context = Context()
        (answer,) = await ask(document, context, {}, executor_class=CompiledExecutor, compiled=compiled)
        assert answer[1] == []
        return weakref.ref(context)

    gc.disable()
    try:
        kept = asyncio.run(once())
        assert len(compiled) == 1
        assert kept() is None
    finally:
        gc.enable()
