"""What was done to experiments, as their users read it."""

from typing import Any

from tests.client import Client
from tests.gateway.test_experiments import CHANGES, CREATE, METRICS, UPDATE, VARIANTS, created, step

STEPS = {"slug": "again", "value": {"steps": [{"name": ["purchase"]}, {"name": ["purchase"]}]}}
LENGTH = {
    "slug": "length",
    "role": "GUARDRAIL",
    "value": {"sum": {"measure": "DURATION_MS"}},
    "per": {"count": {"kind": ["PRODUCT"]}},
    "upIsGood": False,
    "window": "36h",
    "margin": {"absolute": "2.5"},
}


async def test_it_tells_parts_as_inputs_give_them(client: Client, stranger: Client) -> None:
    given = {"where": {"not": {"name": ["bot"]}}, "traffic": "0.5", "breakdowns": ["PLAN"], "minimumRuntime": "14d"}
    made = await client.ask(CREATE, input={"key": "button", "variants": VARIANTS, "reason": "Try."} | given)
    made_id = made["createExperiment"]["experiment"]["id"]
    metrics = [STEPS, LENGTH, METRICS[1]]
    await client.ask(UPDATE, input={"id": made_id, "metrics": metrics, "multipleExposures": "EXCLUDE"})
    first = (await client.ask(CHANGES, first=1))["experimentChanges"]
    ((changed,),) = ([edge["node"] for edge in first["edges"]],)
    rest = (await client.ask(CHANGES, after=first["pageInfo"]["endCursor"]))["experimentChanges"]
    ((created,),) = ([edge["node"] for edge in rest["edges"]],)
    assert (first["pageInfo"]["hasNextPage"], rest["pageInfo"]["hasNextPage"]) == (True, False)
    assert {name: created["after"][name] for name in given} == given
    assert [(one["key"], one["weight"]) for one in created["after"]["variants"]] == [("plain", "0.5"), ("bold", "0.5")]
    assert (created["reason"], created["before"]) == ("Try.", None)
    assert changed["before"] == {"metrics": [], "multipleExposures": "FIRST"}
    steps, length, revenue = changed["after"]["metrics"]
    everything: dict[str, Any] = {"all": []}
    assert steps == STEPS | {"role": "GOAL", "window": "7d", "upIsGood": True}
    assert length == LENGTH | {"value": {"sum": {"measure": "DURATION_MS", "where": everything}}}
    assert revenue == METRICS[1] | {"slug": "revenue", "window": "7d", "upIsGood": True}
    # What the trail and the experiment show can be sent again.
    again = await client.ask(UPDATE, input={"id": made_id, "metrics": changed["after"]["metrics"]})
    assert again["updateExperiment"]["__typename"] == "ExperimentPayload"
    shown = await client.ask(
        '{ experiment(key: "button") { metrics { slug value per margin { relative absolute } } } }'
    )
    shown = shown["experiment"]["metrics"]
    assert [one["margin"] for one in shown] == [None, {"relative": None, "absolute": "2.5"}, None]
    assert [one["value"] for one in shown] == [steps["value"], length["value"], None]
    assert [one["per"] for one in shown] == [None, length["per"], None]
    node = "query ($id: ID!) { node(id: $id) { ... on ExperimentChange { number } } }"
    assert (await client.ask(node, id=changed["id"]))["node"] == {"number": 2}
    assert (await stranger.ask(node, id=changed["id"]))["node"] is None
    assert (await stranger.send(CHANGES))["errors"][0]["extensions"]["code"] == "NOT_FOUND"
    assert (await client.send(CHANGES, after="x"))["errors"][0]["extensions"]["field"] == "after"


async def test_it_tells_instants_and_nothing_where_nothing_was_changed(client: Client) -> None:
    made = await created(client)
    unchanged = await client.ask(UPDATE, input={"id": made["id"], "name": "button", "reason": "to be sure"})
    assert unchanged["updateExperiment"]["experiment"]["name"] == "button"
    begin, end = "2026-03-01T00:00:00+00:00", "2026-03-08T12:00:00+00:00"
    await step(client, "start", made["id"], f', at: "{begin}"')
    await step(client, "complete", made["id"], f', at: "{end}"')
    await step(client, "archive", made["id"])
    found = [edge["node"] for edge in (await client.ask(CHANGES))["experimentChanges"]["edges"]]
    archived, completed, started, made_of = found
    assert (made_of["number"], made_of["action"]) == (1, "CREATE")
    assert started["after"] == {"status": "RUNNING", "startedAt": begin}
    assert (completed["before"], completed["after"]) == (
        {"status": "RUNNING", "completedAt": None},
        {"status": "COMPLETED", "completedAt": end},
    )
    assert archived["before"] == {"archivedAt": None}
    assert archived["after"]["archivedAt"] is not None
    for name, at, message in (
        ("start", begin, "The experiment is archived and cannot be started. Possible now: nothing."),
        ("complete", end, "The experiment is archived and cannot be completed. Possible now: nothing."),
    ):
        refused = await step(client, name, made["id"], f', at: "{at}"')
        assert (refused["message"], refused["possible"]) == (message, [])


async def test_an_instant_that_cannot_be_is_refused_with_what_can(client: Client) -> None:
    made = await created(client)
    future = await step(client, "start", made["id"], ', at: "2099-01-01T00:00:00Z"')
    assert (future["field"], future["message"]) == ("at", "at must not be in the future; leave it out for now.")
    await step(client, "start", made["id"], ', at: "2026-03-01T00:00:00Z"')
    before = await step(client, "complete", made["id"], ', at: "2026-03-01T00:00:00Z"')
    assert before["message"] == "at must be after the present phase began: 2026-03-01T00:00:00+00:00."


async def test_it_is_watched_and_nothing_is_missed(client: Client, stranger: Client) -> None:
    made = await created(client)
    await created(stranger)
    watched = 'experimentChanges(experiment: "button") { number action reason after }'
    async with client.socket() as socket, stranger.socket() as other:
        await socket.subscribe(f"subscription {{ {watched} }}", id="now")
        await other.subscribe(f"subscription {{ {watched} }}", id="now")
        since = watched.replace('"button"', '"button", since: 0')
        await socket.subscribe(f"subscription {{ {since} }}", id="since")
        (first,) = (await socket.next())["experimentChanges"]
        assert (first["number"], first["action"], first["after"]["key"]) == (1, "CREATE", "button")
        # Of another experiment nothing is told.
        await created(client, key="other")
        await step(client, "start", made["id"], ', reason: "go"')
        started = (await client.ask('{ experiment(key: "button") { phases { startedAt } } }'))["experiment"]["phases"][
            0
        ]
        told_of_start = {"status": "RUNNING", "startedAt": started["startedAt"].replace("Z", "+00:00")}
        expected = [{"number": 2, "action": "START", "reason": "go", "after": told_of_start}]
        assert [(await socket.next())["experimentChanges"] for _ in range(2)] == [expected] * 2
        await client.ask(UPDATE, input={"id": made["id"], "name": "Button", "reason": "say it"})
        expected = [{"number": 3, "action": "UPDATE", "reason": "say it", "after": {"name": "Button"}}]
        assert [(await socket.next())["experimentChanges"] for _ in range(2)] == [expected] * 2
        stranger_made = (await stranger.ask('{ experiment(key: "button") { id } }'))["experiment"]["id"]
        await step(stranger, "start", stranger_made)
        told = (await other.next())["experimentChanges"]
        assert [(one["number"], one["action"]) for one in told] == [(2, "START")]
        for wrong, code in (('"absent"', "NOT_FOUND"), ('"button", since: -1', "BAD_USER_INPUT")):
            await other.subscribe(f"subscription {{ experimentChanges(experiment: {wrong}) {{ number }} }}", id=wrong)
            refused = await other.get()
            assert refused["payload"]["errors"][0]["extensions"]["code"] == code
            assert (await other.get())["type"] == "complete"
