"""Who was exposed to experiments, one by one, over HTTP: in pages, as files, and in sum the results."""

import csv
import io
from decimal import Decimal
from typing import Any

import pytest

from gateway.app import Gateway
from resolvers.context import Role
from resolvers.experiment_upkeep import fold_experiments
from resolvers.store.database import Database
from tests.client import Client
from tests.conftest import new_client
from tests.gateway.exported import get
from tests.gateway.test_experiments import HOUR, METRICS, START, bought, created, crowd, shown, started

UNITS = """query ($first: Int! = 50, $after: String) { it: experimentUnits(experiment: "button", first: $first,
  after: $after) { pageInfo { hasNextPage endCursor } edges { node { id experiment subject variant phase uncounted
    exposedAt multiple metrics { metric value divisor covariate } } } } }"""
RATIO = {"slug": "per_order", "value": {"sum": {"measure": "AMOUNT"}}, "per": {"orders": {"name": ["purchase"]}}}


async def every_unit(client: Client, first: int = 500) -> list[dict[str, Any]]:
    found, after, more = [], None, True
    while more:
        page = (await client.ask(UNITS, first=first, after=after))["it"]
        found += [edge["node"] for edge in page["edges"]]
        more, after = page["pageInfo"]["hasNextPage"], page["pageInfo"]["endCursor"]
    return found


async def totals(client: Client) -> dict[tuple[str, str], tuple[Decimal, int]]:
    """By metric and variant what the results say: the numerator, and of how many."""
    asked = "metrics { slug arms { variant estimate { numerator n } } }"
    found = (await client.ask(f'{{ experimentResults(experiment: "button") {{ {asked} }} }}'))["experimentResults"]
    return {
        (metric["slug"], arm["variant"]): (Decimal(arm["estimate"]["numerator"]), arm["estimate"]["n"])
        for metric in found["metrics"]
        for arm in metric["arms"]
    }


@pytest.mark.parametrize("folded", ["no", "half", "all"])
async def test_units_are_what_results_are_sums_of(client: Client, gateway: tuple[str, Gateway], folded: str) -> None:
    holder, services = await gateway[1].authenticate(client.key), gateway[1].services
    assert holder is not None
    await started(client, metrics=[METRICS[0], METRICS[1], RATIO], where={"not": {"name": ["bot"]}})
    old = bought("bold1", amount="2.50", at=START - HOUR)
    early = [*crowd(7, 6, 2, 3), old, shown("robot", "bold") | {"name": "bot"}, shown("soon", "bold", START - HOUR)]
    late = [shown("plain0", "bold", START + 3 * HOUR), shown("odd", "third"), *crowd(9, 6, 3, 3)[10:], bought("plain6")]
    late = [one | {"id": f"late{number}"} for number, one in enumerate(late)]
    await client.ingest(*early)
    if folded == "half":
        await fold_experiments(services.database, services.memory, holder.tenant_id)
    await client.ingest(*late)
    if folded == "all":
        await fold_experiments(services.database, services.memory, holder.tenant_id)
    units = await every_unit(client)
    assert await every_unit(client, 4) == units
    sums: dict[tuple[str, str], tuple[Decimal, int]] = {}
    for one in units:
        for value in one["metrics"]:
            total, n = sums.get((value["metric"], one["variant"]), (Decimal(0), 0))
            sums[value["metric"], one["variant"]] = (total + Decimal(value["value"]), n + 1)
    assert sums == await totals(client)
    by_name = {one["subject"]: one for one in units}
    uncounted = {name: one["uncounted"] for name, one in by_name.items() if one["uncounted"]}
    assert uncounted == {"robot": "LEFT_OUT", "soon": "BEFORE_START", "odd": "UNKNOWN_VARIANT"}
    assert (by_name["odd"]["variant"], by_name["odd"]["phase"], by_name["odd"]["metrics"]) == (None, None, [])
    assert (by_name["plain0"]["variant"], by_name["plain0"]["multiple"], by_name["plain1"]["multiple"]) == (
        "plain",
        True,
        False,
    )
    rate, revenue, ratio = by_name["bold1"]["metrics"]
    assert (rate["divisor"], rate["covariate"]) == (None, None)
    assert (revenue["covariate"], revenue["divisor"]) == ("2.5", None)
    # It bought once before and once after half of them had come.
    assert (rate["value"], ratio["divisor"], ratio["covariate"]) == ("1", "2", None)


async def test_they_are_had_as_a_file_and_again_by_their_id(client: Client, stranger: Client) -> None:
    await started(client, metrics=METRICS[:1])
    await client.ingest(*crowd(2, 1, 1, 0))
    file = await get(client, "/export/experimentUnits.csv", arguments={"experiment": "button"})
    found = [(row["subject"], row["variant"], row["phase"]) for row in csv.DictReader(io.StringIO(file.text))]
    assert found == [("plain0", "plain", "1"), ("plain1", "plain", "1"), ("bold0", "bold", "1")]
    file = await get(client, "/export/experimentUnits.csv", arguments={"experiment": "button"}, table="metrics")
    assert [row["value"] for row in csv.DictReader(io.StringIO(file.text))] == ["1", "0", "0"]
    first, *_ = await every_unit(client)
    node = "query ($id: ID!) { node(id: $id) { ... on ExperimentUnit { subject exposedAt metrics { value } } } }"
    same = {name: first[name] for name in ("subject", "exposedAt")} | {"metrics": [{"value": "1"}]}
    assert (await client.ask(node, id=first["id"]))["node"] == same
    assert (await stranger.ask(node, id=first["id"]))["node"] is None
    assert (await stranger.send(UNITS))["errors"][0]["extensions"]["code"] == "NOT_FOUND"


async def test_what_cannot_be_asked(client: Client, owner: Database) -> None:
    await created(client)
    answer = await client.send(UNITS)
    assert answer["errors"][0]["extensions"] == {"code": "BAD_USER_INPUT", "field": "experiment"}
    for given, field in (({"after": "x"}, "after"), ({"first": 501}, "first"), ({"first": 0}, "first")):
        assert (await client.send(UNITS, **given))["errors"][0]["extensions"]["field"] == field
    viewer = await new_client(client.address, owner, client.http, Role.VIEWER)
    assert (await viewer.send(UNITS))["errors"][0]["extensions"]["code"] == "FORBIDDEN"
