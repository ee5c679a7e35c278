"""Segments of those who dropped out of a funnel, and names that may change, as their users meet them."""

from typing import Any

from tests.client import Client
from tests.factories import event
from tests.gateway.test_ai import SET
from tests.gateway.test_experiments import created
from tests.gateway.test_segments import BUYERS, DELETE, LOG, REFRESH, ago, kept, save, whom

KEEP = """mutation ($input: SaveFunnelInput!) { saveFunnel(input: $input) { __typename
  ... on SaveFunnelPayload { funnel { id definition { steps { where } } } }
  ... on Error { message } ... on InvalidInput { field } } }"""
DROP = """mutation ($id: ID!) { deleteFunnel(input: {id: $id}) { __typename
  ... on Error { message } ... on InvalidInput { field } } }"""
STEPS = [{"event": "signup"}, {"event": "purchase"}]


async def funnel(client: Client, name: str = "Buying", **more: Any) -> dict[str, Any]:
    return dict((await client.ask(KEEP, input={"name": name, "steps": STEPS} | more))["saveFunnel"])


async def test_who_dropped_out_of_a_funnel_becomes_a_segment_and_leaves_it_with_time(client: Client) -> None:
    people = ("ann", "bob", "cleo")
    await client.ingest(*(event(name="signup", subject=who, occurredAt=ago(3)) for who in people))
    await client.ingest(event(name="purchase", subject="ann", occurredAt=ago(2)))
    made = (await funnel(client))["funnel"]
    rule = {"funnel": {"funnel": "Buying", "step": 1, "period": {"last": "30d"}}}
    lost = await kept(client, "Lost", rule)
    assert whom(lost) == ["bob", "cleo"]
    # As it is shown it can be sent again: by the funnel's id, which stays whatever its name becomes.
    assert lost["rules"] == {"funnel": rule["funnel"] | {"funnel": made["id"], "outcome": "DROPPED"}}
    won = await kept(client, "Won", {"funnel": lost["rules"]["funnel"] | {"outcome": "REACHED"}})
    assert whom(won) == ["ann"]
    question = '{ metric(slug: "unique_subjects", where: {segment: {in: "Lost"}}) { estimate { value } } }'
    assert (await client.ask(question))["metric"]["estimate"]["value"] == "2"
    await client.ingest(event(name="purchase", subject="bob", occurredAt=ago(1)))
    assert (await client.ask(REFRESH, id=lost["id"]))["refreshSegment"]["segment"] == {"size": 1}
    assert (await client.ask(question))["metric"]["estimate"]["value"] == "1"
    preview = (
        "query ($rules: SegmentRuleInput!) { previewSegment(rules: $rules) { size conditions { path subjects } } }"
    )
    assert (await client.ask(preview, rules={"not": rule}))["previewSegment"] == {
        "size": 2,
        "conditions": [{"path": "rules.not", "subjects": 1}],
    }
    refused = (await client.ask(DROP, id=made["id"]))["deleteFunnel"]
    assert (refused["__typename"], refused["field"]) == ("InvalidInput", "id")
    assert refused["message"] == ('The rules of the segments "Lost", "Won" ask about it; change or delete these first.')


async def test_what_no_funnel_can_tell_is_a_typed_error(client: Client, stranger: Client) -> None:
    await funnel(client)
    theirs = (await funnel(stranger))["funnel"]["id"]
    for given, field in (
        ({"funnel": "Nothing", "step": 1}, "rules.funnel.funnel"),
        ({"funnel": theirs, "step": 5}, "rules.funnel.step"),
        ({"funnel": "Buying", "step": 0}, "rules.funnel.step"),
        ({"funnel": "Buying", "step": 1, "period": {"last": "a while"}}, "rules.funnel.period.last"),
        ({"funnel": "Buying", "step": 1, "where": {"segment": {"in": "Other"}}}, "rules.funnel.where"),
    ):
        answer = await save(client, "Wrong", {"funnel": given})
        if given["funnel"] == theirs:
            # Ids are of a tenant: nobody learns whether another one has it.
            assert answer["__typename"] == "InvalidInput"
            continue
        assert (answer["__typename"], answer["field"]) == ("InvalidInput", field), answer
    await kept(client, "Buyers", BUYERS)
    await funnel(client, "Aimed", steps=[STEPS[0], {"event": "purchase", "where": {"segment": {"in": "Buyers"}}}])
    circle = await save(client, "Buyers", {"funnel": {"funnel": "Aimed", "step": 1}})
    assert (circle["__typename"], circle["field"]) == ("InvalidInput", "rules.funnel.funnel")


async def test_a_segment_gets_another_name_and_whatever_was_kept_goes_on(client: Client) -> None:
    await client.ingest(*LOG)
    segment = await kept(client, "Buyers", BUYERS)
    inside = {"segment": {"in": "Buyers"}}
    await client.ask(SET, input={"name": "chat", "amount": "5", "where": inside})
    await created(client, key="aimed", targeting=inside)
    aimed = await funnel(client, "Aimed", steps=[{"event": "purchase", "where": inside}, {"event": "purchase"}])
    shown = {"segment": {"in": [segment["id"]]}}
    assert aimed["funnel"]["definition"]["steps"][0]["where"] == {"all": [{"name": ["purchase"]}, shown]}
    await kept(client, "Customers", BUYERS, id=segment["id"])
    asked = await client.ask(
        '{ aiBudget(name: "chat") { spent } experiment(key: "aimed") { targeting }'
        ' savedFunnel(name: "Aimed") { answer { steps { count } } } }'
    )
    assert asked["experiment"]["targeting"] == shown
    assert [one["count"] for one in asked["savedFunnel"]["answer"]["steps"]] == [2, 1]
    refused = (await client.ask(DELETE, id=segment["id"]))["deleteSegment"]
    assert refused["message"] == (
        'It is named by the experiment "aimed", the budget "chat", the funnel "Aimed"; change or delete these first.'
    )


async def test_what_has_a_name_is_found_by_it(client: Client, stranger: Client) -> None:
    segment = await kept(client, "Buyers", BUYERS)
    made = (await funnel(client))["funnel"]
    found = await client.ask(
        """query ($s: ID!, $f: ID!) { segment(name: "Buyers") { id } again: segment(id: $s) { name }
        savedFunnel(name: "Buying") { id } once: savedFunnel(id: $f) { name } none: segment(name: "Nobody") { id }
        persona(slug: "champion") { name } }""",
        s=segment["id"],
        f=made["id"],
    )
    assert found == {
        "segment": {"id": segment["id"]},
        "again": {"name": "Buyers"},
        "savedFunnel": {"id": made["id"]},
        "once": {"name": "Buying"},
        "none": None,
        "persona": None,
    }
    theirs = await stranger.ask('{ segment(name: "Buyers") { id } savedFunnel(name: "Buying") { id } }')
    assert theirs == {"segment": None, "savedFunnel": None}
    for arguments, field in (("", "id"), (f'(id: "{segment["id"]}", name: "Buyers")', "name")):
        refused = await client.send(f"{{ segment{arguments} {{ id }} }}")
        assert refused["errors"][0]["extensions"] == {"code": "BAD_USER_INPUT", "field": field}
