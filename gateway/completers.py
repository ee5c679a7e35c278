"""Completers: a selection set turned into Python that shapes a value for JSON without a step per field.

A completer does what the GraphQL specification calls value completion for one type and the fields selected on it,
down to the leaves: checks types and nulls, serialises scalars, names enum values, tells abstract types apart. It is
made for values without surprises and raises for any other; the general executor then completes that value anew, and
its answer and its errors stand. So a completer never has to report an error, only to notice that there is one.

Three things are taken for granted of the schema's types: a plain field reads an attribute, reading it twice does no
harm, and what type a value is of depends on its class alone.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum, EnumMeta, Flag
from itertools import count
from keyword import iskeyword
from typing import Any, cast

from graphql import (
    GraphQLAbstractType,
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLField,
    GraphQLFloat,
    GraphQLID,
    GraphQLInt,
    GraphQLLeafType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLScalarType,
    GraphQLString,
    TypeNameMetaFieldDef,
    Undefined,
    is_abstract_type,
    is_leaf_type,
    is_object_type,
)
from graphql.execution.collect_fields import FieldDetailsList
from graphql.execution.executor import Executor
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.types.field import StrawberryField

from gateway.instants import EncodedInstants
from schema.scalars import big_integer, decimal_text, instant_text

Completer = Callable[[Any, GraphQLResolveInfo[Any]], Any]
"""Takes a resolver's value and the info of its field; returns what stands in the response."""

# Of these classes no value can be an exception, an awaitable or undefined.
_PLAIN = frozenset({str, int, float, bool, Decimal, date, datetime, timedelta, dict, list, tuple})

# What a value must pass to stand in the response as it is; ``v - v`` is not 0 for infinities and NaN.
_AS_IT_IS: dict[GraphQLScalarType, str] = {
    GraphQLString: "type({0}) is str",
    GraphQLID: "type({0}) is str",
    # Python compares integers of up to 30 bits at once; the serialiser takes the few that are longer.
    GraphQLInt: "type({0}) is int and -1073741823 <= {0} <= 1073741823",
    GraphQLFloat: "type({0}) is float and {0} - {0} == 0.0",
    GraphQLBoolean: "({0} is True or {0} is False)",
}
# The encoder writes these as ``instant_text`` does.
_INSTANT = "type({0}) is datetime and {0}.tzinfo is UTC"
_EXACT_INTEGER = "type({0}) is int and (-1073741823 <= {0} <= 1073741823 or -9007199254740992 < {0} < 9007199254740992)"
# Texts of decimals that are as ``decimal_text`` writes them; what has nothing to strip stays the same object.
_DECIMAL = (
    "type({0}) is Decimal and ('.' in (text := str({0})) and text.rstrip('0') is text and 'E' not in text"
    " or text.isdigit())"
)
_INSTANTS = EncodedInstants()
# What the tests above name. A loop has these as parameters, which are read in half the time of a global.
_TESTED = {"type": type, "str": str, "int": int, "float": float, "Decimal": Decimal, "datetime": datetime, "UTC": UTC}
_LOOP = "info, " + ", ".join(f"{name}={name}" for name in _TESTED)


class Unfit(Exception):
    """The value is not one a completer was made for."""


class NotCompiled(Exception):
    """The selection holds a field that must be resolved, or is too large."""


class Source:
    """Writes the completer of one value; ``room`` is how many fields it may have."""

    def __init__(self, executor: Executor[Any], room: int) -> None:
        self._executor = executor
        self._numbers = count()
        self._functions: dict[tuple[object, ...], str] = {}
        self._lines: list[str] = []
        self._names: dict[str, Any] = {
            "__builtins__": {},
            "list": list,
            "tuple": tuple,
            "Unfit": Unfit,
            "plain": _PLAIN,
            "instants": _INSTANTS,
            **_TESTED,
        }
        self.room = room

    def completer(self, type_: object, details: FieldDetailsList) -> Completer:
        """The completer of a field's value; raises NotCompiled."""
        self._define("completer", [f"return {self._expression(type_, details, 'value')}"])
        exec("\n".join(self._lines), self._names)  # noqa: S102  # names and literals are of the schema or under repr
        return cast(Completer, self._names["completer"])

    def _expression(self, type_: object, details: FieldDetailsList, value: str) -> str:
        """An expression that completes the value in the variable ``value``."""
        if isinstance(type_, GraphQLNonNull):
            return self._non_null(type_.of_type, details, value)
        if is_leaf_type(type_) and (fit := self._as_it_is(type_, value)) is not None:
            return f"{value} if {value} is None or {fit} else {self._leaf(type_)}({value})"
        return f"None if {value} is None else {self._non_null(type_, details, value)}"

    def _non_null(self, type_: object, details: FieldDetailsList, value: str) -> str:
        if is_leaf_type(type_):
            if (fit := self._as_it_is(type_, value)) is not None:
                return f"{value} if {fit} else {self._leaf(type_)}({value})"
            if isinstance(type_, GraphQLEnumType):
                return self._enum(type_, value)
            if type_.coerce_output_value is decimal_text:
                return f"text if {_DECIMAL.format(value)} else {self._leaf(type_)}({value})"
            coerce = self._name(type_.coerce_output_value)
            fit = f"type({value}) in plain and (text := {coerce}({value})) is not None"
            return f"text if {fit} else {self._leaf(type_)}({value})"
        if isinstance(type_, GraphQLList):
            return f"{self._list(type_, details)}({value}, info)"
        if is_object_type(type_):
            return f"{self._object(type_, details)}({value}, info)"
        if is_abstract_type(type_):
            return f"{self._abstract(type_, details)}({value}, info)"
        raise NotCompiled

    def _as_it_is(self, type_: GraphQLLeafType, value: str) -> str | None:
        test = _AS_IT_IS.get(type_) if isinstance(type_, GraphQLScalarType) else None
        if type_.coerce_output_value is big_integer:
            test = _EXACT_INTEGER
        elif type_.coerce_output_value is instant_text:
            test = _INSTANT
        return None if test is None else test.format(value)

    def _enum(self, type_: GraphQLEnumType, value: str) -> str:
        members: Any = getattr(type_, "wrapped_cls", None)
        # A combination of flags has no name of its own.
        if not isinstance(members, EnumMeta) or Flag in members.__mro__:
            return f"{self._leaf(type_)}({value})"
        known_members: Mapping[str, Enum] = members.__members__
        names = {member._name_: type_.coerce_output_value(member) for member in known_members.values()}
        as_named = all(name == shown for name, shown in names.items())
        completed = f"{value}._name_" if as_named else f"{self._name(names)}[{value}._name_]"
        return f"{completed} if type({value}) is {self._name(members)} else {self._leaf(type_)}({value})"

    def _leaf(self, type_: GraphQLLeafType) -> str:
        key = ("leaf", type_)
        if key not in self._functions:
            self._functions[key] = self._name(_serialiser(type_))
        return self._functions[key]

    def _list(self, type_: GraphQLList[Any], details: FieldDetailsList) -> str:
        key = ("list", type_, *(id(part.node) for part in details))
        if key not in self._functions:
            # Anything else may be read only once, or is no list to GraphQL.
            lines = ["if value.__class__ is not list and value.__class__ is not tuple: raise Unfit"]
            of = type_.of_type
            if isinstance(of, GraphQLNonNull) and is_object_type(of.of_type):
                # A call for each object would take a sixth of the time that lists take.
                admit, body, row = self._parts(of.of_type, details)
                # Those of one class mostly stand together.
                known = ["if type(value) is not last:", f" {admit}", " last = type(value)"]
                loop = [" " + line for line in [*known, *body, f"add({row})"]]
                lines += ["done = []", "add = done.append", "last = None", "for value in value:", *loop, "return done"]
            else:
                completed = f"[{self._expression(of, details, 'item')} for item in value]"
                if isinstance(of, GraphQLNonNull) and getattr(of.of_type, "coerce_output_value", None) is instant_text:
                    completed = f"instants.get(value) or instants.keep(value, {completed})"
                lines.append(f"return {completed}")
            name = self._functions[key] = self._new()
            self._define(name, lines, _LOOP)
        return self._functions[key]

    def _object(self, type_: GraphQLObjectType, details: FieldDetailsList) -> str:
        key = (type_, *(id(part.node) for part in details))
        if key not in self._functions:
            admit, body, row = self._parts(type_, details)
            name = self._functions[key] = self._new()
            self._define(name, [admit, *body, f"return {row}"])
        return self._functions[key]

    def _parts(self, type_: GraphQLObjectType, details: FieldDetailsList) -> tuple[str, list[str], str]:
        """A statement that raises for what is no such object in the variable ``value``, those that read its fields,
        and the expression that completes it.
        """
        known: set[type] = set()
        admit = f"if type(value) not in {self._name(known)}: {self._name(_admission(type_, known))}(value, info)"
        lines: list[str] = []
        entries = []
        collected = self._executor.collect_subfields(type_, details)
        for number, (response_name, parts) in enumerate(collected.grouped_field_set.items()):
            entries.append(f"{response_name!r}: {self._field(type_, parts, f'v{number}', lines)}")
        return admit, lines, f"{{{', '.join(entries)}}}"

    def _field(self, parent: GraphQLObjectType, details: FieldDetailsList, value: str, lines: list[str]) -> str:
        self.room -= 1
        if self.room < 0:
            raise NotCompiled
        definition = self._executor.schema.get_field(parent, details[0].node.name.value)
        if definition is TypeNameMetaFieldDef:
            return repr(parent.name)
        attribute = plain_attribute(definition)
        if definition is None or attribute is None:
            raise NotCompiled
        lines.append(f"{value} = value.{attribute}")
        return self._expression(definition.type, details, value)

    def _abstract(self, type_: GraphQLAbstractType, details: FieldDetailsList) -> str:
        key = (type_, *(id(part.node) for part in details))
        if key not in self._functions:
            known: dict[type, Completer] = {}
            schema = self._executor.schema
            possible = {possible.name: self._object(possible, details) for possible in schema.get_possible_types(type_)}
            # What outlives this execution must not hold on to its executor.
            resolve, names = type_.resolve_type or self._executor.type_resolver, self._names

            def choose(value: Any, info: GraphQLResolveInfo[Any]) -> Completer:
                _check_plain(value)
                name = resolve(value, info, type_)
                if not isinstance(name, str) or name not in possible:
                    raise Unfit
                return known.setdefault(value.__class__, cast(Completer, names[possible[name]]))

            name = self._functions[key] = self._new()
            line = (
                f"return ({self._name(known)}.get(value.__class__) or {self._name(choose)}(value, info))(value, info)"
            )
            self._define(name, [line])
        return self._functions[key]

    def _define(self, name: str, lines: list[str], info: str = "info") -> None:
        self._lines += [f"def {name}(value, {info}):", *(f" {line}" for line in lines)]

    def _name(self, value: object) -> str:
        name = self._new()
        self._names[name] = value
        return name

    def _new(self) -> str:
        return f"_{next(self._numbers)}"


def plain_attribute(definition: GraphQLField | None) -> str | None:
    """The attribute that a field only reads; None for one that has a resolver or arguments."""
    field = definition.extensions.get(GraphQLCoreConverter.DEFINITION_BACKREF) if definition else None
    if definition is None or definition.args or not isinstance(field, StrawberryField) or not field.is_basic_field:
        return None
    if field.is_subscription or field.default_resolver is not getattr or type(field) is not StrawberryField:
        return None
    name = field.python_name
    return name if name.isidentifier() and not iskeyword(name) else None


def _serialiser(type_: GraphQLLeafType) -> Callable[[Any], Any]:
    coerce = type_.coerce_output_value

    def serialise(value: Any) -> Any:
        if value.__class__ not in _PLAIN:
            _check_plain(value)
        completed = coerce(value)
        if completed is None or completed is Undefined:
            raise Unfit
        return completed

    return serialise


def _admission(type_: GraphQLObjectType, known: set[type]) -> Callable[[Any, GraphQLResolveInfo[Any]], None]:
    is_type_of = type_.is_type_of

    def admit(value: Any, info: GraphQLResolveInfo[Any]) -> None:
        _check_plain(value)
        if is_type_of is not None and is_type_of(value, info) is not True:
            raise Unfit
        known.add(value.__class__)

    return admit


def _check_plain(value: Any) -> None:
    if value is None or value is Undefined or isinstance(value, Exception) or hasattr(value, "__await__"):
        raise Unfit
