"""Rules of segments: a tree of inputs read into a rule, and a rule written back as such a tree."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

import strawberry

from resolvers.analysis import segments as values
from resolvers.analysis.filters import EVERYTHING
from resolvers.analysis.funnel_outcomes import Outcome
from resolvers.analysis.intake_values import Invalid, money
from resolvers.analysis.periods import PeriodRequest
from resolvers.analysis.segments import Rule
from schema.arguments import PeriodInput, read_period
from schema.conditions import plain_text, read_filter, reference, segment_reference, write_filter
from schema.errors import refusal
from schema.filters import MAX_DEPTH, MAX_SEGMENTS, MAX_VALUES, FilterInput, Measure, SegmentConditionInput
from schema.nodes import encode
from schema.scalars import decimal_text
from schema.shapes import enumerate_in_schema

enumerate_in_schema(
    values.Sighting,
    "Which of a subject's events is meant.",
    {"FIRST": "The first of them, ever.", "LAST": "The last of them so far."},
    name="SegmentSighting",
)

_WHERE = "Which of the subject's events are meant; absent for all. It names no segment: the rule `segment` does."


@strawberry.input(description="How often something was done. Without any of these: at least once.")
class SegmentTimesInput:
    at_least: int | None = strawberry.field(default=None, description="At least so often.")
    at_most: int | None = strawberry.field(
        default=None, description="At most so often; who never did it is among these unless `atLeast` is 1 or more."
    )
    exactly: int | None = strawberry.field(default=None, description="Just so often; given alone.")


@strawberry.input(description="What a sum comes to: at least one bound.")
class SegmentTotalInput:
    measure: Measure = strawberry.field(
        default=Measure.AMOUNT,
        description="What is summed up; money in the tenant's currency, as far as there are rates. Of nothing it is 0.",
    )
    at_least: object | None = strawberry.field(
        graphql_type=Decimal | None, default=None, description="At least so much."
    )
    at_most: object | None = strawberry.field(graphql_type=Decimal | None, default=None, description="At most so much.")


@strawberry.input(
    description=(
        'What a subject did. Example, bought twice or more in 30 days: `{where: {name: "purchase"}, period: {last: '
        '"30d"}, times: {atLeast: 2}}`.'
    )
)
class SegmentBehaviourInput:
    where: FilterInput | None = strawberry.field(default=None, description=_WHERE)
    period: PeriodInput | None = strawberry.field(
        default=None,
        description="When, in the tenant's time zone; `last` moves on with every refresh. Absent for all time.",
    )
    times: SegmentTimesInput | None = strawberry.field(default=None, description="How often; at least once if absent.")
    total: SegmentTotalInput | None = strawberry.field(
        default=None, description="What a measure of these events must come to as well."
    )


@strawberry.input(
    description=(
        "When a subject was first or last seen. Example, seen for the first time in the last "
        'seven days: `{which: FIRST, period: {last: "7d"}}`.'
    )
)
class SegmentSightingInput:
    which: values.Sighting = strawberry.field(description="The first or the last of the subject's events.")
    period: PeriodInput = strawberry.field(
        description="When that was, in the tenant's time zone; `last` moves on with every refresh."
    )
    where: FilterInput | None = strawberry.field(default=None, description=_WHERE)


@strawberry.input(
    description=(
        "Whom a kept funnel leaves at a step: who dropped out there, or got there. Example, who was lost before "
        'paying: `{funnel: "Sign-up to paying", step: 3, period: {last: "30d"}}`. It follows the funnel when that is '
        "saved anew, and what happens with every refresh."
    )
)
class SegmentFunnelInput:
    funnel: strawberry.ID = strawberry.field(
        description="The kept funnel, given by its `id` or its name. Its steps name no segment."
    )
    step: int = strawberry.field(description="The place of the step, from 0.")
    outcome: Outcome = strawberry.field(
        default=Outcome.DROPPED,
        description=(
            "What became of the subject at the step, as `funnelSubjects` tells: who is still within its window "
            "has DROPPED, too, until it goes on."
        ),
    )
    period: PeriodInput | None = strawberry.field(
        default=None,
        description=(
            "When the subject entered the funnel, in the tenant's time zone; `last` moves on with every refresh. "
            "Absent for all time."
        ),
    )
    where: FilterInput | None = strawberry.field(default=None, description=_WHERE)


@strawberry.input(
    one_of=True,
    description=(
        "Which subjects belong: exactly one condition, or one of `all`, `any` and `not` with more of them inside; at "
        "most 8 deep and 30 conditions. `not` is of all subjects that any event is about. Example: `{all: [{did: "
        '{where: {name: "purchase"}}}, {not: {did: {where: {name: "churn"}}}}]}`.'
    ),
)
class SegmentRuleInput:
    all: list["SegmentRuleInput"] | None = strawberry.field(
        description="Holds where each of these does; an empty list holds for every subject."
    )
    any: list["SegmentRuleInput"] | None = strawberry.field(
        description="Holds where at least one of these does; an empty list holds for none."
    )
    not_: "SegmentRuleInput | None" = strawberry.field(name="not", description="Holds where this does not.")
    did: SegmentBehaviourInput | None = strawberry.field(
        description="The subject has events such that: so many, or of such a sum."
    )
    seen: SegmentSightingInput | None = strawberry.field(description="The subject was first or last seen then.")
    segment: SegmentConditionInput | None = strawberry.field(
        description="The subject meets the rules of other segments, or does not. They must not lead back to this one."
    )
    funnel: SegmentFunnelInput | None = strawberry.field(
        description="The subject dropped out at a step of a kept funnel, or reached it."
    )
    subjects: list[str] | None = strawberry.field(description=f"The subject is one of these, at most {MAX_VALUES:,}.")


RulesArgument = Annotated[SegmentRuleInput, strawberry.argument(description="Which subjects belong.")]


def read_rules(node: SegmentRuleInput, field: str = "rules", depth: int = 1) -> Rule:
    """The rule that an input means; BadInput on the path of what cannot be one."""
    if depth > MAX_DEPTH:
        raise refusal(field, f"must be nested at most {MAX_DEPTH} deep")
    match node:
        case SegmentRuleInput(all=list(parts)):
            return values.All(_rules(parts, f"{field}.all", depth))
        case SegmentRuleInput(any=list(parts)):
            return values.Any(_rules(parts, f"{field}.any", depth))
        case SegmentRuleInput(not_=SegmentRuleInput() as inner):
            return values.Not(read_rules(inner, f"{field}.not", depth + 1))
        case SegmentRuleInput(did=SegmentBehaviourInput() as behaviour):
            return _did(behaviour, f"{field}.did")
        case SegmentRuleInput(seen=SegmentSightingInput() as seen):
            where = read_filter(seen.where, f"{field}.seen.where")
            return values.Seen(seen.which, _period(seen.period, f"{field}.seen"), where)
        case SegmentRuleInput(segment=SegmentConditionInput() as others):
            return _segments(others, f"{field}.segment")
        case SegmentRuleInput(funnel=SegmentFunnelInput() as left):
            return _in_funnel(left, f"{field}.funnel")
    subjects = node.subjects or []
    if len(subjects) > MAX_VALUES:
        raise refusal(f"{field}.subjects", f"must be at most {MAX_VALUES:,} values")
    return values.Listed(tuple(plain_text(one, f"{field}.subjects[{place}]") for place, one in enumerate(subjects)))


def _rules(parts: Sequence[SegmentRuleInput], field: str, depth: int) -> tuple[Rule, ...]:
    return tuple(read_rules(part, f"{field}[{place}]", depth + 1) for place, part in enumerate(parts))


def _did(given: SegmentBehaviourInput, field: str) -> values.Did:
    return values.Did(
        read_filter(given.where, f"{field}.where"),
        None if given.period is None else _period(given.period, field),
        _times(given.times, f"{field}.times"),
        None if given.total is None else _total(given.total, f"{field}.total"),
    )


def _in_funnel(given: SegmentFunnelInput, field: str) -> values.InFunnel:
    return values.InFunnel(
        reference(given.funnel, "SavedFunnel", f"{field}.funnel"),
        given.step,
        given.outcome,
        None if given.period is None else _period(given.period, field),
        read_filter(given.where, f"{field}.where"),
    )


def _times(given: SegmentTimesInput | None, field: str) -> values.Times:
    if given is None:
        return values.Times()
    if given.exactly is not None:
        if given.at_least is not None or given.at_most is not None:
            raise refusal(f"{field}.exactly", "must be given alone")
        return values.Times(given.exactly, given.exactly)
    if given.at_least is None and given.at_most is None:
        return values.Times()
    return values.Times(given.at_least, given.at_most)


def _total(given: SegmentTotalInput, field: str) -> values.Total:
    if given.at_least is None and given.at_most is None:
        raise refusal(field, "must give at least one of atLeast, atMost")
    least, most = _amount(given.at_least, f"{field}.atLeast"), _amount(given.at_most, f"{field}.atMost")
    return values.Total(given.measure.value, least, most)


def _amount(value: object | None, field: str) -> Decimal | None:
    try:
        return None if value is None else money(value)
    except Invalid as bad:
        raise refusal(field, bad.message) from None


def _period(given: PeriodInput, field: str) -> PeriodRequest:
    return read_period(given, f"{field}.period")


def _segments(given: SegmentConditionInput, field: str) -> Rule:
    found: list[Rule] = []
    for name, listed in (("in", given.in_), ("notIn", given.not_in)):
        if listed is None:
            continue
        if len(listed) > MAX_SEGMENTS:
            raise refusal(f"{field}.{name}", f"must be at most {MAX_SEGMENTS} segments")
        places = [f"{field}.{name}[{place}]" for place in range(len(listed))]
        pairs = zip(listed, places, strict=True)
        parts = tuple(values.MemberOf(segment_reference(one, place), place) for one, place in pairs)
        one_of = parts[0] if len(parts) == 1 else values.Any(parts)
        found.append(one_of if name == "in" else values.Not(one_of))
    if not found:
        raise refusal(field, "must give at least one of in, notIn")
    return found[0] if len(found) == 1 else values.All(tuple(found))


def write_rules(root: Rule) -> dict[str, Any]:
    """The rule as the JSON of a ``SegmentRuleInput``: ``read_rules`` reads it back as one of the same meaning."""
    match root:
        case values.All(parts):
            return {"all": [write_rules(part) for part in parts]}
        case values.Any(parts):
            return {"any": [write_rules(part) for part in parts]}
        case values.Not(inner):
            return {"not": write_rules(inner)}
        case values.Did(where, period, times, total):
            times_ = {"atLeast": times.at_least, "atMost": times.at_most}
            written: dict[str, Any] = {} if where == EVERYTHING else {"where": write_filter(where)}
            written |= {} if period is None else {"period": _write_period(period)}
            written["times"] = {name: bound for name, bound in times_.items() if bound is not None}
            return {"did": written | ({} if total is None else {"total": _write_total(total)})}
        case values.Seen(which, period, where):
            seen = {"which": which.name, "period": _write_period(period)}
            return {"seen": seen if where == EVERYTHING else seen | {"where": write_filter(where)}}
        case values.MemberOf(segment):
            given = encode("Segment", str(segment)) if isinstance(segment, int) else segment
            return {"segment": {"in": [given]}}
        case values.InFunnel(funnel, step, outcome, period, where):
            given = encode("SavedFunnel", str(funnel)) if isinstance(funnel, int) else funnel
            asked = {"funnel": given, "step": step, "outcome": outcome.name}
            asked |= {} if period is None else {"period": _write_period(period)}
            return {"funnel": asked if where == EVERYTHING else asked | {"where": write_filter(where)}}
        case values.Listed(subjects):
            return {"subjects": list(subjects)}


def _write_period(period: PeriodRequest) -> dict[str, str]:
    if period.last is not None:
        return {"last": period.last}
    return {name: _write_instant(at) for name, at in (("from", period.start), ("to", period.end)) if at is not None}


def _write_instant(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def _write_total(total: values.Total) -> dict[str, str]:
    bounds = (("atLeast", total.at_least), ("atMost", total.at_most))
    written = {name: decimal_text(bound) for name, bound in bounds if bound is not None}
    return {"measure": total.measure.upper()} | written
