"""What every subject's answers are made of: money, estimates, intervals, periods, and how urgent something is."""

from datetime import datetime
from decimal import Decimal

import strawberry

from resolvers.analysis import estimates, metrics, periods, slos
from schema.dimensions import Dimension
from schema.scalars import BigInt
from schema.shapes import enumerate_in_schema, shapes

enumerate_in_schema(
    estimates.Unit,
    "What one of a value is.",
    {
        "COUNT": "A number of things: events, people, orders.",
        "MONEY": "An amount in the currency that stands beside it.",
        "RATIO": "A share; 0.25 is 25 %.",
        "MILLISECONDS": "A span of time in milliseconds.",
        "SECONDS": "A span of time in seconds.",
        "MONTHS": "A span of time in months.",
    },
)

enumerate_in_schema(
    estimates.Quality,
    "How much stands behind an estimate.",
    {
        "SUFFICIENT": "Enough observations: rely on it.",
        "LOW": "Few observations: the value may be far from the truth, look at the interval.",
        "INSUFFICIENT": "No value, or one that says nothing.",
    },
)

enumerate_in_schema(
    periods.Granularity,
    "The width of a bucket of a series, in the calendar of the asked time zone, daylight saving included.",
    {
        "MINUTE": "A minute.",
        "HOUR": "An hour.",
        "DAY": "A day from midnight to midnight; 23 or 25 hours where clocks change.",
        "WEEK": "A week from Monday to Sunday.",
        "MONTH": "A calendar month.",
    },
)

enumerate_in_schema(
    periods.Compare,
    "Which earlier period to hold an answer against.",
    {
        "PREVIOUS_PERIOD": "The period of equal length that ends where the asked one starts.",
        "PREVIOUS_YEAR": "The same dates a year earlier.",
    },
)

enumerate_in_schema(
    slos.Severity,
    "How soon somebody has to look.",
    {
        "PAGE": "At once, whatever the hour.",
        "TICKET": "Within the next working days.",
    },
)


@shapes(estimates.Money)
@strawberry.type(description="An exact amount in one currency.")
class Money:
    amount: Decimal = strawberry.field(description="The amount in units of the currency, e.g. `19.99`.")
    currency: str = strawberry.field(description="ISO 4217 code, e.g. `USD`.")


@shapes(estimates.Interval)
@strawberry.type(
    description="A confidence interval: intervals made this way cover the true value in `level` of all cases."
)
class Interval:
    low: Decimal = strawberry.field(description="The lower end, in the estimate's unit.")
    high: Decimal = strawberry.field(description="The upper end, in the estimate's unit.")
    level: Decimal = strawberry.field(description="The confidence level, a share: 0.95 is 95 %.")
    method: str = strawberry.field(description="The formula's name, e.g. `Wilson score`.")


@shapes(estimates.Estimate)
@strawberry.type(description="One number that describes itself: what it is, what it stands on, how far to trust it.")
class Estimate:
    value: Decimal | None = strawberry.field(
        description="The number, in `unit`. Null where it is undefined, such as a ratio over nothing; never 0 instead."
    )
    unit: estimates.Unit = strawberry.field(description="What one of the value is.")
    currency: str | None = strawberry.field(description="ISO 4217 code of the value; null unless `unit` is `MONEY`.")
    numerator: Decimal | None = strawberry.field(
        description="What was divided, for a ratio or a mean; null for values that are no quotient."
    )
    denominator: Decimal | None = strawberry.field(
        description="What it was divided by, for a ratio or a mean; null for values that are no quotient."
    )
    n: BigInt = strawberry.field(description="How many observations stand behind the value.")
    interval: Interval | None = strawberry.field(
        description="The confidence interval of the value; null where none is defined or there is no value."
    )
    previous: Decimal | None = strawberry.field(
        description="The value in the period compared with; null where nothing is compared or it was undefined."
    )
    change: Decimal | None = strawberry.field(
        description="(value - previous) / |previous|, a share; null without a previous value or where that is 0."
    )
    as_of: datetime = strawberry.field(description="The instant at which the answer was read from the log.")
    definition: str = strawberry.field(description="One sentence that says how the value is computed.")
    quality: estimates.Quality = strawberry.field(description="How much stands behind the value.")


@shapes(periods.Period)
@strawberry.type(description="A span of time; an instant t lies in it where from <= t < to.")
class Period:
    start: datetime = strawberry.field(name="from", description="The first instant of the period.")
    end: datetime = strawberry.field(name="to", description="The first instant after the period.")


@shapes(metrics.DimensionValue)
@strawberry.type(description="A dimension and the value that a group has in it.")
class DimensionValue:
    dimension: Dimension = strawberry.field(description="The dimension broken down by.")
    value: str | None = strawberry.field(description="The group's value; null for events that carry none.")
