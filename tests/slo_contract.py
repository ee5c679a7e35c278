"""What the contract says of service level objectives: see ``contract``."""

ANALYSES = {"slo"}
MADE = {"SloConnection", "SloEdge", "SloPayload", "DeleteSloPayload"}
IDS = {"Slo.id"}
BOUNDED = {
    "SloAnswer.windows": "fixed: 7",
    "SloAnswer.rules": "fixed: 4",
    "SloAnswer.groups": "top + 1",
    "SloGroup.keys": "as long as by, at most 3",
}
