"""Funnels as their users ask them, over HTTP and WebSocket."""

import asyncio
from typing import Any

import pytest

from resolvers.context import Role
from resolvers.store.database import Database
from tests.client import Client
from tests.conftest import new_client
from tests.factories import event

PERIOD = '{from: "2026-03-01T00:00:00Z", to: "2026-03-03T00:00:00Z"}'
STEPS = '[{name: "view"}, {name: "try", optional: true}, {name: "cart", within: "2h"}, {name: "buy"}]'
RULES = 'exclusions: [{event: "help", after: 2, effect: REMOVE}], constant: [{trait: SESSION}, {dimension: FEATURE}]'
ASKED = f'steps: {STEPS}, window: "6h", entry: ANY, strictlyLater: true, {RULES}, period: {PERIOD}'


def path(subject: str, *names: str, **fields: Any) -> list[dict[str, Any]]:
    """A subject's events, an hour apart."""
    given = {"session": "s", "dimensions": {"feature": "f", "plan": "pro"}} | fields
    return [
        event(subject=subject, name=name, occurredAt=f"2026-03-01T{hour:02}:00:00Z", **given)
        for hour, name in enumerate(names, start=1)
    ]


LOG = [
    *path("all", "view", "try", "cart", "buy"),
    *path("skips", "view", "cart", "other", "buy"),
    *path("helped", "view", "cart", "help", "buy"),
    *path("slow", "view", "other", "other", "cart", "buy"),
    *path("stays", "view"),
    *path("unheld", "view", "cart", "buy", session=None),
    *path("elsewhere", "view")[:1],
    *path("elsewhere", "other", "cart", "buy", dimensions={"feature": "g"}),
]


async def test_a_funnel_by_every_rule(client: Client) -> None:
    await client.ingest(*LOG)
    asked = await client.ask(
        f"""{{ funnel({ASKED}, granularity: DAY, by: [PLAN], byStep: null) {{
          definition {{ order strictlyLater counting steps {{ name optional within }}
            exclusions {{ where after before effect }} constant {{ dimension trait property }} }}
          steps {{ name optional count dropped timeFromPrevious {{ converters median }} }}
          biggestLeak {{ name dropped }}
          timeToConvert {{ median }}
          series {{ at conversion counts }}
          groups {{ keys {{ value }} steps {{ count }} }} explain {{ source }} }} }}"""
    )
    assert asked["funnel"] == {
        "definition": {
            "order": "ORDERED",
            "strictlyLater": True,
            "counting": "SUBJECTS",
            "steps": [
                {"name": "view", "optional": False, "within": None},
                {"name": "try", "optional": True, "within": None},
                {"name": "cart", "optional": False, "within": "2h"},
                {"name": "buy", "optional": False, "within": None},
            ],
            "exclusions": [{"where": {"name": ["help"]}, "after": 2, "before": None, "effect": "REMOVE"}],
            "constant": [
                {"dimension": None, "trait": "SESSION", "property": None},
                {"dimension": "FEATURE", "trait": None, "property": None},
            ],
        },
        "steps": [
            {"name": "view", "optional": False, "count": 5, "dropped": 0, "timeFromPrevious": None},
            {
                "name": "try",
                "optional": True,
                "count": 1,
                "dropped": 4,
                "timeFromPrevious": {"converters": 1, "median": "3600"},
            },
            {
                "name": "cart",
                "optional": False,
                "count": 2,
                "dropped": 3,
                "timeFromPrevious": {"converters": 2, "median": "5400"},
            },
            {
                "name": "buy",
                "optional": False,
                "count": 2,
                "dropped": 0,
                "timeFromPrevious": {"converters": 2, "median": "5400"},
            },
        ],
        "biggestLeak": {"name": "cart", "dropped": 3},
        "timeToConvert": {"median": "10800"},
        "series": {
            "at": ["2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z"],
            "conversion": [0.4, None],
            "counts": [[5, 0], [1, 0], [2, 0], [2, 0]],
        },
        "groups": [{"keys": [{"value": "pro"}], "steps": [{"count": 5}, {"count": 1}, {"count": 2}, {"count": 2}]}],
        "explain": {"source": "LOG"},
    }


@pytest.mark.parametrize(
    ("rules", "counts"),
    [
        ("", [8, 6, 6]),
        ("order: STRICT", [8, 4, 2]),
        ('order: STRICT, where: {not: {name: ["try"]}}', [8, 5, 3]),
        ("order: ANY", [8, 7, 6]),
        ("counting: TOTALS", [8, 6, 6]),
        ("counting: SESSIONS", [7, 5, 5]),
        ('exclusions: [{event: "help"}]', [8, 6, 5]),
        ('exclusions: [{event: "help", effect: REMOVE}]', [7, 5, 5]),
        ("constant: [{dimension: FEATURE}]", [8, 5, 5]),
        ('constant: [{property: ["none"]}]', [0, 0, 0]),
    ],
)
async def test_one_rule_each(client: Client, rules: str, counts: list[int]) -> None:
    await client.ingest(*LOG, *path("backwards", "cart", "view"))
    field = f'funnel(steps: [{{name: "view"}}, {{name: "cart"}}, {{name: "buy"}}], period: {PERIOD}, {rules})'
    asked = await client.ask(f"{{ {field} {{ steps {{ count }} }} }}")
    assert [step["count"] for step in asked["funnel"]["steps"]] == counts


async def test_a_kept_funnel_keeps_its_rules(client: Client) -> None:
    await client.ingest(*LOG)
    rules = ASKED.removesuffix(f", period: {PERIOD}")
    saved = await client.ask(
        f"""mutation {{ saveFunnel(input: {{name: "kept", {rules}}}) {{
          ... on SaveFunnelPayload {{ funnel {{ id }} }} }} }}"""
    )
    node = await client.ask(
        f"""query ($id: ID!) {{ node(id: $id) {{ ... on SavedFunnel {{
          answer(period: {PERIOD}, granularity: DAY, byStep: 2) {{ steps {{ count }} series {{ at }} }}
          correlations(period: {PERIOD}) {{ entered converted tested untested }}
          subjects(period: {PERIOD}, step: 2, first: 2) {{ edges {{ node {{ subject }} }} pageInfo {{ hasNextPage }} }}
        }} }} }}""",
        id=saved["saveFunnel"]["funnel"]["id"],
    )
    assert [step["count"] for step in node["node"]["answer"]["steps"]] == [5, 1, 2, 2]
    assert len(node["node"]["answer"]["series"]["at"]) == 2
    assert node["node"]["correlations"] == {"entered": 5, "converted": 2, "tested": 0, "untested": 16}
    assert [edge["node"]["subject"] for edge in node["node"]["subjects"]["edges"]] == ["slow", "stays"]
    assert node["node"]["subjects"]["pageInfo"]["hasNextPage"]


FORTY = ", ".join(['{name: "a"}'] * 40)
SUBJECTS = f"""query ($after: String) {{ funnelSubjects({ASKED}, step: 2, first: 1, after: $after) {{
  edges {{ node {{ id subject }} }} pageInfo {{ endCursor hasNextPage }} }} }}"""


async def test_who_dropped_out_is_told_page_by_page(client: Client, stranger: Client) -> None:
    await client.ingest(*LOG)
    found, after = [], None
    while True:
        page = (await client.ask(SUBJECTS, after=after))["funnelSubjects"]
        found += [edge["node"] for edge in page["edges"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert [one["subject"] for one in found] == ["slow", "stays", "elsewhere"]
    node = "query ($id: ID!) { node(id: $id) { ... on Subject { subject } } }"
    assert (await client.ask(node, id=found[0]["id"]))["node"] == {"subject": "slow"}
    assert (await stranger.ask(node, id=found[0]["id"]))["node"] is None
    assert (await stranger.ask(SUBJECTS, after=None))["funnelSubjects"]["edges"] == []


async def test_a_viewer_is_not_told_names(client: Client, owner: Database) -> None:
    viewer = await new_client(client.address, owner, client.http, Role.VIEWER)
    (error,) = (await viewer.send(SUBJECTS, after=None))["errors"]
    assert error["extensions"]["code"] == "FORBIDDEN"
    watched = SUBJECTS.replace("query", "subscription", 1)
    async with viewer.socket() as socket:
        await socket.subscribe(watched)
        assert (await socket.get())["payload"]["errors"][0]["extensions"]["code"] == "FORBIDDEN"


async def test_who_dropped_out_is_watched(client: Client) -> None:
    await client.ingest(*LOG)
    page = (await client.ask(SUBJECTS, after=None))["funnelSubjects"]
    async with asyncio.timeout(20), client.socket() as socket:
        await socket.subscribe(SUBJECTS.replace("query", "subscription", 1))
        assert (await socket.next())["funnelSubjects"] == page
        hurried = SUBJECTS.replace("query", "subscription", 1).replace("step: 2", 'every: "1s", step: 2')
        await socket.subscribe(hurried, id="hurried")
        assert (await socket.get())["payload"]["errors"][0]["extensions"]["field"] == "every"
    aged = SUBJECTS.replace("step: 2", 'maxAge: "1h", step: 2')
    assert (await client.ask(aged, after=None))["funnelSubjects"] == page
    await client.ingest(*path("new", "view"))
    assert (await client.ask(aged, after=None))["funnelSubjects"] == page
    new = (await client.ask(SUBJECTS.replace("first: 1", "first: 9"), after=None))["funnelSubjects"]["edges"]
    assert [edge["node"]["subject"] for edge in new] == ["slow", "stays", "elsewhere", "new"]


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ('steps: [{name: "a", optional: true}, {name: "b"}]', "steps[0].optional"),
        ('steps: [{name: "a"}, {name: "b", within: "0m"}]', "steps[1].within"),
        ('steps: [{name: "a"}, {name: "b", within: "1mo"}]', "steps[1].within"),
        ('steps: [{name: "a"}, {name: "b"}], window: "0s"', "window"),
        ('steps: [{name: "a"}, {name: "b"}], exclusions: [{}]', "exclusions[0]"),
        ('steps: [{name: "a"}, {name: "b"}], exclusions: [{event: "a\\u0000"}]', "exclusions[0].event"),
        ('steps: [{name: "a"}, {name: "b"}], exclusions: [{event: "x", before: 2}]', "exclusions[0].before"),
        ('steps: [{name: "a"}, {name: "b"}], constant: [{}]', "constant[0]"),
        ('steps: [{name: "a"}, {name: "b"}], constant: [{property: []}]', "constant[0].property"),
        ('steps: [{name: "a"}, {name: "b"}], byStep: 2', "byStep"),
        (f"steps: [{FORTY}]", "steps"),
    ],
)
async def test_a_funnel_that_is_none_is_refused_with_the_field(client: Client, arguments: str, field: str) -> None:
    (error,) = (await client.send(f"{{ funnel({arguments}) {{ groupCount }} }}"))["errors"]
    assert (error["extensions"]["code"], error["extensions"]["field"]) == ("BAD_USER_INPUT", field)


async def test_a_live_funnel_follows_its_rules(client: Client) -> None:
    watched = f'funnel({ASKED}, every: "100ms") {{ steps {{ count }} }}'
    async with asyncio.timeout(20), client.socket() as socket:
        await socket.subscribe(f"subscription {{ {watched} }}")
        assert [step["count"] for step in (await socket.next())["funnel"]["steps"]] == [0, 0, 0, 0]
        await client.ingest(*path("ann", "view", "try", "cart", "buy"))
        assert [step["count"] for step in (await socket.next())["funnel"]["steps"]] == [1, 1, 1, 1]
        # An excluded event that comes late takes her out again.
        late = event(
            subject="ann", name="help", occurredAt="2026-03-01T03:30:00Z", session="s", dimensions={"feature": "f"}
        )
        await client.ingest(late)
        assert [step["count"] for step in (await socket.next())["funnel"]["steps"]] == [0, 0, 0, 0]
