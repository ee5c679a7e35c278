"""What the contract has to know of experiments: see ``contract``."""

MADE = {
    "Experiment",
    "ExperimentConnection",
    "ExperimentEdge",
    "ExperimentVariant",
    "ExperimentMetric",
    "ExperimentPhase",
    "ExperimentChange",
    "ExperimentChangeConnection",
    "ExperimentChangeEdge",
    "ExclusiveGroup",
    "GuardrailMargin",
    "ExperimentPayload",
    "ExperimentUnit",
    "ExperimentUnitConnection",
    "ExperimentUnitEdge",
    "Holdout",
    "HoldoutConnection",
    "HoldoutEdge",
    "SaveHoldoutPayload",
    "DeleteHoldoutPayload",
    "RecordExposurePayload",
    "IllegalStep",
}
BOUNDED = {
    "Subscription.experimentChanges": "at most 500 a message",
    "Query.assignments": "as long as subjects, at most 1,000",
    "IllegalStep.possible": "each step once",
    "Experiment.possible": "each step once",
    "Experiment.variants": "at most 20",
    "Experiment.metrics": "at most 20",
    "Experiment.breakdowns": "at most 4",
    "Experiment.phases": "at most 100",
    "ExperimentPhase.weights": "as many as variants",
    "ExperimentAnswer.units": "as many as variants",
    "ExperimentAnswer.metrics": "at most 20",
    "ExperimentAnswer.uncounted": "each reason at most once",
    "ExperimentUnit.metrics": "at most 20",
    "ExperimentAnswer.groups": "top + 1",
    "ExperimentAnswer.segments": "at most 10",
    "ExperimentSegment.metrics": "at most 20",
    "ExperimentAnswer.warnings": "each code at most once",
    "ExperimentGroup.keys": "one",
    "ExperimentGroup.metrics": "at most 20",
    "ExperimentMetricAnswer.arms": "as many as variants",
    "ExperimentMetricAnswer.effects": "as many as variants, less one",
    "ExperimentMetricAnswer.series": "as many as variants, less one",
    **{
        f"EffectSeries.{column}": "a row for each day of exposure"
        for column in (
            *("at", "units", "value", "control", "effect", "low", "high", "pValue", "lift", "liftLow", "liftHigh"),
            *("sequentialLow", "sequentialHigh", "sequentialPValue"),
        )
    },
}
NOT_SHOWN = {"ExperimentSegment.segment": "shown as segmentId"}
