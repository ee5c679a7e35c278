"""What the contract says of feature flags."""

MADE = {"FeatureFlagConnection", "FeatureFlagEdge", "FlagChangeConnection", "FlagChangeEdge", "FlagPayload"}
"""Types whose values the schema itself makes."""
IDS = {"FeatureFlag.id", "FlagChange.id", "FlagChange.before", "FlagChange.after"}
"""Fields that it makes, too."""
NOT_SHOWN = {
    "Share.parts": "shown in percent",
    "RampStep.parts": "shown in percent",
    "Rule.parts": "shown in percent",
    "Rule.holds": "where, as a function",
    "Ramp.held": "a part of what its timetable has come to",
    "Ramp.noted": "how far the trail tells of it",
    "Flag.id": "a number of the gateway's own; its id is made of the key",
    "Flag.environments": "shown as a list",
    "Flag.values": "a variation's value by its key",
}
BOUNDED = {
    "Query.evaluateFlags": "at most 10,000",
    "Query.evaluateFlagsOf": "as long as subjects, at most 1,000",
    "Subscription.flagChanges": "at most 500 a message",
    "FeatureFlag.tags": "at most 20",
    "FeatureFlag.variations": "at most 50",
    "FeatureFlag.environments": "at most 20",
    "FeatureFlag.evaluations": "each environment times each variation: at most 1,000",
    "FeatureFlag.stale": "each environment once",
    "FlagCoverage.shares": "each variation once, and one",
    "FlagCoverage.unknown": "each attribute that a rule asks for once",
    "FlagEnvironment.default": "at most 50",
    "FlagEnvironment.rules": "at most 50",
    "FlagEnvironment.prerequisites": "at most 10",
    "FlagEnvironment.schedule": "at most 20",
    "FlagPrerequisite.variations": "at most 50",
    "FlagRule.serve": "at most 50",
    "FlagRamp.steps": "at most 20",
    "FlagRamp.guardrails": "at most 5",
    "FlagRamp.verdicts": "as many as guardrails",
    "SubjectFlags.evaluations": "as long as keys",
    "RecordFlagExposuresPayload.evaluations": "as long as keys",
}
"""Lists that are no connection: what bounds each."""
