"""What the contract has to know of what AI costs and earns: see ``contract``."""

ANALYSES = {"aiRoi", "aiProviders", "aiAssistance", "aiCost", "aiBudget"}
MADE = {
    "AiBudgetConnection",
    "AiBudgetEdge",
    "SetAiBudgetPayload",
    "DeleteAiBudgetPayload",
}
IDS = {"AiBudget.id"}
BOUNDED = {
    "RoiAnswer.groups": "top + 1",
    "RoiAnswer.unconverted": "each currency once",
    "RoiAnswer.unconvertedCost": "each currency once",
    "RoiGroup.keys": "as long as by, at most 3",
    **{
        f"RoiSeries.{column}": "at most 5,000 buckets"
        for column in ("at", "calls", "cost", "conversions", "value", "roi", "balance")
    },
    "AiProvidersAnswer.groups": "top + 1",
    "AiProvidersAnswer.unconverted": "each currency once",
    "AiProvidersAnswer.unconvertedCost": "each currency once",
    "AiServiceGroup.keys": "as long as by, at most 3",
    **{f"ConfidenceCalibration.{column}": "10" for column in ("predicted", "observed", "counts")},
    "AiAssistanceAnswer.groups": "top + 1",
    "AiAssistanceAnswer.unconverted": "each currency once",
    "AssistanceGroup.keys": "as long as by, at most 3",
    "AiCostAnswer.groups": "top + 1",
    "AiCostAnswer.unpricedModels": "at most 21",
    "AiCostAnswer.unconverted": "each currency once",
    "AiBudgetAnswer.unconverted": "each currency once",
    "AiBudgetAnswer.groups": "top + 1",
    "BudgetGroup.keys": "as long as by, at most 3",
    **{f"BudgetSeries.{column}": "the days of a year" for column in ("at", "cost", "expected")},
}
