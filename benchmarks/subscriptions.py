"""How long recurring revenue takes to tell, over a log of subscriptions."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from random import Random
from typing import Any

import asyncpg
import orjson

from benchmarks.analyses import SECOND, computed, in_milliseconds
from benchmarks.bench import Bench, Log, gateway_within, new_log
from benchmarks.company import FIRST_DAY, VALUES
from benchmarks.loopback import ask, graphql, post
from benchmarks.processes import Served, gateway, settled
from benchmarks.ratios import Line, Ratio, Side, in_turns
from resolvers.events import ingest

_MOST = 100_000
"""Events of subscriptions, at most: a company has many fewer of them than of others."""
_A_PERSON = 4
_DAYS = 360
_PERIOD = {"from": (FIRST_DAY + timedelta(days=270)).isoformat(), "to": (FIRST_DAY + timedelta(days=300)).isoformat()}
_QUESTION = """query Recurring($period: PeriodInput!, $top: Int!) {
  recurringRevenue(
    period: $period, timezone: "UTC", granularity: DAY, by: [PLAN], compare: PREVIOUS_PERIOD, top: $top
  ) {
    mrr { value } movements { start new expansion contraction churn reactivation ending customers }
    series { at ending customers } groups { keys { value } mrr { value } }
  }
}"""


async def recurring_revenue(bench: Bench) -> list[Line]:
    """A month of what a year of subscriptions comes to, by day and plan: as it is known, and after another event."""
    log = await _log(bench, min(bench.events // 100, _MOST))
    answers: list[Any] = []
    # More groups than there are plans: each number is another question with the same answer.
    questions = (graphql(log.key, _QUESTION, period=_PERIOD, top=top) for top in range(20, 101))
    news = (post("/ingest", log.key, orjson.dumps(_newcomer(place))) for place in count())
    async with gateway(log.url) as served:
        await settled(log)
        tick = bench.ticks("Recurring revenue", bench.rounds + 1)
        side = computed(served, questions, answers)
        known, anew = await in_turns(bench.rounds, tick, side, _after(served, news, side))
    told = [answer["recurringRevenue"]["movements"]["customers"] for answer in answers]
    assert told == [told[0] + place for place in (0, *(1 + turn // 2 for turn in range(len(told) - 1)))], told
    of = f"{log.events:,} events of subscriptions, over HTTP"
    return [
        Ratio("recurring revenue, a month", in_milliseconds(known), SECOND, of, unit="ms"),
        Ratio("recurring revenue, after an event", in_milliseconds(anew), SECOND, of, unit="ms"),
    ]


def _after(served: Served, news: Iterator[bytes], side: Side) -> Side:
    """The same once another event was stored, which is not measured."""

    async def seconds() -> float:
        receipt = await ask(served, next(news))
        assert receipt["accepted"] == 1, receipt
        return await side()

    return seconds


def _newcomer(place: int) -> dict[str, Any]:
    """Somebody subscribes within the period."""
    return {
        "kind": "SUBSCRIPTION",
        "id": f"new{place}",
        "name": "started",
        "subject": f"newcomer-{place}",
        "subscription": f"newcomer-{place}",
        "occurredAt": (FIRST_DAY + timedelta(days=275, seconds=place)).isoformat(),
        "dimensions": {"plan": VALUES["plan"][0]},
        "amount": "30",
        "currency": "USD",
        "interval": "MONTH",
    }


async def _log(bench: Bench, events: int) -> Log:
    """Subscriptions alone, stored by the writer."""
    log = await new_log(await bench.fresh("subscriptions"), "subscribers", events)
    items = list(_items(events))
    tick = bench.ticks("Subscriptions", -(-len(items) // bench.batch))
    async with gateway_within(log.url) as gateway:
        for start in range(0, len(items), bench.batch):
            receipt = await ingest(gateway.context(log.principal), items[start : start + bench.batch])
            assert not receipt.rejected, receipt.rejected[:3]
            tick()
    connection = await asyncpg.connect(log.url)
    try:
        # As upkeep of the database itself does by and by.
        await connection.execute("VACUUM (ANALYZE) event")
    finally:
        await connection.close()
    return log


def _items(events: int) -> Iterator[dict[str, Any]]:
    """Each person subscribes, changes twice, and goes or stays: so many events, some days apart."""
    chance = Random(7)  # not for secrets
    for place in range(events):
        person, step = divmod(place, _A_PERSON)
        day = person % (_DAYS // 2) + step * _DAYS // 8
        name = ("started", "changed", "changed", "ended" if person % 3 else "changed")[step]
        item: dict[str, Any] = {
            "kind": "SUBSCRIPTION",
            "id": f"s{place}",
            "name": name,
            "subject": f"user-{person}",
            "subscription": f"contract-{person}",
            "occurredAt": (FIRST_DAY + timedelta(days=day, seconds=place % 86_400)).isoformat(),
            "dimensions": {"plan": VALUES["plan"][person % len(VALUES["plan"])]},
        }
        if name != "ended":
            item |= {"amount": str(chance.randrange(5, 500)), "currency": "USD", "interval": "MONTH"}
        yield item
