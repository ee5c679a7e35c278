"""Flags as plain JSON, to keep them."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from resolvers.analysis.filter_json import from_json as filter_from
from resolvers.analysis.filter_json import to_json as filter_to
from resolvers.analysis.flags import (
    Bound,
    FlagEnvironment,
    Guard,
    GuardAction,
    Guardrail,
    Prerequisite,
    Ramp,
    RampState,
    RampStep,
    Rule,
    ScheduledStep,
    Serve,
    Share,
    SloGuardrail,
    Variation,
)
from resolvers.analysis.slos import Severity

_MICROSECOND = timedelta(microseconds=1)


def variation_to(variation: Variation) -> dict[str, Any]:
    return {"key": variation.key, "value": variation.value, "name": variation.name}


def variation_from(kept: Mapping[str, Any]) -> Variation:
    return Variation(kept["key"], kept["value"], kept["name"])


def environment_to(environment: FlagEnvironment) -> dict[str, Any]:
    return {
        "on": environment.on,
        "off": environment.off,
        "default": _serve_to(environment.default),
        "changed_at": environment.changed_at.isoformat(),
        "rules": list(map(_rule_to, environment.rules)),
        "prerequisites": [[one.flag, list(one.variations)] for one in environment.prerequisites],
        "schedule": [[step.at.isoformat(), step.on] for step in environment.schedule],
    }


def environment_from(name: str, kept: Mapping[str, Any]) -> FlagEnvironment:
    return FlagEnvironment(
        name=name,
        on=kept["on"],
        off=kept["off"],
        default=_serve_from(kept["default"]),
        changed_at=datetime.fromisoformat(kept["changed_at"]),
        rules=tuple(map(_rule_from, kept["rules"])),
        prerequisites=tuple(Prerequisite(flag, tuple(variations)) for flag, variations in kept["prerequisites"]),
        schedule=tuple(ScheduledStep(datetime.fromisoformat(at), on) for at, on in kept["schedule"]),
    )


def _serve_to(serve: Serve) -> list[list[Any]]:
    return [[share.variation, share.parts] for share in serve]


def _serve_from(kept: list[list[Any]]) -> Serve:
    return tuple(Share(variation, parts) for variation, parts in kept)


def _rule_to(rule: Rule) -> dict[str, Any]:
    return {
        "name": rule.name,
        "where": filter_to(rule.where),
        "serve": _serve_to(rule.serve),
        "parts": rule.parts,
        "ramp": None if rule.ramp is None else _ramp_to(rule.ramp),
    }


def _rule_from(kept: Mapping[str, Any]) -> Rule:
    return Rule(
        serve=_serve_from(kept["serve"]),
        where=filter_from(kept["where"]),
        parts=kept["parts"],
        ramp=None if kept["ramp"] is None else _ramp_from(kept["ramp"]),
        name=kept["name"],
    )


def _ramp_to(ramp: Ramp) -> dict[str, Any]:
    return {
        "starts_at": ramp.starts_at.isoformat(),
        "steps": [[step.parts, step.lasting // _MICROSECOND] for step in ramp.steps],
        "guardrails": list(map(_guardrail_to, ramp.guardrails)),
        "state": ramp.state.value,
        "since": None if ramp.since is None else ramp.since.isoformat(),
        "held_us": ramp.held // _MICROSECOND,
        "noted": ramp.noted,
    }


def _ramp_from(kept: Mapping[str, Any]) -> Ramp:
    return Ramp(
        starts_at=datetime.fromisoformat(kept["starts_at"]),
        steps=tuple(RampStep(parts, lasting * _MICROSECOND) for parts, lasting in kept["steps"]),
        guardrails=tuple(map(_guardrail_from, kept["guardrails"])),
        state=RampState(kept["state"]),
        since=None if kept["since"] is None else datetime.fromisoformat(kept["since"]),
        held=kept["held_us"] * _MICROSECOND,
        noted=kept["noted"],
    )


def _guardrail_to(guardrail: Guard) -> dict[str, Any]:
    if isinstance(guardrail, SloGuardrail):
        return {"slo": guardrail.slo, "severity": guardrail.severity.value, "action": guardrail.action.value}
    assert isinstance(guardrail, Guardrail)
    return {
        "metric": guardrail.metric,
        "bound": guardrail.bound.value,
        "limit": str(guardrail.limit),
        "exposed": filter_to(guardrail.exposed),
        "control": None if guardrail.control is None else filter_to(guardrail.control),
        "minimum_sample": guardrail.minimum_sample,
        "window_us": guardrail.window // _MICROSECOND,
        "action": guardrail.action.value,
    }


def _guardrail_from(kept: Mapping[str, Any]) -> Guard:
    if "slo" in kept:
        return SloGuardrail(kept["slo"], Severity(kept["severity"]), GuardAction(kept["action"]))
    return Guardrail(
        metric=kept["metric"],
        bound=Bound(kept["bound"]),
        limit=Decimal(kept["limit"]),
        exposed=filter_from(kept["exposed"]),
        control=None if kept["control"] is None else filter_from(kept["control"]),
        minimum_sample=kept["minimum_sample"],
        window=kept["window_us"] * _MICROSECOND,
        action=GuardAction(kept["action"]),
    )
