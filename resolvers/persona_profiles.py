"""Profiles of personas: what their subjects do and bring in, from the analyses that everybody asks."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from resolvers.analysis.cohorts import CohortBasis
from resolvers.analysis.diagnoses import Finding
from resolvers.analysis.estimates import Estimate, Unit, estimate, quotient
from resolvers.analysis.filters import All, DimensionIs, Filter, Op
from resolvers.analysis.metrics import MetricAnswer, MetricGroup, finish
from resolvers.analysis.periods import Compare, Granularity
from resolvers.analysis.personas import ChurnGap, Persona, PersonaGroup, PersonaPreference, PersonaProfile
from resolvers.analysis.questions import Question
from resolvers.answers import ANYTHING, Kinds
from resolvers.cohorts import cohorts
from resolvers.context import Context, Role
from resolvers.cutoffs import Asking
from resolvers.errors import BadInput
from resolvers.lanes import abreast
from resolvers.metrics import metrics
from resolvers.personas import of_persona, personas
from resolvers.propensity import churn_risks
from resolvers.recurring_revenue import recurring_revenue
from resolvers.store.versions import EXCHANGE_RATES, PERSONAS, SEGMENTS

MOST_PROFILES = 10
MOST_MODELS = 3
MOST_PREFERENCES = 10
_MOST_VALUES = 100
KINDS: Kinds = ANYTHING | {SEGMENTS, PERSONAS, EXCHANGE_RATES}

_SLUGS = ("unique_subjects", "conversion_rate", "revenue", "ai_requests", "ai_cost", "ai_success_rate")
_PER_SUBJECT = "Revenue divided by the subjects with an event."
_ACQUISITION = (
    "Spend on acquisition whose dimension persona names the persona, divided by the persona's subjects that paid for "
    "the first time in the period."
)


async def persona_profiles(
    context: Context, slugs: Sequence[str] | None, question: Question, *, churn: bool = False
) -> list[PersonaProfile]:
    """The profiles of some personas, or of all; raises BadInput naming the argument at fault."""
    context.require(Role.VIEWER)
    kept = {persona.slug: persona for persona in await personas(context)}
    wanted = list(kept) if slugs is None else list(slugs)
    for place, slug in enumerate(wanted):
        if slug not in kept:
            raise BadInput(f'There is no persona "{slug}"; savePersona makes one.', field=f"slugs[{place}]")
    if len(wanted) > MOST_PROFILES:
        raise BadInput(f"At most {MOST_PROFILES} profiles are told at once; name some of the personas.", field="slugs")
    if churn and len(wanted) > MOST_MODELS:
        raise BadInput(
            f"Churn takes a model of each persona: it is told of at most {MOST_MODELS} at once; name them in slugs.",
            field="churn",
        )
    asked = replace(question, compare=question.compare or Compare.PREVIOUS_PERIOD)
    wheres = [All((asked.where, of_persona(kept[slug]))) for slug in wanted]
    risks = await _churn(context, wheres) if churn else [_Churn(None, ChurnGap.NOT_ASKED)] * len(wanted)
    return [
        await _profile(context, kept[slug], asked, replace(asked, where=where), risk)
        for slug, where, risk in zip(wanted, wheres, risks, strict=True)
    ]


async def _profile(
    context: Context, persona: Persona, everybody: Question, own: Question, churn: "_Churn"
) -> PersonaProfile:
    groups, count = await _groups(context, own) if own.by else ((), 0)
    everybody, own = replace(everybody, by=()), replace(own, by=())
    (acquired, lifetime_value), (figures, retention, preferences) = await abreast(
        _from_log(context, persona, everybody, own), _from_kept(context, everybody, own)
    )
    subjects, conversion, revenue, requests, cost, success = figures
    channels, features = preferences
    return PersonaProfile(
        persona=persona,
        period=subjects.period,
        previous_period=subjects.previous_period,
        subjects=subjects,
        conversion=conversion,
        revenue=revenue,
        revenue_per_subject=_per_subject(revenue.estimate, subjects.estimate),
        lifetime_value=lifetime_value,
        acquisition_cost=acquired,
        retention=retention,
        churn_risk=churn.risk,
        churn_gap=churn.gap,
        churn_findings=churn.findings,
        ai_requests=requests,
        ai_cost=cost,
        ai_success=success,
        channels=channels,
        features=features,
        groups=groups,
        group_count=count,
    )


async def _groups(context: Context, own: Question) -> tuple[tuple[PersonaGroup, ...], int]:
    """The metrics of those who have the same values, most subjects first, and how many such groups there are."""
    asked = replace(own, granularity=Granularity.MONTH)
    (subjects,) = await metrics(context, _SLUGS[:1], asked)
    keys = [tuple(key.value for key in group.keys) for group in subjects.groups if not group.other]
    others = await metrics(context, _SLUGS[1:], asked, groups=keys)
    found = []
    for group in subjects.groups:
        conversion, revenue, requests, cost, success = (_of_group(answer, group) for answer in others)
        found.append(
            PersonaGroup(
                keys=group.keys,
                other=group.other,
                subjects=group.estimate,
                conversion=conversion,
                revenue=revenue,
                revenue_per_subject=_per_subject(revenue, group.estimate),
                ai_requests=requests,
                ai_cost=cost,
                ai_success=success,
            )
        )
    return tuple(found), subjects.group_count


def _of_group(answer: MetricAnswer, group: MetricGroup) -> Estimate:
    """A metric of a group, of nothing where it has no event of the metric."""
    for one in answer.groups:
        if (one.keys, one.other) == (group.keys, group.other):
            return one.estimate
    return finish(answer.metric, {}, None, answer.estimate.currency or "", answer.estimate.as_of)


async def _from_log(
    context: Context, persona: Persona, everybody: Question, own: Question
) -> tuple[Estimate, Estimate]:
    """Acquisition cost and lifetime value."""
    acquired = await _acquisition_cost(context, persona, everybody, own)
    return acquired, (await recurring_revenue(context, own)).lifetime_value


async def _from_kept(
    context: Context, everybody: Question, own: Question
) -> tuple[tuple[MetricAnswer, ...], Estimate, list[tuple[PersonaPreference, ...]]]:
    """Metrics, retention, and the channels and features that are preferred."""
    found = await metrics(context, _SLUGS, own)
    retention = (await cohorts(context, CohortBasis.ACTIVITY, _by_week(own), whole=False)).repeat
    dimensions = ("channel", "feature")
    return found, retention, [await _preferences(context, one, everybody, own, found[0]) for one in dimensions]


def _by_week(question: Question) -> Question:
    return replace(question, granularity=Granularity.WEEK)


def _per_subject(total: Estimate, count: Estimate) -> Estimate:
    before = None
    if total.previous is not None and count.previous is not None:
        before = quotient(total.previous, count.previous)
    return estimate(
        None if total.value is None or count.value is None else quotient(total.value, count.value),
        n=int(count.value or 0),
        as_of=total.as_of,
        definition=_PER_SUBJECT,
        unit=Unit.MONEY,
        numerator=total.value,
        denominator=count.value,
        previous=before,
        currency=total.currency,
    )


async def _acquisition_cost(context: Context, persona: Persona, everybody: Question, own: Question) -> Estimate:
    # What is spent is of nobody, so that rules do not tell whom it was for; the event has to.
    named = All((everybody.where, DimensionIs("persona", Op.IN, (persona.slug,))))
    (spent,) = await metrics(context, ["acquisition_spend"], replace(everybody, where=named))
    new = await cohorts(context, CohortBasis.REVENUE, _by_week(own), whole=False)
    # Where no spend names the persona, what its people cost is not known.
    amount = spent.estimate.value if spent.estimate.n else None
    before, earlier = spent.estimate.previous, new.previous_subjects
    return estimate(
        None if amount is None else quotient(amount, Decimal(new.subjects)),
        n=new.subjects,
        as_of=spent.estimate.as_of,
        definition=_ACQUISITION,
        unit=Unit.MONEY,
        numerator=amount,
        denominator=Decimal(new.subjects),
        previous=quotient(before, Decimal(earlier)) if before and earlier is not None else None,
        currency=spent.estimate.currency,
    )


@dataclass(frozen=True, slots=True)
class _Churn:
    """The mean probability of churn, or why there is none."""

    risk: Estimate | None
    gap: ChurnGap | None
    findings: tuple[Finding, ...] = ()


async def _churn(context: Context, wheres: Sequence[Filter]) -> list[_Churn]:
    """That of those under each condition."""
    found = await churn_risks(context, [Asking(where=where) for where in wheres])
    return [
        _Churn(None, ChurnGap.NO_MODEL, one.findings)
        if one.model is None
        else _Churn(one.probability, None, one.findings)
        for one in found
    ]


async def _preferences(
    context: Context, dimension: str, everybody: Question, own: Question, subjects: MetricAnswer
) -> tuple[PersonaPreference, ...]:
    """The values that most subjects have, and how much more often than everybody."""
    grouped = replace(own, by=(dimension,), compare=None, granularity=Granularity.MONTH, top=_MOST_VALUES)
    (among,) = await metrics(context, ["unique_subjects"], grouped)
    (all_,) = await metrics(context, ["unique_subjects"], replace(grouped, where=everybody.where))
    whole, size = all_.estimate.value, subjects.estimate.value
    known = {group.keys[0].value: group.estimate.value for group in all_.groups if not group.other}
    found = []
    for group in among.groups:
        count = group.estimate.value
        if group.other or count is None or group.keys[0].value is None:
            continue
        share = None if size is None else quotient(count, size)
        theirs = known.get(group.keys[0].value)
        usual = None if theirs is None or whole is None else quotient(theirs, whole)
        lift = None if share is None or usual is None else quotient(share, usual)
        found.append(PersonaPreference(group.keys[0].value, int(count), share, lift))
    return tuple(found[:MOST_PREFERENCES])
