"""How many flags a second a gateway evaluates, in batches over HTTP."""

import itertools

from benchmarks.bench import Bench, Log, new_log
from benchmarks.loopback import ask, graphql, rate
from benchmarks.processes import Served, gateway
from benchmarks.ratios import Line, Ratio, Reach, in_turns, thousands

_FLAGS, _SUBJECTS = 10, 10
_BATCH = _FLAGS * _SUBJECTS
_CREATE = """mutation Create($flag: String!) {
  createFlag(input: {key: $flag, environments: [{on: true, default: {variation: "off"}, rules: [
    {where: {dimension: {dimension: PLAN, in: "team"}}, serve: {variation: "on"}, percentage: 50},
    {where: {dimension: {dimension: CHANNEL, in: ["search", "social"]}}, serve: {variation: "on"}}
  ]}]}) { __typename ... on Error { message } }
}"""
_EVALUATE = """query Evaluate($subjects: [FlagSubjectInput!]!) {
  evaluateFlagsOf(subjects: $subjects) { subject evaluations { flag value variation reason rule } }
}"""


async def flag_evaluations(bench: Bench) -> list[Line]:
    """Ten flags of ten people a request, everybody asked about once only."""
    log = await new_log(await bench.fresh("flags"), "flags")
    async with gateway(log.url) as served:
        for number in range(_FLAGS):
            made = await ask(served, graphql(log.key, _CREATE, flag=f"flag-{number}"))
            assert made["data"]["createFlag"]["__typename"] == "FlagPayload", made
        people = itertools.count()
        await _check(served, log)

        async def evaluated() -> float:
            questions = (_question(log, number) for number in people)
            return _BATCH * await rate(served, questions, bench.seconds)

        (rates,) = await in_turns(bench.rounds, bench.ticks("Flags", bench.rounds + 1), evaluated)
    detail = f"{thousands(rates)}, {_BATCH} of them a request"
    return [Ratio("flag evaluations", tuple(rates), Reach(10_000), detail, unit="/s")]


def _question(log: Log, number: int) -> bytes:
    subjects = [
        {"subject": f"user-{number}-{place}", "context": {"plan": ("free", "team")[place % 2], "channel": "direct"}}
        for place in range(_SUBJECTS)
    ]
    return graphql(log.key, _EVALUATE, subjects=subjects)


async def _check(served: Served, log: Log) -> None:
    """Raises AssertionError unless half of those on the plan have what the rule serves, and nobody else."""
    answers = [await ask(served, _question(log, -1 - number)) for number in range(20)]
    people = [one for answer in answers for one in answer["data"]["evaluateFlagsOf"]]
    rules = [flag["rule"] for one in people for flag in one["evaluations"]]
    assert len(rules) == 20 * _BATCH
    assert 0.4 < rules.count(0) / (len(rules) / 2) < 0.6
    assert {flag["value"] for one in people for flag in one["evaluations"] if flag["rule"] is None} == {False}
