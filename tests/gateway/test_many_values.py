"""A dimension of a thousand values: every breakdown shows the first of them, sums up the rest, and says how many."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.client import Client
from tests.factories import event, purchase

MANY, TOP = 1_000, 3
NOW = datetime.now(UTC)
GROUPED = {
    "metric": 'slug: "revenue",',
    "revenue": "",
    "recurringRevenue": "",
    "cohorts": "of: REVENUE,",
    "funnel": 'steps: [{event: "signup"}, {event: "purchase"}],',
    "aiRoi": "",
    "aiProviders": "",
    "aiAssistance": "",
    "aiCost": "",
    "churnRisk": "",
    "conversionPropensity": 'name: "purchase",',
    "lifetimeValue": "",
}


def of(number: int) -> list[dict[str, Any]]:
    """What a person does who came by a channel of its own."""
    shared: dict[str, Any] = {"subject": f"s{number}", "dimensions": {"channel": f"c{number:04}"}}
    earlier, later = NOW - timedelta(days=40), NOW - timedelta(days=3)
    paid = {"kind": "SUBSCRIPTION", "subscription": f"sub{number}", "interval": "MONTH", "amount": "5"}
    called = {"kind": "AI_INTERACTION", "cost": "0.01", "currency": "USD"}
    called["dimensions"] = shared["dimensions"] | {"provider": "acme", "model": "house"}
    return [
        event(name="signup", occurredAt=earlier, **shared),
        event(name="signup", occurredAt=later, **shared),
        event(name="started", occurredAt=later, currency="USD", **paid, **shared),
        event(name="ai_interaction", occurredAt=later, **(shared | called)),
        purchase("2", occurredAt=earlier, **shared),
        purchase("1", occurredAt=later + timedelta(hours=1), **shared),
    ]


async def test_every_breakdown_shows_the_first_values_and_sums_up_the_rest(client: Client) -> None:
    people = [of(number) for number in range(MANY)]
    for start in range(0, MANY, 250):
        told = await client.ingest(*(one for person in people[start : start + 250] for one in person))
        assert told["accepted"] == 250 * 6
    for name, arguments in GROUPED.items():
        asked = f"by: [CHANNEL], top: {TOP}) {{ groupCount groups {{ other keys {{ value }} }} }}"
        found = (await client.ask(f"{{ {name}({arguments} {asked} }}"))[name]
        assert found["groupCount"] == MANY, name
        assert [one["other"] for one in found["groups"]] == [False] * TOP + [True], name
        assert [len(one["keys"]) for one in found["groups"]] == [1] * TOP + [0], name
    sums = "groups { total { amount } } total { amount }"
    revenue = (await client.ask(f"{{ revenue(by: [CHANNEL], top: {TOP}) {{ {sums} }} }}"))["revenue"]
    assert [one["total"]["amount"] for one in revenue["groups"]] == ["1"] * TOP + [str(MANY - TOP)]
    assert revenue["total"]["amount"] == str(MANY)
    asked = f'{{ attribution(top: {TOP}, touch: {{name: "signup"}}) {{ valueCount values {{ part value }} }} }}'
    found = (await client.ask(asked))["attribution"]
    assert (found["valueCount"], found["values"]["part"]) == (MANY, ["VALUE"] * TOP + ["OTHER"])
