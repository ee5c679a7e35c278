"""Experiments and segments: effects among members, and segments that cannot be deleted while something names them."""

import asyncio
from typing import Any

from tests.client import Client
from tests.factories import event
from tests.gateway.test_ai import SET
from tests.gateway.test_experiments import (
    HOUR,
    METRICS,
    START,
    UPDATE,
    bought,
    created,
    crowd,
    shown,
    started,
    step,
)
from tests.gateway.test_personas import save as save_persona
from tests.gateway.test_segments import DELETE, kept

LOYAL = {"did": {"where": {"name": "login"}}}
RICH = {"did": {"where": {"name": "purchase"}, "total": {"measure": "AMOUNT", "atLeast": "50"}}}
BROKEN_DOWN = """experimentResults(experiment: "button", %s) { units { units } decision
  segments { name segmentId units membersAsOf metrics { slug family cap arms { variant estimate { numerator n } }
    effects { pValue holmPValue benjaminiHochbergPValue undefined } } } }"""


def logged_in(subject: str) -> dict[str, Any]:
    return event(name="login", subject=subject, occurredAt=START - HOUR)


async def asked(client: Client, arguments: str) -> dict[str, Any]:
    return dict((await client.ask(f"{{ {BROKEN_DOWN % arguments} }}"))["experimentResults"])


async def test_effects_among_the_members_of_segments(client: Client) -> None:
    await started(client, metrics=[METRICS[0], {"metric": "revenue", "role": "SECONDARY", "capAt": "0.9"}])
    await client.ingest(*crowd(40, 40, 10, 20), bought("bold0", "90", START + 3 * HOUR))
    # Of 20 in each variant 10 and 15 buy; somebody else was shown nothing.
    members = [*(f"plain{n}" for n in range(20)), *(f"bold{n}" for n in range(5, 25)), "stranger"]
    await client.ingest(*map(logged_in, members))
    loyal = await kept(client, "Loyal", LOYAL)
    await kept(client, "Nobody", {"subjects": ["nobody"]})
    found = await asked(client, f'bySegments: ["{loyal["id"]}", "Nobody"]')
    assert [one["units"] for one in found["units"]] == [40, 40]
    first, nobody = found["segments"]
    assert (first["name"], first["segmentId"], first["units"]) == ("Loyal", loyal["id"], 40)
    assert first["membersAsOf"] == loyal["asOf"]
    goal, revenue = first["metrics"]
    assert [arm["estimate"] for arm in goal["arms"]] == [{"numerator": "10", "n": 20}, {"numerator": "15", "n": 20}]
    # Whoever spent most is no member; the cap is that of all units.
    assert [arm["estimate"]["numerator"] for arm in revenue["arms"]] == ["100", "150"]
    assert revenue["cap"] == "10"
    # One test of two is defined: it alone is corrected for.
    assert goal["family"] == 1
    assert nobody["units"] == 0
    assert nobody["metrics"][0]["effects"][0]["undefined"] == "Both arms need a unit."
    # Of everybody twice under two names each p-value counts for two.
    await kept(client, "Again", {"any": [LOYAL, {"subjects": ["stranger"]}]})
    twice = await asked(client, 'bySegments: ["Loyal", "Again"]')
    one, other = (segment["metrics"][0] for segment in twice["segments"])
    assert (one["family"], other["family"]) == (2, 2)
    assert one["effects"][0]["pValue"] == other["effects"][0]["pValue"] == goal["effects"][0]["pValue"]
    alone, both = goal["effects"][0]["holmPValue"], one["effects"][0]["holmPValue"]
    assert both == min(1.0, 2 * alone)
    assert one["effects"][0]["benjaminiHochbergPValue"] == alone
    assert (await asked(client, "overTime: false"))["segments"] == []


async def test_members_who_spend_most_count_as_the_cap(client: Client) -> None:
    await started(client, metrics=[{"metric": "revenue", "capAt": "0.5"}])
    await client.ingest(*crowd(2, 3, 2, 3), bought("bold0", "90", START + 3 * HOUR))
    await kept(client, "Rich", RICH)
    (rich,) = (await asked(client, 'bySegments: ["Rich"]'))["segments"]
    assert rich["metrics"][0]["cap"] == "10"
    assert [arm["estimate"] for arm in rich["metrics"][0]["arms"]] == [
        {"numerator": "0", "n": 0},
        {"numerator": "10", "n": 1},
    ]


async def test_who_leaves_a_segment_keeps_the_variant_that_was_shown(client: Client) -> None:
    people = ["ann", "bob", "cat"]
    await client.ingest(*map(logged_in, people))
    await kept(client, "Loyal", {"subjects": people})
    made = await started(client, targeting={"segment": {"in": "Loyal"}})
    query = 'query ($of: [String!]!) { assignments(experiment: "button", subjects: $of) { variant reason } }'

    async def assigned() -> list[tuple[str | None, str]]:
        found = (await client.ask(query, of=people))["assignments"]
        return [(one["variant"], one["reason"]) for one in found]

    ann, bob, cat = before = await assigned()
    assert {reason for _, reason in before} == {"ASSIGNED"}
    await client.ingest(shown("ann", ann[0] or ""))
    await kept(client, "Loyal", {"subjects": ["cat"]})
    assert await assigned() == [(ann[0], "EXPOSED_BEFORE"), (None, "TARGETING_MISS"), cat]
    await kept(client, "Loyal", {"subjects": people})
    assert await assigned() == [ann, bob, cat]
    await step(client, "pause", made)
    assert {reason for _, reason in await assigned()} == {"NOT_RUNNING"}


async def test_a_watcher_is_told_when_members_change(client: Client) -> None:
    await started(client, metrics=METRICS[:1])
    await client.ingest(*crowd(4, 4, 1, 2))
    await kept(client, "Some", {"subjects": ["plain0", "bold0"]})
    question = 'experimentResults(experiment: "button", bySegments: ["Some"], every: "100ms") { segments { units } }'
    async with client.stream(f"subscription {{ {question} }}") as answers, asyncio.timeout(20):
        assert (await anext(answers))["data"]["experimentResults"]["segments"] == [{"units": 2}]
        await kept(client, "Some", {"subjects": ["plain0", "bold0", "bold1"]})
        assert (await anext(answers))["data"]["experimentResults"]["segments"] == [{"units": 3}]


async def test_what_is_no_segment_is_refused_by_field(client: Client, stranger: Client) -> None:
    await started(client)
    mine = await kept(client, "Mine", LOYAL)
    theirs = await kept(stranger, "Theirs", LOYAL)
    for named, field in (
        (["Mine", "Nobody"], "bySegments[1]"),
        ([theirs["id"]], "bySegments[0]"),
        (["Theirs"], "bySegments[0]"),
        (["Mine", mine["id"]], "bySegments[0]"),
        (["Mine"] * 11, "bySegments"),
    ):
        refused = await client.send(
            'query ($of: [ID!]) { experimentResults(experiment: "button", bySegments: $of) { days } }', of=named
        )
        assert refused["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
        assert refused["errors"][0]["extensions"]["field"] == field


async def deleted(client: Client, segment_id: str) -> dict[str, Any]:
    return dict((await client.ask(DELETE, id=segment_id))["deleteSegment"])


async def test_a_segment_that_an_experiment_names_stays(client: Client, stranger: Client) -> None:
    inside = {"segment": {"in": "Loyal"}}
    segment = (await kept(client, "Loyal", LOYAL))["id"]
    converts = {"slug": "s", "value": {"converts": {"all": [{"name": ["purchase"]}, {"segment": {"in": [segment]}}]}}}
    made = [
        (await created(client, key=key, **given))["id"]
        for key, given in (
            ("aimed", {"targeting": inside}),
            ("counted", {"where": {"not": inside}}),
            ("measured", {"metrics": [converts]}),
        )
    ]
    # Others' segments of the same name are nobody's business.
    other = (await kept(stranger, "Loyal", LOYAL))["id"]
    assert (await deleted(stranger, other))["__typename"] == "DeleteSegmentPayload"
    refused = await deleted(client, segment)
    assert (refused["__typename"], refused["field"], refused["message"]) == (
        "InvalidInput",
        "id",
        'It is named by the experiment "aimed", the experiment "counted", the experiment "measured"; change or delete '
        "these first.",
    )
    await client.ask(UPDATE, input={"id": made[0], "targeting": {"subject": ["ann"]}})
    await step(client, "archive", made[1])
    assert (await deleted(client, segment))["message"].startswith('It is named by the experiment "measured";')
    await step(client, "archive", made[2])
    assert (await deleted(client, segment))["__typename"] == "DeleteSegmentPayload"


async def test_a_segment_that_a_budget_names_stays(client: Client) -> None:
    segment = (await kept(client, "Loyal", LOYAL))["id"]
    budget = {"name": "chat", "amount": "5"}
    await client.ask(SET, input=budget | {"where": {"segment": {"in": [segment]}}})
    assert (await deleted(client, segment))["message"].startswith('It is named by the budget "chat";')
    await client.ask(SET, input=budget)
    assert (await deleted(client, segment))["__typename"] == "DeleteSegmentPayload"


async def test_a_persona_that_an_experiment_names_stays(client: Client) -> None:
    made = await save_persona(client, slug="loyal", name="Loyal", rules=LOYAL)
    await created(client, targeting={"segment": {"in": "persona/loyal"}})
    remove = """mutation ($id: ID!) { deletePersona(input: {id: $id}) { __typename
      ... on InvalidInput { field message } } }"""
    refused = (await client.ask(remove, id=made["persona"]["id"]))["deletePersona"]
    assert (refused["__typename"], refused["field"]) == ("InvalidInput", "id")
    assert refused["message"].startswith('It is named by the experiment "button";')
