"""How soon a gateway says which variant somebody gets, asked at random times, a thousand times a second."""

import itertools
from dataclasses import dataclass

from benchmarks.analyses import in_milliseconds
from benchmarks.bench import Bench, Log, new_log
from benchmarks.loopback import ask, graphql
from benchmarks.processes import Served, Worker, cpu_seconds, gateway, process
from benchmarks.ratios import Line, Ratio, Reach, in_turns, milliseconds

_RATE = 1_000
_SHARE = 0.99
_CREATE = """mutation {
  createExperiment(input: {key: "checkout", variants: [{key: "plain", weight: "0.5", control: true},
    {key: "bold", weight: "0.5"}], metrics: [{slug: "sales", metric: "conversion_rate", role: GOAL, window: "7d"}]}) {
    __typename ... on ExperimentPayload { experiment { id } } ... on Error { message }
  }
}"""
_START = """mutation Start($id: ID!) {
  startExperiment(input: {id: $id, reason: "Measured."}) { __typename ... on Error { message } }
}"""
_ASSIGN = """query Assign($subject: String!) {
  assignment(experiment: "checkout", subject: $subject) { variant reason }
}"""


async def assignments(bench: Bench) -> list[Line]:
    """The variant of somebody who was not asked about before, over keep-alive connections."""
    log = await new_log(await bench.fresh("assignment"), "assignment")
    rounds: list[_Round] = []
    async with gateway(log.url) as served:
        await _begin(served, log)
        await _check(served, log)
        async with process("-m", "benchmarks.pacing", served.host, str(served.port)) as running:
            pacing, people = Worker(running), itertools.count()

            async def slow() -> float:
                requests = [_question(log, next(people)).decode() for _ in range(round(_RATE * bench.seconds))]
                before = cpu_seconds(served.pid)
                told = await pacing.ask({"requests": requests, "rate": _RATE})
                spent = (cpu_seconds(served.pid) - before) / len(requests)
                rounds.append(_Round(sorted(told["seconds"]), told["late"], spent))
                return rounds[-1].within(_SHARE)

            (times,) = await in_turns(bench.rounds, bench.ticks("Assignments", bench.rounds + 1), slow)
    del rounds[0]
    half, late = milliseconds([one.within(0.5) for one in rounds]), max(one.late for one in rounds)
    detail = f"{_RATE:,} a second over HTTP; half within {half}; sent {1e3 * late:.2g} ms too late at most"
    spent = tuple(1e6 * one.spent for one in rounds)
    return [
        Ratio("assignment", in_milliseconds(times), Reach(2, at_least=False), detail, unit="ms"),
        Ratio("assignment, CPU", spent, None, "of the gateway's process, each", unit="µs"),
    ]


@dataclass(frozen=True, slots=True)
class _Round:
    seconds: list[float]
    """How long each took, the shortest first."""
    late: float
    spent: float
    """CPU seconds of the gateway a request."""

    def within(self, share: float) -> float:
        """The time within which that share of the requests had their answer."""
        return self.seconds[min(int(share * len(self.seconds)), len(self.seconds) - 1)]


async def _begin(served: Served, log: Log) -> None:
    made = (await ask(served, graphql(log.key, _CREATE)))["data"]["createExperiment"]
    assert made["__typename"] == "ExperimentPayload", made
    begun = (await ask(served, graphql(log.key, _START, id=made["experiment"]["id"])))["data"]["startExperiment"]
    assert begun["__typename"] == "ExperimentPayload", begun


async def _check(served: Served, log: Log) -> None:
    """Raises AssertionError unless everybody takes part, about half of them with either variant."""
    answers = [(await ask(served, _question(log, -1 - number)))["data"]["assignment"] for number in range(100)]
    assert {one["reason"] for one in answers} == {"ASSIGNED"}
    assert 30 < [one["variant"] for one in answers].count("plain") < 70


def _question(log: Log, number: int) -> bytes:
    return graphql(log.key, _ASSIGN, subject=f"user-{number}")
