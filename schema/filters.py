"""``where``: conditions over events as a tree of inputs."""

from decimal import Decimal
from enum import Enum

import strawberry
from strawberry.scalars import JSON

from resolvers.analysis.events import Interval, Kind
from schema.dimensions import Dimension
from schema.shapes import enumerate_in_schema

MAX_DEPTH = 8
MAX_CONDITIONS = 100
MAX_VALUES = 1_000
MAX_ALL_VALUES = 5_000
MAX_SEGMENTS = 50

enumerate_in_schema(
    Kind,
    "What sort of fact an event is.",
    {
        "CONVERSION": "Somebody did what the business hopes for: signed up, subscribed, bought, upgraded; or churned.",
        "AI_INTERACTION": "A call of an AI model.",
        "TOUCHPOINT": "A contact of marketing or sales with somebody.",
        "EXPOSURE": "Somebody was shown a variant of an experiment.",
        "PRODUCT": "A page was viewed or the product used.",
        "SPEND": "Money was spent that belongs to no single contact or call.",
        "SUBSCRIPTION": "A subscription started, changed or ended.",
    },
    name="EventKind",
)

enumerate_in_schema(
    Interval,
    "How often a subscription's amount is due.",
    {
        "DAY": "Every day; 365/12 times a month.",
        "WEEK": "Every week; 52/12 times a month.",
        "MONTH": "Every month.",
        "QUARTER": "Every three months; a third of it a month.",
        "HALF_YEAR": "Every six months; a sixth of it a month.",
        "YEAR": "Every year; a twelfth of it a month.",
    },
    name="BillingInterval",
)


class Measure(Enum):
    AMOUNT = "amount"
    COST = "cost"
    DURATION_MS = "duration_ms"
    SCORE = "score"
    INPUT_TOKENS = "input_tokens"
    OUTPUT_TOKENS = "output_tokens"


enumerate_in_schema(
    Measure,
    "A measure of an event that can be compared.",
    {
        "AMOUNT": "What was earned, in units of the event's own currency.",
        "COST": "What was spent, in units of the event's own currency.",
        "DURATION_MS": "How long it took, in milliseconds.",
        "SCORE": "A rating or confidence, 0 to 1.",
        "INPUT_TOKENS": "Tokens that the AI model read.",
        "OUTPUT_TOKENS": "Tokens that the AI model wrote.",
    },
)


class Flag(Enum):
    SUCCESS = "success"
    ASSISTED = "assisted"
    RECURRING = "recurring"


enumerate_in_schema(
    Flag,
    "A yes or no of an event.",
    {
        "SUCCESS": "Whether it succeeded.",
        "ASSISTED": "Whether AI had a hand in it.",
        "RECURRING": "Whether its amount comes again every period.",
    },
)

_IN = f"Holds where the value is one of these, at most {MAX_VALUES:,}; none is one of an empty list."
_NOT_IN = f"Holds where there is a value and it is none of these, at most {MAX_VALUES:,}."
_EXISTS = "True: holds where there is a value. False: holds where there is none."
_ORDERS = {
    "gt": "Holds where the value is a number greater than this.",
    "gte": "Holds where the value is a number greater than this or equal.",
    "lt": "Holds where the value is a number less than this.",
    "lte": "Holds where the value is a number less than this or equal.",
}


@strawberry.input(description="A condition on a dimension: at least one comparison; all that are given must hold.")
class DimensionConditionInput:
    dimension: Dimension = strawberry.field(description="The dimension whose value is compared.")
    in_: list[str] | None = strawberry.field(name="in", description=_IN)
    not_in: list[str] | None = strawberry.field(description=_NOT_IN)
    exists: bool | None = strawberry.field(description=_EXISTS)


@strawberry.input(description="A condition on a measure: at least one comparison; all that are given must hold.")
class MeasureConditionInput:
    measure: Measure = strawberry.field(description="The measure that is compared.")
    gt: object | None = strawberry.field(graphql_type=Decimal | None, description=_ORDERS["gt"])
    gte: object | None = strawberry.field(graphql_type=Decimal | None, description=_ORDERS["gte"])
    lt: object | None = strawberry.field(graphql_type=Decimal | None, description=_ORDERS["lt"])
    lte: object | None = strawberry.field(graphql_type=Decimal | None, description=_ORDERS["lte"])
    exists: bool | None = strawberry.field(description=_EXISTS)


@strawberry.input(
    description="A condition on one of the free properties: at least one comparison; all that are given must hold."
)
class PropertyConditionInput:
    path: list[str] = strawberry.field(
        description='The way into `properties`, key by key, at most 8: `["cart", "items"]`, or just `"plan"`.'
    )
    in_: list[JSON] | None = strawberry.field(
        name="in", description=f"{_IN} Text, numbers and booleans; text never equals a number."
    )
    not_in: list[JSON] | None = strawberry.field(description=f"{_NOT_IN} Text, numbers and booleans.")
    gt: object | None = strawberry.field(graphql_type=Decimal | None, description=_ORDERS["gt"])
    gte: object | None = strawberry.field(graphql_type=Decimal | None, description=_ORDERS["gte"])
    lt: object | None = strawberry.field(graphql_type=Decimal | None, description=_ORDERS["lt"])
    lte: object | None = strawberry.field(graphql_type=Decimal | None, description=_ORDERS["lte"])
    exists: bool | None = strawberry.field(description=_EXISTS)


@strawberry.input(
    description=(
        "A condition on the segments that the event's subject is in, as they were last refreshed (in rules of one: "
        "whose rules it meets at that moment). All that are given must hold, and an event of nobody holds none. Each "
        "is given by its `id` or its name; the one of a persona by rules is named `persona/<slug>`."
    )
)
class SegmentConditionInput:
    in_: list[strawberry.ID] | None = strawberry.field(
        name="in",
        description=f"Holds where the subject is in one of these segments, at most {MAX_SEGMENTS}.",
    )
    not_in: list[strawberry.ID] | None = strawberry.field(
        description=f"Holds where the subject is in none of these segments, at most {MAX_SEGMENTS}."
    )


@strawberry.input(description="A condition on a flag. An event without the flag never holds it, either way.")
class FlagConditionInput:
    flag: Flag = strawberry.field(description="The flag that is compared.")
    is_: bool = strawberry.field(name="is", description="The value that the flag must have.")


@strawberry.input(
    one_of=True,
    description=(
        "Which events count: exactly one condition, or one of `all`, `any` and `not` with more of them inside; "
        f"at most {MAX_DEPTH} deep, {MAX_CONDITIONS} conditions and {MAX_ALL_VALUES:,} values in all. A condition on "
        "something that an event does not carry does not hold. Example: `{all: [{kind: CONVERSION}, {dimension: "
        '{dimension: CHANNEL, in: "email"}}]}`.'
    ),
)
class FilterInput:
    all: list["FilterInput"] | None = strawberry.field(
        description="Holds where each of these does; an empty list holds for every event."
    )
    any: list["FilterInput"] | None = strawberry.field(
        description="Holds where at least one of these does; an empty list holds for none."
    )
    not_: "FilterInput | None" = strawberry.field(name="not", description="Holds where this does not.")
    kind: list[Kind] | None = strawberry.field(description="The event is of one of these kinds.")
    name: list[str] | None = strawberry.field(
        description=f"The event has one of these names, e.g. `purchase`; at most {MAX_VALUES:,}."
    )
    subject: list[str] | None = strawberry.field(
        description=f"The event is one of these subjects'; at most {MAX_VALUES:,}."
    )
    dimension: DimensionConditionInput | None = strawberry.field(description="A condition on a dimension.")
    property: PropertyConditionInput | None = strawberry.field(description="A condition on one of the free properties.")
    measure: MeasureConditionInput | None = strawberry.field(description="A condition on a measure.")
    flag: FlagConditionInput | None = strawberry.field(description="A condition on a yes or no.")
    segment: SegmentConditionInput | None = strawberry.field(
        description="A condition on the segments that the subject is in: those kept by `saveSegment`."
    )
