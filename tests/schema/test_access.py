"""Each field refuses whom its role does not reach, and says in its description whom it answers."""

import re

import pytest
from graphql import GraphQLObjectType

from resolvers.context import Role
from resolvers.errors import Forbidden, Unauthenticated
from schema import schema
from schema.access import Needs
from tests.schema.conftest import answer, failure

SENDING = {"ingestEvents", "trackAiInteraction", "trackConversion", "trackEvent"}
SENDING |= {"trackExposure", "trackSpend", "trackSubscription", "trackTouchpoint", "recordExposure"}
SENDING |= {"recordFlagExposures"}
EVALUATING = {"evaluateFlags", "evaluateFlagsOf", "assignment", "assignments"}
"""What every key may ask."""
KEEPING = {"saveFunnel", "deleteFunnel", "acceptRecommendation", "dismissRecommendation"}
KEEPING |= {"setAiBudget", "deleteAiBudget"}
KEEPING |= {"saveHoldout", "deleteHoldout", "createExperiment", "updateExperiment"}
KEEPING |= {f"{step}Experiment" for step in ("start", "pause", "resume", "complete", "archive")}
KEEPING |= {"saveSegment", "refreshSegment", "deleteSegment", "savePersona", "deletePersona"}
PRICING = {"setModelPrice", "deleteModelPrice", "setExchangeRates", "deleteExchangeRate"}
KEEPING |= {"createFlag", "updateFlag", "setFlagEnvironment", "toggleFlag", "steerFlagRamp"}
PRICING |= {"archiveFlag"}
KEEPING |= {"createSlo", "updateSlo", "deleteSlo"}
READING = {"exportLink"}


def root_fields() -> list[tuple[str, str]]:
    roots = (schema._schema.type_map[name] for name in ("Query", "Mutation", "Subscription"))
    return [(root.name, name) for root in roots if isinstance(root, GraphQLObjectType) for name in root.fields]


NAMING = {"experimentUnits", "funnelSubjects", "subjectsAtRisk", "upsellCandidates", "valuableCustomers"}
NAMING |= {"segmentMembers"}
"""What tells of people by name what they did or will do, or what they belong to."""


def needed(root: str, name: str) -> Role | None:
    if name in EVALUATING:
        return None
    if root != "Mutation":
        return Role.ANALYST if name in NAMING else Role.VIEWER
    roles = {Role.INGEST: SENDING, Role.VIEWER: READING, Role.ADMIN: PRICING}
    return next((role for role, names in roles.items() if name in names), Role.ANALYST)


@pytest.mark.parametrize(("root", "name"), root_fields())
def test_every_root_field_declares_its_role(root: str, name: str) -> None:
    field = schema.get_type_by_name(root).get_field(  # type: ignore[union-attr]
        re.sub("([A-Z])", lambda match: "_" + match[1].lower(), name)
    )
    assert field is not None
    (extension,) = field.extensions
    assert isinstance(extension, Needs)
    assert extension.role is needed(root, name)
    (line,) = re.findall(r"Needs a key with the role (.*)\.$", field.description or "", re.MULTILINE)
    reached = {role.name for role in Role if extension.role is None or role.reaches(extension.role)}
    assert set(re.findall(r"`(\w+)`", line)) == reached


def test_the_lists_above_are_whole() -> None:
    assert {name for root, name in root_fields() if root == "Mutation"} == SENDING | KEEPING | PRICING | READING


@pytest.mark.parametrize(("role", "error"), [(None, Unauthenticated), (Role.INGEST, Forbidden)])
@pytest.mark.parametrize(
    "query",
    [
        "{metricCatalogue {slug}}",
        "{tenant {slug}}",
        '{node(id: "x") {id}}',
        "{funnels {pageInfo {hasNextPage}}}",
        "{events {pageInfo {hasNextPage}}}",
        "{revenue {orders}}",
    ],
)
async def test_a_query_is_refused(query: str, role: Role | None, error: type[Exception]) -> None:
    refused = await failure(query, role=role)
    assert isinstance(refused.original_error, error)


@pytest.mark.parametrize("role", [Role.VIEWER, Role.ANALYST, Role.ADMIN])
async def test_the_tenant_shows_who_asks(role: Role) -> None:
    data = await answer("{tenant {slug currency timezone role}}", role=role)
    assert data["tenant"] == {
        "slug": "acme",
        "currency": "EUR",
        "timezone": "Europe/Berlin",
        "role": role.name,
    }
