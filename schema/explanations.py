"""How an answer came about, for whoever wonders what it cost."""

import strawberry

from resolvers.analysis import explanations as values
from schema.shapes import enumerate_in_schema, shapes

enumerate_in_schema(
    values.Source,
    "What an answer was read from.",
    {
        "ROLLUPS": "Sums kept by hour and by day: as many rows however many events there are.",
        "PRESENCE": "Subjects and orders of each day, kept as sets.",
        "UNITS": "Sums over the units of an experiment, and what units that newer events are about changed of them.",
        "JOURNEYS": "Columns of events by subject and time, and of the log what is newer than they are.",
        "LOG": "The events themselves.",
    },
    name="AnswerSource",
)


@shapes(values.Explanation)
@strawberry.type(description="How an answer came about. A kept answer tells how it was computed at first.")
class Explanation:
    source: values.Source = strawberry.field(description="What it was read from; of several the dearest.")
    rows: int = strawberry.field(description="How many rows were read there.")
    milliseconds: float = strawberry.field(
        description="How long reading took, in milliseconds; of a funnel that includes walking what was read."
    )
    tail: int = strawberry.field(
        description="Of the rows the events that had to be read beside what is kept of them, being newer than it or of "
        "an hour that the period or a bucket begins or ends within."
    )
