"""An experiment behind a flag, as docs/flags.md tells it: both come to the same, and exposures of one are both's."""

from typing import Any

from tests.client import Client
from tests.gateway.test_experiments import created, step
from tests.gateway.test_flags import CREATE, ON, done, setup

PEOPLE = [f"person{number}" for number in range(300)]
SPLIT = {"split": [{"variation": "off", "percentage": 50}, {"variation": "on", "percentage": 50}]}
VARIANTS = [{"key": "off", "weight": "0.5", "control": True}, {"key": "on", "weight": "0.5"}]
RECORD = """mutation ($input: RecordFlagExposuresInput!) { it: recordFlagExposures(input: $input) {
  ... on RecordFlagExposuresPayload { accepted evaluations { variation reason } } } }"""


async def test_a_flag_exposes_to_the_experiment_of_its_key(client: Client) -> None:
    await done(client, CREATE, key="button")
    staff = {"where": {"property": {"path": ["role"], "in": ["staff"]}}, "serve": ON}
    await setup(client, "button", default=SPLIT, rules=[staff])
    chance = {"property": {"path": ["reason"], "in": ["SPLIT"]}}
    made = await created(client, variants=VARIANTS, where=chance)
    await step(client, "start", made["id"])
    asked = """query ($people: [FlagSubjectInput!]!, $names: [String!]!) {
      flags: evaluateFlagsOf(subjects: $people, keys: ["button"]) { evaluations { variation } }
      assignments(experiment: "button", subjects: $names) { variant } }"""
    found = await client.ask(asked, people=[{"subject": one} for one in PEOPLE], names=PEOPLE)
    given = [one["evaluations"][0]["variation"] for one in found["flags"]]
    assert given == [one["variant"] for one in found["assignments"]]
    assert set(given) == {"off", "on"}
    shown: list[dict[str, Any]] = [{"subject": one, "keys": ["button"]} for one in PEOPLE[:20]]
    shown += [{"subject": "eve", "keys": ["button"], "context": {"role": "staff"}}]
    recorded = [(await client.ask(RECORD, input=one))["it"] for one in shown]
    assert [one["evaluations"][0]["variation"] for one in recorded] == [*given[:20], "on"]
    results = await client.ask('{ experimentResults(experiment: "button") { units { units } uncounted { reason } } }')
    counted = [one["units"] for one in results["experimentResults"]["units"]]
    assert counted == [given[:20].count("off"), given[:20].count("on")]
    assert results["experimentResults"]["uncounted"] == [{"reason": "LEFT_OUT"}]
