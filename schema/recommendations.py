"""Recommendations: what to do next, accepted or dismissed, and what came of it."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Annotated, Any

import strawberry

from resolvers import recommendation_effects, recommendations
from resolvers.analysis import recommendations as values
from resolvers.analysis.periods import PeriodRequest
from resolvers.analysis.questions import Question
from resolvers.context import Context, Role
from schema.access import Info, field
from schema.arguments import TimezoneArgument
from schema.common import DimensionValue, Estimate, Period
from schema.errors import Forbidden, InvalidInput, NotFound, Overloaded, Unauthenticated
from schema.live import Analysis, Asked
from schema.nodes import Node, encode, key_of
from schema.pages import After, Connection, First, open_cursor, page
from schema.shapes import enumerate_in_schema, shapes

enumerate_in_schema(
    values.Kind,
    "What a recommendation is about: which detector speaks.",
    {
        "LEAKING_STEP": "A step of a saved funnel that many fewer pass than the funnel's other steps.",
        "LOSING_CHANNEL": "A channel whose return on ad spend is below 1 for sure, by linear attribution.",
        "CHEAPER_MODEL": "An AI model that succeeds as often as another for the same feature, and costs less.",
        "PERSONA_SPEND": "A persona that returns more of what is spent on it than all others do.",
        "CHURN_CONCENTRATION": "A persona, channel or location whose customers churn more than all others.",
        "COST_ANOMALY": "A day whose AI cost is far above that of the four weeks before.",
    },
    name="RecommendationKind",
)
enumerate_in_schema(
    values.Severity,
    "How much of the revenue of 30 days is at stake.",
    {
        "LOW": "Less than 1 %, or what cannot be told in money.",
        "MEDIUM": "1 % or more.",
        "HIGH": "5 % or more.",
    },
    name="RecommendationSeverity",
)
enumerate_in_schema(
    values.State,
    "What became of a recommendation.",
    {"OPEN": "Nothing yet.", "ACCEPTED": "It is followed.", "DISMISSED": "It is not followed."},
    name="RecommendationState",
)


@shapes(values.Evidence)
@strawberry.type(description="One figure that a recommendation stands on.")
class RecommendationEvidence:
    title: str = strawberry.field(description="What the figure is of, in English.")
    estimate: Estimate = strawberry.field(description="The figure, with its interval and how much it stands on.")


@shapes(values.Effect)
@strawberry.type(description="A figure before and after a recommendation was accepted.")
class RecommendationEffect:
    title: str = strawberry.field(description="What the figure is of, in English.")
    before: Estimate = strawberry.field(description="The figure before.")
    after: Estimate = strawberry.field(description="The figure after.")
    difference: Estimate = strawberry.field(
        description="after - before, with its interval; its value is null where either stands on nothing."
    )


@shapes(values.RealisedEffect)
@strawberry.type(description="What was measured since a recommendation was accepted.")
class RealisedEffect:
    days: int = strawberry.field(description="How many whole days are looked at before, and as many after: 7 to 30.")
    before: Period = strawberry.field(description="The days before the day of acceptance.")
    after: Period = strawberry.field(description="The days after the day of acceptance.")
    effects: list[RecommendationEffect] = strawberry.field(description="The figures that it was to change.")
    statement: str = strawberry.field(description="What the comparison shows and what it does not: it is not causal.")


@shapes(values.Recommendation)
@strawberry.type(description="Something to do, and why. `node` finds it for as long as it is found or decided about.")
class Recommendation(Node):
    key: str = strawberry.field(description="The same for as long as it is the same finding.")
    kind: values.Kind = strawberry.field(description="What it is about.")
    severity: values.Severity = strawberry.field(description="How much of the revenue is at stake.")
    title: str = strawberry.field(description="What was found, in a sentence.")
    action: str = strawberry.field(description="What to do about it.")
    about: list[DimensionValue] = strawberry.field(description="The dimension values it is about; empty for funnels.")
    expected: Estimate = strawberry.field(
        description="What following it is worth in 30 days, with its interval; `definition` says on which assumption."
    )
    evidence: list[RecommendationEvidence] = strawberry.field(description="The figures that it stands on.")
    state: values.State = strawberry.field(description="What became of it.")
    decided_at: datetime | None = strawberry.field(
        description="When it was accepted or dismissed; null while it is open."
    )
    reason: str | None = strawberry.field(description="Why it was dismissed; null unless it was.")
    current: bool = strawberry.field(description="Whether the last 30 days still say so.")

    @classmethod
    def of(cls, found: values.Recommendation) -> "Recommendation":
        """The recommendation as GraphQL shows it."""
        known: dict[str, Any] = {name: getattr(found, name) for name in values.Recommendation.__slots__}
        return cls(id=strawberry.ID(encode("Recommendation", found.key)), **known)

    @classmethod
    async def load(cls, context: Context, keys: Sequence[str]) -> dict[str, Node]:
        found = await recommendations.recommendations_by_key(context, keys)
        return {key: cls.of(one) for key, one in found.items()}

    @field(
        Role.VIEWER,
        RealisedEffect | None,
        "What was measured since it was accepted: its figures before and after, over equal spans. Null unless it was, "
        "and until 7 whole days are over.",
    )
    async def realised(self, info: Info, timezone: TimezoneArgument = None) -> values.RealisedEffect | None:
        if self.state is not values.State.ACCEPTED:
            return None
        return await recommendation_effects.realised_effect(info.context, self.key, timezone)


StateArgument = Annotated[values.State, strawberry.argument(description="Which recommendations: what became of them.")]


def _recommendations(
    context: Context, state: StateArgument = values.State.OPEN, first: First = 50, after: After = None
) -> Asked[Connection[Recommendation]]:
    cursor = open_cursor("Recommendation", after)

    async def seek(question: Question) -> Connection[Recommendation]:
        ask = partial(recommendations.recommendations, context, max_age=question.max_age)
        found = await ask(state=state, first=first, after=cursor)
        nodes = list(map(Recommendation.of, found.recommendations))
        return page("Recommendation", nodes, found.cursors, has_next=found.has_next, after=after)

    return Asked(Question(PeriodRequest(last="30d")), seek, recommendations.kinds())


RECOMMENDATIONS = Analysis(
    _recommendations,
    Connection[Recommendation],
    "What the last 30 days suggest to do, the most valuable first: leaking steps of the 10 funnels saved last, "
    "channels that lose, models that cost too much, personas worth more, churn that gathers, days that cost too much. "
    "What chance alone explains is left out. Accepted and dismissed ones come the last decided first. Where none is "
    "open, nothing stands out or there is too little to tell by: leaks take funnels of three steps or more that "
    "`saveFunnel` keeps; channels and personas take spend that names them, by `trackSpend` or as costs of touchpoints, "
    "and personas 30 orders; models take the same feature, churn 5 who left, and costs of a day 14 days before it.",
    least="10s",
)


@strawberry.type
class RecommendationQuery:
    recommendations = RECOMMENDATIONS.query()


@strawberry.type
class RecommendationSubscription:
    recommendations = RECOMMENDATIONS.subscription()


@strawberry.input(description="A recommendation to follow.")
class AcceptRecommendationInput:
    id: strawberry.ID = strawberry.field(description="The recommendation's global id.")


@strawberry.type(description="The recommendation is accepted.")
class AcceptRecommendationPayload:
    recommendation: Recommendation = strawberry.field(description="The recommendation as it is now.")


@strawberry.input(description="A recommendation not to follow.")
class DismissRecommendationInput:
    id: strawberry.ID = strawberry.field(description="The recommendation's global id.")
    reason: str = strawberry.field(description="Why not, 1 to 1,000 characters.")


@strawberry.type(description="The recommendation is dismissed.")
class DismissRecommendationPayload:
    recommendation: Recommendation = strawberry.field(description="The recommendation as it is now.")


AcceptRecommendationResult = Annotated[
    AcceptRecommendationPayload | NotFound | InvalidInput | Unauthenticated | Forbidden | Overloaded,
    strawberry.union("AcceptRecommendationResult", description="The accepted recommendation, or why there is none."),
]
DismissRecommendationResult = Annotated[
    DismissRecommendationPayload | NotFound | InvalidInput | Unauthenticated | Forbidden | Overloaded,
    strawberry.union("DismissRecommendationResult", description="The dismissed recommendation, or why there is none."),
]


@strawberry.type
class RecommendationMutation:
    @field(
        Role.ANALYST,
        AcceptRecommendationResult,
        "Note that a recommendation is followed from now on; what comes of it is measured from the next day.",
    )
    async def accept_recommendation(
        self,
        info: Info,
        input: Annotated[AcceptRecommendationInput, strawberry.argument(description="Which one.")],
    ) -> AcceptRecommendationPayload:
        key = key_of(Recommendation, input.id, "id")
        accepted = await recommendations.accept_recommendation(info.context, key)
        return AcceptRecommendationPayload(recommendation=Recommendation.of(accepted))

    @field(
        Role.ANALYST,
        DismissRecommendationResult,
        "Note that a recommendation is not followed, and why; it is no longer among the open ones.",
    )
    async def dismiss_recommendation(
        self,
        info: Info,
        input: Annotated[DismissRecommendationInput, strawberry.argument(description="Which one, and why not.")],
    ) -> DismissRecommendationPayload:
        key = key_of(Recommendation, input.id, "id")
        dismissed = await recommendations.dismiss_recommendation(info.context, key, input.reason)
        return DismissRecommendationPayload(recommendation=Recommendation.of(dismissed))
