"""Churn and conversion propensity over the log."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from unittest.mock import patch

import numpy as np
import pytest

from resolvers import propensity
from resolvers.analysis.diagnoses import Diagnosis
from resolvers.analysis.estimates import Quality
from resolvers.analysis.filters import EVERYTHING, All, DimensionIs, InSegment, Not, Op, SubjectIs
from resolvers.analysis.periods import Compare
from resolvers.analysis.propensity_answers import Outcome, PropensityAnswer
from resolvers.analysis.segments import Listed
from resolvers.context import Context, Role
from resolvers.cutoffs import Asking
from resolvers.errors import BadInput, Forbidden
from resolvers.exchange_rates import set_exchange_rates
from resolvers.propensity import (
    Candidate,
    candidates,
    churn_risk,
    churn_risks,
    conversion_propensity,
    subjects_at_risk,
    upsell_candidates,
)
from resolvers.segments import Draft, save_segment
from resolvers.store.database import Database
from resolvers.store.propensity import SpendRepository
from resolvers.store.terms import SUBJECTS
from tests.factories import event, new_principal, purchase, store
from tests.resolvers.foretelling import CUTOFF, PAST, at, sooner, subscribers

ASKING = Asking(CUTOFF, timedelta(days=365))


async def pages(context: Context, asking: Asking, size: int) -> list[Candidate]:
    """Everybody on the list, page by page."""
    found: list[Candidate] = []
    after: str | None = None
    while True:
        each = Context(context.services, context.principal)
        page = await subjects_at_risk(each, asking, first=size, after=after)
        assert len(page.candidates) <= size
        found += page.candidates
        if not page.has_next:
            return found
        after = page.cursors[-1]


async def test_who_the_ai_fails_is_at_risk(context: Context) -> None:
    await store(context, *subscribers())
    found = await churn_risk(context, replace(ASKING, by=("plan",)))
    assert found.outcome is Outcome.CHURN_EVENT
    assert found.definition.startswith("Customers (subjects with a recurring conversion and no churn since)")
    assert found.model is not None
    assert found.validation is not None
    assert (found.model.n, found.model.converged) == (240, True)
    assert found.validation.positives == found.model.positives > 60
    assert found.validation.auc.low > 0.7
    assert found.model.features[0].name == "ai_success_rate"
    assert found.model.features[0].odds_ratio < 1
    # Who has churned is judged no more.
    assert found.subjects == 240 - found.model.positives
    assert sum(found.histogram) == found.subjects
    assert sum(group.subjects for group in found.groups) == found.subjects
    assert {group.keys[0].value for group in found.groups} == {"pro", "team"}
    assert found.probability.value is not None
    assert float(found.expected.value or 0) == pytest.approx(float(found.probability.value) * found.subjects)


async def test_the_list_goes_from_the_likeliest_down(context: Context) -> None:
    await store(context, *subscribers())
    total = (await churn_risk(context, ASKING)).subjects
    listed = await pages(context, ASKING, 37)
    assert len({one.subject for one in listed}) == len(listed) == total
    assert [one.probability for one in listed] == sorted((one.probability for one in listed), reverse=True)
    likeliest = listed[0]
    assert int(likeliest.subject[1:]) % 2 == 0
    assert "AI succeeded in" in likeliest.reason
    assert at(6) < likeliest.last_event_at < CUTOFF
    found = await candidates(context, "", ASKING, [likeliest.subject, "nobody"])
    assert found == {likeliest.subject: likeliest}


async def test_silence_is_churn_where_nobody_says_so(context: Context) -> None:
    await store(context, *subscribers(explicit=False))
    # Those who leave fall silent 30 days before the cut-off: at the cut-off before they were active.
    found = await churn_risk(context, ASKING)
    assert found.outcome is Outcome.INACTIVITY
    assert found.model is not None
    assert found.model.positives > 60
    assert found.subjects == 240 - found.model.positives


async def test_churn_is_held_against_what_was_foretold_before(context: Context) -> None:
    await store(context, *subscribers())
    await store(context, *sooner(subscribers(seed=3), 30))
    asking = replace(ASKING, by=("plan",), top=1, compare=Compare.PREVIOUS_PERIOD)
    found = await churn_risk(context, asking)
    then = await churn_risk(context, replace(asking, cutoff=PAST, compare=None, top=20))
    assert (found.previous_cutoff, found.previous_quality) == (PAST, then.quality)
    assert found.probability.previous == then.probability.value is not None
    assert found.expected.previous == then.expected.value is not None
    before = {group.keys: group.probability.value for group in then.groups}
    largest, others = found.groups
    assert others.other
    # All others are others then, too, whichever group was largest.
    (rest,) = (value for keys, value in before.items() if keys != largest.keys)
    assert (largest.probability.previous, others.probability.previous) == (before[largest.keys], rest)
    context.renew()
    alone = await churn_risk(context, replace(asking, compare=None))
    assert (alone.previous_cutoff, alone.previous_quality, alone.probability.previous) == (None, None, None)
    assert alone.probability.value == found.probability.value


async def test_nothing_is_held_against_a_time_without_events(context: Context) -> None:
    await store(context, *subscribers())
    asking = replace(ASKING, by=("plan",), compare=Compare.PREVIOUS_YEAR)
    found = await churn_risk(context, asking)
    assert found.previous_cutoff == CUTOFF.replace(year=2025)
    # Then nobody had ever churned, so that another thing would have been foretold.
    assert (found.previous_quality, found.probability.previous) == (None, None)
    assert {group.probability.previous for group in found.groups} == {None}
    upgrades = await conversion_propensity(context, "upgrade", asking)
    assert (upgrades.probability.value is None, upgrades.probability.previous) == (False, None)


async def test_who_upgrades(context: Context) -> None:
    await store(context, *subscribers())
    found = await conversion_propensity(context, "upgrade", ASKING)
    assert found.outcome is Outcome.CONVERSION
    assert found.definition.endswith("who have a conversion named upgrade in the 30 days after the cut-off.")
    assert found.model is not None
    page = await upsell_candidates(context, "upgrade", ASKING, first=20, after=None)
    # Only those upgrade whom the AI serves well.
    assert all(int(one.subject[1:]) % 2 for one in page.candidates)
    nothing = await conversion_propensity(context, "never heard of", ASKING)
    assert (nothing.quality, nothing.model) == (Quality.INSUFFICIENT, None)


async def test_what_happens_after_the_cutoff_is_not_known(context: Context) -> None:
    events = subscribers()
    await store(context, *events)
    before = await churn_risk(context, ASKING)
    await store(context, event(kind="CONVERSION", name="churn", subject="p1", occurredAt=CUTOFF))
    assert await churn_risk(context, ASKING) == before
    # A late event of the time before it changes the answer at once.
    await store(context, event(kind="CONVERSION", name="churn", subject="p1", occurredAt=at(0.5)))
    assert (await churn_risk(context, ASKING)).subjects == before.subjects - 1


async def test_nothing_is_fitted_twice_where_nothing_changed(context: Context) -> None:
    await store(context, *subscribers(people=120))
    await churn_risk(context, ASKING)
    misses = context.services.cache.misses
    await churn_risk(Context(context.services, context.principal), ASKING)
    await subjects_at_risk(Context(context.services, context.principal), ASKING, first=5, after=None)
    assert context.services.cache.misses == misses


async def test_what_is_over_is_read_again_only_where_it_changes(context: Context) -> None:
    await store(context, *subscribers())
    with patch.object(propensity, "_read", wraps=propensity._read) as reads:

        async def asked() -> PropensityAnswer:
            return await churn_risk(Context(context.services, context.principal), ASKING)

        first = await asked()
        await store(context, event(subject="p1", occurredAt=CUTOFF + timedelta(hours=1)))
        # Of the day after the cut-off, which is none of the history.
        assert (await asked(), reads.call_count) == (first, 1)
        await store(context, purchase("20", name="subscription", subject="late", occurredAt=at(40)))
        late = await asked()
        assert (late.subjects, reads.call_count) == (first.subjects + 1, 2)
        rate = {"date": "2026-05-01", "base": "USD", "currency": "EUR", "rate": "0.8"}
        await set_exchange_rates(context, [rate])
        assert (await asked(), reads.call_count) == (late, 3)


async def test_circles_of_subjects_are_read_once_and_answered_as_by_themselves(context: Context) -> None:
    await store(context, *subscribers())
    halves = [tuple(f"p{number}" for number in range(240) if (number % 4 < 2) == half) for half in (True, False)]
    for place, half in enumerate(halves):
        await save_segment(context, Draft(str(place), Listed(half)))
    first, second = InSegment("0"), InSegment("1")
    pro = DimensionIs("plan", Op.IN, ("pro",))
    wheres = [first, second, All((first, Not(second))), All((second, pro))]
    askings = [replace(ASKING, where=where) for where in wheres]
    with patch.object(propensity, "_read", wraps=propensity._read) as reads:
        together = await churn_risks(Context(context.services, context.principal), askings)
        assert reads.call_count == 2
    apart = []
    for half, more in zip((*halves, halves[0], halves[1]), (EVERYTHING, EVERYTHING, EVERYTHING, pro), strict=True):
        named = replace(ASKING, where=All((SubjectIs(half), more)))
        apart.append(await churn_risk(Context(context.services, context.principal), named))
    for one, other in zip(together, apart, strict=True):
        assert one.subjects == other.subjects > 0
        assert (one.probability.value, one.model) == (other.probability.value, other.model)


async def test_a_filter_narrows_what_is_seen(context: Context) -> None:
    await store(context, *subscribers(people=240))
    pro = DimensionIs("plan", Op.IN, ("pro",))
    narrowed = await churn_risk(context, replace(ASKING, where=pro, by=("plan",)))
    assert [group.keys[0].value for group in narrowed.groups] == ["pro"]
    assert narrowed.model is not None
    assert narrowed.model.n == sum(number % 3 > 0 for number in range(240))


async def test_a_tenant_learns_from_its_own_people_only(context: Context, owner: Database) -> None:
    other = Context(context.services, await new_principal(owner))
    await store(context, *subscribers())
    await store(other, *subscribers(people=110, seed=9))
    own, theirs = await churn_risk(context, ASKING), await churn_risk(other, ASKING)
    assert own.model is not None
    assert theirs.model is not None
    assert (own.model.n, theirs.model.n) == (240, 110)
    assert await candidates(other, "", ASKING, ["p239", "p238"]) == {}


@pytest.mark.parametrize(
    ("churn", "diagnoses"),
    [(0.0, [Diagnosis.TOO_FEW_OUTCOMES]), (14.0, [Diagnosis.TOO_FEW_OUTCOMES])],
)
async def test_nobody_or_everybody_churned(context: Context, churn: float, diagnoses: Sequence[Diagnosis]) -> None:
    await store(context, *subscribers(people=120, churn=churn))
    # One customer of old, so that there are churn events.
    await store(
        context,
        purchase("20", name="subscription", subject="old", occurredAt=at(90)),
        event(kind="CONVERSION", name="churn", subject="old", occurredAt=at(80)),
    )
    found = await churn_risk(context, ASKING)
    assert found.quality is Quality.INSUFFICIENT
    assert [finding.diagnosis for finding in found.findings] == diagnoses
    assert found.probability.value is None
    assert found.expected.value is None
    assert found.subjects == (120 if churn == 0 else 0)
    assert set(found.histogram) == {0}
    assert (await subjects_at_risk(context, ASKING, first=5, after=None)).candidates == ()


async def test_separation_is_said_and_foretold_all_the_same(context: Context) -> None:
    made = []
    for number in range(120):
        who = {"subject": f"p{number}", "dimensions": {"plan": "doomed" if number < 60 else "happy"}}
        made.append(purchase("5", name="subscription", occurredAt=at(60 + number / 10), **who))
        if number < 60:
            made.append(event(kind="CONVERSION", name="churn", occurredAt=at(10), **who))
    await store(context, *made)
    found = await churn_risk(context, ASKING)
    assert Diagnosis.SEPARATION in {finding.diagnosis for finding in found.findings}
    assert found.quality is Quality.LOW
    assert found.probability.value is not None
    assert 0 <= found.probability.value < 0.2


async def test_people_who_are_all_alike_are_told_apart_by_nothing(context: Context) -> None:
    made = []
    for number in range(120):
        made.append(purchase("0", name="subscription", subject=f"p{number}", occurredAt=at(60)))
        if number % 3 == 0:
            made.append(event(kind="CONVERSION", name="churn", subject=f"p{number}", occurredAt=at(10)))
    await store(context, *made)
    found = await churn_risk(context, ASKING)
    assert Diagnosis.NO_BETTER_THAN_CHANCE in {finding.diagnosis for finding in found.findings}
    assert found.probability.value == Decimal("0.333333333333")
    (reason,) = {one.reason for one in (await subjects_at_risk(context, ASKING, first=500, after=None)).candidates}
    assert reason == "Nothing sets this subject apart."


async def test_spend_is_that_of_the_90_days_before_a_cutoff(context: Context) -> None:
    await store(
        context,
        purchase("1.5", subject="ann", occurredAt=at(100)),
        purchase("2", subject="ann", occurredAt=at(60)),
        purchase("4", subject="ann", occurredAt=at(30)),
        purchase("8", subject="bob", occurredAt=at(0.1)),
        purchase("16", subject="bob", occurredAt=CUTOFF),
        purchase("32", subject="bob", currency="EUR", occurredAt=at(1)),
        event(kind="CONVERSION", name="churn", subject="bob", amount="64", currency="USD", occurredAt=at(1)),
    )
    assert context.principal is not None
    tenant_id = context.principal.tenant_id
    async with context.services.database.tenant(tenant_id) as session:
        repository = SpendRepository(session, context.services.memory)
        codes = await repository.terms.codes(tenant_id, SUBJECTS, ["ann", "bob"])
        spends = await repository.before(tenant_id, "USD", EVERYTHING, (at(30), CUTOFF), 90)
        nobody = await repository.before(tenant_id, "JPY", EVERYTHING, (CUTOFF,), 90)
    people = np.array([codes["ann"], codes["bob"], 99], np.int32)
    assert [spend.of(people).tolist() for spend in (*spends, *nobody)] == [[3.5, 0, 0], [6, 8, 0], [0, 0, 0]]


@pytest.mark.parametrize(
    ("asking", "field"),
    [
        (Asking(CUTOFF + timedelta(days=36_500)), "cutoff"),
        (Asking(CUTOFF.replace(year=2000, month=1, day=2)), "cutoff"),
        (Asking(CUTOFF, timedelta(days=59)), "history"),
        (Asking(CUTOFF, timedelta(days=3_651)), "history"),
        (Asking(CUTOFF, by=("nothing",)), "by"),
        (Asking(CUTOFF, top=0), "top"),
        (Asking(CUTOFF.replace(year=2000), compare=Compare.PREVIOUS_YEAR), "compare"),
    ],
)
async def test_what_cannot_be_asked(context: Context, asking: Asking, field: str) -> None:
    with pytest.raises(BadInput) as refused:
        await churn_risk(context, asking)
    assert refused.value.field == field


@pytest.mark.parametrize("name", ["", " ", "a\n", "x" * 201, "churn"])
async def test_what_is_no_name_of_a_conversion(context: Context, name: str) -> None:
    for attempt in (
        conversion_propensity(context, name, ASKING),
        upsell_candidates(context, name, ASKING, first=1, after=None),
    ):
        with pytest.raises(BadInput) as refused:
            await attempt
        assert refused.value.field == "name"


@pytest.mark.parametrize(
    ("first", "after", "field"), [(0, None, "first"), (501, None, "first"), (5, "x", "after"), (5, "nan,1", "after")]
)
async def test_what_is_no_page(context: Context, first: int, after: str | None, field: str) -> None:
    with pytest.raises(BadInput) as refused:
        await subjects_at_risk(context, ASKING, first=first, after=after)
    assert refused.value.field == field


async def test_names_are_for_analysts(context: Context, owner: Database) -> None:
    viewer = Context(context.services, await new_principal(owner, Role.VIEWER))
    assert (await churn_risk(viewer, ASKING)).subjects == 0
    for attempt in (
        subjects_at_risk(viewer, ASKING, first=5, after=None),
        upsell_candidates(viewer, "upgrade", ASKING, first=5, after=None),
        candidates(viewer, "", ASKING, ["ann"]),
    ):
        with pytest.raises(Forbidden):
            await attempt
