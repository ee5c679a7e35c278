"""A made-up company for the demo: its people, told day by day, and told on while somebody watches.

The same seed and start tell the same story with the same ids, so that telling it twice stores it once.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from gateway.demo_company import CHANNELS, WORKDAYS
from gateway.demo_people import Day, Person, cents, newcomer

DAYS = 90
PEOPLE = 8_000


def generate(seed: int, end: datetime, days: int = DAYS, people: int = PEOPLE) -> Iterator[dict[str, Any]]:
    """The story of the ``days`` before the day of ``end``, and of that day until ``end``, in order of time.

    About ``people`` people arrive, more from week to week. With the defaults it has some 200,000 events.
    """
    until = _stamp_of(end)
    for event in _Story(seed, end, days, people).tell():
        if event["occurredAt"] >= until:
            return
        yield event


def trickle(
    seed: int,
    start: datetime,
    clock: Callable[[], datetime],
    *,
    rate: float = 2.0,
    days: int = DAYS,
    people: int = PEOPLE,
) -> Iterator[tuple[float, dict[str, Any]]]:
    """What the people of ``generate(seed, start, days, people)`` do next, at ``rate`` events a second.

    Yields how many seconds to wait and the event to send then, dated with that moment of ``clock``, without
    end. Time runs faster than in the story before, so that there is something to see. The first item takes as
    long as telling the story so far.
    """
    until = _stamp_of(start)
    pace = Random(f"{seed} pace")  # noqa: S311 - nothing secret depends on it
    for event in _Story(seed, start, days, people).tell():
        if event["occurredAt"] >= until:
            delay = pace.expovariate(rate)
            yield delay, {**event, "occurredAt": _stamp_of(clock() + timedelta(seconds=delay))}


def first_day(end: datetime, days: int) -> datetime:
    """The midnight at which a story of the ``days`` before ``end`` begins."""
    return end.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days)


class _Story:
    def __init__(self, seed: int, end: datetime, days: int, people: int) -> None:
        self.rng = Random(f"{seed} {days} {people}")  # noqa: S311 - nothing secret depends on it
        self.first = first_day(end, days)
        self.days = days
        self.prefix = f"demo-{seed}-{self.first:%Y%m%d}"
        self.newcomers_a_day = people / sum(self._bustle(number) for number in range(days))
        self.people: list[Person] = []
        self.arrived = 0
        self.due = 0.0
        self.told = 0

    def _bustle(self, number: int) -> float:
        weekday = (self.first + timedelta(days=number)).weekday()
        return WORKDAYS[weekday] * (0.5 + min(1.0, number / self.days))

    def tell(self) -> Iterator[dict[str, Any]]:
        number = 0
        while True:
            yield from self._day(number)
            number += 1

    def _day(self, number: int) -> list[dict[str, Any]]:
        date = self.first + timedelta(days=number)
        morning = f"{date:%Y-%m-%d}T"
        happened: list[tuple[float, str, str, Person | None, dict[str, Any]]] = []

        def emit(second: float, kind: str, name: str, person: Person, fields: dict[str, Any]) -> None:
            if person.session:
                fields["session"] = person.session
            happened.append((second, kind, name, person, fields))

        day = Day(number, date.weekday(), self.rng, emit)
        self.due += self.newcomers_a_day * self._bustle(number)
        while self.arrived < self.due:
            self.arrived += 1
            self.people.append(newcomer(self.arrived, self.rng))
        for person in self.people:
            day.live(person)
        self.people = [person for person in self.people if not person.gone]
        for channel in CHANNELS:
            if channel.daily:
                cost = cents(int(channel.daily * (0.9 + 0.2 * self.rng.random())))
                dimensions = {"channel": channel.name, "source": channel.source}
                spent = {"cost": cost, "currency": "USD", "dimensions": dimensions}
                happened.append((86_399.0, "SPEND", "media", None, spent))
        happened.sort(key=lambda item: item[0])
        return [self._event(morning, *item) for item in happened]

    def _event(
        self, morning: str, second: float, kind: str, name: str, person: Person | None, fields: dict[str, Any]
    ) -> dict[str, Any]:
        self.told += 1
        seconds, milliseconds = divmod(int(second * 1000), 1000)
        minutes, seconds = divmod(seconds, 60)
        hours, minutes = divmod(minutes, 60)
        event = {
            "kind": kind,
            "id": f"{self.prefix}-{self.told}",
            "name": name,
            "occurredAt": f"{morning}{hours:02}:{minutes:02}:{seconds:02}.{milliseconds:03}Z",
            **fields,
        }
        if person is not None:
            event["subject"] = person.subject
        return event


def _stamp_of(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"
