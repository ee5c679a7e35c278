"""What AI costs and earns, as its users ask for it: over HTTP, watched, and with budgets set."""

import asyncio
from typing import Any

from tests.client import Client
from tests.factories import event, purchase

PERIOD = '{from: "2026-03-01T00:00:00Z", to: "2026-04-01T00:00:00Z"}'
CALL = {
    "kind": "AI_INTERACTION",
    "name": "chat",
    "occurredAt": "2026-03-10T11:00:00+00:00",
    "dimensions": {"provider": "openai", "model": "gpt-4o"},
}
ROI = f"""aiRoi(period: {PERIOD}, by: [MODEL]) {{
  evidence evidenceReason incremental {{value}} calls unpriced cost {{value n}} value {{value}} roi {{value}}
  net {{value interval {{low}}}} conversions {{value}} breakEvenConversions {{value}} shortfall paybackAt paybackSeconds
  definition {{model lookback rivals conversion}} groups {{keys {{value}} other roi {{value}} series {{balance}}}}
}}"""
PROVIDERS = f"""aiProviders(period: {PERIOD}) {{
  calls costPer1kTokens {{value}} cheapest caution
  groups {{
    keys {{value}} latencyP95 {{value}} success {{value}} calibration {{n brier counts}} successDifference {{value}}
  }}
}}"""
ASSISTANCE = f"""aiAssistance(period: {PERIOD}, by: [PERSONA]) {{
  assisted {{rate {{value}} conversions value}} unassisted {{rate {{value}}}}
  rateDifference {{value interval {{low high}}}}
  adjustedDifference {{value reason}} groups {{keys {{value}}}} caution
}}"""
COST = f"""aiCost(period: {PERIOD}, by: [PROVIDER, MODEL]) {{
  cost {{value}} calls unpriced unpricedModels {{provider model calls other}}
  groups {{keys {{value}} estimate {{value}}}}
}}"""
BUDGET = """aiBudget(name: "chat") {
  definition {name amount recurrence where} spent remaining willExceed probability forecast {value} series {cost}
}"""
SET = """mutation ($input: SetAiBudgetInput!) {
  setAiBudget(input: $input) {
    ... on SetAiBudgetPayload { budget { id definition { name amount recurrence } } }
    ... on InvalidInput { field message }
    ... on Error { code }
  }
}"""


def call(**fields: Any) -> dict[str, Any]:
    return event(**CALL | fields)


async def test_everything_is_asked_and_watched(client: Client, stranger: Client) -> None:
    asked = (ROI, PROVIDERS, ASSISTANCE, COST)
    async with asyncio.timeout(30), client.socket() as mine, stranger.socket() as theirs:
        for number, question in enumerate(asked):
            watched = question.replace("(period", '(every: "100ms", period', 1)
            for socket in mine, theirs:
                await socket.subscribe(f"subscription {{ {watched} }}", id=f"{number}")
                await socket.next()
        await client.ingest(
            call(cost="4", currency="USD", success=True, score=0.5, durationMs=80, inputTokens=900, outputTokens=100),
            call(subject="bob", dimensions={"provider": "acme", "model": "new"}),
            purchase("10"),
        )
        answers: dict[str, Any] = {}
        while len(answers) < len(asked):
            answers |= await mine.next()
        once = await client.ask(f"{{ {' '.join(asked)} }}")
        assert answers == once
        await stranger.ingest(call(cost="1", currency="USD"))
        assert (await theirs.next()).keys() <= once.keys()
    roi = once["aiRoi"]
    assert (roi["evidence"], roi["incremental"], roi["calls"], roi["unpriced"]) == ("CORRELATIONAL", None, 2, 1)
    assert "at random" in roi["evidenceReason"]
    assert (roi["cost"], roi["value"]["value"], roi["roi"]["value"]) == ({"value": "4", "n": 1}, "10", "1.5")
    assert (roi["net"]["value"], roi["shortfall"]) == ("6", "0")
    assert roi["net"]["interval"] is not None
    assert (roi["paybackAt"], roi["paybackSeconds"]) == ("2026-03-10T12:00:00Z", "3600")
    assert roi["definition"]["model"] == "LINEAR"
    assert [group["keys"][0]["value"] for group in roi["groups"]] == ["gpt-4o", "new"]
    providers = once["aiProviders"]
    assert (providers["calls"], providers["costPer1kTokens"]["value"], providers["cheapest"]) == (2, "4", None)
    assert providers["groups"][0]["calibration"] == {"n": 1, "brier": 0.25, "counts": [0, 0, 0, 0, 0, 1, 0, 0, 0, 0]}
    assistance = once["aiAssistance"]
    assert (assistance["assisted"]["rate"]["value"], assistance["assisted"]["value"]) == ("0.5", "10")
    assert (assistance["unassisted"]["rate"]["value"], assistance["rateDifference"]) == (None, None)
    assert once["aiCost"]["unpricedModels"] == [{"provider": "acme", "model": "new", "calls": 1, "other": False}]
    assert (await stranger.ask(f"{{ {ROI} }}"))["aiRoi"]["calls"] == 1


async def test_a_budget_is_set_watched_and_deleted(client: Client, stranger: Client) -> None:
    where = {"dimension": {"dimension": "FEATURE", "in": ["chat"]}}
    made = (await client.ask(SET, input={"name": "chat", "amount": "5", "where": where}))["setAiBudget"]["budget"]
    assert made["definition"] == {"name": "chat", "amount": "5", "recurrence": "MONTH"}
    async with asyncio.timeout(30), client.socket() as socket:
        watched = BUDGET.replace("(name", '(every: "100ms", name', 1)
        await socket.subscribe(f"subscription {{ {watched} }}")
        first = (await socket.next())["aiBudget"]
        assert (first["spent"], first["remaining"], first["willExceed"]) == ("0", "5", None)
        # Without a time it is now.
        sent = call(cost="6", currency="USD")
        del sent["occurredAt"]
        await client.ingest(sent, {**sent, "dimensions": {**sent["dimensions"], "feature": "chat"}})
        over = (await socket.next())["aiBudget"]
        assert (over["spent"], over["remaining"], over["willExceed"], over["probability"]) == ("6", "-1", True, 1)
        # A change of the budget is told as events are.
        await client.ask(SET, input={"name": "chat", "amount": "60.5", "recurrence": "YEAR"})
        changed = (await socket.next())["aiBudget"]
        assert (changed["definition"]["amount"], changed["spent"], changed["willExceed"]) == ("60.5", "12", None)
    listed = (await client.ask("{ aiBudgets { edges { node { id createdAt } } } }"))["aiBudgets"]["edges"]
    assert [edge["node"]["id"] for edge in listed] == [made["id"]]
    stands = "spent remaining previousSpent previousPeriod { from } willExceed series { cost }"
    for compare in "null", "PREVIOUS_PERIOD":
        status = f"status(compare: {compare}) {{ {stands} }}"
        found = await client.ask(f"{{ aiBudgets {{ edges {{ node {{ {status} }} }} }} }}")
        alone = await client.ask(f'{{ aiBudget(name: "chat", compare: {compare}) {{ {stands} }} }}')
        assert found["aiBudgets"]["edges"] == [{"node": {"status": alone["aiBudget"]}}]
        assert (alone["aiBudget"]["previousSpent"], alone["aiBudget"]["spent"]) == (
            None if compare == "null" else "0",
            "12",
        )
    node = f'{{ node(id: "{made["id"]}") {{ ... on AiBudget {{ definition {{ amount }} }} }} }}'
    assert (await client.ask(node))["node"] == {"definition": {"amount": "60.5"}}
    assert (await stranger.ask(node))["node"] is None
    assert (await stranger.send(f"{{ {BUDGET} }}"))["errors"][0]["extensions"]["code"] == "NOT_FOUND"
    delete = f'mutation {{ deleteAiBudget(input: {{id: "{made["id"]}"}}) {{ __typename }} }}'
    assert (await stranger.ask(delete))["deleteAiBudget"] == {"__typename": "NotFound"}
    assert (await client.ask(delete))["deleteAiBudget"] == {"__typename": "DeleteAiBudgetPayload"}
    assert (await client.ask(node))["node"] is None


async def test_bad_questions_name_their_fault(client: Client) -> None:
    for question, field in (
        ("aiRoi(model: SHAPLEY) { calls }", "model"),
        ('aiRoi(lookback: "1y") { calls }', "lookback"),
        ("aiRoi(resamples: -1) { calls }", "resamples"),
        ("aiRoi(granularity: HOUR, by: [MODEL], top: 100) { calls }", "granularity"),
        ("aiProviders(by: []) { calls }", "by"),
        ('aiAssistance(lookback: "0d") { groupCount }', "lookback"),
        ('aiCost(timezone: "Mars") { calls }', "timezone"),
        ("aiCost(top: 0) { calls }", "top"),
    ):
        (error,) = (await client.send(f"{{ {question} }}"))["errors"]
        assert (error["extensions"]["code"], error["extensions"]["field"]) == ("BAD_USER_INPUT", field), question
    refused = (await client.ask(SET, input={"amount": "0"}))["setAiBudget"]
    assert (refused["code"], refused["field"]) == ("BAD_USER_INPUT", "amount")
    assert (await client.ask("{ aiBudgets { edges { cursor } } }"))["aiBudgets"]["edges"] == []


async def test_segments_choose_who_is_asked_about(client: Client) -> None:
    await client.ingest(
        call(cost="4", currency="USD"),
        purchase("10"),
        call(subject="bob", cost="1", currency="USD"),
        event(subject="cleo"),
    )
    rules = {"did": {"where": {"name": "purchase"}}}
    save = 'mutation ($rules: SegmentRuleInput!) { saveSegment(input: {name: "Buyers", rules: $rules}) { __typename } }'
    assert (await client.ask(save, rules=rules))["saveSegment"]["__typename"] == "SaveSegmentPayload"
    where = 'where: {segment: {in: ["Buyers"]}}'
    fields = "calls cost { value } value { value } allValue"
    data = await client.ask(
        f"""{{
          aiRoi(period: {PERIOD}, {where}) {{ {fields} }}
          aiProviders(period: {PERIOD}, {where}) {{ conversionRate {{ value }} }}
          aiAssistance(period: {PERIOD}, {where}) {{
            assisted {{ rate {{ denominator }} }} unassisted {{ rate {{ n }} }}
          }}
          aiCost(period: {PERIOD}, {where}) {{ cost {{ value }} }}
          aiRoiBySegment(segments: ["Buyers"], period: {PERIOD}) {{ segment {{ name }} answer {{ {fields} }} }}
        }}"""
    )
    bought = {"calls": 1, "cost": {"value": "4"}, "value": {"value": "10"}, "allValue": "10"}
    assert data == {
        "aiRoi": bought,
        "aiProviders": {"conversionRate": {"value": "1"}},
        "aiAssistance": {"assisted": {"rate": {"denominator": "1"}}, "unassisted": {"rate": {"n": 0}}},
        "aiCost": {"cost": {"value": "4"}},
        "aiRoiBySegment": [{"segment": {"name": "Buyers"}, "answer": bought}],
    }
    budget = {"amount": "9", "where": {"segment": {"in": ["Buyers"]}}}
    assert "budget" in (await client.ask(SET, input=budget))["setAiBudget"]
    assert (await client.ask("{ aiBudget { spent willExceed } }"))["aiBudget"]["spent"] == "0"
    await client.ask(SET, input={"name": "everybody", "amount": "9"})
    today = [call(cost="2", currency="USD"), call(subject="bob", cost="1", currency="USD")]
    await client.ingest(*({name: of for name, of in sent.items() if name != "occurredAt"} for sent in today))
    listed = (await client.ask("{ aiBudgets { edges { node { status { spent calls } } } } }"))["aiBudgets"]["edges"]
    assert [edge["node"]["status"] for edge in listed] == [{"spent": "2", "calls": 1}, {"spent": "3", "calls": 2}]
