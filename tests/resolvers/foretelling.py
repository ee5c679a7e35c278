"""A company with customers whose habits say what they will do, for tests of what is foretold of them."""

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from tests.factories import event, purchase

CUTOFF = datetime(2026, 6, 1, tzinfo=UTC)
PAST = CUTOFF - timedelta(days=30)


def at(days: float) -> datetime:
    """So many days before the cut-off."""
    return CUTOFF - timedelta(days=days)


def subscribers(
    people: int = 240, *, churn: float = 0.7, seed: int = 1, explicit: bool = True, days: int = 100
) -> list[dict[str, Any]]:
    """Customers who subscribe, use the product and its AI; of those whom the AI fails most leave.

    Everybody begins ``days`` before the cut-off. The AI fails every second one from the start; ``churn`` of these leave
    in the month before the cut-off, and a twentieth of the others. They say so where ``explicit``, else fall silent.
    """
    random, made = Random(seed), []
    for number in range(people):
        failing = number % 2 == 0
        traits = {"plan": "pro" if number % 3 else "team", "persona": "dev"}
        who = {"subject": f"p{number}", "dimensions": traits}
        chat = {"kind": "AI_INTERACTION", "name": "chat", "subject": f"p{number}"}
        leaves = random.random() < (churn if failing else churn / 14)
        leaving = random.uniform(1, 29)
        made.append(purchase("20", name="subscription", occurredAt=at(days), **who))
        for day in range(days - 1, 0, -random.randint(4, 6)):
            if leaves and day < (leaving if explicit else 30):
                break
            success = random.random() > (0.6 if failing else 0.1)
            when = at(day - random.random())
            model = {**traits, "provider": "openai", "model": "gpt-4o", "feature": "chat"}
            made.append(event(**chat, success=success, occurredAt=when, dimensions=model))
            made.append(event(occurredAt=when + timedelta(minutes=2), **who))
        if leaves and explicit:
            made.append(event(kind="CONVERSION", name="churn", occurredAt=at(leaving), **who))
        elif number % 4 == 1:
            made.append(purchase("10", name="upgrade", occurredAt=at(random.uniform(1, 29)), **who))
    return made


def shoppers(people: int = 300, *, seed: int = 2, amount: float | None = None) -> list[dict[str, Any]]:
    """Customers who buy now and then until they stop; everybody began within the first half of a year."""
    random, made = Random(seed), []
    for number in range(people):
        rate, leaving = random.gammavariate(1.2, 1 / 20), random.betavariate(0.8, 2.5)
        scale = random.gammavariate(4, 10)
        day = random.uniform(180, 360)
        while day > 0:
            price = amount if amount is not None else random.gammavariate(5, scale / 5)
            made.append(purchase(f"{price:.2f}", subject=f"s{number}", occurredAt=at(day)))
            if random.random() < leaving:
                break
            # Never twice on a day, which would be one purchase.
            day -= 1 + random.expovariate(rate)
    return made


def sooner(events: list[dict[str, Any]], days: int) -> list[dict[str, Any]]:
    """The same of other people, so many days earlier."""
    span = timedelta(days=days)
    return [
        one | {"subject": f"q{one['subject']}", "occurredAt": str(datetime.fromisoformat(one["occurredAt"]) - span)}
        for one in events
    ]
