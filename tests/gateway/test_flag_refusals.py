"""Flags that cannot be, over the wire: each refused by the field at fault, and nothing of it kept."""

from itertools import pairwise
from typing import Any

import pytest

from tests.client import Client
from tests.gateway.test_flags import ARCHIVE, CONFIGURE, CREATE, ON, TOGGLE, UPDATE, done, evaluated, setup

SPLIT = {"split": [{"variation": "on", "percentage": 60}, {"variation": "off", "percentage": 30}]}
STEP = {"percentage": 50, "lasting": "1h"}
GUARD = {"metric": "conversion_rate", "below": "-0.1", "compare": True}
PATHLESS = {"property": {"path": [], "exists": True}}


def guarded(guardrails: list[dict[str, Any]]) -> dict[str, Any]:
    return {"rules": [{"serve": ON, "ramp": {"steps": [STEP], "guardrails": guardrails}}]}


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"key": ""}, "key"),
        ({"key": "a b"}, "key"),
        ({"key": "x" * 101}, "key"),
        ({"key": "taken"}, "key"),
        ({"key": "a", "name": " "}, "name"),
        ({"key": "a", "tags": ["x", "x"]}, "tags[1]"),
        ({"key": "a", "reason": "x" * 501}, "reason"),
        ({"key": "a", "type": "STRING"}, "variations"),
        ({"key": "a", "variations": [{"key": "v", "value": "true"}]}, "variations[0].value"),
        ({"key": "a", "type": "NUMBER", "variations": [{"key": "v", "value": True}]}, "variations[0].value"),
        ({"key": "a", "type": "STRING", "variations": [{"key": "v", "value": 1}]}, "variations[0].value"),
        ({"key": "a", "type": "JSON", "variations": [{"key": "v", "value": "x"}]}, "variations[0].value"),
        ({"key": "a", "type": "STRING", "variations": [{"key": "v", "value": "x" * 40_000}]}, "variations[0].value"),
        ({"key": "a", "variations": [{"key": "v", "value": True}] * 2}, "variations[1].key"),
        ({"key": "a", "environments": [{"name": "a/b"}]}, "environments[0].name"),
        ({"key": "a", "environments": [{}, {}]}, "environments[1].name"),
        ({"key": "a", "environments": [{"offVariation": "no"}]}, "environments[0].offVariation"),
    ],
)
async def test_a_flag_that_cannot_be_made(client: Client, given: dict[str, Any], field: str) -> None:
    await done(client, CREATE, key="taken")
    answer = (await client.ask(CREATE, input=given))["it"]
    assert (answer["__typename"], answer["field"]) == ("InvalidInput", field), answer
    assert (await client.ask("{ flags { edges { node { key } } } }"))["flags"]["edges"] == [{"node": {"key": "taken"}}]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"default": SPLIT}, "default.split"),
        ({"default": {"variation": "no"}}, "default.variation"),
        ({"default": {"split": []}}, "default.split"),
        ({"default": {"split": [{"variation": "on", "percentage": 50}] * 2}}, "default.split[1].variation"),
        ({"default": {"split": [{"variation": "on", "percentage": "half"}]}}, "default.split[0].percentage"),
        ({"default": {"split": [{"variation": "on", "percentage": "100.001"}]}}, "default.split[0].percentage"),
        ({"rules": [{"serve": SPLIT}]}, "rules[0].serve.split"),
        ({"rules": [{"serve": ON, "percentage": "-1"}]}, "rules[0].percentage"),
        ({"rules": [{"serve": ON, "percentage": "1e2000"}]}, "rules[0].percentage"),
        ({"rules": [{"serve": ON, "percentage": 1, "ramp": {"steps": [STEP]}}]}, "rules[0].percentage"),
        ({"rules": [{"serve": ON, "where": {"kind": ["CONVERSION"]}}]}, "rules[0].where"),
        ({"rules": [{"serve": ON, "where": {"measure": {"measure": "AMOUNT", "gt": 1}}}]}, "rules[0].where"),
        ({"rules": [{"serve": ON, "where": PATHLESS}]}, "rules[0].where.property.path"),
        ({"rules": [{"serve": ON}] * 51}, "rules"),
        ({"rules": [{"serve": ON, "ramp": {"steps": []}}]}, "rules[0].ramp.steps"),
        ({"rules": [{"serve": ON, "ramp": {"steps": [STEP, STEP]}}]}, "rules[0].ramp.steps[1].percentage"),
        ({"rules": [{"serve": ON, "ramp": {"steps": [{"percentage": 1}, STEP]}}]}, "rules[0].ramp.steps[0].lasting"),
        ({"rules": [{"serve": ON, "ramp": {"steps": [STEP], "startsAt": "soon"}}]}, "rules[0].ramp.startsAt"),
        (guarded([GUARD | {"metric": "x"}]), "rules[0].ramp.guardrails[0].metric"),
        (guarded([GUARD | {"metric": "revenue"}]), "rules[0].ramp.guardrails[0].metric"),
        (guarded([GUARD | {"above": 1}]), "rules[0].ramp.guardrails[0]"),
        (guarded([GUARD | {"minimumSample": 0}]), "rules[0].ramp.guardrails[0].minimumSample"),
        (guarded([GUARD | {"window": "1s"}]), "rules[0].ramp.guardrails[0].window"),
        (guarded([GUARD] * 6), "rules[0].ramp.guardrails"),
        ({"prerequisites": [{"flag": "a", "variations": ["on"]}]}, "prerequisites[0].flag"),
        ({"prerequisites": [{"flag": "absent", "variations": ["on"]}]}, "prerequisites[0].flag"),
        ({"prerequisites": [{"flag": "b", "variations": ["on"]}] * 2}, "prerequisites[1].flag"),
        ({"prerequisites": [{"flag": "b", "variations": ["no"]}]}, "prerequisites[0].variations[0]"),
        ({"prerequisites": [{"flag": "b", "variations": []}]}, "prerequisites[0].variations"),
        ({"schedule": [{"at": "2020-01-01T00:00:00Z", "on": True}]}, "schedule[0].at"),
        ({"schedule": [{"at": "2090-01-01T00:00:00Z", "on": True}] * 2}, "schedule[1].at"),
    ],
)  # fmt: skip
async def test_a_setup_that_cannot_be(client: Client, given: dict[str, Any], field: str) -> None:
    for key in ("a", "b"):
        await done(client, CREATE, key=key)
    answer = (await client.ask(CONFIGURE, input={"key": "a", "environment": given}))["it"]
    assert answer["__typename"] == "InvalidInput", answer
    assert answer["field"] == (f"environment.{field}"), answer
    assert (await client.ask('{ flag(key: "a") { version } }'))["flag"]["version"] == 1


async def test_prerequisites_lead_nowhere_back_and_not_too_far(client: Client) -> None:
    keys = [f"f{n}" for n in range(12)]
    for key in keys:
        await done(client, CREATE, key=key)
    for needed, key in pairwise(keys[:10]):
        await setup(client, key, prerequisites=[{"flag": needed, "variations": ["on"]}])

    async def refused(key: str, needed: str, field: str = "prerequisites[0].flag") -> str:
        environment = {"prerequisites": [{"flag": needed, "variations": ["on"]}]}
        answer = (await client.ask(CONFIGURE, input={"key": key, "environment": environment}))["it"]
        assert (answer["__typename"], answer["field"]) == ("InvalidInput", f"environment.{field}"), answer
        return str(answer["message"])

    assert "f0 → f2 → f1 → f0" in await refused("f0", "f2")
    assert "10" in await refused("f10", "f9")
    # Lengthened at its other end it is too long as well.
    assert "10" in await refused("f0", "f11", "prerequisites")
    (found,) = await evaluated(client, keys=["f9"])
    assert (found["variation"], found["reason"], found["prerequisite"]) == ("off", "DISABLED", "f8")
    await done(client, TOGGLE, key="f0", on=True)
    await setup(client, "f0")
    (found,) = await evaluated(client, keys=["f9"])
    assert (found["variation"], found["reason"]) == ("on", "DEFAULT")
    answer = (await client.ask(ARCHIVE, input={"key": "f0"}))["it"]
    assert (answer["__typename"], answer["field"]) == ("InvalidInput", "key")
    variations = [{"key": "off", "value": False}]
    answer = (await client.ask(UPDATE, input={"key": "f0", "variations": variations}))["it"]
    assert (answer["__typename"], answer["field"]) == ("InvalidInput", "variations")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"rules": [{"serve": ON, "percentage": "half"}]},
            "environment.rules[0].percentage must be 0 to 100 with at most two decimal places, such as 12.5.",
        ),
        (
            {"rules": [{"serve": ON, "ramp": {"steps": [{"percentage": 1}, STEP]}}]},
            "environment.rules[0].ramp.steps[0].lasting must be given, such as 1d, as another step follows.",
        ),
        (
            {"prerequisites": [{"flag": "absent", "variations": ["on"]}]},
            "environment.prerequisites[0].flag names a flag that there is not, or that is archived.",
        ),
    ],
)
async def test_refusals_say_what_to_change(client: Client, given: dict[str, Any], message: str) -> None:
    await done(client, CREATE, key="a")
    answer = (await client.ask(CONFIGURE, input={"key": "a", "environment": given}))["it"]
    assert answer["message"] == message
