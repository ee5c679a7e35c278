"""What a flag is in an environment as JSON that people can read: what the trail of changes shows."""

from collections.abc import Mapping
from typing import Any

from resolvers.analysis.flag_json import environment_from
from resolvers.analysis.flags import FlagEnvironment, Guard, Guardrail, Ramp, Rule, Serve, SloGuardrail, only
from schema.conditions import write_filter
from schema.flag_definitions import percentage
from schema.scalars import decimal_text, duration_text, instant_text


def shown(kept: Mapping[str, Any]) -> dict[str, Any]:
    """What a change tells, with environments as ``FlagEnvironmentInput`` gives them."""
    told = {_NAMES.get(name, name): value for name, value in kept.items()}
    if "type" in told:
        told["type"] = told["type"].upper()
    if "environments" in told:
        told["environments"] = {
            name: _environment(environment_from(name, one)) for name, one in told["environments"].items()
        }
    return told


_NAMES = {"archived_at": "archivedAt"}


def _environment(of: FlagEnvironment) -> dict[str, Any]:
    return {
        "on": of.on,
        "offVariation": of.off,
        "default": _serve(of.default),
        "rules": list(map(_rule, of.rules)),
        "prerequisites": [{"flag": one.flag, "variations": list(one.variations)} for one in of.prerequisites],
        "schedule": [{"at": instant_text(step.at), "on": step.on} for step in of.schedule],
    }


def _serve(serve: Serve) -> dict[str, Any]:
    if (variation := only(serve)) is not None:
        return {"variation": variation}
    return {"split": [{"variation": one.variation, "percentage": _percent(one.parts)} for one in serve]}


def _rule(rule: Rule) -> dict[str, Any]:
    found: dict[str, Any] = {"name": rule.name, "where": write_filter(rule.where), "serve": _serve(rule.serve)}
    return found | ({"percentage": _percent(rule.parts)} if rule.ramp is None else {"ramp": _ramp(rule.ramp)})


def _ramp(ramp: Ramp) -> dict[str, Any]:
    return {
        "startsAt": instant_text(ramp.starts_at),
        "steps": [{"percentage": _percent(step.parts), "lasting": duration_text(step.lasting)} for step in ramp.steps],
        "state": ramp.state.name,
        "since": None if ramp.since is None else instant_text(ramp.since),
        "guardrails": list(map(_guardrail, ramp.guardrails)),
    }


def _guardrail(of: Guard) -> dict[str, Any]:
    if isinstance(of, SloGuardrail):
        return {"slo": of.slo, "severity": of.severity.name, "action": of.action.name}
    assert isinstance(of, Guardrail)
    return {
        "metric": of.metric,
        of.bound.value: decimal_text(of.limit),
        "exposed": write_filter(of.exposed),
        "control": None if of.control is None else write_filter(of.control),
        "minimumSample": of.minimum_sample,
        "window": duration_text(of.window),
        "action": of.action.name,
    }


def _percent(parts: int) -> str:
    return decimal_text(percentage(parts))
