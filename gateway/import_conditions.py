"""Which rows count: ``Quantity > 0``, ``InvoiceNo not startswith C``, ``CustomerID exists``.

A condition is a column, an operator and a value. ``= != > >= < <=`` compare as numbers where the value is one (a cell
that is none then fails, save under ``!=``) and as text elsewhere; ``startswith`` and ``not startswith`` compare
text, ``exists`` and ``not exists`` take no value. White space around a cell is ignored, and an empty cell does not
exist.
"""

import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from operator import eq, ge, gt, le, lt
from typing import Any

from resolvers.errors import BadInput

Cell = Callable[[Any], Any]
"""Takes a row and returns a cell of it, None where it is empty."""
Condition = Callable[[Any], bool]

_WORDS = re.compile(r"(.+?)\s+(not\s+)?(startswith|exists)(?:\s+(.+))?")
_SIGNS = re.compile(r"(.+?)\s*(>=|<=|!=|=|>|<)\s*(.*)")
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {">": gt, ">=": ge, "<": lt, "<=": le, "=": eq}


def compile_condition(text: str, cell_of: Callable[[str], Cell]) -> Condition:
    """The condition that ``text`` says; raises BadInput where it says none."""
    text = text.strip()
    words = _WORDS.fullmatch(text)
    if words is not None:
        column, negation, operator, value = words.groups()
        if (operator == "exists") == (value is None):
            return _negated(_about_text(cell_of(column), operator, value), negation is not None)
    signs = _SIGNS.fullmatch(text)
    if signs is None:
        raise BadInput(f"{text!r} must read: column operator value.", field="where")
    column, operator, value = signs.groups()
    compare = _comparison(cell_of(column), _COMPARISONS[operator.lstrip("!")], value)
    return _negated(compare, operator == "!=")


def _negated(condition: Condition, negate: bool) -> Condition:
    return (lambda row: not condition(row)) if negate else condition


def _about_text(cell: Cell, operator: str, value: str | None) -> Condition:
    if value is None:
        return lambda row: cell(row) is not None
    return lambda row: str(cell(row) or "").startswith(value)


def _comparison(cell: Cell, compare: Callable[[Any, Any], bool], value: str) -> Condition:
    threshold = number_of(value)

    def text(row: Any) -> bool:
        found = cell(row)
        return compare(str("" if found is None else found), value)

    def number(row: Any) -> bool:
        found = number_of(cell(row))
        return found is not None and compare(found, threshold)

    return text if threshold is None else number


def number_of(value: Any) -> Decimal | None:
    """The finite number that a cell holds, exactly as it is written; None where it holds none."""
    try:
        number = Decimal(value if type(value) is str else str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None
