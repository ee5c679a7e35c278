"""What GraphQL itself refuses names the input at fault as resolvers do, by a dotted path, over every transport."""

from typing import Any

import pytest

from tests.client import Client

CREATE = "mutation ($input: CreateExperimentInput!) { createExperiment(input: $input) { __typename } }"
RESULTS = '{ experimentResults(experiment: "e"%s) { decision } }'
METRIC = {"slug": "s", "value": {"converts": {"name": ["a"]}}}
VARIANTS = [{"key": "a", "weight": "0.5", "control": True}, {"key": "b", "weight": "0.5"}]


def experiment(**given: Any) -> dict[str, Any]:
    return {"input": {"key": "e", "variants": VARIANTS, "metrics": [METRIC]} | given}


@pytest.mark.parametrize(
    ("query", "variables", "code", "field"),
    [
        # Of variables.
        (CREATE, experiment(colour="red"), "BAD_USER_INPUT", "colour"),
        (CREATE, experiment(variants=[{}, {"wieght": "1"}]), "BAD_USER_INPUT", "variants[0].key"),
        (
            CREATE,
            experiment(variants=[VARIANTS[0], {"key": "b", "weight": "1", "wieght": "1"}]),
            "BAD_USER_INPUT",
            "variants[1].wieght",
        ),
        (CREATE, experiment(variants=[VARIANTS[0], 3]), "BAD_USER_INPUT", "variants[1]"),
        (CREATE, experiment(metrics=[METRIC | {"role": "GAOL"}]), "BAD_USER_INPUT", "metrics[0].role"),
        (CREATE, experiment(metrics=[{"slug": "s", "value": {}}]), "BAD_USER_INPUT", "metrics[0].value"),
        (CREATE, {"input": 7}, "BAD_USER_INPUT", "input"),
        (CREATE, {}, "BAD_USER_INPUT", "input"),
        # By where a variable is used, not by how it is called.
        (
            "query ($w: FilterInput) { revenue(where: $w) { orders } }",
            {"w": {"all": [{"chanel": {"in": "x"}}]}},
            "BAD_USER_INPUT",
            "where.all[0].chanel",
        ),
        (
            "query ($one: [FilterInput!]!) { revenue(where: {any: $one}) { orders } }",
            {"one": [{"kind": ["SPEND"]}, {"chanel": {}}]},
            "BAD_USER_INPUT",
            "where.any[1].chanel",
        ),
        (
            "query ($s: [ID!]) " + RESULTS % ", bySegments: $s",
            {"s": ["a", {}]},
            "BAD_USER_INPUT",
            "bySegments[1]",
        ),
        # Written out.
        (RESULTS % ", fase: 1", {}, "GRAPHQL_VALIDATION_FAILED", "fase"),
        (RESULTS % ", phase: one", {}, "GRAPHQL_VALIDATION_FAILED", "phase"),
        ("{ experimentResults { decision } }", {}, "GRAPHQL_VALIDATION_FAILED", "experiment"),
        (
            '{ revenue(where: {all: [{kind: CONVERSION}, {chanel: {in: "y"}}]}) { orders } }',
            {},
            "GRAPHQL_VALIDATION_FAILED",
            "where.all[1].chanel",
        ),
        (
            'mutation { createExperiment(input: {key: "e", variants: [{weight: "1"}], metrics: []}) { __typename } }',
            {},
            "GRAPHQL_VALIDATION_FAILED",
            "variants[0].key",
        ),
        ("mutation { createExperiment(inptu: {}) { __typename } }", {}, "GRAPHQL_VALIDATION_FAILED", "inptu"),
        ("{ revenue(where: $w) { orders } }", {}, "GRAPHQL_VALIDATION_FAILED", "where"),
        ("query ($w: Int) { revenue(where: $w) { orders } }", {}, "GRAPHQL_VALIDATION_FAILED", "where"),
        ("{ revenue(top: 1, top: 2) { orders } }", {}, "GRAPHQL_VALIDATION_FAILED", "top"),
        ("{ revenue @skip(when: true) { orders } }", {}, "GRAPHQL_VALIDATION_FAILED", "when"),
        # What is no input has a place in the text alone.
        ("{ revenu { orders } }", {}, "GRAPHQL_VALIDATION_FAILED", None),
    ],
)
async def test_the_field_at_fault_is_named_over_every_transport(
    client: Client, query: str, variables: dict[str, Any], code: str, field: str | None
) -> None:
    expected = {"code": code} | ({} if field is None else {"field": field})
    refused = [(await client.send(query, **variables))["errors"][0]]
    async with client.stream(query, **variables) as answers:
        refused.append((await anext(answers))["errors"][0])
    async with client.socket() as socket:
        await socket.subscribe(query, **variables)
        told = (await socket.get())["payload"]
        refused.append((told["errors"] if isinstance(told, dict) else told)[0])
    assert [one["extensions"] for one in refused] == [expected] * 3
