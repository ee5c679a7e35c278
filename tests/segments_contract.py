"""What the contract has to know of segments: see ``contract``."""

from tests import foretelling_contract as foretelling

_BROKEN_DOWN = (
    "metric",
    "metrics",
    "revenue",
    "recurringRevenue",
    "cohorts",
    "funnel",
    "funnelCorrelations",
    "attribution",
    "aiRoi",
    "aiProviders",
    "aiAssistance",
    "aiCost",
    *foretelling.LEAST_EVERY,
)
"""The analyses that have a breakdown by segments."""
_BY_SEGMENT = [f"{name}BySegment" for name in _BROKEN_DOWN]
_ANSWERS = ("Metric", "Revenue", "RecurringRevenue", "Cohorts", "Funnel", "FunnelCorrelation", "Attribution")
_AI = ("Roi", "AiProviders", "AiAssistance", "AiCost")
_FORETOLD = ("Survival", "Propensity", "LifetimeValue")
MADE = {
    "SegmentConnection",
    "SegmentEdge",
    "SaveSegmentPayload",
    "RefreshSegmentPayload",
    "DeleteSegmentPayload",
    "PersonaConnection",
    "PersonaEdge",
    "SavePersonaPayload",
    "DeletePersonaPayload",
    "MetricAnswerListBySegment",
    *(f"{name}AnswerBySegment" for name in (*_ANSWERS, *_AI, *_FORETOLD)),
}
IDS = {"Segment.id", "Segment.rules", "Persona.id", "Persona.rules"}
NOT_SHOWN = {
    "SegmentSummary.id": "shown as a global id",
    "Persona.segment_id": "shown as segment",
    "PersonaProfile.persona": "shown by its id, slug and name",
}
ANALYSES = {"previewSegment", "segmentOverlap", "segmentTraits", "personaProfile", "personaProfiles", *_BY_SEGMENT}
LEAST_EVERY = {
    "previewSegment": "5s",
    "segmentTraits": "5s",
    "personaProfile": "5s",
    "personaProfiles": "5s",
    **{f"{name}BySegment": least for name, least in foretelling.LEAST_EVERY.items()},
}
BOUNDED = {
    **{f"{root}.{name}": "as long as segments" for root in ("Query", "Subscription") for name in _BY_SEGMENT},
    "MetricAnswerListBySegment.answer": "as long as slugs, at most 20",
    "SegmentPreviewAnswer.conditions": "at most 30",
    "SegmentPreviewAnswer.sample": "at most 20",
    "SegmentOverlapAnswer.segments": "at most 20",
    "SegmentOverlapAnswer.pairs": "each two of at most 20",
    "SegmentTraitsAnswer.traits": "top",
    "SegmentTraitsAnswer.lookalikes": "at most 10",
    "Query.personaProfiles": "at most 10",
    "Subscription.personaProfiles": "at most 10",
    "PersonaProfileAnswer.channels": "at most 10",
    "PersonaProfileAnswer.features": "at most 10",
    "PersonaProfileAnswer.churnFindings": "each diagnosis once",
    "PersonaProfileAnswer.groups": "top + 1",
    "PersonaGroup.keys": "as long as by, at most 3",
}
