"""Feature flags, over the wire: made, changed, evaluated, watched."""

from typing import Any

import httpx2
import pytest

from gateway.app import Gateway
from resolvers.context import Role
from resolvers.keys import create_key, pepper
from resolvers.store.database import Database
from resolvers.store.flag_tallies import FlagTallyRepository
from tests.client import Client
from tests.conftest import new_client

ERRORS = "... on Error { code message } ... on InvalidInput { field } ... on NotFound { field }"
SHOWN = "key type name tags salt version changedAt variations { key value } environments { name on offVariation"
SHOWN += " default { variation percentage } prerequisites { flag variations } schedule { at on }"
SHOWN += " rules { name where percentage serve { variation percentage } ramp { state percentage nextStepAt } } }"


def mutation(name: str, shown: str = SHOWN) -> str:
    capital = name[0].upper() + name[1:]
    payload = f"... on FlagPayload {{ changed flag {{ {shown} }} }}"
    errors = ERRORS.replace(" ... on NotFound { field }", "") if name == "createFlag" else ERRORS
    return f"mutation ($input: {capital}Input!) {{ it: {name}(input: $input) {{ __typename {payload} {errors} }} }}"


CREATE, UPDATE, TOGGLE = mutation("createFlag"), mutation("updateFlag"), mutation("toggleFlag")
CONFIGURE, ARCHIVE, STEER = mutation("setFlagEnvironment"), mutation("archiveFlag"), mutation("steerFlagRamp")
EVALUATE = """
query ($subject: String, $context: JSON, $keys: [String!], $environment: String! = "production", $expect: FlagType) {
  it: evaluateFlags(subject: $subject, context: $context, keys: $keys, environment: $environment, expect: $expect) {
    flag value variation reason rule prerequisite error message } }
"""
ON = {"variation": "on"}
CHANGES = "query ($key: String, $first: Int! = 50, $after: String) { it: flagChanges(key: $key, first: $first,"
CHANGES += " after: $after) { pageInfo { hasNextPage endCursor } edges { node { id version flag action at environment"
CHANGES += " reason before after by { prefix label } } } } }"


async def done(client: Client, query: str, **given: Any) -> dict[str, Any]:
    """The flag that a change leads to."""
    answer = (await client.ask(query, input=given))["it"]
    assert answer["__typename"] == "FlagPayload", answer
    return dict(answer["flag"])


async def setup(client: Client, key: str, **environment: Any) -> dict[str, Any]:
    return await done(client, CONFIGURE, key=key, environment={"on": True, "default": ON} | environment)


async def evaluated(client: Client, **asked: Any) -> list[dict[str, Any]]:
    return list((await client.ask(EVALUATE, **asked))["it"])


async def key_of(client: Client, owner: Database, gateway: Gateway, role: Role) -> Client:
    """Another key of a client's tenant."""
    token = await gateway.authenticate(client.key)
    assert token is not None
    made = await create_key(owner, token.tenant_id, role, role.name, pepper=await pepper(owner))
    return Client(client.address, made.secret, client.http)


async def test_a_flag_is_made_set_up_and_evaluated(client: Client, stranger: Client) -> None:
    made = await done(client, CREATE, key="new-search", tags=["search"], reason="a first look")
    assert (made["type"], made["name"], made["salt"], made["version"]) == ("BOOLEAN", "new-search", "new-search", 1)
    assert made["variations"] == [{"key": "on", "value": True}, {"key": "off", "value": False}]
    (found,) = await evaluated(client, subject="ann")
    assert (found["value"], found["variation"], found["reason"]) == (False, "off", "DISABLED")
    role = {"property": {"path": ["role"], "in": ["admin"]}}
    rules = [
        {"name": "ours", "where": {"subject": ["eve"]}, "serve": {"variation": "off"}},
        {"where": role, "serve": ON},
        {"where": {"dimension": {"dimension": "PLAN", "in": ["pro"]}}, "serve": ON, "percentage": "42.97"},
        {"where": {"dimension": {"dimension": "PLAN", "in": ["max"]}}, "serve": ON, "percentage": 42.96},
    ]
    made = await setup(client, "new-search", default={"variation": "off"}, rules=rules)
    (environment,) = made["environments"]
    assert [rule["percentage"] for rule in environment["rules"]] == ["100", "100", "42.97", "42.96"]
    assert environment["rules"][1]["where"] == role
    # The place of ann is 4297 of 10,000, counted from 0, as docs/bucketing.md says.
    expected = [
        ("eve", {"role": "admin"}, "off", "TARGETING_MATCH", 0),
        ("ann", {"role": "admin"}, "on", "TARGETING_MATCH", 1),
        ("ann", {"role": ["viewer", "admin"]}, "on", "TARGETING_MATCH", 1),
        ("ann", {"plan": "pro"}, "off", "DEFAULT", None),
        ("ann", {"plan": "max"}, "off", "DEFAULT", None),
        ("ann", None, "off", "DEFAULT", None),
    ]
    for subject, context, variation, reason, rule in expected:
        (found,) = await evaluated(client, subject=subject, context=context)
        assert (found["variation"], found["reason"], found["rule"]) == (variation, reason, rule), (subject, context)
    rules[2]["percentage"] = "42.98"
    await setup(client, "new-search", default={"variation": "off"}, rules=rules)
    (found,) = await evaluated(client, subject="ann", context={"plan": "pro"})
    assert (found["value"], found["reason"], found["rule"]) == (True, "SPLIT", 2)
    (found,) = await evaluated(client, context={"plan": "pro"})
    assert (found["value"], found["reason"], found["error"]) == (None, "ERROR", "TARGETING_KEY_MISSING")
    (found,) = await evaluated(client, subject="ann", keys=["new-search"], expect="STRING")
    assert (found["value"], found["error"]) == (None, "TYPE_MISMATCH")
    assert await evaluated(stranger, subject="ann") == []
    (found,) = await evaluated(stranger, subject="ann", keys=["new-search"])
    assert (found["error"], found["value"]) == ("FLAG_NOT_FOUND", None)


async def test_values_of_every_type_come_out_as_they_went_in(client: Client) -> None:
    values = {"STRING": "Zoë", "NUMBER": 0.1, "JSON": {"a": [1, None, {"b": "c"}]}}
    for of, value in values.items():
        await done(client, CREATE, key=of, type=of, variations=[{"key": "v", "value": value}])
        await setup(client, of, default={"variation": "v"})
    found = {one["flag"]: (one["value"], one["reason"]) for one in await evaluated(client)}
    assert found == {of: (value, "STATIC") for of, value in values.items()}


async def test_a_flag_without_rules_is_a_switch(client: Client) -> None:
    await done(client, CREATE, key="a")
    await done(client, CREATE, key="b", type="STRING", variations=[{"key": k, "value": k} for k in ("red", "blue")])

    async def served() -> list[tuple[str, str]]:
        return [(one["variation"], one["reason"]) for one in await evaluated(client, subject="ann")]

    assert await served() == [("off", "DISABLED"), ("blue", "DISABLED")]
    for key in ("a", "b"):
        await done(client, TOGGLE, key=key, on=True)
    assert await served() == [("on", "STATIC"), ("red", "STATIC")]
    # Whoever is not reached by a rule goes on without, unless something else is said.
    await done(client, CONFIGURE, key="a", environment={"on": True, "rules": [{"serve": ON, "percentage": 0}]})
    assert (await served())[0] == ("off", "DEFAULT")


async def test_many_subjects_are_evaluated_in_one_call(client: Client) -> None:
    await done(client, CREATE, key="a")
    await setup(
        client, "a", default={"split": [{"variation": "on", "percentage": 50}, {"variation": "off", "percentage": 50}]}
    )
    query = 'query ($subjects: [FlagSubjectInput!]!) { it: evaluateFlagsOf(subjects: $subjects, keys: ["a"]) {'
    query += " subject evaluations { variation reason } } }"
    subjects = [{"subject": f"s{n}"} for n in range(500)]
    found = (await client.ask(query, subjects=subjects))["it"]
    assert [one["subject"] for one in found] == [f"s{n}" for n in range(500)]
    on = sum(one["evaluations"][0]["variation"] == "on" for one in found)
    assert 200 < on < 300
    assert {one["evaluations"][0]["reason"] for one in found} == {"SPLIT"}
    answer = await client.send(query, subjects=subjects * 3)
    assert answer["errors"][0]["extensions"]["field"] == "subjects"


async def test_one_of_many_subjects_that_cannot_be_read_takes_nothing_from_the_others(client: Client) -> None:
    await done(client, CREATE, key="a")
    query = """query ($subjects: [FlagSubjectInput!]!) { evaluateFlagsOf(subjects: $subjects) {
      subject evaluations { flag reason } error { message code field } } }"""
    asked = [{"subject": "ann"}, {"subject": ""}, {"context": {"plan": "pro"}}, {"subject": "bob", "context": [1]}]
    found = (await client.ask(query, subjects=asked))["evaluateFlagsOf"]
    assert [one["subject"] for one in found] == ["ann", "", None, "bob"]
    evaluated_ = [{"flag": "a", "reason": "DISABLED"}]
    assert [one["evaluations"] for one in found] == [evaluated_, [], evaluated_, []]
    assert [one["error"] and one["error"]["field"] for one in found] == [
        None,
        "subjects[1].subject",
        None,
        "subjects[3].context",
    ]
    assert found[1]["error"]["code"] == "BAD_USER_INPUT"
    assert found[1]["error"]["message"].startswith("subjects[1].subject ")


async def test_each_change_is_in_the_trail_with_who_and_why(client: Client, stranger: Client) -> None:
    await done(client, CREATE, key="a", reason="try")
    await done(client, TOGGLE, key="a", on=True, reason="go")
    unchanged = (await client.ask(TOGGLE, input={"key": "a", "on": True}))["it"]
    assert (unchanged["changed"], unchanged["flag"]["version"]) == (False, 2)
    await setup(client, "a", rules=[{"serve": ON, "where": {"subject": ["ann"]}}])
    await done(client, UPDATE, key="a", name="A", tags=["x"])
    await done(client, ARCHIVE, key="a", reason="done with")
    found = [edge["node"] for edge in (await client.ask(CHANGES))["it"]["edges"]]
    assert [(one["version"], one["action"], one["reason"]) for one in found] == [
        (5, "ARCHIVE", "done with"),
        (4, "UPDATE", None),
        (3, "CONFIGURE", None),
        (2, "TOGGLE", "go"),
        (1, "CREATE", "try"),
    ]
    assert {(one["by"]["label"], one["by"]["prefix"], one["flag"]) for one in found} == {("test", client.key[:7], "a")}
    assert (found[1]["before"], found[1]["after"]) == ({"name": "a", "tags": []}, {"name": "A", "tags": ["x"]})
    assert found[2]["environment"] == "production"
    rules = found[2]["after"]["environments"]["production"]["rules"]
    assert rules == [{"name": None, "where": {"subject": ["ann"]}, "serve": ON, "percentage": "100"}]
    assert found[4]["before"] is None
    assert found[4]["after"]["environments"]["production"]["on"] is False
    page = (await client.ask(CHANGES, key="a", first=2))["it"]
    rest = (await client.ask(CHANGES, key="a", after=page["pageInfo"]["endCursor"]))["it"]
    assert [edge["node"]["version"] for edge in (*page["edges"], *rest["edges"])] == [5, 4, 3, 2, 1]
    node = "query ($id: ID!) { node(id: $id) { ... on FlagChange { action } } }"
    assert (await client.ask(node, id=found[0]["id"]))["node"] == {"action": "ARCHIVE"}
    assert (await stranger.ask(node, id=found[0]["id"]))["node"] is None
    assert (await stranger.ask(CHANGES))["it"]["edges"] == []


async def test_the_list_is_filtered_and_paged(client: Client) -> None:
    for key, tags in (("a", ["x"]), ("b", ["x", "y"]), ("c", [])):
        await done(client, CREATE, key=key, tags=tags)
    await setup(client, "c", name="staging")
    await done(client, ARCHIVE, key="a")
    query = "query ($tag: String, $environment: String, $archived: Boolean! = false, $stale: Boolean, $after: String)"
    query += " { it: flags(tag: $tag, environment: $environment, archived: $archived, stale: $stale, first: 1,"
    query += " after: $after) { edges { cursor node { id key } } pageInfo { hasNextPage } } }"

    async def keys(**asked: Any) -> list[str]:
        found, after, more = [], None, True
        while more:
            page = (await client.ask(query, after=after, **asked))["it"]
            found += [edge["node"]["key"] for edge in page["edges"]]
            more = page["pageInfo"]["hasNextPage"]
            after = page["edges"][-1]["cursor"] if page["edges"] else None
        return found

    assert await keys() == ["b", "c"]
    assert await keys(tag="x") == ["b"]
    assert await keys(environment="staging") == ["c"]
    assert await keys(archived=True) == ["a"]
    assert await keys(stale=True) == []
    assert await keys(stale=False) == ["b", "c"]
    node = "query ($key: String!) { flag(key: $key) { id archivedAt } }"
    archived = (await client.ask(node, key="a"))["flag"]
    assert archived["archivedAt"] is not None
    asked = "query ($id: ID!) { node(id: $id) { ... on FeatureFlag { key } } }"
    assert (await client.ask(asked, id=archived["id"]))["node"] == {"key": "a"}
    assert (await client.ask(node, key="z"))["flag"] is None


async def test_changes_are_watched_and_none_is_missed(client: Client, stranger: Client) -> None:
    await done(client, CREATE, key="a")
    watched = "flagChanges { version flag action }"
    async with client.socket() as socket, stranger.socket() as other:
        await socket.subscribe(f"subscription {{ {watched} }}", id="now")
        await other.subscribe(f"subscription {{ {watched} }}", id="now")
        since = watched.replace("flagChanges", 'flagChanges(since: 0, key: "a")')
        await socket.subscribe(f"subscription {{ {since} }}", id="since")
        assert (await socket.next())["flagChanges"] == [{"version": 1, "flag": "a", "action": "CREATE"}]
        await done(client, TOGGLE, key="a", on=True)
        expected = [{"version": 2, "flag": "a", "action": "TOGGLE"}]
        assert [(await socket.next())["flagChanges"] for _ in range(2)] == [expected] * 2
        await done(client, CREATE, key="b")
        assert (await socket.next())["flagChanges"] == [{"version": 3, "flag": "b", "action": "CREATE"}]
        await done(stranger, CREATE, key="c")
        assert (await other.next())["flagChanges"] == [{"version": 1, "flag": "c", "action": "CREATE"}]
        await other.subscribe('subscription { flagChanges(key: "a") { version } }', id="typo")
        refused = await other.get()
        assert refused["payload"]["errors"][0]["extensions"] == {"code": "NOT_FOUND", "field": "key"}


@pytest.mark.parametrize(
    ("role", "may"),
    [
        (Role.INGEST, set()),
        (Role.VIEWER, set()),
        (Role.ANALYST, {"create", "toggle"}),
        (Role.ADMIN, {"create", "toggle", "archive"}),
    ],
)
async def test_roles(client: Client, owner: Database, gateway: tuple[str, Gateway], role: Role, may: set[str]) -> None:
    await done(client, CREATE, key="a")
    key = await key_of(client, owner, gateway[1], role)
    attempts = {
        "create": (CREATE, {"key": "b"}),
        "toggle": (TOGGLE, {"key": "a", "on": True}),
        "archive": (ARCHIVE, {"key": "a"}),
    }
    names = {name: (await key.ask(query, input=given))["it"]["__typename"] for name, (query, given) in attempts.items()}
    assert {name for name, result in names.items() if result == "FlagPayload"} == may
    assert {result for name, result in names.items() if name not in may} <= {"Forbidden"}
    # Whoever has a key may evaluate; what is behind it only viewers and above read.
    assert "errors" not in await key.send(EVALUATE, subject="ann")
    read = await key.send('{ flag(key: "a") { key } }')
    assert ("errors" in read) is (role is Role.INGEST)


async def test_exposures_are_stored_when_asked_and_once(client: Client) -> None:
    await done(client, CREATE, key="a")
    await setup(client, "a")
    record = "mutation ($input: RecordFlagExposuresInput!) { it: recordFlagExposures(input: $input) { __typename ... on"
    record += " RecordFlagExposuresPayload { accepted evaluations { flag variation error } }"
    record += " ... on InvalidInput { field } } }"
    given = {"subject": "ann", "keys": ["a", "absent"], "id": "visit-1", "context": {"role": "admin"}}
    first, again = [(await client.ask(record, input=given))["it"] for _ in range(2)]
    assert (first["accepted"], again["accepted"]) == (1, 0)
    assert [(one["variation"], one["error"]) for one in first["evaluations"]] == [
        ("on", None),
        (None, "FLAG_NOT_FOUND"),
    ]
    log = "{ events { edges { node { eventId kind name subject properties"
    log += " dimensions { experiment feature variant } } } } }"
    (edge,) = (await client.ask(log))["events"]["edges"]
    assert edge["node"] == {
        "eventId": "visit-1:a",
        "kind": "EXPOSURE",
        "name": "flag_exposure",
        "subject": "ann",
        "properties": {"environment": "production", "reason": "STATIC", "rule": None},
        "dimensions": {"experiment": "a", "feature": "a", "variant": "on"},
    }
    refused = (await client.ask(record, input=given | {"subject": ""}))["it"]
    assert refused == {"__typename": "InvalidInput", "field": "subject"}


async def test_how_often_a_variation_was_given_and_whom_it_covers(client: Client, gateway: tuple[str, Gateway]) -> None:
    await done(client, CREATE, key="a")
    pro = {"dimension": {"dimension": "PLAN", "in": ["pro"]}}
    rules = [{"where": pro, "serve": ON}, {"where": {"property": {"path": ["role"], "in": ["x"]}}, "serve": ON}]
    await setup(client, "a", rules=rules, default={"variation": "off"})
    events = [
        {"kind": "PRODUCT", "name": "view", "subject": f"s{n}", "dimensions": {"plan": "pro" if n < 3 else "free"}}
        for n in range(10)
    ]
    await client.ingest(*events)
    # What is said last counts.
    await client.ingest({"kind": "PRODUCT", "name": "view", "subject": "s0", "dimensions": {"plan": "free"}})
    for n in range(4):
        await evaluated(client, subject="ann", context={"plan": "pro" if n else "free"})
    services = gateway[1].services
    await services.tallies.flush(services.database, services.now())
    query = '{ flag(key: "a") { evaluations { environment variation evaluations } stale { reason } coverage { subjects'
    query += " sampled unknown shares { variation share { value n numerator interval { low } } } } } }"
    found = (await client.ask(query))["flag"]
    assert found["evaluations"] == [
        {"environment": "production", "variation": "off", "evaluations": 1},
        {"environment": "production", "variation": "on", "evaluations": 3},
    ]
    assert found["stale"] == []
    coverage = found["coverage"]
    assert (coverage["subjects"], coverage["sampled"], coverage["unknown"]) == (10, 10, ["role"])
    shares = {one["variation"]: one["share"]["value"] for one in coverage["shares"]}
    assert shares == {"on": "0.2", "off": "0.8"}
    assert all(one["share"]["interval"] is None for one in coverage["shares"])


async def test_a_ramp_is_steered(client: Client) -> None:
    await done(client, CREATE, key="a")
    steps = [{"percentage": n, "lasting": "1d"} for n in (1, 5, 25, 50, 100)]
    made = await setup(client, "a", default={"variation": "off"}, rules=[{"serve": ON, "ramp": {"steps": steps}}])
    ramp = made["environments"][0]["rules"][0]["ramp"]
    assert (ramp["state"], ramp["percentage"]) == ("RUNNING", "1")
    assert ramp["nextStepAt"] is not None

    async def steer(step: str, **more: Any) -> Any:
        answer = (await client.ask(STEER, input={"key": "a", "rule": 0, "step": step} | more))["it"]
        if answer["__typename"] != "FlagPayload":
            return answer["field"]
        rule = answer["flag"]["environments"][0]["rules"][0]
        return rule["ramp"]["state"], rule["percentage"]

    assert await steer("RESUME") == "step"
    assert await steer("PAUSE") == ("PAUSED", "1")
    assert await steer("RESUME") == ("RUNNING", "1")
    assert await steer("ROLL_BACK") == ("ROLLED_BACK", "0")
    assert await steer("RESUME") == "step"
    assert await steer("RESTART") == ("RUNNING", "1")
    assert await steer("PAUSE", rule=1) == "rule"
    assert await steer("PAUSE", environment="staging") == "environment"


async def test_what_is_not_there(client: Client, stranger: Client) -> None:
    await done(client, CREATE, key="a")
    for query, given in ((TOGGLE, {"on": True}), (UPDATE, {"name": "x"}), (ARCHIVE, {})):
        answer = (await stranger.ask(query, input={"key": "a"} | given))["it"]
        assert (answer["__typename"], answer["field"]) == ("NotFound", "key")
    await done(client, ARCHIVE, key="a")
    answer = (await client.ask(TOGGLE, input={"key": "a", "on": True}))["it"]
    assert (answer["__typename"], answer["field"]) == ("InvalidInput", "key")
    (found,) = await evaluated(client, keys=["a"])
    assert found["error"] == "FLAG_NOT_FOUND"
    await done(client, ARCHIVE, key="a", archived=False)
    assert [one["flag"] for one in await evaluated(client)] == ["a"]
    answer = await client.send(EVALUATE, environment="moon")
    assert answer["errors"][0]["extensions"] == {"code": "BAD_USER_INPUT", "field": "environment"}
    answer = await client.send(EVALUATE, subject="a\0b")
    assert answer["errors"][0]["extensions"]["field"] == "subject"
    answer = await client.send(EVALUATE, context=[1])
    assert answer["errors"][0]["extensions"]["field"] == "context"
    answer = await client.send(CHANGES, key="z")
    assert answer["errors"][0]["extensions"]["code"] == "NOT_FOUND"


async def test_another_tenant_has_other_flags_of_the_same_keys(
    client: Client, gateway: tuple[str, Gateway], owner: Database, http: httpx2.AsyncClient
) -> None:
    other = await new_client(gateway[0], owner, http)
    for one, on in ((client, True), (other, False)):
        await done(one, CREATE, key="a")
        await setup(one, "a", on=on)
    assert [(await evaluated(one))[0]["value"] for one in (client, other)] == [True, False]


async def test_what_each_of_a_list_was_given_is_asked_once(
    client: Client, gateway: tuple[str, Gateway], monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ("a", "b", "c"):
        await done(client, CREATE, key=key)
    asked: list[str] = []
    for name in ("given", "last"):
        real = getattr(FlagTallyRepository, name)

        async def counted(self: Any, *since: Any, name: str = name, real: Any = real) -> Any:
            asked.append(name)
            return await real(self, *since)

        monkeypatch.setattr(FlagTallyRepository, name, counted)
    found = await client.ask("{ flags { edges { node { stale { reason } evaluations { evaluations } } } } }")
    assert len(found["flags"]["edges"]) == 3
    assert sorted(asked) == ["given", "last"]
