"""How soon a gateway says which variant somebody gets, asked at random times, a thousand times a second."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from benchmarks.analyses import in_milliseconds
from benchmarks.bench import Bench, Log, new_log
from benchmarks.loopback import ask, get, graphql
from benchmarks.processes import Served, Worker, bare_server, cpu_seconds, gateway, process
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
    """The variant of somebody who was not asked about before, over keep-alive connections; beside it no question."""
    log = await new_log(await bench.fresh("assignment"), "assignment")
    count = round(_RATE * bench.seconds)
    async with gateway(log.url) as served, bare_server(log.url, log) as bare:
        await _begin(served, log)
        await _check(served, log)
        async with _paced(served) as asked, _paced(bare) as asked_bare:
            people = itertools.count()

            async def slow() -> float:
                return await asked.round([_question(log, next(people)).decode() for _ in range(count)])

            async def plain() -> float:
                return await asked_bare.round([get("/nothing").decode()] * count)

            times, least = await in_turns(bench.rounds, bench.ticks("Assignments", bench.rounds + 1), slow, plain)
    detail = f"{_RATE:,} a second over HTTP; half within {asked.half}; sent {asked.late} too late at most"
    beside = f"answered by nothing but uvicorn; half within {asked_bare.half}; sent {asked_bare.late} too late at most"
    return [
        Ratio("assignment", in_milliseconds(times), Reach(2, at_least=False), detail, unit="ms"),
        Ratio("assignment, CPU", asked.spent, None, "of the gateway's process, each", unit="µs"),
        Ratio("assignment, bare", in_milliseconds(least), None, beside, unit="ms"),
        Ratio("assignment, bare, CPU", asked_bare.spent, None, "of uvicorn's process, each", unit="µs"),
    ]


class _Asked:
    """A server that is asked at random times."""

    def __init__(self, served: Served, pacing: Worker) -> None:
        self._served = served
        self._pacing = pacing
        self._rounds: list[_Round] = []

    async def round(self, requests: list[str]) -> float:
        """Ask; returns the seconds within which nearly all had their answer."""
        before = cpu_seconds(self._served.pid)
        told = await self._pacing.ask({"requests": requests, "rate": _RATE})
        spent = (cpu_seconds(self._served.pid) - before) / len(requests)
        self._rounds.append(_Round(sorted(told["seconds"]), told["late"], spent))
        return self._rounds[-1].within(_SHARE)

    @property
    def measured(self) -> list["_Round"]:
        """The rounds that count."""
        return self._rounds[1:]

    @property
    def half(self) -> str:
        """Within how long half had their answer."""
        return milliseconds([one.within(0.5) for one in self.measured])

    @property
    def late(self) -> str:
        """By how much the client was late at most."""
        return f"{1e3 * max(one.late for one in self.measured):.2g} ms"

    @property
    def spent(self) -> tuple[float, ...]:
        """Microseconds of the server's CPU a request, in each round."""
        return tuple(1e6 * one.spent for one in self.measured)


@asynccontextmanager
async def _paced(served: Served) -> AsyncIterator[_Asked]:
    async with process("-m", "benchmarks.pacing", served.host, str(served.port)) as running:
        yield _Asked(served, Worker(running))


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
