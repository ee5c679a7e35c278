"""What the contract has to know of what is foretold: see ``contract``."""

_LISTS = ("SubjectAtRisk", "UpsellCandidate", "ValuableCustomer")
IDS = {f"{item}.id" for item in _LISTS}
MADE = {f"{item}{part}" for item in _LISTS for part in ("Connection", "Edge")}
LISTS = ("subjectsAtRisk", "upsellCandidates", "valuableCustomers")
"""The people behind the analyses."""
LEAST_EVERY = {"churnRisk": "1m", "conversionPropensity": "1m", "lifetimeValue": "1m", "survival": "10s"}
"""The least time between two live answers of an analysis that is dear to come by."""
BOUNDED = {
    "SurvivalAnswer.groups": "top + 1",
    "SurvivalGroup.keys": "as long as by, at most 3",
    **{
        f"SurvivalSeries.{column}": "at most a row for each day of the history"
        for column in ("at", "atRisk", "events", "censored", "survival", "low", "high")
    },
    "PropensityAnswer.findings": "each diagnosis once",
    "PropensityAnswer.edges": "21",
    "PropensityAnswer.histogram": "20",
    "PropensityAnswer.groups": "top + 1",
    "PropensityGroup.keys": "as long as by, at most 3",
    "PropensityModel.features": "at most 27",
    **{f"Calibration.{column}": "at most 10" for column in ("predicted", "observed", "n")},
    "LifetimeValueAnswer.groups": "top + 1",
    "LifetimeValueGroup.keys": "as long as by, at most 3",
    "LifetimeValueAnswer.findings": "each diagnosis at most twice",
    "LifetimeValueAnswer.shares": "11",
    "LifetimeValueAnswer.quantiles": "11",
    "LifetimeValueAnswer.unconverted": "each currency once",
    "ValueHoldout.predictedByDecile": "10",
    "ValueHoldout.actualByDecile": "10",
}
