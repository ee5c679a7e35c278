"""Properties of events that come in: as they were sent, within limits."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolvers.analysis.intake_properties import GREATEST_INTEGER, PROPERTIES_BYTES, PROPERTIES_DEPTH
from tests.resolvers.analysis.intake_events import VIEW, accept, nested, refuse


@pytest.mark.parametrize(
    "value",
    [
        [],
        "x",
        nested(PROPERTIES_DEPTH + 1),
        nested(900),
        {"x": float("nan")},
        {"x": [float("-inf")]},
        {"x": GREATEST_INTEGER + 1},
        {"x": 2.0**63},
        {"x": -1e308},
        {"x": 10**4000},
        {"x": "a\x00"},
        {"x": "\udfff"},
        {"a\x00": 1},
        {"k" * 201: 1},
        {1: 1},
        {"x": "a" * PROPERTIES_BYTES},
        {"x": "é" * (PROPERTIES_BYTES // 2)},
        {"x": [0] * PROPERTIES_BYTES},
        {"x": [[]] * 10**6},
        {"x": ("a",)},
        {"x": b"a"},
        {"x": Decimal(1)},
    ],
)
def test_refused_properties(value: Any) -> None:
    assert refuse({**VIEW, "properties": value}).field == "properties"


def test_properties_at_their_limits() -> None:
    for value in (
        nested(PROPERTIES_DEPTH),
        {"x": "a" * (PROPERTIES_BYTES - len('{"x":""}'))},
        {"x": [GREATEST_INTEGER, -GREATEST_INTEGER, 1e18, "a\tb"]},
        {"k" * 200: None},
    ):
        assert accept({**VIEW, "properties": value}).properties == value


plain_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-GREATEST_INTEGER, GREATEST_INTEGER)
    | st.floats(-(2.0**62), 2.0**62)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20), inner, max_size=5
        )
    ),
    max_leaves=30,
)


@given(st.dictionaries(st.text(st.characters(codec="ascii", exclude_characters="\x00"), max_size=9), plain_json))
def test_properties_come_through_equal_and_settle(value: dict[str, Any]) -> None:
    event = accept({**VIEW, "properties": value})
    assert event.properties == value
    assert accept({**VIEW, "properties": dict(event.properties)}) == event
