"""What may be asked, sent and watched: the subjects brought together."""

import strawberry

from schema.ai_assistance import AiAssistanceQuery, AiAssistanceSubscription
from schema.ai_budgets import AiBudgetMutation, AiBudgetQuery, AiBudgetSubscription
from schema.ai_costs import AiCostQuery, AiCostSubscription
from schema.ai_providers import AiProviderQuery, AiProviderSubscription
from schema.attribution import AttributionQuery, AttributionSubscription
from schema.candidates import CandidateQuery, CandidateSubscription
from schema.cohorts import CohortQuery, CohortSubscription
from schema.events import EventQuery, EventSubscription
from schema.exchange_rates import ExchangeRateMutation, ExchangeRateQuery
from schema.experiment_assignment import AssignmentMutation, AssignmentQuery
from schema.experiment_calculators import ExperimentCalculatorQuery
from schema.experiment_changes import ExperimentMutation
from schema.experiment_results import ExperimentResultsQuery, ExperimentResultsSubscription
from schema.experiment_steps import ExperimentStepMutation
from schema.experiment_trail import ExperimentTrailQuery, ExperimentTrailSubscription
from schema.experiment_units import ExperimentUnitQuery
from schema.experiments import ExperimentQuery
from schema.exports import ExportMutation
from schema.flag_changes import FlagMutation
from schema.flag_evaluations import FlagEvaluationMutation, FlagEvaluationQuery
from schema.flag_trail import FlagTrailQuery, FlagTrailSubscription
from schema.flags import FlagQuery
from schema.funnel_subjects import FunnelSubjectQuery, FunnelSubjectSubscription
from schema.funnels import FunnelQuery, FunnelSubscription
from schema.holdouts import HoldoutMutation, HoldoutQuery
from schema.lifetime_value import LifetimeValueQuery, LifetimeValueSubscription
from schema.metrics import MetricQuery, MetricSubscription
from schema.nodes import NodeQuery
from schema.persona_profiles import PersonaProfileQuery, PersonaProfileSubscription
from schema.personas import PersonaMutation, PersonaQuery
from schema.prices import PriceMutation, PriceQuery
from schema.propensity import PropensityQuery, PropensitySubscription
from schema.recommendations import RecommendationMutation, RecommendationQuery, RecommendationSubscription
from schema.recurring_revenue import RecurringRevenueQuery, RecurringRevenueSubscription
from schema.revenue import RevenueQuery, RevenueSubscription
from schema.roi import RoiQuery, RoiSubscription
from schema.saved_funnels import SavedFunnelMutation, SavedFunnelQuery
from schema.segment_breakdowns import SegmentBreakdownQuery, SegmentBreakdownSubscription
from schema.segment_comparisons import SegmentComparisonQuery, SegmentComparisonSubscription
from schema.segment_members import SegmentMemberQuery
from schema.segments import SegmentMutation, SegmentQuery, SegmentSubscription
from schema.slos import SloMutation, SloQuery, SloSubscription
from schema.survival import SurvivalQuery, SurvivalSubscription
from schema.tenants import TenantQuery
from schema.tracking import EventMutation


@strawberry.type(
    description=(
        "What can be asked. Every answer covers the tenant of the key that asks, and no other. A field is null where "
        "an error says why; the fields beside it have their answers all the same."
    )
)
class Query(
    MetricQuery,
    RevenueQuery,
    RecurringRevenueQuery,
    CohortQuery,
    FunnelQuery,
    FunnelSubjectQuery,
    SavedFunnelQuery,
    SegmentQuery,
    SegmentMemberQuery,
    SegmentBreakdownQuery,
    SegmentComparisonQuery,
    PersonaQuery,
    PersonaProfileQuery,
    AttributionQuery,
    RoiQuery,
    AiProviderQuery,
    AiAssistanceQuery,
    AiCostQuery,
    AiBudgetQuery,
    SurvivalQuery,
    PropensityQuery,
    CandidateQuery,
    LifetimeValueQuery,
    ExperimentQuery,
    ExperimentTrailQuery,
    ExperimentUnitQuery,
    ExperimentResultsQuery,
    AssignmentQuery,
    HoldoutQuery,
    FlagQuery,
    FlagEvaluationQuery,
    FlagTrailQuery,
    SloQuery,
    RecommendationQuery,
    ExperimentCalculatorQuery,
    EventQuery,
    PriceQuery,
    ExchangeRateQuery,
    NodeQuery,
    TenantQuery,
):
    pass


@strawberry.type(
    description=(
        "What can be sent and changed. Each answers with a union: what became of it, or a typed error that says "
        "why nothing was done."
    )
)
class Mutation(
    EventMutation,
    SavedFunnelMutation,
    ExperimentMutation,
    ExperimentStepMutation,
    AssignmentMutation,
    HoldoutMutation,
    FlagMutation,
    FlagEvaluationMutation,
    SloMutation,
    SegmentMutation,
    PersonaMutation,
    RecommendationMutation,
    PriceMutation,
    AiBudgetMutation,
    ExchangeRateMutation,
    ExportMutation,
):
    pass


@strawberry.type(
    description=(
        "What can be watched: the analyses of `Query`, answered again whenever the answer changes, and events. A field "
        "is null where an error says why."
    )
)
class Subscription(
    MetricSubscription,
    RevenueSubscription,
    RecurringRevenueSubscription,
    CohortSubscription,
    FunnelSubscription,
    FunnelSubjectSubscription,
    AttributionSubscription,
    RoiSubscription,
    AiProviderSubscription,
    AiAssistanceSubscription,
    AiCostSubscription,
    AiBudgetSubscription,
    SurvivalSubscription,
    PropensitySubscription,
    CandidateSubscription,
    LifetimeValueSubscription,
    ExperimentResultsSubscription,
    ExperimentTrailSubscription,
    FlagTrailSubscription,
    SloSubscription,
    SegmentSubscription,
    SegmentBreakdownSubscription,
    SegmentComparisonSubscription,
    PersonaProfileSubscription,
    RecommendationSubscription,
    EventSubscription,
):
    pass
