"""Attribution: the question that the arguments ask, and the answer's shape."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from resolvers.analysis.attribution import (
    AttributionAnswer,
    AttributionDefinition,
    AttributionValues,
    Model,
    ModelCredits,
    Part,
    Path,
    PathStatistics,
)
from resolvers.analysis.estimates import Money
from resolvers.analysis.events import Kind
from resolvers.analysis.explanations import Explanation, Source
from resolvers.analysis.filters import EVERYTHING, KindIs, NameIs
from resolvers.analysis.periods import Compare, Period, PeriodRequest
from resolvers.analysis.questions import Question
from resolvers.catalogue import CONVERSIONS
from resolvers.context import Role
from resolvers.errors import BadInput
from tests.schema.conftest import Recorder, answer, failure

MARCH = Period(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC))
DEFINITION = AttributionDefinition(
    CONVERSIONS, KindIs((Kind.TOUCHPOINT,)), "channel", timedelta(days=30), timedelta(days=7)
)
HALF = Decimal("0.500000000")
ANSWER = AttributionAnswer(
    definition=DEFINITION,
    period=MARCH,
    previous_period=None,
    currency="EUR",
    conversions=2**40,
    direct=1,
    lost=3,
    revenue=Decimal("10.00"),
    cost=None,
    values=AttributionValues(
        part=(Part.VALUE, Part.OTHER, Part.DIRECT),
        value=("ads", None, None),
        touches=(2**40, 1, 0),
        conversions=(2, 1, 1),
        assisted=(1, 0, 0),
        cost=(Decimal("2.50"), None, None),
        spread=(HALF, None, Decimal(0)),
    ),
    value_count=9,
    models=(
        ModelCredits(
            model=Model.MARKOV,
            credit=(HALF, HALF, Decimal(1)),
            revenue=(Decimal(5), Decimal(4), Decimal(1)),
            cost_per_credit=(Decimal(5), None, None),
            roas=(Decimal(2), None, None),
            previous_credit=None,
            previous_revenue=None,
            low=None,
            high=(Decimal(2), Decimal(2), Decimal(2)),
            removal_effect=(0.25, None, None),
        ),
    ),
    paths=PathStatistics((Path(("ads", None), 2, Decimal("9.50")),), (1, 2), Decimal("1.5"), None),
    unconverted=(Money(Decimal("0.10"), "JPY"),),
    unconverted_cost=(),
    explain=Explanation(Source.JOURNEYS, 3, 0.5, 1),
    as_of=MARCH.end,
)
FIELDS = """definition {conversion touch dimension lookback halfLife models resamples} period {from to}
  previousPeriod {from} currency conversions direct lost revenue cost valueCount
  values {part value touches conversions assisted cost spread}
  models {model credit revenue costPerCredit roas previousCredit previousRevenue low high removalEffect}
  paths {top {values conversions revenue} lengths medianLag p90Lag}
  unconverted {amount currency} unconvertedCost {amount} explain {source rows milliseconds tail} asOf"""
SHOWN = {
    "definition": {
        "conversion": {"all": [{"kind": ["CONVERSION"]}, {"not": {"name": ["churn", "refund"]}}]},
        "touch": {"kind": ["TOUCHPOINT"]},
        "dimension": "CHANNEL",
        "lookback": "30d",
        "halfLife": "7d",
        "models": None,
        "resamples": 0,
    },
    "period": {"from": "2026-03-01T00:00:00Z", "to": "2026-04-01T00:00:00Z"},
    "previousPeriod": None,
    "currency": "EUR",
    "conversions": 2**40,
    "direct": 1,
    "lost": 3,
    "revenue": "10",
    "cost": None,
    "values": {
        "part": ["VALUE", "OTHER", "DIRECT"],
        "value": ["ads", None, None],
        "touches": [2**40, 1, 0],
        "conversions": [2, 1, 1],
        "assisted": [1, 0, 0],
        "cost": ["2.5", None, None],
        "spread": ["0.5", None, "0"],
    },
    "valueCount": 9,
    "models": [
        {
            "model": "MARKOV",
            "credit": ["0.5", "0.5", "1"],
            "revenue": ["5", "4", "1"],
            "costPerCredit": ["5", None, None],
            "roas": ["2", None, None],
            "previousCredit": None,
            "previousRevenue": None,
            "low": None,
            "high": ["2", "2", "2"],
            "removalEffect": [0.25, None, None],
        }
    ],
    "paths": {
        "top": [{"values": ["ads", None], "conversions": 2, "revenue": "9.5"}],
        "lengths": [1, 2],
        "medianLag": "1.5",
        "p90Lag": None,
    },
    "unconverted": [{"amount": "0.1", "currency": "JPY"}],
    "unconvertedCost": [],
    "explain": {"source": "JOURNEYS", "rows": 3, "milliseconds": 0.5, "tail": 1},
    "asOf": "2026-04-01T00:00:00Z",
}


async def test_an_attribution_is_shown_whole(record: Callable[[str, Any], Recorder]) -> None:
    asked = record("resolvers.attribution.attribution", ANSWER)
    assert (await answer(f"{{attribution {{{FIELDS}}}}}", role=Role.VIEWER))["attribution"] == SHOWN
    assert asked.args == (DEFINITION, Question(PeriodRequest(last="30d")))


async def test_every_argument_is_part_of_the_question(record: Callable[[str, Any], Recorder]) -> None:
    asked = record("resolvers.attribution.attribution", ANSWER)
    await answer(
        """{attribution(conversion: {name: "sign up"}, touch: {all: []}, dimension: REQUEST_TYPE, lookback: "36h",
          halfLife: "1w", models: [SHAPLEY, FIRST_TOUCH], period: {last: "12w"}, timezone: "Europe/Berlin",
          where: {kind: PRODUCT}, compare: PREVIOUS_YEAR, top: 3,
          resamples: 9) {valueCount}}"""
    )
    assert asked.args == (
        AttributionDefinition(
            conversion=NameIs(("sign up",)),
            touch=EVERYTHING,
            dimension="request_type",
            lookback=timedelta(hours=36),
            half_life=timedelta(days=7),
            models=(Model.SHAPLEY, Model.FIRST_TOUCH),
            resamples=9,
        ),
        Question(
            PeriodRequest(last="12w"),
            timezone="Europe/Berlin",
            where=KindIs((Kind.PRODUCT,)),
            compare=Compare.PREVIOUS_YEAR,
            top=3,
        ),
    )


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ('lookback: "0d"', "lookback"),
        ('lookback: "1mo"', "lookback"),
        ('lookback: "400d"', "lookback"),
        ("lookback: 7", "lookback"),
        ('halfLife: "soon"', "halfLife"),
        ('halfLife: "53w"', "halfLife"),
        ("models: []", "models"),
        ("resamples: -1", "resamples"),
        ("resamples: 2001", "resamples"),
        ("models: [LINEAR, LINEAR]", "models"),
        ("touch: {measure: {measure: COST}}", "touch.measure"),
        ('conversion: {name: "a\\u0000"}', "conversion.name[0]"),
    ],
)
async def test_what_cannot_be_asked_is_named(arguments: str, field: str) -> None:
    error = await failure(f"{{attribution({arguments}) {{valueCount}}}}")
    assert isinstance(error.original_error, BadInput)
    assert error.original_error.field == field
