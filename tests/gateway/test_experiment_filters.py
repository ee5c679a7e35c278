"""Results among the exposures that a filter lets through: those the experiment would have if it said so itself."""

from typing import Any

from tests.client import Client
from tests.gateway.test_experiments import HOUR, METRICS, RESULTS, START, UPDATE, bought, crowd, shown, started

ADS = {"dimension": {"dimension": "CHANNEL", "in": ["ads"]}}
ASK = RESULTS.replace('experiment: "button"', 'experiment: "button", where: $where').replace(
    "explain { source tail }", ""
)


async def filtered(client: Client, where: dict[str, Any], more: str = "") -> dict[str, Any]:
    asked = ASK.replace("where: $where", f"where: $where{more}")
    return dict((await client.ask(f"query ($where: FilterInput) {{ {asked} }}", where=where))["experimentResults"])


async def test_they_are_those_of_an_experiment_that_leaves_the_others_out(client: Client) -> None:
    made = await started(client, metrics=METRICS)
    await client.ingest(*crowd(60, 60, 12, 30), shown("late", "bold", START + HOUR, channel="email"))
    # Somebody counts from the first exposure that passes.
    await client.ingest(shown("late", "bold", START + 3 * HOUR, channel="ads"), bought("late", "7"))
    found = await filtered(client, ADS)
    assert [one["units"] for one in found["units"]] == [30, 31]
    assert found["uncounted"] == [{"reason": "LEFT_OUT", "units": 60}]
    assert found["why"].startswith("Among exposures that pass `where`: ")
    assert found["warnings"][-1]["code"] == "FILTERED"
    changed = await client.ask(UPDATE, input={"id": made, "where": ADS})
    assert changed["updateExperiment"]["__typename"] == "ExperimentPayload"
    own = dict((await client.ask(f"{{ {RESULTS.replace('explain { source tail }', '')} }}"))["experimentResults"])
    assert own.pop("why") == found.pop("why").removeprefix("Among exposures that pass `where`: ")
    assert [one for one in found.pop("warnings") if one["code"] != "FILTERED"] == own.pop("warnings")
    assert found == own
    # What the experiment leaves out itself no question brings back.
    assert (await filtered(client, {"not": ADS}))["units"][0]["units"] == 0


async def test_they_are_broken_down_and_watched_as_well(client: Client) -> None:
    await started(client, metrics=METRICS[:1], breakdowns=["CHANNEL"])
    await client.ingest(*crowd(20, 20, 4, 8))
    asked = (
        'experimentResults(experiment: "button", by: CHANNEL, overTime: true, where: {not: {subject: ["bold0"]}}%s)'
        " { units { units } groups { keys { value } units } metrics { effects { variant } series { units } } }"
    )
    found = (await client.ask(f"{{ {asked % ''} }}"))["experimentResults"]
    assert sorted((one["keys"][0]["value"], one["units"]) for one in found["groups"]) == [("ads", 19), ("email", 20)]
    assert found["metrics"][0]["series"][0]["units"] == [19]
    async with client.socket() as socket:
        watched = asked % ', every: "100ms"'
        await socket.subscribe(f"subscription {{ {watched} }}")
        assert (await socket.next())["experimentResults"]["units"] == [{"units": 20}, {"units": 19}]
        await client.ingest(shown("new", "bold"))
        assert (await socket.next())["experimentResults"]["units"] == [{"units": 20}, {"units": 20}]


async def test_what_is_no_filter_and_what_it_is_not_compared_with_is_refused_by_field(client: Client) -> None:
    await started(client, metrics=METRICS[:1])
    asked = '{ experimentResults(experiment: "button", where: {not: {segment: {in: ["Nobody"]}}}) { decision } }'
    (error,) = (await client.send(asked))["errors"]
    assert error["extensions"] == {"code": "BAD_USER_INPUT", "field": "where.not.segment.in[0]"}
    asked = '{ experimentResults(experiment: "button", compare: PREVIOUS_PERIOD) { decision } }'
    (error,) = (await client.send(asked))["errors"]
    assert error["extensions"] == {"code": "GRAPHQL_VALIDATION_FAILED", "field": "compare"}
