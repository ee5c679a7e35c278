"""What the results of experiments are made of."""

from datetime import datetime

import strawberry

from resolvers.analysis import experiment_answers as values
from resolvers.analysis.experiment_decisions import Decision
from resolvers.analysis.experiment_srm import SampleRatioMethod
from resolvers.analysis.experiment_units import Uncounted
from resolvers.analysis.experiments import MultipleExposures, Status
from resolvers.context import Role
from schema.access import field
from schema.common import DimensionValue, Estimate
from schema.experiment_effects import ExperimentMetricAnswer
from schema.explanations import Explanation
from schema.nodes import encode
from schema.scalars import BigInt
from schema.shapes import enumerate_in_schema, shapes

enumerate_in_schema(
    Decision,
    "What an experiment's figures say is to be done.",
    {
        "SHIP": (
            "A goal is significantly better and no guardrail is open or broken, or there is no goal and every "
            "guardrail holds: give everybody the variant `ship`."
        ),
        "ROLL_BACK": (
            "Something is significantly worse, or nothing better by the planned end or since it is completed: keep the "
            "control."
        ),
        "KEEP_RUNNING": "It is too early to tell.",
        "INVALID": "Something is wrong with who is counted: no effect can be believed.",
    },
    name="ExperimentDecision",
)
enumerate_in_schema(
    SampleRatioMethod,
    "How the p-value of a sample ratio was come by.",
    {
        "CHI_SQUARED": "Pearson's chi-squared test, where every variant with a weight expects five subjects or more.",
        "BINOMIAL": (
            "Exact binomial tails, where some variant expects fewer: twice the least tail of a variant, times the "
            "number of variants where there are more than two (Bonferroni), at most 1."
        ),
    },
    name="SampleRatioTest",
)
enumerate_in_schema(
    values.WarningCode,
    "What is to be minded when an experiment's results are read.",
    {
        "SAMPLE_RATIO_MISMATCH": "Variants are not as large as their weights say: no effect can be believed.",
        "SAMPLE_RATIO_DOUBTFUL": (
            "The sizes of the variants would be unlikely at a single look, but by what holds at any look they are no "
            "mismatch."
        ),
        "UNEXPECTED_VARIANT": "Subjects were shown a variant whose weight is 0.",
        "MULTIPLE_EXPOSURES": "More than 1 % of the subjects were shown several variants.",
        "UNCOUNTED_EXPOSURES": "Subjects have exposures of which none counts.",
        "PEEKING": "Fixed-horizon p-values and intervals are read before the planned end: only sequential ones hold.",
        "LATE_LOOK": (
            "Subjects came after the planned sample: fixed-horizon p-values and intervals over all of them are read by "
            "somebody who went on until they pleased. `planned` holds, and sequential ones do."
        ),
        "FILTERED": "Results are of a part that `where` chose after the fact, for which nothing is corrected.",
    },
    name="ExperimentWarningCode",
)


enumerate_in_schema(
    Uncounted,
    "Why exposures do not count.",
    {
        "LEFT_OUT": "The experiment's `where` leaves them out: those of bots and tests.",
        "UNKNOWN_VARIANT": "The variant that they carry, if any, is none of the experiment's.",
        "BEFORE_START": "They were before the experiment started.",
        "AFTER_END": "They were after it was completed.",
    },
    name="UncountedExposure",
)


@shapes(values.UncountedUnits)
@strawberry.type(description="How many subjects have exposures of which none counts.")
class UncountedUnits:
    reason: Uncounted = strawberry.field(description="Why the first of their exposures does not count.")
    units: BigInt = strawberry.field(description="How many subjects that are.")


@shapes(values.ExperimentWarning)
@strawberry.type(description="Something to mind when an experiment's results are read.")
class ExperimentWarning:
    code: values.WarningCode = strawberry.field(description="What it is.")
    message: str = strawberry.field(description="The sentence, with its figures, in English.")


@shapes(values.ExperimentGroup)
@strawberry.type(description="Results among subjects whose first exposure had the same value of a dimension.")
class ExperimentGroup:
    keys: list[DimensionValue] = strawberry.field(description="The value; empty for the group of all others.")
    other: bool = strawberry.field(description="Whether this sums up all groups that are not shown.")
    units: BigInt = strawberry.field(description="Its subjects.")
    metrics: list[ExperimentMetricAnswer] = strawberry.field(description="Each metric among them.")


@shapes(values.ExperimentSegment)
@strawberry.type(
    description=(
        "Results among subjects that are in a segment now. A segment that the variants themselves lead into or out of "
        "misleads: its members are then no longer alike but for the variant."
    )
)
class ExperimentSegment:
    name: str = strawberry.field(description="The segment's name.")
    members_as_of: datetime = strawberry.field(
        description="The instant that its members are of; they are found anew every `refreshEvery` of the segment."
    )
    units: BigInt = strawberry.field(description="Its subjects in the experiment.")
    metrics: list[ExperimentMetricAnswer] = strawberry.field(
        description="Each metric among them; a subject in several segments counts in each."
    )

    @field(Role.VIEWER, strawberry.ID, "The segment's global id: `node` finds it.")
    async def segment_id(self) -> strawberry.ID:
        return strawberry.ID(encode("Segment", str(self.segment)))  # type: ignore[attr-defined]


@shapes(values.ExperimentUnits)
@strawberry.type(description="How many subjects a variant has.")
class ExperimentUnits:
    variant: str = strawberry.field(description="The variant's key.")
    units: BigInt = strawberry.field(description="Subjects whose first exposure that counts was to it.")
    expected: float | None = strawberry.field(
        description="How many it should have by its weight; null without subjects, or over phases of several weights."
    )


@shapes(values.SampleRatio)
@strawberry.type(
    description=(
        "Whether variants are as large as their weights say, by a test over those with a weight above 0; subjects, not "
        "exposures, are counted."
    )
)
class SampleRatio:
    method: SampleRatioMethod = strawberry.field(description="The test that the p-value is of.")
    statistic: float = strawberry.field(
        description="Pearson's chi-squared statistic, also where the p-value is of exact binomial tails."
    )
    freedom: int = strawberry.field(description="Its degrees of freedom: variants with a weight above 0, less one.")
    p_value: float = strawberry.field(
        description=(
            "How likely so large a mismatch is by chance, for somebody who looks once; below 0.001 it is warned of."
        )
    )
    log10_p: float = strawberry.field(name="log10P", description="Its common logarithm, also where that underflows.")
    sequential_p_value: float = strawberry.field(
        description=(
            "Valid at any look: of variants that are weighed as they should be it is below α, at whichever look, with "
            "a chance of α at most. The inverse of a Bayes factor, by Dirichlet priors about the weights (Lindon and "
            "Malek 2022)."
        )
    )
    sequential_log10_p: float = strawberry.field(
        name="sequentialLog10P", description="Its common logarithm, also where that underflows."
    )
    unexpected: BigInt = strawberry.field(description="Subjects of variants whose weight is 0.")
    suspicious: bool = strawberry.field(
        description=(
            "Whether `sequentialPValue` is below 0.01: results are then `INVALID`, however good they look. It decides, "
            "as sizes are looked at all the time: `pValue` comes below 0.001 sometime in two to three of a hundred "
            "sound experiments."
        )
    )


@shapes(values.PlannedSample)
@strawberry.type(
    description=(
        "The subjects first exposed by the end of the day on which runtime, sample and power were as planned. A "
        "fixed-horizon test holds for one look at a moment that does not depend on what is seen: that of this sample, "
        "whoever looks and when. It decides for good, unless the experiment is sequential; subjects that come later "
        "count in what holds at any look."
    )
)
class PlannedSample:
    through: datetime | None = strawberry.field(
        description="The end of that day, in the tenant's time zone; null while nobody has come after it."
    )
    units: BigInt = strawberry.field(description="Its subjects.")
    later: BigInt = strawberry.field(description="Subjects that came after it.")


@shapes(values.ExperimentAnswer)
@strawberry.type(description="The results of an experiment.")
class ExperimentAnswer:
    experiment: str = strawberry.field(description="The experiment's key.")
    status: Status = strawberry.field(description="Where it is in its life.")
    phase: int | None = strawberry.field(description="The phase whose subjects these are; null for all phases.")
    multiple_exposures: MultipleExposures = strawberry.field(
        description="What became of subjects that were shown several variants."
    )
    units: list[ExperimentUnits] = strawberry.field(description="The subjects of each variant.")
    sample_ratio: SampleRatio | None = strawberry.field(
        description="Whether they are as many as they should be; null without subjects, or over phases that differ."
    )
    multiple: Estimate = strawberry.field(
        description="The share of subjects that were shown several variants; its value is null without subjects."
    )
    uncounted: list[UncountedUnits] = strawberry.field(
        description=(
            "Subjects with exposures of which none counts, such as bots that `where` leaves out, by why; reasons that "
            "are nobody's are left out."
        )
    )
    days: float = strawberry.field(
        description="For how many days subjects were assigned: since it started, without the time that it was paused."
    )
    planned_end_reached: bool = strawberry.field(
        description="Whether runtime, sample and the power of each goal (80 %) are what was planned."
    )
    planned_sample: PlannedSample | None = strawberry.field(
        description="By whom it is decided once the planned end is reached; null before."
    )
    decision: Decision = strawberry.field(description="What is to be done.")
    why: str = strawberry.field(description="The sentence why.")
    ship: str | None = strawberry.field(description="The key of the variant to ship; null unless one is.")
    warnings: list[ExperimentWarning] = strawberry.field(
        description="What to mind when reading this, each code at most once; empty where there is nothing."
    )
    metrics: list[ExperimentMetricAnswer] = strawberry.field(description="Each metric, in the experiment's order.")
    groups: list[ExperimentGroup] = strawberry.field(
        description="The groups of the breakdown, of most subjects first, and one of all others; empty without `by`."
    )
    group_count: int = strawberry.field(description="How many groups there are in all, shown or not.")
    segments: list[ExperimentSegment] = strawberry.field(
        description="Results among the members of each of `bySegments`, in their order; empty without."
    )
    as_of: datetime = strawberry.field(description="The instant at which the answer was read.")
    explain: Explanation = strawberry.field(description="How the numbers were come by.")
