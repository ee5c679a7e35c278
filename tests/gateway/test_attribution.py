"""Attribution as its users ask for it: over HTTP, and watched."""

import asyncio

from tests.client import Client
from tests.factories import event, purchase

PERIOD = '{from: "2026-03-01T00:00:00Z", to: "2026-04-01T00:00:00Z"}'
ASKED = f"attribution(period: {PERIOD}, models: [LINEAR, MARKOV])"
FIELDS = "{ conversions revenue values { part value cost } models { model credit revenue roas } }"
CLICK = {"kind": "TOUCHPOINT", "name": "click", "occurredAt": "2026-03-10T11:00:00+00:00"}


def click(channel: str, **fields: object) -> dict[str, object]:
    return event(**CLICK | {"dimensions": {"channel": channel}} | fields)


async def test_credits_are_asked_and_watched(client: Client, stranger: Client) -> None:
    nothing = {
        "conversions": 0,
        "revenue": "0",
        "values": {"part": [], "value": [], "cost": []},
        "models": [{"model": model, "credit": [], "revenue": [], "roas": []} for model in ("LINEAR", "MARKOV")],
    }
    watched = ASKED.replace("period:", 'every: "100ms", period:')
    async with asyncio.timeout(30), client.socket() as mine, stranger.socket() as theirs:
        for socket in mine, theirs:
            await socket.subscribe(f"subscription {{ {watched} {FIELDS} }}")
            assert (await socket.next())["attribution"] == nothing
        await client.ingest(
            click("ads", cost="4", currency="USD"), click("email"), purchase("10"), purchase("2", subject="bob")
        )
        credits = [
            {
                "model": model,
                "credit": ["0.5", "0.5", "1"],
                "revenue": ["5", "5", "2"],
                "roas": ["1.25", None, None],
            }
            for model in ("LINEAR", "MARKOV")
        ]
        expected = {
            "conversions": 2,
            "revenue": "12",
            "values": {
                "part": ["VALUE", "VALUE", "DIRECT"],
                "value": ["ads", "email", None],
                "cost": ["4", None, None],
            },
            "models": credits,
        }
        assert (await mine.next())["attribution"] == expected
        assert (await client.ask(f"{{ {ASKED} {FIELDS} }}"))["attribution"] == expected
        assert (await stranger.ask(f"{{ {ASKED} {FIELDS} }}"))["attribution"] == nothing
        # A page view changes nothing; what others send is theirs.
        await client.ingest(event())
        await stranger.ingest(purchase("1"), click("radio"))
        assert (await theirs.next())["attribution"]["values"]["value"] == ["radio"]
        await client.ingest(purchase("1", subject="bob"))
        assert (await mine.next())["attribution"]["conversions"] == 3


async def test_a_model_that_is_not_computed_for_so_many_values_is_refused(client: Client) -> None:
    await client.ingest(*(click(f"c{number}") for number in range(101)))
    answer = await client.send(f"{{ attribution(period: {PERIOD}, models: SHAPLEY) {{ conversions }} }}")
    (error,) = answer["errors"]
    assert (error["extensions"]["code"], error["extensions"]["field"]) == ("BAD_USER_INPUT", "models")
    asked = await client.ask(f"{{ attribution(period: {PERIOD}) {{ models {{ model }} }} }}")
    models = [one["model"] for one in asked["attribution"]["models"]]
    assert "SHAPLEY" not in models
    assert "MARKOV" in models
