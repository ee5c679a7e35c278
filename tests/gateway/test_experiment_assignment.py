"""Who gets which variant, as those ask who show it."""

from typing import Any

from tests.client import Client
from tests.gateway.test_experiments import CREATE, UPDATE, VARIANTS, created, shown, started, step
from tests.gateway.test_segments import BUYERS, LOG, kept

SUBJECTS = [f"s{n}" for n in range(400)]


async def reasons(client: Client, key: str, context: str = "{}") -> dict[str, int]:
    """How many of the subjects get a variant, or none for which reason."""
    found = await client.ask(
        f'query ($of: [String!]!) {{ assignments(experiment: "{key}", subjects: $of, context: {context})'
        " { subject variant reason } }",
        of=SUBJECTS,
    )
    assert [one["subject"] for one in found["assignments"]] == SUBJECTS
    counts: dict[str, int] = {}
    for one in found["assignments"]:
        assert (one["variant"] is not None) is (one["reason"] == "ASSIGNED")
        name = one["variant"] or one["reason"]
        counts[name] = counts.get(name, 0) + 1
    return counts


async def test_chance_parts_subjects_by_weight_and_always_alike(client: Client) -> None:
    await started(client, variants=[{"key": "a", "weight": "0.25", "control": True}, {"key": "b", "weight": "0.75"}])
    first = await reasons(client, "button")
    assert 60 < first["a"] < 140
    assert first["a"] + first["b"] == 400
    assert await reasons(client, "button") == first
    one = await client.ask('{ assignment(experiment: "button", subject: "s1") { experiment subject variant phase } }')
    assert one["assignment"]["phase"] == 1
    # As docs/bucketing.md has it: the places of these two are published.
    published = await started(client, key="checkout-button")
    found = await client.ask(
        '{ assignments(experiment: "checkout-button", subjects: ["ann", "bob"]) { variant reason } }'
    )
    assert [one["variant"] for one in found["assignments"]] == ["plain", "bold"]
    assert published


async def test_targeting_traffic_holdouts_and_groups(client: Client) -> None:
    await client.ask('mutation { saveHoldout(input: {name: "2026", share: "0.2"}) { __typename } }')
    where = {"all": [{"dimension": {"dimension": "PLAN", "in": ["pro", "team"]}}, {"not": {"subject": ["s3"]}}]}
    await started(client, key="targeted", targeting=where)
    assert await reasons(client, "targeted") == {"TARGETING_MISS": 400}
    assert (await reasons(client, "targeted", '{plan: "free"}'))["TARGETING_MISS"] == 400
    assert (await reasons(client, "targeted", '{plan: "pro"}'))["TARGETING_MISS"] == 1
    await started(client, key="some", traffic="0.5", holdout="2026")
    some = await reasons(client, "some")
    assert 50 < some["HOLDOUT"] < 110
    assert 110 < some["TRAFFIC"] < 210
    for key, share in (("one", "0.5"), ("two", "0.3")):
        await started(client, key=key, group={"name": "page", "share": share})
    taking: dict[str, list[str]] = {}
    for key in ("one", "two"):
        found = await client.ask(
            "query ($k: String!, $of: [String!]!) { assignments(experiment: $k, subjects: $of) { subject reason } }",
            k=key,
            of=SUBJECTS,
        )
        taking[key] = [one["subject"] for one in found["assignments"] if one["reason"] == "ASSIGNED"]
        assert {one["reason"] for one in found["assignments"]} == {"ASSIGNED", "GROUP"}
    assert not set(taking["one"]) & set(taking["two"])
    assert 150 < len(taking["one"]) < 250
    full = await client.ask(
        CREATE, input={"key": "three", "variants": VARIANTS, "group": {"name": "page", "share": "0.21"}}
    )
    assert full["createExperiment"]["field"] == "group.share"
    assert "20.00%" in full["createExperiment"]["message"]
    refused = await client.ask(
        'mutation { saveHoldout(input: {name: "2026", share: "0.3"}) { ... on InvalidInput { field message } } }'
    )
    assert refused["saveHoldout"]["field"] == "share"
    kept = (await client.ask("{ holdouts { edges { node { name share } } } }"))["holdouts"]["edges"]
    assert kept == [{"node": {"name": "2026", "share": "0.2"}}]


async def test_holdouts_are_listed_in_pages_and_found_again(client: Client, stranger: Client) -> None:
    for name in ("b", "Zoë: 2", "a"):
        saved = await client.ask(
            "mutation ($name: String!) { saveHoldout(input: {name: $name, share: 0.1}) { __typename } }", name=name
        )
        assert saved["saveHoldout"]["__typename"] == "SaveHoldoutPayload"
    query = "query ($after: String) { holdouts(first: 1, after: $after) { edges { node { id name } }"
    query += " pageInfo { hasNextPage endCursor } } }"
    found, after, more = [], None, True
    while more:
        page = (await client.ask(query, after=after))["holdouts"]
        found += [edge["node"] for edge in page["edges"]]
        after, more = page["pageInfo"]["endCursor"], page["pageInfo"]["hasNextPage"]
    assert [one["name"] for one in found] == ["Zoë: 2", "a", "b"]
    node = "query ($ids: [ID!]!) { nodes(ids: $ids) { ... on Holdout { name share } } }"
    ids = [one["id"] for one in found]
    assert [one["name"] for one in (await client.ask(node, ids=ids))["nodes"]] == ["Zoë: 2", "a", "b"]
    assert (await stranger.ask(node, ids=ids))["nodes"] == [None] * 3
    assert (await stranger.ask("{ holdouts { edges { cursor } } }"))["holdouts"]["edges"] == []
    for wrong, field in (("first: 0", "first"), ('after: "x"', "after")):
        refused = await client.send(f"{{ holdouts({wrong}) {{ edges {{ cursor }} }} }}")
        assert refused["errors"][0]["extensions"]["field"] == field


async def test_a_draft_is_rid_of_its_group_and_holdout(client: Client) -> None:
    await client.ask('mutation { saveHoldout(input: {name: "2026", share: "0.2"}) { __typename } }')
    group = {"name": "page", "share": "0.6"}
    made = await created(client, key="some", holdout="2026", group=group)

    async def changed(**given: Any) -> dict[str, Any]:
        return dict((await client.ask(UPDATE, input={"id": made["id"]} | given))["updateExperiment"])

    both = await changed(clear=["GROUP"], group=group)
    assert (both["__typename"], both["field"]) == ("InvalidInput", "clear[0]")
    assert (await changed(clear=["GROUP", "HOLDOUT"]))["__typename"] == "ExperimentPayload"
    found = await client.ask('{ experiment(key: "some") { holdout group { name } } }')
    assert found["experiment"] == {"holdout": None, "group": None}
    # What it had of the group is free again.
    await created(client, key="other", group=group)
    await changed(holdout="2026")
    await step(client, "start", made["id"])
    assert (await changed(clear=["HOLDOUT"]))["field"] == "holdout"


DELETE = """mutation ($id: ID!) { deleteHoldout(input: {id: $id}) { __typename
  ... on DeleteHoldoutPayload { deletedId holdout { name share } } ... on Error { message }
  ... on InvalidInput { field } ... on NotFound { field } } }"""


async def test_a_holdout_is_deleted_once_no_experiment_names_it(client: Client, stranger: Client) -> None:
    saved = await client.ask(
        'mutation { saveHoldout(input: {name: "2026", share: "0.2"}) { ... on SaveHoldoutPayload { holdout { id } } } }'
    )
    kept = saved["saveHoldout"]["holdout"]["id"]
    made = await created(client, key="some", holdout="2026")
    needed = (await client.ask(DELETE, id=kept))["deleteHoldout"]
    assert (needed["__typename"], needed["field"]) == ("InvalidInput", "id")
    assert needed["message"] == "The experiment some names it; archive that first."
    assert (await stranger.ask(DELETE, id=kept))["deleteHoldout"]["__typename"] == "NotFound"
    assert (await client.ask(DELETE, id=made["id"]))["deleteHoldout"]["field"] == "id"
    await step(client, "archive", made["id"])
    gone = (await client.ask(DELETE, id=kept))["deleteHoldout"]
    assert (gone["deletedId"], gone["holdout"]) == (kept, {"name": "2026", "share": "0.2"})
    assert (await client.ask(DELETE, id=kept))["deleteHoldout"]["__typename"] == "NotFound"
    assert (await client.ask("{ holdouts { edges { cursor } } }"))["holdouts"]["edges"] == []


async def test_what_ends_leaves_room_in_its_group(client: Client) -> None:
    first = await started(client, key="one", group={"name": "page", "share": "0.6"})
    full = await client.ask(
        CREATE, input={"key": "two", "variants": VARIANTS, "group": {"name": "page", "share": "0.5"}}
    )
    assert full["createExperiment"]["field"] == "group.share"
    await step(client, "complete", first)
    two = await created(client, key="two", group={"name": "page", "share": "0.5"})
    kept = await client.ask(UPDATE, input={"id": two["id"], "group": {"name": "page", "share": "0.5"}, "name": "Two"})
    assert kept["updateExperiment"]["experiment"]["name"] == "Two"
    found = await client.ask('{ experiment(key: "two") { group { name first share } } }')
    assert found["experiment"]["group"] == {"name": "page", "first": "0", "share": "0.5"}


RECORD = """mutation ($input: RecordExposureInput!) { recordExposure(input: $input) { __typename
  ... on RecordExposurePayload { eventId accepted assignment { subject variant reason } }
  ... on InvalidInput { field } ... on NotFound { field } } }"""


async def test_an_exposure_is_recorded_only_if_asked(client: Client) -> None:
    await started(client, traffic="0.5", breakdowns=["PLAN"])
    await reasons(client, "button")
    assert (await client.ask("{ events { edges { cursor } } }"))["events"]["edges"] == []
    found: dict[str, Any] = {}
    for subject in SUBJECTS[:20]:
        given = {"experiment": "button", "subject": subject, "context": {"plan": "pro"}, "id": f"x-{subject}"}
        found[subject] = (await client.ask(RECORD, input=given))["recordExposure"]
        again = (await client.ask(RECORD, input=given))["recordExposure"]
        assert again["accepted"] == 0
        assert again["assignment"] == found[subject]["assignment"]
    taken = {subject for subject, one in found.items() if one["assignment"]["variant"]}
    assert 0 < len(taken) < 20
    assert all(one["accepted"] == (subject in taken) for subject, one in found.items())
    log = await client.ask("{ events { edges { node { subject kind dimensions { experiment variant plan } } } } }")
    nodes = [edge["node"] for edge in log["events"]["edges"]]
    assert {node["subject"] for node in nodes} == taken
    assert {node["dimensions"]["plan"] for node in nodes} == {"pro"}
    counted = await client.ask('{ experimentResults(experiment: "button") { units { units } } }')
    assert sum(one["units"] for one in counted["experimentResults"]["units"]) == len(taken)


async def test_whom_nothing_can_be_said_of(client: Client) -> None:
    await started(client)
    for query, field, code in (
        ('assignment(experiment: "button", subject: "")', "subject", "BAD_USER_INPUT"),
        ('assignment(experiment: "button", subject: " x")', "subject", "BAD_USER_INPUT"),
        ('assignment(experiment: "none", subject: "x")', "experiment", "NOT_FOUND"),
        ('assignment(experiment: "button", subject: "x", context: {plan: ""})', "context.plan", "BAD_USER_INPUT"),
        ('assignments(experiment: "none", subjects: ["x", ""])', "experiment", "NOT_FOUND"),
        ('assignments(experiment: "button", subjects: ["x"], context: {plan: ""})', "context.plan", "BAD_USER_INPUT"),
    ):
        refused = await client.send(f"{{ {query} {{ variant }} }}")
        assert refused["errors"][0]["extensions"]["code"] == code, refused
        assert refused["errors"][0]["extensions"]["field"] == field
    many = await client.send(
        'query ($of: [String!]!) { assignments(experiment: "button", subjects: $of) { variant } }', of=["x"] * 1001
    )
    assert many["errors"][0]["extensions"]["field"] == "subjects"
    empty = await client.ask(RECORD, input={"experiment": "button", "subject": ""})
    assert empty["recordExposure"] == {"__typename": "InvalidInput", "field": "subject"}
    unknown = await client.ask(RECORD, input={"experiment": "none", "subject": "x"})
    assert unknown["recordExposure"] == {"__typename": "NotFound", "field": "experiment"}


async def test_one_of_many_subjects_that_cannot_be_read_takes_nothing_from_the_others(client: Client) -> None:
    await started(client)
    query = """query ($of: [String!]!) { assignments(experiment: "button", subjects: $of) {
      subject variant reason phase error { message code field } } }"""
    asked = ["s1", "", "s2", "x" * 501, " s3", "s3", "x" * 500]
    found = (await client.ask(query, of=asked))["assignments"]
    assert [one["subject"] for one in found] == asked
    wrong = {index: one for index, one in enumerate(found) if one["error"]}
    assert list(wrong) == [1, 3, 4]
    for index, one in wrong.items():
        assert (one["variant"], one["reason"], one["phase"]) == (None, "ERROR", 1)
        assert (one["error"]["code"], one["error"]["field"]) == ("BAD_USER_INPUT", f"subjects[{index}]")
        assert one["error"]["message"].startswith(f"subjects[{index}] ")
    good = (await client.ask(query, of=["s1", "s2", "s3", "x" * 500]))["assignments"]
    assert [one for one in found if not one["error"]] == good
    assert {one["reason"] for one in good} == {"ASSIGNED"}
    none = (await client.ask(query, of=[""]))["assignments"]
    assert [one["error"]["field"] for one in none] == ["subjects[0]"]


async def test_whom_is_in_a_segment(client: Client) -> None:
    await client.ingest(*LOG)
    await kept(client, "Buyers", BUYERS)
    await started(
        client,
        targeting={"segment": {"in": "Buyers"}},
        where={"segment": {"in": "Buyers"}},
        metrics=[{"metric": "conversion_rate"}],
    )
    found = await client.ask(
        '{ assignments(experiment: "button", subjects: ["ann", "cleo", "nobody"]) { subject reason } }'
    )
    assert [one["reason"] for one in found["assignments"]] == ["ASSIGNED", "TARGETING_MISS", "TARGETING_MISS"]
    for subject in ("ann", "cleo"):
        await client.ingest(shown(subject, "bold"))
    counted = await client.ask('{ experimentResults(experiment: "button") { units { units } uncounted { units } } }')
    assert counted["experimentResults"] == {"units": [{"units": 0}, {"units": 1}], "uncounted": [{"units": 1}]}
    missing = await client.ask(
        CREATE, input={"key": "k", "variants": VARIANTS, "targeting": {"segment": {"in": "Nobody"}}}
    )
    assert missing["createExperiment"]["__typename"] == "InvalidInput"
