"""From the cells of a row to the fields of an event."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow, Underflow
from functools import lru_cache
from hashlib import blake2b
from typing import Any
from zoneinfo import ZoneInfo

from gateway.import_conditions import Cell, compile_condition, number_of
from gateway.import_plan import ImportPlan
from resolvers.analysis.events import DIMENSIONS, Kind
from resolvers.analysis.intake import camel
from resolvers.errors import BadInput

Convert = Callable[[Any], Any]

_EXACT = Context(prec=60, traps=[InvalidOperation, Overflow, Underflow, Inexact])
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TRUE = frozenset({"true", "t", "yes", "y", "1"})
_FALSE = frozenset({"false", "f", "no", "n", "0"})
_TEXTS = (
    *("kind", "id", "name", "subject", "session", "order_id", "amount", "cost", "currency"),
    *("subscription", "interval"),
)
_COUNTS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
_NUMBERS = ("duration_ms", "score")
_FLAGS = ("success", "assisted", "recurring")


class Unreadable(ValueError):
    """A row that cannot be read as an event; ``field`` is the target at fault, None for the row as a whole."""

    def __init__(self, field: str | None, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


@dataclass(frozen=True, slots=True)
class _Column:
    target: str
    key: str
    cell: Cell
    convert: Convert


class Mapper:
    """Turns rows into event items by a plan, whose columns ``cell_of`` finds; raises BadInput for a wrong plan."""

    def __init__(self, plan: ImportPlan, cell_of: Callable[[str], Cell]) -> None:
        self._conditions = [compile_condition(text, cell_of) for text in plan.conditions]
        self._places: dict[str, list[_Column]] = {"": [], "dimensions": [], "properties": []}
        self._constants: dict[str, dict[str, Any]] = {"": {}, "dimensions": {}, "properties": {}}
        self._as_it_is = not plan.maps
        for target, source in plan.maps.items():
            place, key, convert = _target(target, plan)
            column = _Column(target, key, _source(source, cell_of), _renaming(convert, plan.value_maps.get(target)))
            self._places[place].append(column)
        for target, value in plan.constants.items():
            place, key, convert = _target(target, plan)
            try:
                self._constants[place][key] = convert(value)
            except ValueError as error:
                raise BadInput(f"{target} {error}.", field="set") from None
        for target in plan.value_maps:
            if target not in plan.maps:
                raise BadInput(f"{target!r} has a value map but is not mapped.", field="value-map")

    def wants(self, row: Any) -> bool:
        """Whether the row meets every condition."""
        return all(condition(row) for condition in self._conditions)

    def item(self, row: Any, line: int, raw: str) -> dict[str, Any]:
        """The event item of a row; ``raw`` is its text, which with ``line`` makes the id of a row that has none.

        Raises Unreadable.
        """
        item = {**self._constants[""], **row} if self._as_it_is else self._fields("", row)
        for place in ("dimensions", "properties"):
            if self._places[place] or self._constants[place]:
                own = item.get(place)
                item[place] = self._fields(place, row) | (own if type(own) is dict else {})
        if item.get("id") is None:
            # The kind is part of it, so that one file may be imported as two kinds of event: contracts, with the days
            # of both in a row, as starts and as ends.
            kind = item.get("kind")
            what = f"{kind} {item.get('name')}" if kind == Kind.SUBSCRIPTION.name else kind
            content = f"{what}\x1f{line}\x1f{raw}".encode("utf-8", "surrogateescape")
            item["id"] = f"row-{blake2b(content, digest_size=16).hexdigest()}"
        return item

    def _fields(self, place: str, row: Any) -> dict[str, Any]:
        fields = dict(self._constants[place])
        for column in self._places[place]:
            try:
                value = column.cell(row)
                if value is not None:
                    fields[column.key] = column.convert(value)
            except ValueError as error:
                raise Unreadable(column.target, str(error)) from None
            except ArithmeticError:
                raise Unreadable(column.target, "has too many digits") from None
        return fields


def _target(target: str, plan: ImportPlan) -> tuple[str, str, Convert]:
    """Where a target goes in an item, under which key, and what makes its value out of a cell."""
    if target.startswith("properties.") and len(target) > len("properties."):
        name, _, form = target.removeprefix("properties.").partition(":")
        if form not in _FORMS:
            raise BadInput(f"{target!r} must end in :number, :boolean or neither.", field="map")
        return "properties", name, _FORMS[form]
    found = _TARGETS.get(target.removeprefix("dimensions."))
    if found is None:
        raise BadInput(f"There is no field {target!r}; there are {', '.join(_NAMES)}, properties.NAME.", field="map")
    place, key, convert = found
    if key == "occurredAt":
        convert = time_reader(plan.time_formats, plan.timezone)
    return place, key, convert


def _source(source: str, cell_of: Callable[[str], Cell]) -> Cell:
    factors = [cell_of(factor.strip()) for factor in source.split("*")]
    return factors[0] if len(factors) == 1 else _product(factors)


def _product(factors: Sequence[Cell]) -> Cell:
    def cell(row: Any) -> str | None:
        product = Decimal(1)
        for factor in factors:
            value = factor(row)
            if value is None:
                return None
            number = number_of(value)
            if number is None:
                raise ValueError("must be a product of numbers")
            product = _EXACT.multiply(product, number)
        return str(product)

    return cell


def _renaming(convert: Convert, names: Mapping[str, str] | None) -> Convert:
    if names is None:
        return convert

    def renamed(value: Any) -> Any:
        text = _text(value)
        return convert(names.get(text, names.get("*", text)))

    return renamed


def _text(value: Any) -> str:
    if type(value) is str:
        return value
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) is int or type(value) is float:
        return repr(value)
    raise ValueError("must be a single value")


def _number(value: Any) -> float | int:
    number = number_of(_text(value))
    if number is None or number.adjusted() > 300:
        raise ValueError("must be a number")
    return int(number) if number == number.to_integral_value() else float(number)


def _flag(value: Any) -> bool:
    word = _text(value).lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError("must be true or false, yes or no, 1 or 0")


def _same(value: Any) -> Any:
    return value


_FORMS: dict[str, Convert] = {"": _same, "number": _number, "boolean": _flag}
_FIELDS: dict[str, tuple[str, str, Convert]] = {
    **{name: ("dimensions", camel(name), _text) for name in DIMENSIONS},
    **{name: ("", camel(name), _text) for name in (*_TEXTS, "occurred_at")},
    **{name: ("", camel(name), _number) for name in (*_COUNTS, *_NUMBERS)},
    **{name: ("", camel(name), _flag) for name in _FLAGS},
}
_TARGETS = _FIELDS | {camel(name): target for name, target in _FIELDS.items()}
_NAMES = tuple(_FIELDS)


def time_reader(formats: Sequence[str], timezone: str) -> Convert:
    """What turns a cell into RFC 3339 text in UTC, by the rules of ImportPlan."""
    zone = ZoneInfo(timezone)

    # Rows that belong together share their time, and strptime costs as much as all else.
    @lru_cache(maxsize=4096)
    def read(text: str) -> str:
        for form in formats or ("",):
            try:
                moment = _moment(text, form)
            except (ValueError, OverflowError):
                continue
            try:
                aware = moment.replace(tzinfo=zone) if moment.tzinfo is None else moment
                return aware.astimezone(UTC).isoformat()
            except OverflowError:
                break
        raise ValueError("is not a time in the format expected")

    return lambda value: read(_text(value))


def _moment(text: str, form: str) -> datetime:
    if form == "":
        return datetime.fromisoformat(text if text[-1:] != "z" else text.upper())
    if form in ("epoch", "epoch_ms"):
        number = number_of(text)
        if number is None or number.adjusted() > 15:
            raise ValueError(text)
        scale = 1_000_000 if form == "epoch" else 1_000
        return _EPOCH + timedelta(microseconds=int(number * scale))
    return datetime.strptime(text, form)  # noqa: DTZ007 - the zone is the plan's
