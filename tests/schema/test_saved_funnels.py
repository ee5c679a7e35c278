"""Funnels that are kept: saved, listed, asked again, deleted."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from resolvers.analysis.periods import PeriodRequest
from resolvers.analysis.questions import Question
from resolvers.context import Role
from resolvers.errors import NotFound
from resolvers.funnels import FunnelPage, SavedFunnel
from schema.nodes import encode
from tests.schema.conftest import Recorder, answer
from tests.schema.test_analyses import DEFINITION, FUNNEL, SHOWN_FUNNEL

MADE = datetime(2026, 3, 1, tzinfo=UTC)
SAVED = SavedFunnel(12, "Shop", DEFINITION, MADE, MADE.replace(day=2))
GLOBAL_ID = encode("SavedFunnel", "12")
SHOWN = """id name definition {steps {name where} window entry} createdAt updatedAt"""
EXPECTED = {
    "id": GLOBAL_ID,
    "name": "Shop",
    "definition": SHOWN_FUNNEL["definition"],
    "createdAt": "2026-03-01T00:00:00Z",
    "updatedAt": "2026-03-02T00:00:00Z",
}
SAVE = f"""mutation ($input: SaveFunnelInput!) {{saveFunnel(input: $input) {{
  __typename ... on SaveFunnelPayload {{funnel {{{SHOWN}}}}} ... on InvalidInput {{field}}}}}}"""
DELETE = f"""mutation ($id: ID!) {{deleteFunnel(input: {{id: $id}}) {{
  __typename ... on DeleteFunnelPayload {{deletedId funnel {{{SHOWN}}}}} ... on Error {{code}}
  ... on InvalidInput {{field}} ... on NotFound {{field}}}}}}"""
STEPS = [{"name": "view"}, {"name": "buy", "kind": "CONVERSION"}]


async def test_save(record: Callable[[str, Any], Recorder]) -> None:
    save = record("resolvers.funnels.save_funnel", SAVED)
    data = await answer(SAVE, role=Role.ANALYST, input={"name": "Shop", "steps": STEPS, "entry": "ANY"})
    assert data["saveFunnel"] == {"__typename": "SaveFunnelPayload", "funnel": EXPECTED}
    assert save.args == ("Shop", DEFINITION)


async def test_what_is_shown_can_be_saved_again(record: Callable[[str, Any], Recorder]) -> None:
    save = record("resolvers.funnels.save_funnel", SAVED)
    await answer(SAVE, input={"name": "Shop", **SHOWN_FUNNEL["definition"]})
    assert save.args == ("Shop", DEFINITION)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"steps": STEPS, "window": "1y"}, "window"),
        ({"steps": [STEPS[0], {"where": {"property": {"path": [], "exists": True}}}]}, "steps[1].where.property.path"),
        ({"steps": STEPS[:1]}, "steps"),
        ({"steps": STEPS * 20}, "steps"),
    ],
)
async def test_what_cannot_be_saved_is_a_typed_error(given: dict[str, Any], field: str) -> None:
    data = await answer(SAVE, input={"name": "Shop", **given})
    assert data["saveFunnel"] == {"__typename": "InvalidInput", "field": field}


async def test_delete(record: Callable[[str, Any], Recorder]) -> None:
    delete = record("resolvers.funnels.delete_funnel", SAVED)
    data = await answer(DELETE, id=GLOBAL_ID)
    assert data["deleteFunnel"] == {"__typename": "DeleteFunnelPayload", "deletedId": GLOBAL_ID, "funnel": EXPECTED}
    assert delete.args == (12,)


@pytest.mark.parametrize("key", ["99", "0", "-1", "x", "9" * 5_000, "²"])
async def test_a_funnel_that_is_not_there_is_not_found(key: str, record: Callable[[str, Any], Recorder]) -> None:
    delete = record("resolvers.funnels.delete_funnel", NotFound("There is no such funnel.", field="id"))
    data = await answer(DELETE, id=encode("SavedFunnel", key))
    assert data["deleteFunnel"] == {"__typename": "NotFound", "code": "NOT_FOUND", "field": "id"}
    assert delete.args == (99 if key == "99" else 0,)


@pytest.mark.parametrize("bad", [encode("Event", "12"), "12", ""])
async def test_an_id_of_something_else_is_refused(bad: str) -> None:
    data = await answer(DELETE, id=bad)
    assert data["deleteFunnel"] == {"__typename": "InvalidInput", "code": "BAD_USER_INPUT", "field": "id"}


@pytest.mark.parametrize("role", [Role.VIEWER, Role.INGEST])
async def test_a_viewer_keeps_nothing(role: Role, record: Callable[[str, Any], Recorder]) -> None:
    save = record("resolvers.funnels.save_funnel", SAVED)
    data = await answer(SAVE, role=role, input={"name": "Shop", "steps": STEPS})
    assert data["saveFunnel"] == {"__typename": "Forbidden"}
    data = await answer(DELETE, role=role, id=GLOBAL_ID)
    assert data["deleteFunnel"] == {"__typename": "Forbidden", "code": "FORBIDDEN"}
    assert not save.calls


async def test_the_list(record: Callable[[str, Any], Recorder]) -> None:
    funnels = record("resolvers.funnels.funnels", FunnelPage((SAVED,), ("12",), True))
    page = f"edges {{node {{{SHOWN}}}}} pageInfo {{endCursor}}"
    query = f"query ($after: String) {{funnels(first: 1, after: $after) {{{page}}}}}"
    data = await answer(query, role=Role.VIEWER)
    assert data["funnels"]["edges"] == [{"node": EXPECTED}]
    funnels = record("resolvers.funnels.funnels", FunnelPage((), (), False))
    await answer(query, after=data["funnels"]["pageInfo"]["endCursor"])
    assert funnels.kwargs == {"first": 1, "after": "12"}


async def test_node_finds_a_funnel_and_asks_it(record: Callable[[str, Any], Recorder]) -> None:
    record("resolvers.funnels.funnels_by_id", {SAVED.id: SAVED})
    funnel = record("resolvers.funnels.funnel_of_list", FUNNEL)
    data = await answer(
        """query ($id: ID!) {node(id: $id) {
          ... on SavedFunnel {name answer(period: {last: "7d"}, by: PLAN, top: 2) {groupCount}}}}""",
        id=GLOBAL_ID,
    )
    assert data["node"] == {"name": "Shop", "answer": {"groupCount": 1}}
    assert funnel.args == (DEFINITION, Question(PeriodRequest(last="7d"), by=("plan",), top=2))


@pytest.mark.parametrize("key", ["0", "x", "9" * 5_000, "2147483648"])
async def test_no_text_reaches_the_store_as_an_id(key: str, record: Callable[[str, Any], Recorder]) -> None:
    saved = record("resolvers.funnels.funnels_by_id", {})
    data = await answer("query ($id: ID!) {node(id: $id) {id}}", id=encode("SavedFunnel", key))
    assert data["node"] is None
    assert saved.args == ([],)
