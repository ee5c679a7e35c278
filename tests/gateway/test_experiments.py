"""Experiments as their users meet them: from draft to decision, over HTTP and WebSocket."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.client import Client
from tests.factories import event

START = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
VARIANTS = [{"key": "plain", "weight": "0.5", "control": True}, {"key": "bold", "weight": "0.5"}]
METRICS: list[dict[str, Any]] = [
    {"metric": "conversion_rate", "minimumEffect": None},
    {"metric": "revenue", "role": "SECONDARY", "covariate": "7d"},
    {
        "slug": "refunded",
        "role": "GUARDRAIL",
        "value": {"converts": {"name": ["refund"]}},
        "upIsGood": False,
        "margin": {"relative": "0.5"},
    },
]
for one in METRICS:
    one.pop("minimumEffect", None)
CREATE = """mutation ($input: CreateExperimentInput!) { createExperiment(input: $input) { __typename
  ... on ExperimentPayload { experiment { id key salt status possible } } ... on InvalidInput { field message } } }"""


async def created(client: Client, **given: Any) -> dict[str, Any]:
    made = await client.ask(
        CREATE, input={"key": "button", "variants": VARIANTS, "metrics": METRICS, "minimumEffect": "0.5"} | given
    )
    assert made["createExperiment"]["__typename"] == "ExperimentPayload", made
    return dict(made["createExperiment"]["experiment"])


async def step(client: Client, name: str, experiment_id: str, more: str = "") -> dict[str, Any]:
    field = f"{name}Experiment"
    answer = await client.ask(
        f"""mutation ($id: ID!) {{ {field}(input: {{id: $id {more}}}) {{ __typename
          ... on ExperimentPayload {{ experiment {{ status possible phases {{ number weights }} }} }}
          ... on IllegalStep {{ message possible code }} ... on InvalidInput {{ field message }}
          ... on NotFound {{ field }} }} }}""",
        id=experiment_id,
    )
    return dict(answer[field])


async def started(client: Client, **given: Any) -> str:
    made = await created(client, **given)
    assert (await step(client, "start", made["id"], f', at: "{START.isoformat()}"'))[
        "__typename"
    ] == "ExperimentPayload"
    return str(made["id"])


def shown(subject: str, variant: str, at: datetime = START + HOUR, **more: Any) -> dict[str, Any]:
    dimensions = {"experiment": "button", "variant": variant} | more
    return event(kind="EXPOSURE", name="exposure", subject=subject, occurredAt=at, dimensions=dimensions)


def bought(subject: str, amount: str = "10", at: datetime = START + 2 * HOUR) -> dict[str, Any]:
    return event(kind="CONVERSION", name="purchase", subject=subject, occurredAt=at, amount=amount, currency="USD")


def crowd(plain: int, bold: int, buys_plain: int, buys_bold: int) -> list[dict[str, Any]]:
    """So many of each variant, the first of whom buy."""
    found = []
    for variant, people, buyers in (("plain", plain, buys_plain), ("bold", bold, buys_bold)):
        found += [shown(f"{variant}{n}", variant, channel="email" if n % 2 else "ads") for n in range(people)]
        found += [bought(f"{variant}{n}") for n in range(buyers)]
    return found


CHANGES = """query ($first: Int! = 50, $after: String) { experimentChanges(experiment: "button", first: $first,
  after: $after) { pageInfo { hasNextPage endCursor }
    edges { node { id experiment number action at by { prefix label } reason before after } } } }"""
RESULTS = """experimentResults(experiment: "button") {
  units { variant units expected } sampleRatio { pValue suspicious freedom } multiple { value }
  uncounted { reason units } decision why ship plannedEndReached warnings { code message }
  metrics { slug role family arms { variant estimate { value unit n } }
    effects { variant method effect lift pValue log10P cuped { theta } significant holmPValue chanceToWin guard margin
      power undefined sequentialPValue interval { low high method } } }
  explain { source tail } }"""


async def test_a_whole_life(client: Client) -> None:
    made = await created(client, hypothesis="People see it.")
    assert made["status"] == "DRAFT"
    assert made["salt"] == "button"
    assert made["possible"] == ["UPDATE", "START", "ARCHIVE"]
    for name in ("pause", "resume", "complete"):
        refused = await step(client, name, made["id"])
        assert refused["__typename"] == "IllegalStep"
        assert refused["possible"] == ["UPDATE", "START", "ARCHIVE"]
    early = await client.ask('{ assignment(experiment: "button", subject: "ann") { variant reason phase } }')
    assert early["assignment"] == {"variant": None, "reason": "NOT_RUNNING", "phase": None}
    assert (await step(client, "start", made["id"], f', at: "{START.isoformat()}"'))["experiment"][
        "status"
    ] == "RUNNING"
    assert (await step(client, "start", made["id"]))["__typename"] == "IllegalStep"
    assert (await step(client, "pause", made["id"]))["experiment"]["possible"] == ["UPDATE", "RESUME", "COMPLETE"]
    paused = await client.ask('{ assignment(experiment: "button", subject: "ann") { reason } }')
    assert paused["assignment"] == {"reason": "NOT_RUNNING"}
    await step(client, "resume", made["id"], ', reason: "All is well."')
    await client.ingest(*crowd(200, 200, 20, 60))
    found = (await client.ask(f"{{ {RESULTS} }}"))["experimentResults"]
    assert [one["units"] for one in found["units"]] == [200, 200]
    assert found["sampleRatio"] == {"pValue": 1.0, "suspicious": False, "freedom": 1}
    goal, revenue, guardrail = found["metrics"]
    assert [arm["estimate"]["value"] for arm in goal["arms"]] == ["0.1", "0.3"]
    assert [arm["estimate"]["value"] for arm in revenue["arms"]] == ["1", "3"]
    (effect,) = goal["effects"]
    assert effect["method"] == "TWO_PROPORTION_Z_POOLED"
    assert float(effect["effect"]) == pytest.approx(0.2)
    assert float(effect["lift"]) == pytest.approx(2)
    assert effect["significant"]
    assert effect["pValue"] < 1e-6
    assert effect["chanceToWin"] > 0.999
    assert revenue["effects"][0]["cuped"] is None or revenue["effects"][0]["cuped"]["theta"] == 0
    assert guardrail["effects"][0]["guard"] in ("OPEN", "HOLDS")
    assert (found["decision"], found["explain"]["source"]) == ("KEEP_RUNNING", "LOG")
    over = await step(client, "complete", made["id"])
    assert over["experiment"]["possible"] == ["UPDATE", "ARCHIVE"]
    assert (await step(client, "archive", made["id"]))["experiment"]["possible"] == []
    assert (await step(client, "archive", made["id"]))["possible"] == []
    listed = await client.ask(
        "{ experiments { edges { node { key } } } all: experiments(archived: true) { edges { node { key } } }"
        " running: experiments(archived: true, status: RUNNING) { edges { node { key } } }"
        " over: experiments(archived: true, status: COMPLETED) { edges { node { key } } } }"
    )
    assert (listed["running"]["edges"], len(listed["over"]["edges"])) == ([], 1)
    assert (listed["experiments"]["edges"], len(listed["all"]["edges"])) == ([], 1)
    history = (await client.ask(CHANGES))["experimentChanges"]
    done = [edge["node"] for edge in reversed(history["edges"])]
    assert [one["action"] for one in done] == ["CREATE", "START", "PAUSE", "RESUME", "COMPLETE", "ARCHIVE"]
    assert {(one["by"]["prefix"], one["experiment"]) for one in done} == {(client.key[:7], "button")}
    assert (done[0]["before"], done[3]["reason"]) == (None, "All is well.")
    assert (done[3]["before"], done[3]["after"]) == ({"status": "PAUSED"}, {"status": "RUNNING"})


BAD: list[tuple[dict[str, Any], str]] = [
    ({"variants": VARIANTS[:1]}, "variants"),
    ({"variants": [VARIANTS[0], {"key": "bold", "weight": "0.4"}]}, "variants"),
    ({"variants": [VARIANTS[0], {"key": "plain", "weight": "0.5"}]}, "variants[1].key"),
    ({"variants": [VARIANTS[0], VARIANTS[1] | {"control": True}]}, "variants"),
    ({"variants": [VARIANTS[0] | {"weight": "1"}, VARIANTS[1] | {"weight": "0"}]}, "variants"),
    ({"variants": [VARIANTS[0] | {"weight": "0"}, VARIANTS[1], VARIANTS[1] | {"key": "third"}]}, "variants"),
    ({"variants": [VARIANTS[0], {"key": "bold", "weight": "0.50001"}]}, "variants[1].weight"),
    ({"variants": [VARIANTS[0], {"key": " bold", "weight": "0.5"}]}, "variants[1].key"),
    ({"key": ""}, "key"),
    ({"metrics": [{"metric": "nothing"}]}, "metrics[0].metric"),
    ({"metrics": [{"metric": "ai_latency_p50"}]}, "metrics[0].metric"),
    ({"metrics": [{}]}, "metrics[0]"),
    ({"metrics": [METRICS[0], METRICS[0]]}, "metrics[1].slug"),
    ({"metrics": [{"metric": "revenue", "window": "2y"}]}, "metrics[0].window"),
    ({"metrics": [{"metric": "revenue", "window": "400d"}]}, "metrics[0].window"),
    ({"metrics": [{"metric": "revenue", "margin": {"relative": "0.1"}}]}, "metrics[0].margin"),
    ({"metrics": [METRICS[2] | {"margin": {"relative": "1"}}]}, "metrics[0].margin.relative"),
    ({"metrics": [METRICS[2] | {"margin": {"relative": "-0.1"}}]}, "metrics[0].margin.relative"),
    ({"metrics": [METRICS[2] | {"margin": {"absolute": "1"}}]}, "metrics[0].margin.absolute"),
    ({"metrics": [METRICS[1] | {"role": "GUARDRAIL", "margin": {"absolute": "2e12"}}]}, "metrics[0].margin.absolute"),
    ({"metrics": [{"metric": "conversion_rate", "cap": "1"}]}, "metrics[0].cap"),
    ({"metrics": [{"metric": "revenue", "cap": "1", "capAt": "0.9"}]}, "metrics[0].capAt"),
    ({"metrics": [{"metric": "revenue", "capAt": "1"}]}, "metrics[0].capAt"),
    ({"metrics": [{"metric": "average_order_value", "covariate": "7d"}]}, "metrics[0].covariate"),
    ({"metrics": [{"slug": "s", "value": {"steps": []}}]}, "metrics[0].value.steps"),
    ({"metrics": [{"value": {"converts": {"all": []}}}]}, "metrics[0].slug"),
    ({"targeting": {"name": ["x"]}}, "targeting"),
    ({"traffic": "0"}, "traffic"),
    ({"traffic": "1.5"}, "traffic"),
    ({"traffic": "abc"}, "traffic"),
    ({"holdout": "nobody"}, "holdout"),
    ({"group": {"name": "page", "share": "0"}}, "group.share"),
    ({"group": {"name": " ", "share": "0.5"}}, "group.name"),
    ({"breakdowns": ["VARIANT"]}, "breakdowns[0]"),
    ({"breakdowns": ["PLAN", "PLAN"]}, "breakdowns[1]"),
    ({"minimumRuntime": "1y"}, "minimumRuntime"),
    ({"alpha": "0.9"}, "alpha"),
    ({"minimumSample": 1}, "minimumSample"),
    ({"minimumEffect": "0"}, "minimumEffect"),
]


async def test_what_cannot_be_an_experiment_is_refused_by_field(client: Client) -> None:
    for given, field in BAD:
        answer = await client.ask(CREATE, input={"key": "button", "variants": VARIANTS, "metrics": METRICS} | given)
        assert answer["createExperiment"]["__typename"] == "InvalidInput", given
        assert answer["createExperiment"]["field"] == field, answer
    assert (await client.ask("{ experiments { edges { cursor } } }"))["experiments"]["edges"] == []
    await created(client)
    again = await client.ask(CREATE, input={"key": "button", "variants": VARIANTS, "metrics": []})
    assert again["createExperiment"]["field"] == "key"


MESSAGES: list[tuple[dict[str, Any], str]] = [
    (
        {"variants": [VARIANTS[0], {"key": "bold", "weight": "0.4999"}]},
        "The weights of all variants sum to 1; these sum to 0.9999, which is 0.0001 too little.",
    ),
    (
        {"variants": [VARIANTS[0], {"key": "bold", "weight": "0.7"}]},
        "The weights of all variants sum to 1; these sum to 1.2, which is 0.2 too much.",
    ),
    (
        {"variants": [VARIANTS[1], VARIANTS[1] | {"key": "other"}]},
        "Exactly one variant is the control, by `control: true`; of these none are.",
    ),
    (
        {"variants": [VARIANTS[0] | {"weight": "50"}, VARIANTS[1]]},
        "variants[0].weight must be a share of 0 to 1 with at most four decimal places, such as 0.5.",
    ),
    ({"salt": ""}, "A salt has 1 to 200 printable characters, without blanks at its ends."),
    (
        {"metrics": [METRICS[1] | {"capAt": "99"}]},
        "A quantile to cap at is 0.5 to less than 1: 0.99 is the 99th percentile.",
    ),
    (
        {"metrics": [METRICS[0], METRICS[0]]},
        "Another metric is called conversion_rate; give this one a slug of its own.",
    ),
]


async def test_refusals_say_what_to_change(client: Client) -> None:
    for given, message in MESSAGES:
        answer = await client.ask(CREATE, input={"key": "button", "variants": VARIANTS, "metrics": METRICS} | given)
        assert answer["createExperiment"]["message"] == message


async def test_one_of_several_that_is_not_one_is_refused_by_its_place(client: Client) -> None:
    both = METRICS[2] | {"margin": {"relative": "0.1", "absolute": "0.1"}}
    for given, field in (
        ([METRICS[0], both], "metrics[1].margin"),
        ([METRICS[0], METRICS[2] | {"margin": {}}], "metrics[1].margin"),
        ([{"slug": "s", "value": {"converts": {}}}], "metrics[0].value.converts"),
        (
            [{"slug": "s", "value": {"converts": {"all": [{"name": "a"}, {"name": "a", "kind": "SPEND"}]}}}],
            "metrics[0].value.converts.all[1]",
        ),
        ([{"slug": "s", "value": {"steps": [{"name": None}]}}], "metrics[0].value.steps[0].name"),
    ):
        (error,) = (await client.send(CREATE, input={"key": "button", "variants": VARIANTS, "metrics": given}))[
            "errors"
        ]
        assert error["extensions"] == {"code": "BAD_USER_INPUT", "field": field}
        assert "exactly one" in error["message"]
    written = CREATE.replace("$input: CreateExperimentInput!", "$v: [VariantInput!]!").replace(
        "input: $input", 'input: {key: "button", variants: $v, metrics: [{slug: "s", value: {converts: {}}}]}'
    )
    (error,) = (await client.send(written, v=VARIANTS))["errors"]
    assert "exactly one" in error["message"]
    assert error["locations"]


UPDATE = """mutation ($input: UpdateExperimentInput!) { updateExperiment(input: $input) { __typename
  ... on ExperimentPayload { experiment { name phases { number weights } metrics { slug } } }
  ... on InvalidInput { field message } ... on IllegalStep { possible } } }"""
HEAVY = [{"key": "plain", "weight": "0.2", "control": True}, {"key": "bold", "weight": "0.8"}]


async def test_other_weights_are_another_phase(client: Client) -> None:
    made = await started(client)
    await client.ingest(*crowd(40, 40, 4, 8))
    refused = await client.ask(UPDATE, input={"id": made, "variants": HEAVY})
    assert refused["updateExperiment"]["__typename"] == "InvalidInput"
    assert refused["updateExperiment"]["field"] == "variants"
    for given, field in (
        ({"traffic": "0.5"}, "traffic"),
        ({"targeting": {"dimension": {"dimension": "PLAN", "in": ["pro"]}}}, "targeting"),
        ({"variants": [*VARIANTS, {"key": "third", "weight": "0"}], "newPhase": True}, "variants"),
        ({"group": {"name": "page", "share": "0.5"}, "newPhase": True}, "group"),
    ):
        answer = await client.ask(UPDATE, input={"id": made} | given)
        assert answer["updateExperiment"]["field"] == field
    before = await client.ask('{ experimentResults(experiment: "button") { phase units { units } } }')
    asked = {"id": made, "variants": HEAVY, "newPhase": True, "reason": "It looks safe."}
    after = await client.ask(UPDATE, input=asked)
    phases = after["updateExperiment"]["experiment"]["phases"]
    assert [phase["weights"] for phase in phases] == [["0.5", "0.5"], ["0.2", "0.8"]]
    now = datetime.now(UTC) + timedelta(seconds=1)
    await client.ingest(shown("plain0", "bold", now), *(shown(f"new{n}", "bold", now) for n in range(3)))
    found = await client.ask(
        """{ present: experimentResults(experiment: "button") { phase units { units expected } }
          first: experimentResults(experiment: "button", phase: 1) { phase units { units } multiple { numerator } }
          all: experimentResults(experiment: "button", allPhases: true) { phase units { units } sampleRatio { pValue } }
        }"""
    )
    assert before["experimentResults"] == {"phase": 1, "units": [{"units": 40}, {"units": 40}]}
    assert found["present"]["units"] == [
        {"units": 0, "expected": pytest.approx(0.6)},
        {"units": 3, "expected": pytest.approx(2.4)},
    ]
    assert found["first"] == {"phase": 1, "units": [{"units": 40}, {"units": 40}], "multiple": {"numerator": "1"}}
    assert found["all"] == {"phase": None, "units": [{"units": 40}, {"units": 43}], "sampleRatio": None}
    # Who was exposed keeps the variant, whatever the weights are now.
    for subject, variant in (("plain7", "plain"), ("new1", "bold"), ("bold3", "bold")):
        kept = await client.ask(
            'query ($s: String!) { assignment(experiment: "button", subject: $s) { variant reason phase } }', s=subject
        )
        assert kept["assignment"] == {"variant": variant, "reason": "EXPOSED_BEFORE", "phase": 2}


async def test_metrics_may_change_while_it_runs(client: Client) -> None:
    made = await started(client)
    await client.ingest(*crowd(20, 20, 4, 8))
    metric = {"slug": "bought_twice", "value": {"steps": [{"name": ["purchase"]}, {"name": ["purchase"]}]}}
    await client.ingest(bought("bold0", at=START + 3 * HOUR))
    changed = await client.ask(UPDATE, input={"id": made, "metrics": [*METRICS[1:2], metric]})
    assert [one["slug"] for one in changed["updateExperiment"]["experiment"]["metrics"]] == ["revenue", "bought_twice"]
    found = await client.ask(
        '{ experimentResults(experiment: "button") { metrics { slug arms { estimate { numerator n } } } } }'
    )
    assert found["experimentResults"]["metrics"] == [
        {
            "slug": "revenue",
            "arms": [{"estimate": {"numerator": "40", "n": 20}}, {"estimate": {"numerator": "90", "n": 20}}],
        },
        {
            "slug": "bought_twice",
            "arms": [{"estimate": {"numerator": "0", "n": 20}}, {"estimate": {"numerator": "1", "n": 20}}],
        },
    ]


async def test_broken_down_and_over_time(client: Client) -> None:
    await started(client, breakdowns=["CHANNEL"])
    await client.ingest(*crowd(40, 40, 10, 20), shown("late", "bold", START + 30 * HOUR))
    found = await client.ask(
        """{ experimentResults(experiment: "button", by: CHANNEL, overTime: true, top: 1) { groupCount
          groups { keys { dimension value } other units metrics { slug family arms { estimate { numerator } } } }
          metrics { series { variant at units value control effect lift liftLow liftHigh low high pValue
            sequentialLow sequentialHigh sequentialPValue } } } }"""
    )
    answer = found["experimentResults"]
    assert answer["groupCount"] == 3
    assert [(group["keys"], group["other"], group["units"]) for group in answer["groups"]] == [
        ([{"dimension": "CHANNEL", "value": "ads"}], False, 40),
        ([], True, 41),
    ]
    assert answer["groups"][0]["metrics"][0]["family"] == 2
    assert answer["groups"][0]["metrics"][0]["arms"][1]["estimate"]["numerator"] == "10"
    (series,) = answer["metrics"][0]["series"]
    assert series["at"] == ["2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z"]
    assert series["units"] == [40, 41]
    assert series["value"] == [0.5, 20 / 41]
    assert series["lift"] == pytest.approx([1, 20 / 41 / 0.25 - 1])
    for day in range(2):
        assert series["liftLow"][day] < series["lift"][day] < series["liftHigh"][day]
        assert series["sequentialLow"][day] < series["low"][day] < series["high"][day] < series["sequentialHigh"][day]
        assert 0.01 < series["pValue"][day] < 0.05 < series["sequentialPValue"][day]
    assert series["control"] == [0.25, 0.25]
    refusals = {"by: PLAN": "by", "phase: 2": "phase", "phase: 0": "phase", "top: 0": "top"}
    for asked, field in (refusals | {"phase: 1, allPhases: true": "allPhases"}).items():
        refused = await client.send(f'{{ experimentResults(experiment: "button", {asked}) {{ days }} }}')
        assert refused["errors"][0]["extensions"]["field"] == field


async def test_what_is_undefined_says_so(client: Client) -> None:
    await started(client)
    empty = (await client.ask(f"{{ {RESULTS} }}"))["experimentResults"]
    assert (empty["decision"], empty["why"]) == ("KEEP_RUNNING", "Nobody has been exposed yet.")
    assert empty["sampleRatio"] is None
    assert empty["multiple"]["value"] is None
    assert empty["metrics"][0]["arms"][0]["estimate"] == {"value": None, "unit": "RATIO", "n": 0}
    assert empty["metrics"][0]["effects"][0]["undefined"] == "Both arms need a unit."
    await client.ingest(shown("ann", "plain"))
    one = (await client.ask(f"{{ {RESULTS} }}"))["experimentResults"]
    assert one["metrics"][1]["effects"][0]["undefined"].startswith("Both arms need two units")
    await client.ingest(*(shown(f"{variant}{n}", variant) for variant in ("plain", "bold") for n in range(9)))
    none = (await client.ask(f"{{ {RESULTS} }}"))["experimentResults"]
    (nobody,) = none["metrics"][0]["effects"]
    assert (nobody["method"], nobody["pValue"], nobody["lift"]) == ("FISHER_EXACT", 1.0, None)
    assert nobody["interval"]["method"] == "Newcombe"
    assert none["metrics"][1]["effects"][0]["undefined"].startswith("All units of each arm have the same value")
    assert none["metrics"][1]["arms"][0]["estimate"] == {"value": "0", "unit": "MONEY", "n": 10}


async def test_exposures_that_do_not_count_are_told(client: Client) -> None:
    await started(client, where={"not": {"property": {"path": ["bot"], "in": [True]}}})
    await client.ingest(
        shown("early", "plain", START - HOUR),
        shown("twice", "plain"),
        shown("twice", "bold", START + 2 * HOUR),
        shown("stranger", "third"),
        shown("robot", "plain") | {"properties": {"bot": True}},
        shown("ann", "bold"),
    )
    found = await client.ask(
        """{ first: experimentResults(experiment: "button") { units { units } multiple { numerator value }
            uncounted { reason units }
            warnings { code message } multipleExposures }
          once: experimentResults(experiment: "button", multipleExposures: EXCLUDE) { units { units } } }"""
    )
    assert [one["units"] for one in found["first"]["units"]] == [1, 1]
    assert found["first"]["uncounted"] == [
        {"reason": "LEFT_OUT", "units": 1},
        {"reason": "UNKNOWN_VARIANT", "units": 1},
        {"reason": "BEFORE_START", "units": 1},
    ]
    assert found["first"]["multiple"] == {"numerator": "1", "value": "0.5"}
    assert [(one["code"], one["message"].split(" ")[0]) for one in found["first"]["warnings"]] == [
        ("MULTIPLE_EXPOSURES", "1"),
        ("UNCOUNTED_EXPOSURES", "3"),
        ("PEEKING", "The"),
    ]
    assert [one["units"] for one in found["once"]["units"]] == [0, 1]


async def test_results_are_live(client: Client) -> None:
    made = await started(client)
    async with client.socket() as socket, asyncio.timeout(20):
        question = 'subscription { experimentResults(experiment: "button", every: "100ms") { status units { units } } }'
        await socket.subscribe(question)
        first = await socket.next()
        assert [one["units"] for one in first["experimentResults"]["units"]] == [0, 0]
        await client.ingest(shown("ann", "bold"))
        second = await socket.next()
        assert [one["units"] for one in second["experimentResults"]["units"]] == [0, 1]
        await step(client, "pause", made)
        assert (await socket.next())["experimentResults"]["status"] == "PAUSED"


async def test_tenants_do_not_see_each_others(client: Client, stranger: Client) -> None:
    mine = await started(client)
    theirs = await started(stranger)
    await client.ingest(*crowd(3, 3, 1, 1))
    found = await stranger.ask('{ experimentResults(experiment: "button") { units { units } } }')
    assert [one["units"] for one in found["experimentResults"]["units"]] == [0, 0]
    assert (await stranger.ask("query ($id: ID!) { node(id: $id) { id } }", id=mine))["node"] is None
    assert (await step(stranger, "pause", mine))["__typename"] == "NotFound"
    assert (await step(client, "pause", mine))["experiment"]["status"] == "PAUSED"
    await created(client, key="other")
    gone = await stranger.send('{ experimentResults(experiment: "other") { days } }')
    assert gone["errors"][0]["extensions"]["code"] == "NOT_FOUND"
    assert (await stranger.ask('{ experiment(key: "other") { id } }'))["experiment"] is None
    assert theirs != mine
