"""Filters in words."""

from decimal import Decimal

import pytest

from resolvers.analysis.events import Kind
from resolvers.analysis.filter_words import events
from resolvers.analysis.filters import (
    EVERYTHING,
    All,
    Any,
    DimensionIs,
    Filter,
    FlagIs,
    InSegment,
    KindIs,
    MeasureIs,
    NameIs,
    Not,
    Op,
    PropertyIs,
    SubjectIs,
)

PAID = All((NameIs(("purchase", "order")), DimensionIs("plan", Op.IN, ("pro",))))


@pytest.mark.parametrize(
    ("where", "words"),
    [
        (EVERYTHING, "events of any kind"),
        (Any(()), "events that there are none of"),
        (PAID, "events named purchase or order with plan pro"),
        (Not(PAID), "events that are not (named purchase or order with plan pro)"),
        (Any((PAID, FlagIs("success", False))), "events (named purchase or order with plan pro) or with success false"),
        (All((KindIs((Kind.CONVERSION,)), EVERYTHING)), "events of kind CONVERSION"),
        (
            All((NameIs(("a",)), Any((SubjectIs(("ann",)), Not(EVERYTHING))))),
            "events named a (of ann or that are not of any kind)",
        ),
        (DimensionIs("plan", Op.NOT_IN, ("pro", "team")), "events with plan other than pro or team"),
        (DimensionIs("channel", Op.EXISTS), "events with channel"),
        (DimensionIs("channel", Op.MISSING), "events without channel"),
        (MeasureIs("amount", Op.GTE, Decimal("9.5")), "events with amount of at least 9.5"),
        (MeasureIs("cost", Op.EXISTS), "events with cost"),
        (PropertyIs(("page", "new"), Op.IN, (True, 1)), "events with properties.page.new true or 1"),
        (PropertyIs(("n",), Op.LT, (Decimal(3),)), "events with properties.n below 3"),
        (InSegment(3), "events of members of a segment"),
        (InSegment(3, Op.NOT_IN), "events of others than a segment's members"),
        (NameIs(tuple("abcdefg")), "events named a or b or c or d or e or 2 more"),
    ],
)
def test_a_filter_is_told(where: Filter, words: str) -> None:
    assert events(where) == words


def test_a_long_one_is_cut() -> None:
    told = events(All(tuple(NameIs((f"name {number}",)) for number in range(100))))
    assert len(told) < 320
    assert told.endswith(" …")
