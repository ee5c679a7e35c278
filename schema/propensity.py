"""Propensity: how likely subjects are to churn, or to convert, in the next 30 days, and how good the model is."""

from datetime import datetime
from functools import partial
from typing import Annotated

import strawberry

from resolvers import propensity
from resolvers.analysis import logistic, propensity_answers, validation
from resolvers.analysis import propensity as models
from resolvers.analysis.estimates import Quality
from resolvers.analysis.periods import Compare
from resolvers.context import Context
from schema.arguments import ByArgument, TopArgument, WhereArgument
from schema.common import DimensionValue, Estimate
from schema.conditions import read_filter
from schema.cutoffs import CutoffArgument, HistoryArgument, ModelFinding, asked, compared_with, read_asking
from schema.explanations import Explanation
from schema.live import Analysis, Asked
from schema.scalars import BigInt
from schema.shapes import enumerate_in_schema, shapes

enumerate_in_schema(
    propensity_answers.Outcome,
    "What a propensity is of.",
    {
        "CHURN_EVENT": "A customer's conversion named `churn`.",
        "INACTIVITY": "No event at all; taken for churn where the log holds no churn events.",
        "CONVERSION": "A conversion of the name asked for.",
    },
    name="PropensityOutcome",
)
enumerate_in_schema(
    logistic.Separation,
    "Whether features tell the two outcomes apart without error.",
    {
        "NONE": "They do not.",
        "QUASI_COMPLETE": "For some value of a dimension only one outcome was seen; the penalty bounds what it adds.",
        "COMPLETE": "They do, everywhere.",
    },
    name="ModelSeparation",
)
_TENTHS = "of each tenth of the subjects, least likely first"


@shapes(validation.Auc)
@strawberry.type(description="Area under the ROC curve: how often who did is ranked above who did not; 0.5 is chance.")
class Auc:
    value: float = strawberry.field(description="The share of pairs ranked rightly, ties counting half.")
    low: float = strawberry.field(description="The lower end of its interval at 95 % (DeLong).")
    high: float = strawberry.field(description="The upper end of its interval at 95 % (DeLong).")


@shapes(validation.Calibration)
@strawberry.type(description="Predicted probabilities held against what happened, in columns of one length.")
class Calibration:
    predicted: list[float] = strawberry.field(description=f"Mean prediction {_TENTHS}.")
    observed: list[float] = strawberry.field(description=f"Share to whom it happened {_TENTHS}.")
    n: list[BigInt] = strawberry.field(description=f"Number {_TENTHS}.")
    slope: float | None = strawberry.field(
        description="1 where predictions are right, below where they are too bold; null where it is not defined."
    )
    intercept: float | None = strawberry.field(
        description="0 where predictions are right on average, above where too low; null where it is not defined."
    )


@shapes(validation.Validation)
@strawberry.type(
    description="How the model did on subjects that it had not seen: five folds, each foretold from the other four."
)
class ModelValidation:
    n: BigInt = strawberry.field(description="Subjects foretold.")
    positives: BigInt = strawberry.field(description="To how many of them it happened.")
    auc: Auc = strawberry.field(description="How well it ranks.")
    brier: float = strawberry.field(description="Mean squared error of the probabilities; lower is better.")
    baseline_brier: float = strawberry.field(description="The same for foretelling the overall share to everybody.")
    top_decile_precision: float = strawberry.field(
        description="Of the tenth with the highest probabilities, the share to whom it happened."
    )
    calibration: Calibration = strawberry.field(description="Whether probabilities are as high as they should be.")


@shapes(models.FeatureWeight)
@strawberry.type(description="What one standard deviation more of a feature does to the odds.")
class FeatureWeight:
    name: str = strawberry.field(description="The feature, e.g. `sessions` or `plan:starter`.")
    coefficient: float = strawberry.field(description="What it adds to the log-odds.")
    odds_ratio: float = strawberry.field(description="By what it multiplies the odds.")


@shapes(models.PropensityModel)
@strawberry.type(
    description="The model, learnt from what subjects had done 30 days before the cut-off and what happened since."
)
class PropensityModel:
    form: str = strawberry.field(description="What sort of model it is.")
    n: BigInt = strawberry.field(description="Subjects that it was learnt from; a sample where there are many.")
    positives: BigInt = strawberry.field(description="To how many of them it happened.")
    ridge: float = strawberry.field(description="The penalty on large coefficients; more with few outcomes.")
    converged: bool = strawberry.field(description="Whether the most likely coefficients were reached.")
    separation: logistic.Separation = strawberry.field(description="Whether features part the outcomes without error.")
    features: list[FeatureWeight] = strawberry.field(description="What it looks at, strongest first.")


@shapes(propensity_answers.PropensityGroup)
@strawberry.type(description="The subjects who carried the same values last in the dimensions broken down by.")
class PropensityGroup:
    keys: list[DimensionValue] = strawberry.field(
        description="The group's values, in the order of `by`; empty for the group of all others."
    )
    other: bool = strawberry.field(description="Whether this sums up all groups that are not shown.")
    subjects: BigInt = strawberry.field(description="How many subjects it has.")
    probability: Estimate = strawberry.field(description="Their mean probability; its value is null without a model.")


@shapes(propensity_answers.PropensityAnswer)
@strawberry.type(
    description=(
        "How likely the subjects of a moment are to do something in the 30 days after it. The model is correlational: "
        "it says who, not what would change it."
    )
)
class PropensityAnswer:
    cutoff: datetime = strawberry.field(description="The moment it is foretold from.")
    previous_cutoff: datetime | None = strawberry.field(
        description="The moment compared with; null unless `compare` was asked for."
    )
    outcome: propensity_answers.Outcome = strawberry.field(description="What is foretold.")
    definition: str = strawberry.field(description="One sentence that says of whom, and what.")
    subjects: BigInt = strawberry.field(description="How many subjects are judged.")
    quality: Quality = strawberry.field(
        description="`INSUFFICIENT` with too little to learn from: then nothing is foretold. `LOW` with findings."
    )
    previous_quality: Quality | None = strawberry.field(
        description=(
            "The same of the moment compared with; null without one, or where something else was foretold then, such "
            "as inactivity instead of churn: then `previous` is null everywhere."
        )
    )
    findings: list[ModelFinding] = strawberry.field(description="What is wrong with the model; empty where nothing is.")
    probability: Estimate = strawberry.field(description="Mean probability; its value is null without a model.")
    expected: Estimate = strawberry.field(
        description="To how many it is expected to happen, a count; its value is null without a model."
    )
    edges: list[float] = strawberry.field(description="The histogram's edges, 0 to 1, one more than counts.")
    histogram: list[BigInt] = strawberry.field(
        description="How many subjects have a probability from `edges[i]` to just before `edges[i + 1]`."
    )
    model: PropensityModel | None = strawberry.field(description="The model; null where there is too little data.")
    validation: ModelValidation | None = strawberry.field(
        description="How good it is on subjects it had not seen; null where there is no model."
    )
    groups: list[PropensityGroup] = strawberry.field(
        description="The groups of the breakdown, largest first: at most `top`, and one of all others."
    )
    group_count: int = strawberry.field(description="How many groups there are in all, shown or not.")
    explain: Explanation = strawberry.field(description="How the answer came about.")
    as_of: datetime = strawberry.field(description="The instant at which the answer was read from the log.")


CompareArgument = Annotated[
    Compare | None,
    strawberry.argument(description=compared_with("30 days, as far as is foretold,")),
]


def _churn_risk(
    context: Context,
    cutoff: CutoffArgument = None,
    history: HistoryArgument = "730d",
    by: ByArgument = (),
    where: WhereArgument = None,
    compare: CompareArgument = None,
    top: TopArgument = 20,
) -> Asked[propensity_answers.PropensityAnswer]:
    asking = read_asking(cutoff, history, read_filter(where), tuple(one.value for one in by), compare, top)
    return asked(asking, partial(propensity.churn_risk, context), propensity.kinds())


NameArgument = Annotated[
    str, strawberry.argument(description="The name of the conversion, 1 to 200 characters; not `churn`.")
]


def _conversion_propensity(
    context: Context,
    name: NameArgument = "upgrade",
    cutoff: CutoffArgument = None,
    history: HistoryArgument = "730d",
    by: ByArgument = (),
    where: WhereArgument = None,
    compare: CompareArgument = None,
    top: TopArgument = 20,
) -> Asked[propensity_answers.PropensityAnswer]:
    asking = read_asking(cutoff, history, read_filter(where), tuple(one.value for one in by), compare, top)
    return asked(asking, partial(propensity.conversion_propensity, context, name), propensity.kinds())


CHURN_RISK = Analysis(
    _churn_risk,
    PropensityAnswer,
    "How likely subjects are to churn within 30 days, by a model of recency, frequency, tenure, spend, AI use, "
    "sessions, features, plan and persona; with the AUC and the calibration that it was validated at.",
    least="1m",
)
CONVERSION_PROPENSITY = Analysis(
    _conversion_propensity,
    PropensityAnswer,
    "How likely subjects are to have a conversion of a name, such as an upgrade, within 30 days: the model behind "
    "`upsellCandidates`.",
    least="1m",
)


@strawberry.type
class PropensityQuery:
    churn_risk = CHURN_RISK.query()
    conversion_propensity = CONVERSION_PROPENSITY.query()


@strawberry.type
class PropensitySubscription:
    churn_risk = CHURN_RISK.subscription()
    conversion_propensity = CONVERSION_PROPENSITY.subscription()
