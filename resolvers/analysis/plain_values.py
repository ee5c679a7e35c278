"""Frozen values as plain JSON values and back, exactly: numbers keep their digits, instants their microseconds.

What is read is decided by the types that the reader declares, never by what the bytes say: nothing but a value of those
types can come of them, and no code of anybody's runs.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from math import isfinite
from operator import attrgetter
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

Convert = Callable[[Any], Any]

_MICROSECOND = timedelta(microseconds=1)
_NATIVE = (bool, int, str)
"""JSON has these as they are."""


@dataclass(slots=True)
class _Form:
    """How values of a type are written and read."""

    write: Convert
    read: Convert


def _itself(value: Any) -> Any:
    return value


def _instant(value: datetime) -> str:
    if value.tzinfo is not UTC:
        raise ValueError("only instants in UTC are exact")
    return value.isoformat()


def _float(value: float) -> float:
    if not isfinite(value):
        raise ValueError("JSON has no such number")
    return value


_SCALARS: dict[object, tuple[Convert, Convert]] = {
    **dict.fromkeys(_NATIVE, (_itself, _itself)),
    float: (_float, _itself),
    Decimal: (str, Decimal),
    datetime: (_instant, datetime.fromisoformat),
    timedelta: (lambda span: span // _MICROSECOND, lambda count: count * _MICROSECOND),
}


class PlainValues:
    """Writes and reads values of the type ``root``: dataclasses, tuples, lists, unions, enums and scalars, nested.

    A class in ``references`` is written as what the first function makes of a value, and read by the second one.
    Raises TypeError for a type, and TypeError or ValueError for a value, that has no exact plain form.
    """

    def __init__(self, root: object, references: Mapping[object, tuple[Convert, Convert]] | None = None) -> None:
        self._known = _SCALARS | dict(references or {})
        self._forms: dict[object, _Form] = {}
        form = self._form(root)
        self.write, self.read = form.write, form.read

    def _form(self, hint: Any) -> _Form:
        form = self._forms.get(hint)
        if form is None:
            # Known before it is complete: a type may hold itself.
            form = self._forms[hint] = _Form(_itself, _itself)
            form.write, form.read = self._pair(hint)
        return form

    def _pair(self, hint: Any) -> tuple[Convert, Convert]:
        if hint in self._known:
            return self._known[hint]
        origin = get_origin(hint)
        if origin in (Union, UnionType):
            return self._union(get_args(hint))
        if origin in (tuple, list) and get_args(hint)[1:] in ((), (...,)):
            return self._column(get_args(hint)[0], origin)
        if isinstance(hint, type) and issubclass(hint, Enum):
            return attrgetter("name"), hint.__getitem__
        if isinstance(hint, type) and is_dataclass(hint):
            return self._record(hint)
        raise TypeError(f"{hint} has no plain form")

    def _column(self, item: Any, container: type) -> tuple[Convert, Convert]:
        if item in _NATIVE:
            return list, container
        form = self._form(item)
        return lambda values: [form.write(value) for value in values], lambda plain: container(map(form.read, plain))

    def _record(self, record: type) -> tuple[Convert, Convert]:
        hints = get_type_hints(record)
        parts = [(one.name, self._form(hints[one.name])) for one in fields(record)]

        def write(value: Any) -> list[Any]:
            return [form.write(getattr(value, name)) for name, form in parts]

        def read(plain: Any) -> Any:
            return record(**{name: form.read(part) for (name, form), part in zip(parts, plain, strict=True)})

        return write, read

    def _union(self, members: tuple[Any, ...]) -> tuple[Convert, Convert]:
        others = [member for member in members if member is not NoneType]
        if len(others) == 1:
            form = self._form(others[0])
            return (
                lambda value: None if value is None else form.write(value),
                lambda plain: None if plain is None else form.read(plain),
            )
        natives = {one for one in members if one in (*_NATIVE, NoneType)}
        by_name = {(get_origin(one) or one).__name__: self._form(one) for one in members if one not in natives}

        def write(value: Any) -> Any:
            name = type(value).__name__
            if name in by_name:
                return [name, by_name[name].write(value)]
            if type(value) not in natives:
                raise TypeError(f"{name} is none of the types that are written here")
            return value

        def read(plain: Any) -> Any:
            return by_name[plain[0]].read(plain[1]) if isinstance(plain, list) else plain

        return write, read
