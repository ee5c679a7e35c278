"""Flags and service level objectives: ramps that an SLO may stop."""

from collections.abc import Sequence

from resolvers.analysis.flags import Rule, SloGuardrail
from resolvers.analysis.slos import reaches
from resolvers.context import Context
from resolvers.flag_checks import refused
from resolvers.flag_segments import numbered_rules
from resolvers.slos import slos_by_key


async def known_rules(context: Context, rules: Sequence[Rule], within: str) -> tuple[Rule, ...]:
    """The rules with each segment by its number, where all that they name is there.

    Raises BadInput for a segment or an SLO that there is not, and for an SLO that can never come to what its guardrail
    waits for; ``within`` is what goes before the field at fault.
    """
    await _check(context, rules, within)
    return await numbered_rules(context, rules)


async def _check(context: Context, rules: Sequence[Rule], within: str) -> None:
    guards = [
        (guard, f"{within}rules[{index}].ramp.guardrails[{place}]")
        for index, rule in enumerate(rules)
        for place, guard in enumerate(() if rule.ramp is None else rule.ramp.guardrails)
        if isinstance(guard, SloGuardrail)
    ]
    if not guards:
        return
    known = await slos_by_key(context, {guard.slo for guard, _ in guards})
    for guard, field in guards:
        if guard.slo not in known:
            raise refused(f"{field}.slo", "must be the key of an SLO; createSlo makes one")
        objective = known[guard.slo].objective
        if not reaches(guard.severity, objective):
            most = f"{1 / (1 - objective):.3g}"
            raise refused(
                f"{field}.severity",
                f"must be TICKET: with the objective {objective} the error budget of {guard.slo} burns at most {most} "
                "times too fast, which takes no page",
            )
