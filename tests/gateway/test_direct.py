"""Direct answers against graphql-core's own execution: the same data, the same errors, or none at all."""

import asyncio
from datetime import datetime
from enum import Enum
from inspect import isawaitable
from typing import Any, NamedTuple

import pytest
import strawberry
from graphql import DocumentNode, ExecutionResult, OperationDefinitionNode, execute, parse, validate
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from strawberry.relay import GlobalID
from strawberry.relay.utils import to_base64
from strawberry.scalars import JSON
from strawberry.schema.config import StrawberryConfig
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext as Plain

from gateway.compiled import Compiled, CompiledExecutor
from gateway.direct import Direct
from resolvers.errors import BadInput
from schema.scalars import SCALARS
from tests.gateway.compiled_world import SCHEMA, Bough, boughs, documents, fresh
from tests.gateway.test_compiled import SETTINGS, SWITCHES, read


@strawberry.type
class Greeting:
    text: str
    times: int


@strawberry.input
class Manner:
    loud: bool
    times: int = 1


@strawberry.enum
class Colour(Enum):
    RED = "red"
    PALE = strawberry.enum_value("blue", name="BLUE")


@strawberry.type
class Query:
    @strawberry.field
    async def greeting(self, info: strawberry.Info[Any, None], name: str, manner: Manner | None = None) -> Greeting:
        if name == "nobody":
            raise BadInput("There is nobody.", field="name")
        shown = name.upper() if manner and manner.loud else name
        return Greeting(text=f"{info.context}, {shown}", times=manner.times if manner else 1)

    @strawberry.field
    def maybe(self, name: str = "nobody") -> Greeting | None:
        if name == "broken":
            raise RuntimeError(name)
        return None if name == "nobody" else Greeting(text=name, times=2**40 if name == "large" else 0)

    @strawberry.field
    async def told(
        self,
        text: str = "left out",
        number: int | None = None,
        key: strawberry.ID | None = None,
        node: GlobalID | None = None,
        at: datetime | None = None,
        colour: Colour = Colour.RED,
        json: JSON | None = None,
        said: strawberry.Maybe[str | None] = None,
        numbers: list[int] | None = None,
        manner: Manner | None = None,
        manners: list[Manner | None] | None = None,
    ) -> Greeting:
        given = (text, number, key, node, at, colour, json, said, numbers, manner, manners)
        return Greeting(text=repr(given), times=0)


WORLD = strawberry.Schema(Query, config=StrawberryConfig(scalar_map=SCALARS))


def direct_of(schema: strawberry.Schema, document: DocumentNode, compiled: Compiled) -> Direct | None:
    (operation,) = (node for node in document.definitions if isinstance(node, OperationDefinitionNode))
    return Direct.of(schema._schema, operation, compiled)


async def executed(schema: strawberry.Schema, document: DocumentNode, variables: dict[str, Any], **how: Any) -> Any:
    result = execute(schema._schema, document, variable_values=variables, **how)
    return read(await result if isawaitable(result) else result)  # type: ignore[arg-type]


async def both(
    source: str, variables: dict[str, Any], compiled_by: dict[str, Any] | None = None
) -> tuple[ExecutionResult | None, Any]:
    """The direct answer once the document was executed with ``compiled_by``, and what the executor says."""
    document = parse(source)
    compiled = Compiled(document)
    how: dict[str, Any] = {"context_value": "Hello"}
    first = variables if compiled_by is None else compiled_by
    await executed(WORLD, document, first, executor_class=CompiledExecutor, compiled=compiled, **how)
    direct = direct_of(WORLD, document, compiled)
    assert direct is not None
    return await direct.answer(variables, "Hello"), await executed(WORLD, document, variables, **how)


_NAMED = "query Greet($name: String!, $manner: Manner) { hi: greeting(name: $name, manner: $manner) { text times } }"


@pytest.mark.parametrize(
    ("source", "variables"),
    [
        ('{ greeting(name: "ann") { text } }', {}),
        ('{ greeting(name: "ann", manner: {loud: true}) { text times __typename } }', {}),
        (_NAMED, {"name": "ann"}),
        (_NAMED, {"name": "ann", "manner": None, "other": 1}),
        (_NAMED, {"name": "ann", "manner": {"loud": True, "times": 3}}),
        (_NAMED, {"name": "nobody"}),
        ("query ($name: String!) { maybe(name: $name) { text } }", {"name": "bob"}),
        ("query ($name: String!) { maybe(name: $name) { text } }", {"name": "broken"}),
    ],
)
async def test_what_is_plain_is_answered_as_the_executor_would(source: str, variables: dict[str, Any]) -> None:
    plain = {"name": "ann"}
    answer, expected = await both(source, variables, plain)
    assert answer is not None
    assert read(answer) == expected


@pytest.mark.parametrize(
    ("source", "variables"),
    [
        (_NAMED, {}),
        (_NAMED, {"name": 7}),
        (_NAMED, {"name": "ann", "manner": {"times": 1}}),
        ("{ maybe { text } }", {}),
        ("query ($name: String!) { maybe(name: $name) { text times } }", {"name": "large"}),
        ('query ($on: Boolean!) { greeting(name: "ann") { text times @include(if: $on) } }', {"on": True}),
    ],
)
async def test_all_else_is_left_to_the_executor(source: str, variables: dict[str, Any]) -> None:
    answer, _ = await both(source, variables, {"name": "ann", **variables} if "$on" in source else {"name": "ann"})
    assert answer is None


@pytest.mark.parametrize(
    "source",
    [
        '{ a: greeting(name: "ann") { text } b: greeting(name: "bob") { text } }',
        '{ greeting(name: "ann") @skip(if: false) { text } }',
        '{ ... on Query { greeting(name: "ann") { text } } }',
        "{ __typename }",
        "{ __schema { description } }",
    ],
)
def test_a_query_of_another_form_has_no_direct_answer(source: str) -> None:
    document = parse(source)
    assert direct_of(WORLD, document, Compiled(document)) is None


async def test_there_is_none_before_a_first_execution() -> None:
    document = parse('{ greeting(name: "ann") { text } }')
    direct = direct_of(WORLD, document, Compiled(document))
    assert direct is not None
    assert await direct.answer({}, "Hello") is None


class Given(NamedTuple):
    """How an argument may be given: its type, what it may be written as, and what may be sent for it, or must not."""

    type: str
    written: tuple[str, ...]
    good: tuple[object, ...]
    bad: tuple[object, ...]


_MANNER, _AT, _NODE = {"loud": True, "times": 2}, "2025-01-02T03:04:05Z", to_base64("Thing", "1")
GIVEN = {
    "text": Given("String!", ('"so"',), ("so",), (7, None)),
    "number": Given("Int", ("3", "null"), (3, None), (2**40, "3")),
    "key": Given("ID", ('"k"', "5"), ("k", 5, None), (1.5,)),
    "node": Given("ID", (f'"{_NODE}"', '"none"'), (_NODE, "none", None), ([],)),
    "at": Given("DateTime", (f'"{_AT}"',), (_AT, None), ("soon",)),
    "colour": Given("Colour!", ("BLUE", "RED"), ("BLUE",), ("blue", None)),
    "json": Given("JSON", ('{a: [1, "x"]}', "7", "{a: $text, b: $number}"), ({"a": [1]}, [], "x", None), ()),
    "said": Given("String", ('"so"', "null"), ("so", None), (True,)),
    "numbers": Given("[Int!]", ("[1, 2]", "5", "[1, $number]"), ([1, 2], [], 5, None), ([None], ["1"])),
    "manner": Given(
        "Manner", ("{loud: true}", "{loud: false, times: 3}", "{loud: $on}"), (_MANNER, {"loud": True}, None), ({}, [])
    ),
    "manners": Given("[Manner]", ("[{loud: true}, null]", "{loud: $on}"), ([_MANNER, None], []), ([{"times": 1}],)),
}
_INSIDE = {"text": ("String", "so"), "number": ("Int!", 3), "on": ("Boolean!", True)}
"""Variables within what is written."""


@st.composite
def asked(draw: st.DrawFn) -> tuple[str, dict[str, object], dict[str, object]]:
    """A document that gives some of the arguments in any way, variables that are right, and others that may not be."""
    arguments, variables, right, sent = list[str](), dict[str, str](), dict[str, object](), dict[str, object]()
    for name in draw(st.lists(st.sampled_from(sorted(GIVEN)), unique=True)):
        given = GIVEN[name]
        if draw(st.booleans()):
            arguments.append(f"{name}: {draw(st.sampled_from(given.written))}")
            continue
        arguments.append(f"{name}: ${name}_")
        default = f" = {draw(st.sampled_from(given.written[:1]))}" if draw(st.booleans()) else ""
        variables[f"{name}_"] = given.type + default
        right[f"{name}_"] = draw(st.sampled_from(given.good))
        if draw(st.booleans()):
            sent[f"{name}_"] = draw(st.sampled_from((*given.good, *given.bad)))
    for name, (type_, value) in _INSIDE.items():
        if any(f"${name}" in one.replace(f"${name}_", "") for one in arguments):
            variables[name], right[name] = type_, value
            if draw(st.booleans()):
                sent[name] = value
    head = f"({', '.join(f'${name}: {type_}' for name, type_ in variables.items())})" if variables else ""
    tail = f"({', '.join(arguments)})" if arguments else ""
    return f"query {head} {{ told{tail} {{ text }} }}", right, sent


@settings(SETTINGS, max_examples=60)
@given(asked())
def test_arguments_are_read_as_by_the_executor_however_they_are_given(
    question: tuple[str, dict[str, object], dict[str, object]],
) -> None:
    source, right, sent = question
    document = parse(source)
    assume(not validate(WORLD._schema, document))
    compiled = Compiled(document)
    direct = direct_of(WORLD, document, compiled)
    assert direct is not None

    async def compare() -> None:
        first = await executed(WORLD, document, right, executor_class=CompiledExecutor, compiled=compiled)
        found = await direct.answer(right, None)
        # An execution that fails leaves no completer.
        assert read(found) == first if found is not None else first[1]
        answer = await direct.answer(sent, None)
        assert answer is None or read(answer) == await executed(WORLD, document, sent, executor_class=Plain)

    asyncio.run(compare())


# Few documents have one plain field at the root.
@settings(SETTINGS, max_examples=10, suppress_health_check=list(HealthCheck))
@given(documents(), boughs(faults=True), SWITCHES)
def test_whatever_the_document_and_the_values_no_answer_is_another(
    source: str, bough: Bough, variables: dict[str, Any]
) -> None:
    document = parse(source)
    assume(not validate(SCHEMA._schema, document))
    compiled = Compiled(document)
    direct = direct_of(SCHEMA, document, compiled)
    assume(direct is not None)
    assert direct is not None

    async def compare() -> None:
        how: dict[str, Any] = {"context_value": lambda: fresh(bough)}
        expected = await executed(SCHEMA, document, variables, executor_class=Plain, **how)
        await executed(SCHEMA, document, variables, executor_class=CompiledExecutor, compiled=compiled, **how)
        answer = await direct.answer(variables, lambda: fresh(bough))
        assert answer is None or read(answer) == expected

    asyncio.run(compare())
