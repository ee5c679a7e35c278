"""What the demo's company sells, to whom, by which ways people come to it, and what it tries on them."""

from typing import NamedTuple

from resolvers.analysis.bucketing import Purpose, chosen, place


class Channel(NamedTuple):
    """A way in which people arrive; ``click`` is a visit's price in cents, ``daily`` a flat fee a day."""

    name: str
    source: str
    campaigns: tuple[str, ...]
    weight: float
    intent: float
    click: int
    daily: int


class Model(NamedTuple):
    """A language model that the product calls, with its usual latency and chance of success."""

    provider: str
    name: str
    milliseconds: float
    success: float


class Persona(NamedTuple):
    """A sort of user: how common, ready to pay, active and fond of AI it is, and which plans it picks."""

    name: str
    weight: float
    readiness: float
    activity: float
    chats: float
    plans: tuple[str, ...]


CHANNELS = (
    Channel("organic", "google", (), 0.34, 1.0, 0, 6_000),
    Channel("paid_search", "google", ("brand", "analytics_tools"), 0.22, 1.15, 135, 0),
    Channel("paid_social", "linkedin", ("founders", "retargeting"), 0.16, 0.7, 410, 0),
    Channel("video", "youtube", ("creator_series",), 0.10, 0.6, 0, 14_000),
    Channel("newsletter", "mail", ("weekly_digest", "product_news"), 0.08, 1.3, 0, 2_500),
    Channel("referral", "partners", (), 0.10, 1.6, 0, 0),
)
PERSONAS = (
    Persona("developer", 0.38, 0.8, 0.55, 2.2, ("starter", "starter", "team")),
    Persona("analyst", 0.27, 1.1, 0.60, 1.6, ("starter", "team", "team")),
    Persona("marketer", 0.22, 0.9, 0.40, 1.1, ("starter", "team")),
    Persona("founder", 0.13, 1.5, 0.35, 0.8, ("team", "business")),
)
LOCATIONS = (
    ("US", 0.40, -6),
    ("DE", 0.16, 1),
    ("GB", 0.14, 0),
    ("IN", 0.14, 5),
    ("BR", 0.09, -3),
    ("JP", 0.07, 9),
)
"""Country, share of the people and hours from UTC."""
CURRENCIES = {"DE": "EUR", "GB": "GBP"}
"""What people of a country pay in; everybody else in USD."""
PLANS = {"starter": 2900, "team": 9900, "business": 29900}
"""Price a month in cents, in every currency the same number."""
CREDITS = (999, 2499, 4999)
FEATURES = ("dashboards", "funnels", "alerts", "exports")
CHATS = (
    ("assistant", "chat", Model("anthropic", "claude-sonnet-4-5", 2400, 0.97)),
    ("assistant", "chat", Model("openai", "gpt-4o", 1700, 0.95)),
    ("query_writer", "generation", Model("openai", "gpt-4o-mini", 900, 0.92)),
    ("summaries", "summarisation", Model("google", "gemini-2.5-flash", 1100, 0.94)),
    ("summaries", "summarisation", Model("anthropic", "claude-haiku-4-5", 800, 0.95)),
)
HOURS = (7, 8, 9, 9, 10, 10, 11, 11, 12, 13, 14, 14, 15, 15, 16, 17, 18, 20, 21)
"""When people start a session, in their own time."""
WORKDAYS = (1.0, 1.05, 1.05, 1.0, 0.9, 0.45, 0.4)
"""How busy each day of the week is, Monday first."""
EXPERIMENTS = {
    "guided_start": {"control": 6_000, "guided": 4_000},
    "pricing_layout": {"cards": 7_000, "table": 3_000},
}
"""What is tried: the variants of each, control first, with their weights in parts of 10,000."""


def variant_of(experiment: str, subject: str) -> str:
    """The variant that the gateway assigns too, where the experiment's salt is its key."""
    variants = EXPERIMENTS[experiment]
    return tuple(variants)[chosen(place(Purpose.VARIANT, experiment, subject), tuple(variants.values()))]
