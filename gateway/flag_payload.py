"""What an SDK needs to evaluate flags by itself: the definitions of an environment as JSON, as docs/flags.md has them.

What time changes is given as a timeline, so that the same document is right for as long as nothing else changes it.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from resolvers.analysis.flags import WHOLE, Flag, FlagEnvironment, Ramp, RampState, Rule, Serve
from resolvers.store.flag_cache import FlagSet
from schema.conditions import write_filter
from schema.scalars import instant_text


def payload(held: FlagSet, environment: str) -> dict[str, Any]:
    """The document of an environment."""
    return {
        "version": held.version,
        "environment": environment,
        "whole": WHOLE,
        "flags": {
            key: _flag(flag, environment, (environment, key) in held.segments)
            for key, flag in held.flags.items()
            if flag.archived_at is None
        },
    }


def _flag(flag: Flag, environment: str, remote: bool) -> dict[str, Any]:
    return {
        "remote": remote,
        "type": flag.type.name,
        "salt": flag.salt,
        "variations": dict(flag.values),
        **_environment(flag.environments.get(environment), next(iter(flag.environments.values()))),
    }


def _environment(of: FlagEnvironment | None, elsewhere: FlagEnvironment) -> Mapping[str, Any]:
    if of is None:
        return {
            "on": [{"from": None, "on": False}],
            "offVariation": elsewhere.off,
            "prerequisites": [],
            "rules": [],
            "default": _serve(elsewhere.default),
        }
    return {
        "on": [
            {"from": None, "on": of.on},
            *({"from": instant_text(step.at), "on": step.on} for step in of.schedule),
        ],
        "offVariation": of.off,
        "prerequisites": [{"flag": one.flag, "variations": list(one.variations)} for one in of.prerequisites],
        "rules": list(map(_rule, of.rules)),
        "default": _serve(of.default),
    }


def _rule(rule: Rule) -> dict[str, Any]:
    reach = [{"from": None, "parts": rule.parts}] if rule.ramp is None else _reach(rule.ramp)
    return {"where": write_filter(rule.where), "reach": reach, "serve": _serve(rule.serve)}


def _reach(ramp: Ramp) -> list[dict[str, Any]]:
    """The parts that a ramp has reached from when on; where it stopped it goes no further."""
    timeline: list[dict[str, Any]] = [{"from": None, "parts": 0}]
    begins: datetime = ramp.starts_at + ramp.held
    for step in ramp.steps if ramp.state is not RampState.ROLLED_BACK else ():
        if ramp.since is None or begins <= ramp.since:
            timeline.append({"from": instant_text(begins), "parts": step.parts})
        begins += step.lasting
    return timeline


def _serve(serve: Serve) -> list[dict[str, Any]]:
    return [{"variation": share.variation, "parts": share.parts} for share in serve]
