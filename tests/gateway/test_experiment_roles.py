"""Who may do what to experiments, and whom only reads, or not even that."""

import pytest

from gateway.app import Gateway
from resolvers.context import Role
from resolvers.store.database import Database
from schema.nodes import encode
from tests.client import Client
from tests.gateway.test_experiments import VARIANTS, created, started
from tests.gateway.test_flags import key_of

CHANGES = {
    "createExperiment": {"key": "other", "variants": VARIANTS},
    "saveHoldout": {"name": "2026", "share": "0.1"},
    "deleteHoldout": {"id": encode("Holdout", "2026")},
    "updateExperiment": {"id": "", "name": "Another"},
    "pauseExperiment": {"id": ""},
    "resumeExperiment": {"id": ""},
    "completeExperiment": {"id": ""},
    "archiveExperiment": {"id": ""},
    "startExperiment": {"id": ""},
}
"""In an order in which each can be done: what is started is another one."""


@pytest.mark.parametrize("role", list(Role))
async def test_what_a_key_may_not_do_is_said_in_a_type_of_its_own(
    client: Client, owner: Database, gateway: tuple[str, Gateway], role: Role
) -> None:
    running = await started(client)
    draft = (await created(client, key="draft"))["id"]
    key = await key_of(client, owner, gateway[1], role)
    for name, given in CHANGES.items():
        capital = name[0].upper() + name[1:]
        about = {"id": draft if name == "startExperiment" else running} if given.get("id") == "" else {}
        query = f"mutation ($input: {capital}Input!) {{ it: {name}(input: $input) {{ __typename ... on Error {{ code }}"
        found = (await key.ask(f"{query} }} }}", input=given | about))["it"]
        if role in (Role.ANALYST, Role.ADMIN):
            assert found["__typename"].endswith("Payload"), (name, found)
        else:
            assert found == {"__typename": "Forbidden", "code": "FORBIDDEN"}, name


@pytest.mark.parametrize("role", list(Role))
async def test_whoever_has_a_key_is_told_variants_and_only_readers_what_is_behind_them(
    client: Client, owner: Database, gateway: tuple[str, Gateway], role: Role
) -> None:
    await started(client)
    key = await key_of(client, owner, gateway[1], role)
    asked = '{ assignment(experiment: "button", subject: "ann") { variant reason } }'
    many = '{ assignments(experiment: "button", subjects: ["ann"]) { variant reason } }'
    (same,) = (await key.ask(many))["assignments"]
    assert (await key.ask(asked))["assignment"] == same == (await client.ask(asked))["assignment"]
    record = 'mutation { recordExposure(input: {experiment: "button", subject: "ann"}) { __typename } }'
    stored = (await key.ask(record))["recordExposure"]["__typename"]
    assert stored == ("Forbidden" if role is Role.VIEWER else "RecordExposurePayload")
    for query in (
        'experimentResults(experiment: "button") { why }',
        'experimentChanges(experiment: "button") { edges }',
    ):
        answer = await key.send(f"{{ {query.replace('{ edges }', '{ edges { cursor } }')} }}")
        assert ("errors" in answer) is (role is Role.INGEST)
        if role is Role.INGEST:
            assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"
