"""How long recurring revenue takes to tell, over a log of subscriptions."""

from collections.abc import Iterator
from datetime import timedelta
from random import Random
from typing import Any

from benchmarks.analyses import SECOND, computed, equal, in_milliseconds
from benchmarks.bench import Bench, Log, gateway_within, new_log
from benchmarks.company import FIRST_DAY, VALUES
from benchmarks.loopback import graphql
from benchmarks.processes import gateway, settled
from benchmarks.ratios import Line, Ratio, in_turns
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
    """A month of what a year of subscriptions comes to, by day and plan, computed each time."""
    log = await _log(bench, min(bench.events // 100, _MOST))
    answers: list[Any] = []
    # More groups than there are plans: each number is another question with the same answer.
    questions = (graphql(log.key, _QUESTION, period=_PERIOD, top=top) for top in range(20, 101))
    async with gateway(log.url) as served:
        await settled(log)
        tick = bench.ticks("Recurring revenue", bench.rounds + 1)
        (times,) = await in_turns(bench.rounds, tick, computed(served, questions, answers))
    assert equal(answers), "revenues differ"
    assert answers[0]["recurringRevenue"]["movements"]["customers"], "nobody subscribed"
    of = f"{log.events:,} events of subscriptions, over HTTP"
    return [Ratio("recurring revenue, a month", in_milliseconds(times), SECOND, of, unit="ms")]


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
