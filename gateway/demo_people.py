"""The people of the demo and what each of them does in one day of their story."""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from gateway.demo_company import (
    CHANNELS,
    CHATS,
    CREDITS,
    CURRENCIES,
    FEATURES,
    HOURS,
    LOCATIONS,
    PERSONAS,
    PLANS,
    WORKDAYS,
    Channel,
    Persona,
    variant_of,
)

LAST_START = 84_000
"""A session begins by this second of its day, so that it ends within the day."""

Emit = Callable[[float, str, str, "Person", dict[str, Any]], None]
"""Takes the second of the day, the kind, the name, who did it and the event's other fields."""


@dataclass(slots=True)
class Person:
    """One person's story so far; ``plan`` is None until the signup, then ``free`` or what is paid for."""

    number: int
    persona: Persona
    location: str
    offset: int
    channel: Channel
    campaign: str | None
    subject: str = ""
    plan: str | None = None
    paid_since: int = 0
    visits: int = 0
    session: str = ""
    happiness: float = 1.0
    variants: dict[str, str] = field(default_factory=dict)
    gone: bool = False
    """Churned or lost interest: nothing more is heard of this person."""

    @property
    def currency(self) -> str:
        """What is paid in."""
        return CURRENCIES.get(self.location, "USD")

    def dimensions(self) -> dict[str, str]:
        known = {"persona": self.persona.name, "location": self.location}
        return known if self.plan is None else {**known, "plan": self.plan}

    def origin(self) -> dict[str, str]:
        origin = {**self.dimensions(), "channel": self.channel.name, "source": self.channel.source}
        return origin if self.campaign is None else {**origin, "campaign": self.campaign}


def newcomer(number: int, rng: Random) -> Person:
    """A person who has just heard of the product."""
    persona = rng.choices(PERSONAS, [persona.weight for persona in PERSONAS])[0]
    location, _, offset = rng.choices(LOCATIONS, [share for _, share, _ in LOCATIONS])[0]
    channel = rng.choices(CHANNELS, [channel.weight for channel in CHANNELS])[0]
    campaign = rng.choice(channel.campaigns) if channel.campaigns else None
    return Person(number, persona, location, offset, channel, campaign, subject=f"person-{number:05}")


class Day:
    """One day in which people act; ``emit`` takes what they do."""

    def __init__(self, number: int, weekday: int, rng: Random, emit: Emit) -> None:
        self.number = number
        self.weekday = weekday
        self.bustle = WORKDAYS[weekday]
        self.rng = rng
        self.emit = emit
        self.second = 0.0

    def live(self, person: Person) -> None:
        """Let ``person`` do whatever today brings."""
        if person.plan is None:
            self._visitor(person)
        elif person.plan == "free":
            self._member(person)
        else:
            self._customer(person)

    def _visitor(self, person: Person) -> None:
        if person.visits and self.rng.random() > 0.2 * self.bustle:
            person.gone = self.rng.random() < 0.12
            return
        self._start(person)
        self._touch(person)
        self._view(person, "landing_view")
        for _ in range(int(self.rng.random() * 4)):
            self._view(person, self.rng.choice(("docs_view", "feature_view", "blog_view")))
        if self.rng.random() < 0.12:
            self._chat(person)
        if self.rng.random() < 0.55:
            self._view(person, "pricing_view")
            self._expose(person, "pricing_layout")
            if self.rng.random() < 0.3 * person.channel.intent:
                self._sign_up(person)

    def _sign_up(self, person: Person) -> None:
        self._expose(person, "guided_start")
        self._convert(person, "signup")
        person.plan = "free"
        guided = person.variants["guided_start"] == "guided"
        if guided:
            self._chat(person)
        for name, chance in (
            ("project_created", 0.75),
            ("source_connected", 0.65),
            ("dashboard_viewed", 0.8),
        ):
            if self.rng.random() > chance + 0.12 * guided:
                return
            self._use(person, name)
        person.happiness += 0.25

    def _member(self, person: Person) -> None:
        if self.rng.random() > person.persona.activity * 0.6 * self.bustle * person.happiness:
            person.gone = self.rng.random() < 0.035
            return
        self._start(person)
        if self.weekday == 1 and self.rng.random() < 0.5:
            self._mail(person)
        self._work(person)
        # The start guided by AI is the demo's true effect: it raises the chance to buy by half.
        guided = person.variants["guided_start"] == "guided"
        if self.rng.random() < 0.05 * person.persona.readiness * person.happiness * (1.5 if guided else 1.0):
            self._use(person, "checkout_started")
            if self.rng.random() < 0.7:
                plan = self.rng.choice(person.persona.plans)
                self._convert(person, "subscription", PLANS[plan], {"plan": plan})
                person.plan = plan
                person.paid_since = self.number
                self._contract(person, "started")

    def _customer(self, person: Person) -> None:
        paid_days = self.number - person.paid_since
        if paid_days and paid_days % 30 == 0:
            # Bills are settled in the first hour, before any session of the day begins.
            self.second = self.rng.random() * 3000
            person.session = ""
            if self.rng.random() < 0.16 / person.happiness:
                self._contract(person, "ended")
                self._convert(person, "churn")
                person.gone = True
                return
            self._convert(person, "renewal", PLANS[person.plan or ""], recurring=True)
        if self.rng.random() > person.persona.activity * 1.25 * self.bustle:
            return
        self._start(person)
        if self.weekday == 1 and self.rng.random() < 0.3:
            self._mail(person)
        self._work(person)
        if self.rng.random() < 0.03:
            self._convert(person, "purchase", self.rng.choice(CREDITS))
        if person.plan != "business" and self.rng.random() < 0.006 * person.happiness:
            plan = "team" if person.plan == "starter" else "business"
            self._convert(person, "upgrade", PLANS[plan], {"plan": plan})
            person.plan = plan
            self._contract(person, "changed")

    def _work(self, person: Person) -> None:
        self._use(person, "app_open")
        for _ in range(1 + int(self.rng.random() * 4)):
            self._use(person, "feature_used", {"feature": self.rng.choice(FEATURES)})
        chats = person.persona.chats * (1.4 if person.plan != "free" else 0.8)
        for _ in range(min(6, int(self.rng.expovariate(1 / chats)))):
            self._chat(person)
        if self.rng.random() < 0.15:
            self._use(person, "report_exported")

    def _start(self, person: Person) -> None:
        hour = (self.rng.choice(HOURS) - person.offset) % 24
        self.second = min(max(3600.0, hour * 3600 + self.rng.random() * 3600), LAST_START)
        person.visits += 1
        person.session = f"{person.subject}-{person.visits}"

    def _emit(self, person: Person, kind: str, name: str, dimensions: dict[str, str], **fields: Any) -> None:
        self.second += 1 + self.rng.random() * 90
        fields["dimensions"] = dimensions
        self.emit(self.second, kind, name, person, fields)

    def _touch(self, person: Person) -> None:
        dimensions = person.origin()
        if person.visits > 1 and self.rng.random() < 0.5:
            dimensions |= {"channel": "paid_social", "source": "linkedin", "campaign": "retargeting"}
        click = next(channel.click for channel in CHANNELS if channel.name == dimensions["channel"])
        cost = {"cost": cents(int(click * (0.7 + 0.6 * self.rng.random()))), "currency": "USD"} if click else {}
        self._emit(person, "TOUCHPOINT", "visit", dimensions, assisted=self.rng.random() < 0.2, **cost)

    def _mail(self, person: Person) -> None:
        dimensions = {
            **person.dimensions(),
            "channel": "newsletter",
            "source": "mail",
            "campaign": "product_news",
        }
        self._emit(person, "TOUCHPOINT", "mail_opened", dimensions, assisted=self.rng.random() < 0.6)

    def _view(self, person: Person, name: str) -> None:
        self._emit(person, "PRODUCT", name, person.origin())

    def _use(self, person: Person, name: str, dimensions: dict[str, str] | None = None) -> None:
        self._emit(person, "PRODUCT", name, {**person.dimensions(), **(dimensions or {})})

    def _expose(self, person: Person, experiment: str) -> None:
        if experiment not in person.variants:
            person.variants[experiment] = variant = variant_of(experiment, person.subject)
            dimensions = {**person.dimensions(), "experiment": experiment, "variant": variant}
            self._emit(person, "EXPOSURE", "exposure", dimensions)

    def _convert(
        self,
        person: Person,
        name: str,
        price: int | None = None,
        dimensions: dict[str, str] | None = None,
        **fields: Any,
    ) -> None:
        if price is not None:
            fields |= {
                "amount": cents(price),
                "currency": person.currency,
                "orderId": f"{person.subject}-{self.number}-{name}",
            }
        self._emit(person, "CONVERSION", name, {**person.origin(), **(dimensions or {})}, **fields)

    def _contract(self, person: Person, name: str) -> None:
        """Say what ``person`` pays a month from now on."""
        due = {"amount": cents(PLANS[person.plan or ""]), "interval": "MONTH", "currency": person.currency}
        self._emit(person, "SUBSCRIPTION", name, person.origin(), **({} if name == "ended" else due))

    def _chat(self, person: Person) -> None:
        feature, request_type, model = self.rng.choice(CHATS)
        success = self.rng.random() < model.success
        person.happiness = min(1.6, max(0.4, person.happiness + (0.01 if success else -0.06)))
        read = int(self.rng.lognormvariate(6.9, 0.7))
        self._emit(
            person,
            "AI_INTERACTION",
            "ai_interaction",
            {
                **person.dimensions(),
                "provider": model.provider,
                "model": model.name,
                "feature": feature,
                "requestType": request_type,
            },
            inputTokens=read,
            outputTokens=int(self.rng.lognormvariate(5.2, 0.6)),
            cacheReadTokens=read // 2 if feature == "assistant" else 0,
            durationMs=round(model.milliseconds * self.rng.lognormvariate(0, 0.45), 1),
            success=success,
            score=round(self.rng.betavariate(9, 2) if success else self.rng.betavariate(3, 4), 3),
        )


def cents(amount: int) -> str:
    """Cents as decimal text: 2900 is ``29.00``."""
    return f"{amount // 100}.{amount % 100:02}"
