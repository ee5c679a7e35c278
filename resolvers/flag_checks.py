"""Which flags can be kept."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Any

from resolvers.analysis.filters import weight
from resolvers.analysis.flag_targeting import targets
from resolvers.analysis.flags import (
    WHOLE,
    Flag,
    FlagEnvironment,
    Flags,
    FlagType,
    Guardrail,
    Prerequisite,
    Ramp,
    Rule,
    ScheduledStep,
    Serve,
)
from resolvers.analysis.intake_properties import properties
from resolvers.analysis.intake_values import Invalid, text
from resolvers.analysis.metrics import Form
from resolvers.catalogue import metric
from resolvers.errors import BadInput

MOST_FLAGS = 2_000
MOST_VARIATIONS = 50
MOST_ENVIRONMENTS = 20
MOST_RULES = 50
MOST_PREREQUISITES = 10
MOST_STEPS = 20
MOST_GUARDRAILS = 5
MOST_TAGS = 20
MOST_CONDITIONS = 10_000
"""Conditions and values of all rules of a flag in one environment."""
DEEPEST = 10
"""Flags in a chain of prerequisites."""
LONGEST_STEP = timedelta(days=366)
SHORTEST_WINDOW, LONGEST_WINDOW = timedelta(minutes=1), timedelta(days=31)
GREATEST_SAMPLE = 10**9

_KEY = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?", re.ASCII)
_SHAPES: Mapping[FlagType, tuple[Callable[[Any], bool], str]] = {
    FlagType.BOOLEAN: (lambda value: isinstance(value, bool), "true or false"),
    FlagType.STRING: (lambda value: isinstance(value, str), "text"),
    FlagType.NUMBER: (lambda value: isinstance(value, int | float) and not isinstance(value, bool), "a number"),
    FlagType.JSON: (lambda value: isinstance(value, dict | list), "an object or a list"),
}


def refused(field: str, message: str) -> BadInput:
    """BadInput whose message begins with the field at fault."""
    return BadInput(f"{field} {message}.", field=field)


def check_key(key: str, field: str) -> None:
    """Raises BadInput where it is no key of a flag, a variation or an environment."""
    if not _KEY.fullmatch(key):
        raise refused(field, "must be 1 to 100 of a-z, A-Z, 0-9, and dots, hyphens and underscores between them")


def check_text(value: str | None, longest: int, field: str) -> None:
    """Raises BadInput where there is text that cannot be kept."""
    if value is not None:
        try:
            text(longest)(value)
        except Invalid as bad:
            raise refused(field, bad.message) from None


def check_flag(flag: Flag) -> None:
    """Raises BadInput where what a flag is in all environments cannot be kept."""
    check_key(flag.key, "key")
    check_text(flag.name, 200, "name")
    check_text(flag.description, 2_000, "description")
    check_text(flag.salt, 200, "salt")
    _count(flag.tags, 0, MOST_TAGS, "tags")
    for index, tag in enumerate(flag.tags):
        check_text(tag, 50, f"tags[{index}]")
    _once(flag.tags, "tags")
    if not flag.variations:
        raise refused("variations", f"must be 1 to {MOST_VARIATIONS}: only a BOOLEAN has some by itself")
    _count(flag.variations, 1, MOST_VARIATIONS, "variations")
    _once([one.key for one in flag.variations], "variations", ".key")
    for index, variation in enumerate(flag.variations):
        check_key(variation.key, f"variations[{index}].key")
        check_text(variation.name, 200, f"variations[{index}].name")
        _value(variation.value, flag.type, f"variations[{index}].value")
    if len(flag.environments) > MOST_ENVIRONMENTS:
        raise refused("environment", f"would be one of more than {MOST_ENVIRONMENTS}")


def plain(value: Any, field: str) -> Any:
    """A JSON value in its simplest spelling; raises BadInput where it could not be kept."""
    try:
        return properties({"value": value})[0]["value"]
    except Invalid as bad:
        raise refused(field, bad.message) from None


def _value(value: Any, of: FlagType, field: str) -> None:
    fits, what = _SHAPES[of]
    if not fits(value):
        raise refused(field, f"must be {what}, as the flag is {of.name}")


def check_environment(flag: Flag, environment: FlagEnvironment, flags: Flags) -> None:
    """Raises BadInput where what a flag is in an environment cannot be kept beside the tenant's other flags."""
    keys = frozenset(one.key for one in flag.variations)
    check_key(environment.name, "name")
    _named(environment.off, keys, "offVariation")
    _serve(environment.default, keys, "default")
    _count(environment.rules, 0, MOST_RULES, "rules")
    for index, rule in enumerate(environment.rules):
        _rule(rule, keys, f"rules[{index}]")
    if sum(weight(rule.where) for rule in environment.rules) > MOST_CONDITIONS:
        raise refused("rules", f"must hold at most {MOST_CONDITIONS:,} conditions and values in all")
    _schedule(environment.schedule)
    _count(environment.prerequisites, 0, MOST_PREREQUISITES, "prerequisites")
    _once([one.flag for one in environment.prerequisites], "prerequisites", ".flag")
    for index, one in enumerate(environment.prerequisites):
        _prerequisite(flag, one, flags, f"prerequisites[{index}]")
    _chain(flag, environment, flags)


def check_kept(flag: Flag) -> None:
    """Raises BadInput where an environment names a variation that the flag has no more."""
    keys = {one.key for one in flag.variations}
    for environment in flag.environments.values():
        for variation in environment.variations():
            if variation not in keys:
                raise refused("variations", f"must hold {variation}, which {environment.name} serves")


def check_needed(flag: Flag, flags: Flags) -> None:
    """Raises BadInput where another flag needs what this one is no more."""
    keys = {one.key for one in flag.variations} if flag.archived_at is None else set()
    for other in flags.values():
        for environment in other.environments.values() if other.archived_at is None else ():
            for one in environment.prerequisites:
                if one.flag == flag.key and not keys.issuperset(one.variations):
                    field = "key" if flag.archived_at is not None else "variations"
                    raise refused(field, f"is needed by the flag {other.key} in {environment.name}; change that first")


def _rule(rule: Rule, keys: frozenset[str], field: str) -> None:
    check_text(rule.name, 200, f"{field}.name")
    if not targets(rule.where):
        raise refused(f"{field}.where", "may only ask for subjects, segments, dimensions and properties")
    _serve(rule.serve, keys, f"{field}.serve")
    if rule.ramp is not None:
        _ramp(rule.ramp, f"{field}.ramp")


def _serve(serve: Serve, keys: frozenset[str], field: str) -> None:
    _count(serve, 1, MOST_VARIATIONS, f"{field}.split")
    _once([share.variation for share in serve], f"{field}.split", ".variation")
    for index, share in enumerate(serve):
        one = f"{field}.variation" if len(serve) == 1 else f"{field}.split[{index}].variation"
        _named(share.variation, keys, one)
    total = sum(share.parts for share in serve)
    if total != WHOLE:
        raise refused(f"{field}.split", f"must sum up to 100 %, not {100 * total / WHOLE:g} %")


def _ramp(ramp: Ramp, field: str) -> None:
    _count(ramp.steps, 1, MOST_STEPS, f"{field}.steps")
    for index, step in enumerate(ramp.steps):
        if index and step.parts <= ramp.steps[index - 1].parts:
            raise refused(f"{field}.steps[{index}].percentage", "must be above that of the step before")
        last = index == len(ramp.steps) - 1
        if not step.lasting and not last:
            raise refused(f"{field}.steps[{index}].lasting", "must be given, such as 1d, as another step follows")
        if not timedelta(0) <= step.lasting <= LONGEST_STEP:
            raise refused(f"{field}.steps[{index}].lasting", "must be at most 366 days")
    _count(ramp.guardrails, 0, MOST_GUARDRAILS, f"{field}.guardrails")
    for index, guardrail in enumerate(ramp.guardrails):
        if isinstance(guardrail, Guardrail):
            _guardrail(guardrail, f"{field}.guardrails[{index}]")


def _guardrail(guardrail: Guardrail, field: str) -> None:
    try:
        form = metric(guardrail.metric).form
    except BadInput as bad:
        raise BadInput(bad.message, field=f"{field}.metric") from None
    if guardrail.control is not None and form is Form.TOTAL:
        raise refused(
            f"{field}.metric", "is a total, which says nothing of two groups that differ in size; take a rate or a mean"
        )
    if not 1 <= guardrail.minimum_sample <= GREATEST_SAMPLE:
        raise refused(f"{field}.minimumSample", f"must be 1 to {GREATEST_SAMPLE:,}")
    if not SHORTEST_WINDOW <= guardrail.window <= LONGEST_WINDOW:
        raise refused(f"{field}.window", "must be 1m to 31d")


def _schedule(schedule: Sequence[ScheduledStep]) -> None:
    _count(schedule, 0, MOST_STEPS, "schedule")
    for index, (before, step) in enumerate(pairwise(schedule), 1):
        if step.at <= before.at:
            raise refused(f"schedule[{index}].at", "must be after that of the step before")


def _prerequisite(flag: Flag, one: Prerequisite, flags: Flags, field: str) -> None:
    if one.flag == flag.key:
        raise refused(f"{field}.flag", "must be another flag")
    needed = flags.get(one.flag)
    if needed is None or needed.archived_at is not None:
        raise refused(f"{field}.flag", "names a flag that there is not, or that is archived")
    _count(one.variations, 1, MOST_VARIATIONS, f"{field}.variations")
    for index, variation in enumerate(one.variations):
        _named(variation, frozenset(needed.values), f"{field}.variations[{index}]")


def _chain(flag: Flag, environment: FlagEnvironment, flags: Flags) -> None:
    """Raises BadInput where prerequisites lead back to where they began, or too far."""
    needs = {
        key: [one.flag for one in other.environments[environment.name].prerequisites]
        for key, other in flags.items()
        if environment.name in other.environments
    }
    needs[flag.key] = [one.flag for one in environment.prerequisites]
    depths: dict[str, int] = {}

    def depth(key: str, above: tuple[str, ...], field: str) -> int:
        if key in above:
            circle = " → ".join((*above[above.index(key) :], key))
            raise refused(field, f"must not lead back to where it began: {circle}")
        if len(above) >= DEEPEST:
            raise refused(field, f"must not make a chain of more than {DEEPEST} flags")
        if key not in depths:
            depths[key] = 1 + max((depth(one, (*above, key), field) for one in needs.get(key, ())), default=0)
        return depths[key]

    for index, one in enumerate(environment.prerequisites):
        depth(one.flag, (flag.key,), f"prerequisites[{index}].flag")
    if any(depth(key, (), "prerequisites") > DEEPEST for key in needs):
        raise refused("prerequisites", f"must not make a chain of more than {DEEPEST} flags")


def _named(variation: str, keys: frozenset[str], field: str) -> None:
    if variation not in keys:
        raise refused(field, f"must be one of the flag's variations: {', '.join(sorted(keys))}")


def _count(items: Sequence[object], fewest: int, most: int, field: str) -> None:
    if not fewest <= len(items) <= most:
        raise refused(field, f"must be {fewest} to {most}" if fewest else f"must be at most {most}")


def _once(keys: Sequence[str], field: str, part: str = "") -> None:
    for index, key in enumerate(keys):
        if key in keys[:index]:
            raise refused(f"{field}[{index}]{part}", f"must not be {key} again")
