"""Money of other currencies: each analysis answers as if whoever sent it had converted it by hand."""

from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from tests.client import Client
from tests.factories import event
from tests.gateway.exported import get
from tests.gateway.test_exchange_rates import put
from tests.gateway.test_exports import FIELDS, REQUIRED, define
from tests.test_contract import ANALYSES

TODAY = datetime.combine(datetime.now(UTC).date(), time(0), UTC)
DAYS = 28
MONTH = {"from": (TODAY - timedelta(days=DAYS)).isoformat(), "to": TODAY.isoformat()}
ABROAD = {"EUR": Decimal("1.25"), "JPY": Decimal("0.008")}
UNTOLD = {"asOf", "membersAsOf", "cutoff", "explain", "id", "segmentId", "personaId", "unconverted", "unconvertedCost"}
UNTOLD |= {"createdAt", "updatedAt"}
"""What is of a tenant or a moment."""


def rate(currency: str, at: datetime) -> Decimal:
    """What a unit comes to in dollars: another number every day."""
    return ABROAD[currency] + Decimal((TODAY - at).days) / 1000


def rates() -> list[dict[str, Any]]:
    days = [TODAY - timedelta(days=back) for back in range(1, DAYS + 2)]
    return [
        {"date": day.date().isoformat(), "base": base, "currency": "USD", "rate": str(rate(base, day))}
        for base in ABROAD
        for day in days
    ]


def made(random: Random, number: int) -> dict[str, Any]:
    """An event of money, or of what goes before it."""
    kind, name, field = random.choice(
        [
            ("CONVERSION", "purchase", "amount"),
            ("CONVERSION", "subscription", "amount"),
            ("CONVERSION", "refund", "amount"),
            ("AI_INTERACTION", "ai_interaction", "cost"),
            ("TOUCHPOINT", "click", "cost"),
            ("SPEND", "spend", "cost"),
            ("SUBSCRIPTION", "started", "amount"),
            ("PRODUCT", "page_view", None),
        ]
    )
    fields: dict[str, Any] = {"id": f"e{number}", "kind": kind, "name": name, "subject": f"s{random.randrange(12)}"}
    fields["occurredAt"] = TODAY - timedelta(minutes=random.randrange(1, DAYS * 24 * 60))
    fields["dimensions"] = {"channel": random.choice("xyz"), "plan": random.choice("pq"), "provider": "p", "model": "m"}
    if kind == "SUBSCRIPTION":
        # One each, for what moves a subscription is told by the rate of the day on which it began.
        fields |= {"subscription": f"sub{number}", "interval": "MONTH"}
    if field is not None:
        fields |= {field: random.choice(["19.99", "0.5", "120"]), "currency": random.choice(["USD", *ABROAD])}
    return fields


def at_home(one: dict[str, Any]) -> dict[str, Any]:
    """The event with its money in dollars."""
    if one.get("currency", "USD") == "USD":
        return one
    (field,) = {"amount", "cost"} & one.keys()
    day = datetime.combine(one["occurredAt"].date(), time(0), UTC)
    return one | {field: str(Decimal(one[field]) * rate(one["currency"], day)), "currency": "USD"}


def told(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: told(inner) for key, inner in value.items() if key not in UNTOLD}
    return [told(inner) for inner in value] if isinstance(value, list) else value


async def test_every_analysis_of_money_abroad_is_that_of_money_converted_by_hand(
    client: Client, stranger: Client
) -> None:
    random = Random(7)
    log = [made(random, number) for number in range(400)]
    await put(client, *rates())
    for one, sent in ((client, log), (stranger, [at_home(each) for each in log])):
        assert (await one.ingest(*(event(**each) for each in sent)))["rejected"] == []
        await define(one)
    compared = 0
    for name in sorted(ANALYSES & FIELDS.keys()):
        field = FIELDS[name]
        arguments = REQUIRED.get(name, {}) | ({"period": MONTH} if "period" in field.args else {})
        if "by" in field.args and name != "experimentResults":
            arguments |= {"by": ["CHANNEL"]}
        if "of" in field.args:
            arguments |= {"of": "REVENUE"}
        if "cutoff" in field.args:
            arguments |= {"cutoff": TODAY.isoformat()}
        answers = [await get(one, f"/export/{name}.json", arguments=arguments) for one in (client, stranger)]
        assert [one.status_code for one in answers] == [200, 200], (name, answers[0].text)
        abroad, home = (told(one.json()) for one in answers)
        assert differences(abroad, home, name) == []
        compared += 1
    assert compared > 30


def differences(one: Any, other: Any, path: str = "") -> list[str]:
    """Where answers differ; numbers that went through a quotient or a float are held to ten digits."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return [found for key in one for found in differences(one[key], other[key], f"{path}.{key}")]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return [found for place, pair in pairs for found in differences(*pair, f"{path}[{place}]")]
    try:
        if one == other or float(one) == pytest.approx(float(other), rel=1e-10):
            return []
    except (TypeError, ValueError):
        pass
    return [f"{path}: {one} abroad, {other} at home"]
