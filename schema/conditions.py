"""What ``where`` means: the tree of inputs read into a filter, and a filter written back as such a tree."""

import re
from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from resolvers.analysis import filters
from resolvers.analysis.filters import Filter, Op
from schema.errors import refusal
from schema.filters import (
    MAX_ALL_VALUES,
    MAX_CONDITIONS,
    MAX_DEPTH,
    MAX_SEGMENTS,
    MAX_VALUES,
    DimensionConditionInput,
    FilterInput,
    MeasureConditionInput,
    PropertyConditionInput,
    SegmentConditionInput,
)
from schema.nodes import decode, encode
from schema.scalars import decimal_text

MAX_TEXT = 500
MAX_PATH = 8
MAX_DIGITS = 40

_UNFIT = re.compile("[\x00\ud800-\udfff]")
_SETS = {"in": Op.IN, "notIn": Op.NOT_IN}
_ORDERS = {"gt": Op.GT, "gte": Op.GTE, "lt": Op.LT, "lte": Op.LTE}
_NAMES = {op: name for name, op in (_SETS | _ORDERS).items()}


def read_filter(where: FilterInput | None, field: str = "where") -> Filter:
    """The filter that an input means, everything where there is none; BadInput on the path of what cannot be one."""
    return filters.EVERYTHING if where is None else _Reading().node(where, field, 1)


class _Reading:
    """One tree being read, counting its conditions and their values."""

    def __init__(self) -> None:
        self.conditions = 0
        self.values = 0

    def node(self, node: FilterInput, field: str, depth: int) -> Filter:
        if depth > MAX_DEPTH:
            raise refusal(field, f"must be nested at most {MAX_DEPTH} deep")
        match node:
            case FilterInput(all=list(parts)):
                return filters.All(self.nodes(parts, f"{field}.all", depth))
            case FilterInput(any=list(parts)):
                return filters.Any(self.nodes(parts, f"{field}.any", depth))
            case FilterInput(not_=FilterInput() as inner):
                return filters.Not(self.node(inner, f"{field}.not", depth + 1))
        return self.leaf(node, field, depth)

    def nodes(self, parts: Sequence[FilterInput], field: str, depth: int) -> tuple[Filter, ...]:
        return tuple(self.node(part, f"{field}[{index}]", depth + 1) for index, part in enumerate(parts))

    def leaf(self, node: FilterInput, field: str, depth: int) -> Filter:
        if node.kind is not None:
            found: list[Filter] = [filters.KindIs(tuple(node.kind))]
        elif node.name is not None:
            found = [filters.NameIs(_texts(node.name, f"{field}.name"))]
        elif node.subject is not None:
            found = [filters.SubjectIs(_texts(node.subject, f"{field}.subject"))]
        elif node.flag is not None:
            found = [filters.FlagIs(node.flag.flag.value, node.flag.is_)]
        else:
            found = _comparisons(node, field)
        self.conditions += len(found)
        self.values += sum(map(filters.weight, found))
        if self.values > MAX_ALL_VALUES:
            raise refusal(field, f"must hold at most {MAX_ALL_VALUES:,} values in all")
        if self.conditions > MAX_CONDITIONS:
            raise refusal(field, f"must hold at most {MAX_CONDITIONS} conditions in all")
        if len(found) > 1 and depth == MAX_DEPTH:
            raise refusal(field, f"must be nested at most {MAX_DEPTH} deep")
        return found[0] if len(found) == 1 else filters.All(tuple(found))


def _comparisons(node: FilterInput, field: str) -> list[Filter]:
    if node.dimension is not None:
        return _of_dimension(node.dimension, f"{field}.dimension")
    if node.measure is not None:
        return _of_measure(node.measure, f"{field}.measure")
    if node.segment is not None:
        return _of_segment(node.segment, f"{field}.segment")
    assert node.property is not None
    return _of_property(node.property, f"{field}.property")


def _of_dimension(leaf: DimensionConditionInput, field: str) -> list[Filter]:
    name = leaf.dimension.value
    return _found(
        [filters.DimensionIs(name, op, _texts(values, f"{field}.{key}")) for key, op, values in _given_sets(leaf)]
        + [filters.DimensionIs(name, op) for op in _presence(leaf.exists)],
        field,
        "in, notIn, exists",
    )


def _of_segment(leaf: SegmentConditionInput, field: str) -> list[Filter]:
    found: list[Filter] = []
    if leaf.in_ is not None:
        one_of = _segments(leaf.in_, Op.IN, f"{field}.in")
        found.append(one_of[0] if len(one_of) == 1 else filters.Any(one_of))
    if leaf.not_in is not None:
        none_of = _segments(leaf.not_in, Op.NOT_IN, f"{field}.notIn")
        found.append(none_of[0] if len(none_of) == 1 else filters.All(none_of))
    return _found(found, field, "in, notIn")


def _segments(given: Sequence[str], op: Op, field: str) -> tuple[filters.InSegment, ...]:
    if len(given) > MAX_SEGMENTS:
        raise refusal(field, f"must be at most {MAX_SEGMENTS} segments")
    places = [f"{field}[{index}]" for index in range(len(given))]
    return tuple(
        filters.InSegment(segment_reference(one, place), op, place) for one, place in zip(given, places, strict=True)
    )


def segment_reference(given: str, field: str) -> int | str:
    """The number in a segment's global id, or the name as it is given."""
    return reference(given, "Segment", field)


def reference(given: str, of: str, field: str) -> int | str:
    """The number in the global id of something of a type, or the name as it is given."""
    kind, key = decode(given) or ("", "")
    if kind == of and key.isascii() and key.isdigit() and len(key) < 10:
        return int(key)
    return plain_text(given, field)


def _of_measure(leaf: MeasureConditionInput, field: str) -> list[Filter]:
    name = leaf.measure.value
    return _found(
        [filters.MeasureIs(name, op, value) for op, value in _given_orders(leaf, field)]
        + [filters.MeasureIs(name, op) for op in _presence(leaf.exists)],
        field,
        "gt, gte, lt, lte, exists",
    )


def _of_property(leaf: PropertyConditionInput, field: str) -> list[Filter]:
    if not 1 <= len(leaf.path) <= MAX_PATH:
        raise refusal(f"{field}.path", f"must be 1 to {MAX_PATH} keys")
    path = _texts(leaf.path, f"{field}.path")
    return _found(
        [
            filters.PropertyIs(path, op, _each(values, _scalar, f"{field}.{key}"))
            for key, op, values in _given_sets(leaf)
        ]
        + [filters.PropertyIs(path, op, (value,)) for op, value in _given_orders(leaf, field)]
        + [filters.PropertyIs(path, op) for op in _presence(leaf.exists)],
        field,
        "in, notIn, gt, gte, lt, lte, exists",
    )


def _found(found: Sequence[Filter], field: str, choices: str) -> list[Filter]:
    if not found:
        raise refusal(field, f"must give at least one of {choices}")
    return list(found)


def _given_sets(
    leaf: DimensionConditionInput | PropertyConditionInput,
) -> list[tuple[str, Op, Sequence[Any]]]:
    given = (("in", leaf.in_), ("notIn", leaf.not_in))
    return [(key, _SETS[key], values) for key, values in given if values is not None]


def _given_orders(leaf: MeasureConditionInput | PropertyConditionInput, field: str) -> list[tuple[Op, Decimal]]:
    given = ((key, getattr(leaf, key)) for key in _ORDERS)
    return [(_ORDERS[key], _number(value, f"{field}.{key}")) for key, value in given if value is not None]


def _presence(exists: bool | None) -> list[Op]:
    return [] if exists is None else [Op.EXISTS if exists else Op.MISSING]


def _each(values: Sequence[Any], read: Callable[[Any, str], Any], field: str) -> tuple[Any, ...]:
    if len(values) > MAX_VALUES:
        raise refusal(field, f"must be at most {MAX_VALUES:,} values")
    return tuple(read(value, f"{field}[{index}]") for index, value in enumerate(values))


def _texts(values: Sequence[str], field: str) -> tuple[str, ...]:
    return _each(values, plain_text, field)


def plain_text(value: str, field: str) -> str:
    """``value`` itself; BadInput where the log could not hold it."""
    if len(value) > MAX_TEXT:
        raise refusal(field, f"must have at most {MAX_TEXT} characters")
    if not value.isprintable() and _UNFIT.search(value):
        raise refusal(field, "must not hold NUL or surrogates")
    return value


def _scalar(value: object, field: str) -> str | bool | int | Decimal:
    if isinstance(value, str):
        return plain_text(value, field)
    if isinstance(value, bool):
        return value
    number = _number(value, field)
    return int(number) if isinstance(value, int) else number


def _number(value: object, field: str) -> Decimal:
    """An exact number from text or a JSON number, small enough to be written out."""
    try:
        small = isinstance(value, float) or (isinstance(value, int) and abs(value) < 10**MAX_DIGITS)
        digits = repr(value) if small and not isinstance(value, bool) else value
        if isinstance(digits, str) and len(digits) <= MAX_DIGITS and digits.isascii() and "_" not in digits:
            number = Decimal(digits)
            if number.is_finite() and abs(number.adjusted()) <= MAX_DIGITS:
                return number
    except InvalidOperation:
        pass
    raise refusal(field, f'must be a number such as "19.99" of at most {MAX_DIGITS} digits')


def write_filter(where: Filter) -> dict[str, Any]:
    """The filter as the JSON of a ``FilterInput``: ``read_filter`` reads it back as the same filter."""
    match where:
        case filters.All(parts):
            return {"all": [write_filter(part) for part in parts]}
        case filters.Any(parts):
            return {"any": [write_filter(part) for part in parts]}
        case filters.Not(inner):
            return {"not": write_filter(inner)}
        case filters.KindIs(kinds):
            return {"kind": [kind.name for kind in kinds]}
        case filters.NameIs(names):
            return {"name": list(names)}
        case filters.SubjectIs(subjects):
            return {"subject": list(subjects)}
        case filters.FlagIs(flag, value):
            return {"flag": {"flag": flag.upper(), "is": value}}
        case filters.DimensionIs(name, op, texts):
            return {"dimension": {"dimension": name.upper(), **_comparison(op, list(texts))}}
        case filters.MeasureIs(name, op, number):
            compared = decimal_text(number) if number is not None else None
            return {"measure": {"measure": name.upper(), **_comparison(op, compared)}}
        case filters.InSegment(segment, op):
            given = encode("Segment", str(segment)) if isinstance(segment, int) else segment
            return {"segment": {_NAMES[op]: [given]}}
        case filters.PropertyIs(path, op, values):
            return {"property": {"path": list(path), **_comparison(op, _property_value(op, values))}}


def _comparison(op: Op, compared: object) -> dict[str, object]:
    return {"exists": op is Op.EXISTS} if op in (Op.EXISTS, Op.MISSING) else {_NAMES[op]: compared}


def _property_value(op: Op, values: Sequence[str | bool | int | Decimal]) -> object:
    if op in (Op.IN, Op.NOT_IN):
        # A number in a list came as a JSON number and goes back as one; text would not equal it.
        return [float(value) if isinstance(value, Decimal) else value for value in values]
    return decimal_text(values[0]) if values and isinstance(values[0], Decimal) else None
