"""Plain values: whatever an answer may hold comes back as it was, to the digit and the microsecond."""

from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resolvers.analysis.filters import Filter
from resolvers.analysis.funnels import FunnelAnswer
from resolvers.analysis.metrics import Metric, MetricAnswer
from resolvers.analysis.plain_values import PlainValues
from resolvers.analysis.revenue import RevenueAnswer
from resolvers.catalogue import METRICS
from resolvers.sharing import ANSWERS

EXACT = st.decimals(allow_nan=False, allow_infinity=False) | st.sampled_from(
    [Decimal("-0"), Decimal("1E+30"), Decimal("0.100"), Decimal("9" * 60), Decimal("1E-28")]
)
CENTURY = timedelta(days=36_525)
SCALARS: dict[object, st.SearchStrategy[Any]] = {
    Decimal: EXACT,
    datetime: st.datetimes(timezones=st.just(UTC)).map(lambda at: at.replace(fold=0)),
    timedelta: st.timedeltas(-CENTURY, CENTURY),
    float: st.floats(allow_nan=False, allow_infinity=False),
    int: st.integers(-(2**63), 2**63 - 1),
    bool: st.booleans(),
    str: st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    Metric: st.sampled_from(METRICS),
    NoneType: st.none(),
}


@cache
def values(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a type, however it is put together."""
    if kind in SCALARS:
        return SCALARS[kind]
    if get_origin(kind) in (Union, UnionType):
        return st.one_of([later(one) for one in get_args(kind)])
    if get_origin(kind) in (tuple, list):
        return st.lists(later(get_args(kind)[0]), max_size=2).map(get_origin(kind))
    if issubclass(kind, Enum):
        return st.sampled_from(list(kind))
    hints = get_type_hints(kind)
    return st.builds(kind, **{one.name: later(hints[one.name]) for one in fields(kind)})


def later(kind: Any) -> st.SearchStrategy[Any]:
    return st.deferred(lambda: values(kind))


def carried(plain: PlainValues, value: object) -> object:
    return plain.read(orjson.loads(orjson.dumps(plain.write(value))))


def told(value: object) -> str:
    """All of a value: what does not count for equality, and the digits of equal numbers, too."""
    return repr(value)


@pytest.mark.parametrize("kind", [list[MetricAnswer], RevenueAnswer, FunnelAnswer])
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(data=st.data())
def test_answers_come_back_exactly(kind: Any, data: st.DataObject) -> None:
    answer = data.draw(values(kind))
    assert told(carried(ANSWERS, answer)) == told(answer)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(values(Filter))
def test_filters_come_back_as_what_they_are(root: Filter) -> None:
    back = carried(PlainValues(Filter), root)
    assert back == root
    assert told(back) == told(root)


def test_a_metric_comes_back_as_the_one_of_the_catalogue() -> None:
    plain = PlainValues(tuple[Metric, ...], {Metric: (lambda one: one.slug, lambda slug: by_slug[slug])})
    by_slug = {one.slug: one for one in METRICS}
    assert all(back is one for back, one in zip(carried(plain, METRICS), METRICS, strict=True))  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (float, float("nan")),
        (float, float("inf")),
        (datetime, datetime(2026, 3, 1)),  # noqa: DTZ001
        (datetime, datetime(2026, 3, 1, tzinfo=timezone(timedelta(hours=1)))),
        (int, 2**64),
        (int | str | None, 1.5),
        (list[int] | MetricAnswer, ()),
        (str, "\ud800"),
    ],
)
def test_what_has_no_exact_form_is_refused(kind: object, value: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        carried(PlainValues(kind), value)


@pytest.mark.parametrize("kind", [object, dict[str, int], tuple[int, str], bytes])
def test_types_without_a_form_are_refused_beforehand(kind: object) -> None:
    with pytest.raises(TypeError, match="no plain form"):
        PlainValues(kind)


class Colour(Enum):
    RED = 1


@dataclass(frozen=True, slots=True)
class Pot:
    colour: Colour
    held: "Pot | None"
    ages: tuple[timedelta, ...]
    label: str | int | Decimal


@given(values(Pot))
def test_what_holds_itself_comes_back(pot: Pot) -> None:
    assert told(carried(PlainValues(Pot), pot)) == told(pot)


@pytest.mark.parametrize(
    "plain", [None, 1, [], ["Pot"], ["RED", None, []], ["RED", None, [], 1, 2], ["BLUE", None, [], 1]]
)
def test_what_is_no_such_value_is_none_of_any(plain: object) -> None:
    with pytest.raises((TypeError, ValueError, KeyError, IndexError)):
        PlainValues(Pot).read(plain)
