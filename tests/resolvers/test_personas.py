"""Personas: to whom rules give them, in which order, and what their profiles say."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from resolvers.analysis.diagnoses import Diagnosis
from resolvers.analysis.estimates import quotient
from resolvers.analysis.events import Kind
from resolvers.analysis.filters import All as Every
from resolvers.analysis.filters import Any as AnyOf
from resolvers.analysis.filters import DimensionIs, KindIs, NameIs, Op, SubjectIs
from resolvers.analysis.metrics import DimensionValue
from resolvers.analysis.periods import Compare, PeriodRequest
from resolvers.analysis.personas import Assignment, ChurnGap, Persona
from resolvers.analysis.questions import Question
from resolvers.analysis.segments import All as AllOf
from resolvers.analysis.segments import Did, Listed, MemberOf, Times
from resolvers.context import Context
from resolvers.cutoffs import Asking
from resolvers.errors import BadInput, NotFound
from resolvers.metrics import metrics
from resolvers.persona_profiles import persona_profiles
from resolvers.personas import PersonaDraft, delete_persona, personas, save_persona
from resolvers.propensity import churn_risk
from resolvers.segment_members import members
from resolvers.segments import Draft, delete_segment, save_segment
from resolvers.store.segment_upkeep import refresh_due
from tests.factories import NOON, event, purchase, store
from tests.resolvers.foretelling import CUTOFF, sooner, subscribers

MARCH = Question(PeriodRequest(start=NOON - timedelta(days=9), end=NOON + timedelta(days=9)))
FOR_BUYERS = {"channel": "ads", "persona": "buyers"}
MODEL = {"provider": "openai", "model": "gpt-4o"}
BUYERS, REGULARS = Did(NameIs(("purchase",))), Did(NameIs(("purchase",)), times=Times(2))


async def whom(context: Context, persona: Persona) -> set[str]:
    services = context.services
    await refresh_due(services.database, services.memory, services.segments)
    assert persona.segment_id is not None
    return {one.subject for one in (await members(context, persona.segment_id, first=500)).subjects}


@pytest.fixture
async def shop(context: Context) -> Context:
    await store(
        context,
        *(purchase("10", subject="ann", occurredAt=NOON + timedelta(hours=hour)) for hour in range(3)),
        purchase("7", subject="bob", dimensions={"channel": "email", "persona": "founder"}),
        event(subject="cleo", dimensions={"channel": "ads", "feature": "search"}),
        event(subject="ann", dimensions={"channel": "email", "feature": "search"}),
        event(
            kind="AI_INTERACTION",
            name="chat",
            subject="bob",
            success=True,
            cost="0.5",
            currency="USD",
            dimensions=MODEL,
        ),
        event(kind="SPEND", name="ads", subject="", cost="30", currency="USD", dimensions=FOR_BUYERS),
    )
    return context


async def test_the_first_whose_rules_fit_is_given(shop: Context) -> None:
    buyers = await save_persona(shop, PersonaDraft("buyers", "Buyers", priority=20, rules=BUYERS))
    assert (buyers.assignment, await whom(shop, buyers)) == (Assignment.RULES, {"ann", "bob"})
    regulars = await save_persona(shop, PersonaDraft("regulars", "Regulars", priority=10, rules=REGULARS))
    everyone = await save_persona(shop, PersonaDraft("others", "Others", priority=30, rules=Did()))
    assert [await whom(shop, one) for one in (regulars, buyers, everyone)] == [{"ann"}, {"bob"}, {"cleo"}]
    assert [one.slug for one in await personas(shop)] == ["regulars", "buyers", "others"]
    # The other way round there are no regulars left.
    await save_persona(shop, PersonaDraft("regulars", "Regulars", priority=25, rules=REGULARS))
    assert [await whom(shop, one) for one in (regulars, buyers, everyone)] == [set(), {"ann", "bob"}, {"cleo"}]
    await delete_persona(shop, buyers.id)
    assert [await whom(shop, one) for one in (regulars, everyone)] == [{"ann"}, {"bob", "cleo"}]
    with pytest.raises(NotFound):
        await delete_persona(shop, buyers.id)


@pytest.mark.parametrize("seed", range(3))
async def test_every_subject_has_one_persona_at_most(shop: Context, seed: int) -> None:
    random, people = Random(seed), ["ann", "bob", "cleo"]
    kept: dict[str, tuple[int, set[str]]] = {}
    for _ in range(6):
        slug, priority = random.choice("abcd"), random.randrange(5)
        some = set(random.sample(people, random.randrange(1, 4)))
        await save_persona(shop, PersonaDraft(slug, slug, priority=priority, rules=Listed(tuple(some))))
        kept[slug] = (priority, some)
        left, expected = set(people), {}
        for name in sorted(kept, key=lambda name: (kept[name][0], name)):
            expected[name] = kept[name][1] & left
            left -= kept[name][1]
        assert {one.slug: await whom(shop, one) for one in await personas(shop)} == expected


async def test_a_persona_by_events_becomes_one_by_rules_and_back(shop: Context) -> None:
    founder = await save_persona(shop, PersonaDraft("founder", "Founders"))
    assert (founder.assignment, founder.segment_id) == (Assignment.EVENTS, None)
    (profile,) = await persona_profiles(shop, ["founder"], MARCH)
    assert (profile.subjects.estimate.value, profile.revenue.estimate.value) == (1, 7)
    changed = await save_persona(shop, PersonaDraft("founder", "Founders", rules=REGULARS))
    assert (changed.id, await whom(shop, changed)) == (founder.id, {"ann"})
    again = await save_persona(shop, PersonaDraft("founder", "Founders"))
    assert again.segment_id is None
    with pytest.raises(BadInput):
        await members(shop, changed.segment_id or 0)


async def test_a_profile_says_what_its_people_do(shop: Context) -> None:
    await save_persona(shop, PersonaDraft("buyers", "Buyers", rules=BUYERS))
    (profile,) = await persona_profiles(shop, None, MARCH)
    own = SubjectIs(("ann", "bob"))
    asked = replace(MARCH, where=own, compare=Compare.PREVIOUS_PERIOD)
    slugs = ["unique_subjects", "conversion_rate", "revenue", "ai_requests", "ai_cost", "ai_success_rate"]
    expected = await metrics(shop, slugs, asked)
    found = (
        profile.subjects,
        profile.conversion,
        profile.revenue,
        profile.ai_requests,
        profile.ai_cost,
        profile.ai_success,
    )
    assert [(one.estimate, one.series) for one in found] == [(one.estimate, one.series) for one in expected]
    assert profile.revenue_per_subject.value == profile.revenue.estimate.value / 2  # type: ignore[operator]
    assert (profile.acquisition_cost.value, profile.acquisition_cost.denominator) == (15, 2)
    assert (profile.churn_risk, profile.churn_gap, profile.churn_findings) == (None, ChurnGap.NOT_ASKED, ())
    assert [(one.value, one.subjects, one.share) for one in profile.channels] == [("email", 2, 1)]
    assert profile.channels[0].lift == pytest.approx(1.5)  # type: ignore[comparison-overlap]
    assert [(one.value, one.subjects) for one in profile.features] == [("search", 1)]
    of_ai = replace(MARCH, where=KindIs((Kind.AI_INTERACTION,)))
    (narrowed,) = await persona_profiles(shop, ["buyers"], of_ai)
    assert narrowed.subjects.estimate.value == 1


async def test_what_newcomers_cost_and_whether_they_stay_is_of_the_period_alone(context: Context) -> None:
    wednesday = datetime(2026, 3, 11, tzinfo=UTC)

    def paid(subject: str, days: int) -> dict[str, Any]:
        return purchase("5", subject=subject, occurredAt=wednesday + timedelta(days=days), dimensions=FOR_BUYERS)

    def spent(cost: str, days: int) -> dict[str, Any]:
        at = wednesday + timedelta(days=days)
        return event(
            kind="SPEND", name="ads", subject="", cost=cost, currency="USD", occurredAt=at, dimensions=FOR_BUYERS
        )

    # Dan came on the Tuesday before, in the week that the period begins in; eve came back in the week after hers.
    came = [("dan", -1), ("dan", 6), ("eve", 1), ("eve", 5), ("fay", 2), ("fay", 3)]
    await store(context, spent("6", -1), spent("10", 1), *(paid(*one) for one in came))
    await save_persona(context, PersonaDraft("buyers", "Buyers"))
    week = Question(PeriodRequest(start=wednesday, end=wednesday + timedelta(days=7)), timezone="UTC")
    (profile,) = await persona_profiles(context, ["buyers"], week)
    cost, retention = profile.acquisition_cost, profile.retention
    assert (cost.value, cost.numerator, cost.denominator, cost.previous) == (5, 10, 2, 6)
    assert (retention.value, retention.numerator, retention.denominator) == (Decimal("0.5"), 1, 2)
    assert retention.previous == 0


async def test_a_profile_broken_down_says_what_where_would(shop: Context) -> None:
    await save_persona(shop, PersonaDraft("buyers", "Buyers", rules=BUYERS))
    (whole,) = await persona_profiles(shop, None, MARCH)
    (profile,) = await persona_profiles(shop, None, replace(MARCH, by=("channel",), top=1))
    assert replace(profile, groups=(), group_count=0) == whole
    assert profile.group_count == 2
    slugs = ["unique_subjects", "conversion_rate", "revenue", "ai_requests", "ai_cost", "ai_success_rate"]
    for group in profile.groups:
        of_group = AnyOf((DimensionIs("channel", Op.NOT_IN, ("email",)), DimensionIs("channel", Op.MISSING)))
        own = of_group if group.other else DimensionIs("channel", Op.IN, ("email",))
        where = Every((SubjectIs(("ann", "bob")), own))
        asked = replace(MARCH, where=where, compare=Compare.PREVIOUS_PERIOD)
        expected = await metrics(shop, slugs, asked)
        found = (group.subjects, group.conversion, group.revenue, group.ai_requests, group.ai_cost, group.ai_success)
        assert [one.value for one in found] == [one.estimate.value for one in expected]
        assert group.revenue_per_subject.value == quotient(group.revenue.value or Decimal(0), Decimal(2))
    assert [group.keys for group in profile.groups] == [(DimensionValue("channel", "email"),), ()]
    with pytest.raises(BadInput) as refused:
        await persona_profiles(shop, None, replace(MARCH, by=("nothing",)))
    assert refused.value.field == "by"


async def test_a_profile_of_nobody_has_no_ratios(shop: Context) -> None:
    await save_persona(shop, PersonaDraft("nobody", "Nobody", rules=Listed(("zoe",))))
    (profile,) = await persona_profiles(shop, ["nobody"], MARCH, churn=True)
    assert profile.subjects.estimate.value == 0
    assert profile.revenue_per_subject.value is None
    assert profile.acquisition_cost.value is None
    assert profile.lifetime_value.value is None
    assert (profile.channels, profile.features, profile.churn_risk) == ((), (), None)
    (grouped,) = await persona_profiles(shop, ["nobody"], replace(MARCH, by=("channel",)))
    assert (grouped.groups, grouped.group_count) == ((), 0)
    assert profile.churn_gap is ChurnGap.NO_MODEL
    assert [one.diagnosis for one in profile.churn_findings] == [Diagnosis.TOO_FEW_SUBJECTS]


async def test_a_profile_of_many_tells_their_churn(context: Context) -> None:
    midnight = context.services.now().replace(hour=0, minute=0, second=0, microsecond=0)
    await store(context, *sooner(subscribers(), (CUTOFF - midnight).days))
    await save_persona(context, PersonaDraft("dev", "Developers"))
    (profile,) = await persona_profiles(context, ["dev"], MARCH, churn=True)
    risk = await churn_risk(context, Asking(where=DimensionIs("persona", Op.IN, ("dev",))))
    assert profile.churn_risk is not None
    assert profile.churn_risk.value == risk.probability.value is not None
    assert (profile.churn_gap, profile.churn_findings) == (None, risk.findings)


@pytest.mark.parametrize(
    ("draft", "field"),
    [
        (PersonaDraft("", "No slug"), "slug"),
        (PersonaDraft("x" * 101, "Long"), "slug"),
        (PersonaDraft("x", " "), "name"),
        (PersonaDraft("x", "X", priority=-1), "priority"),
        (PersonaDraft("x", "X", rules=Listed(())), "rules.subjects"),
        (PersonaDraft("x", "X", rules=MemberOf("Nobody")), "rules"),
        (PersonaDraft("x", "X", rules=Did(DimensionIs("plan", Op.EXISTS), times=Times(-1))), "rules.did.times.atLeast"),
    ],
)
async def test_what_cannot_be_kept(context: Context, draft: PersonaDraft, field: str) -> None:
    with pytest.raises(BadInput) as refused:
        await save_persona(context, draft)
    assert refused.value.field == field
    assert await personas(context) == []


async def test_segments_and_personas_stand_on_each_other_without_circles(shop: Context) -> None:
    buyers = await save_persona(shop, PersonaDraft("buyers", "Buyers", rules=BUYERS))
    assert buyers.segment_id is not None
    for change in (
        save_segment(shop, Draft("persona/buyers", Did())),
        delete_segment(shop, buyers.segment_id),
        save_persona(shop, PersonaDraft("buyers", "Buyers", rules=MemberOf("persona/buyers"))),
        persona_profiles(shop, ["nobody"], MARCH),
    ):
        with pytest.raises(BadInput):
            await change
    await save_segment(shop, Draft("Big", AllOf((MemberOf(buyers.segment_id), REGULARS))))
    with pytest.raises(BadInput) as refused:
        await delete_persona(shop, buyers.id)
    assert refused.value.message == 'The rules of "Big" name it; change or delete these first.'
    assert [one.slug for one in await personas(shop)] == ["buyers"]
