"""Recommendations: what the answers suggest, what was decided about it, and deciding."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from resolvers.analysis.recommendation_json import from_json, to_json
from resolvers.analysis.recommendations import Finding, Recommendation, State
from resolvers.answers import Kinds
from resolvers.context import Context, Role
from resolvers.errors import BadInput, NotFound
from resolvers.paging import page_size, wrong_cursor
from resolvers.recommendation_findings import KINDS, findings, place
from resolvers.store.recommendations import RecommendationRepository, RecommendationRow
from resolvers.store.versions import RECOMMENDATIONS

LONGEST_REASON = 1_000

STATES = {State.ACCEPTED: 1, State.DISMISSED: 2}
_STATE_OF = {number: state for state, number in STATES.items()}
_PLACE = re.compile(r"([01]) (-?\d{1,40}(?:\.\d{1,40})?) (\w{1,40}:[0-9a-f]{24})", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LAST = Decimal(4_200_000_000_000_000)
_SHOWN = tuple(field.name for field in fields(Finding) if field.name != "measures")

Place = tuple[int, Decimal, str]
"""Where a recommendation is in its list."""


@dataclass(frozen=True, slots=True)
class RecommendationPage:
    """A page of recommendations; ``cursors[i]`` leads to what follows ``recommendations[i]``."""

    recommendations: tuple[Recommendation, ...]
    cursors: tuple[str, ...]
    has_next: bool


def kinds() -> Kinds:
    """What recommendations depend on: all events and their money, saved funnels and decisions."""
    return KINDS | {RECOMMENDATIONS}


async def recommendations(
    context: Context,
    *,
    state: State = State.OPEN,
    first: int = 50,
    after: str | None = None,
    max_age: timedelta | None = None,
) -> RecommendationPage:
    """A page of the recommendations in a state: open ones by expected value, others the last decided first.

    Money comes before what has no price; ``max_age`` is how old open findings may be.
    """
    principal = context.require(Role.VIEWER)
    page_size(first)
    behind = None if after is None else _read(after)
    # Looked at first, so that a decision made, or a funnel saved, meanwhile is seen to be missing.
    versions = await context.services.versions.of(principal.tenant_id, (RECOMMENDATIONS,))
    found, asked = await findings(context, max_age)
    current = {one.key for one in found.found}
    async with context.services.database.tenant(principal.tenant_id) as session:
        repository = RecommendationRepository(session)
        if state is State.OPEN:
            decided = await repository.by_keys(principal.tenant_id, sorted(current))
            shown = [_open(one) for one in found.found if one.key not in decided]
            shown = [one for one in shown if behind is None or place(one) > behind][: first + 1]
        else:
            since = None if behind is None else (_EPOCH + int(-behind[1]) * _MICROSECOND, behind[2])
            number = STATES[state]
            rows = await repository.page(principal.tenant_id, number, after=since, limit=first + 1)
            shown = [_decided(row, current) for row in rows]
    if context.reliance is not None:
        context.reliance.add([RECOMMENDATIONS], versions, asked.period.end)
    page = tuple(shown[:first])
    return RecommendationPage(page, tuple(map(_written, page)), len(shown) > first)


def _written(one: Recommendation) -> str:
    if one.decided_at is not None:
        return f"0 {-((one.decided_at - _EPOCH) // _MICROSECOND)} {one.key}"
    group, value, key = place(one)
    return f"{group} {value:f} {key}"


def _read(cursor: str) -> Place:
    found = _PLACE.fullmatch(cursor)
    if found is None or abs(Decimal(found[2])) > _LAST:
        raise wrong_cursor()
    return int(found[1]), Decimal(found[2]), found[3]


def _open(finding: Finding) -> Recommendation:
    known = {name: getattr(finding, name) for name in _SHOWN}
    return Recommendation(**known, state=State.OPEN, decided_at=None, reason=None, current=True)


def _decided(row: RecommendationRow, current: set[str]) -> Recommendation:
    finding = from_json(row.finding)
    known = {name: getattr(finding, name) for name in _SHOWN}
    return Recommendation(
        **known,
        state=_STATE_OF[row.state],
        decided_at=row.decided_at,
        reason=row.reason,
        current=row.key in current,
    )


async def recommendations_by_key(context: Context, keys: Sequence[str]) -> dict[str, Recommendation]:
    """Those of the keys that the caller's tenant has: found now, or decided about."""
    principal = context.require(Role.VIEWER)
    found, _ = await findings(context)
    open_ones = {one.key: _open(one) for one in found.found}
    async with context.services.database.tenant(principal.tenant_id) as session:
        rows = await RecommendationRepository(session).by_keys(principal.tenant_id, _sound(keys))
    decided = {key: _decided(row, set(open_ones)) for key, row in rows.items()}
    known = open_ones | decided
    return {key: known[key] for key in keys if key in known}


def _sound(keys: Sequence[str]) -> list[str]:
    return [key for key in keys if key.isascii() and key.isprintable() and len(key) <= 100]


async def accept_recommendation(context: Context, key: str) -> Recommendation:
    """Note that a recommendation is followed from now on; raises NotFound, Forbidden.

    One that was accepted stays so since then: what came of it is measured from there.
    """
    return await _decide(context, key, State.ACCEPTED, None)


async def dismiss_recommendation(context: Context, key: str, reason: str) -> Recommendation:
    """Note why a recommendation is not followed; raises BadInput, NotFound, Forbidden."""
    if not reason.strip() or len(reason) > LONGEST_REASON or not reason.isprintable():
        raise BadInput(f"A reason has 1 to {LONGEST_REASON:,} printable characters.", field="reason")
    return await _decide(context, key, State.DISMISSED, reason)


async def _decide(context: Context, key: str, state: State, reason: str | None) -> Recommendation:
    principal = context.require(Role.ANALYST)
    found, _ = await findings(context)
    finding = next((one for one in found.found if one.key == key), None)
    current = {one.key for one in found.found}
    async with context.services.database.tenant(principal.tenant_id) as session:
        repository = RecommendationRepository(session)
        row = (await repository.by_keys(principal.tenant_id, _sound([key]))).get(key)
        if row is None and finding is None:
            raise NotFound("There is no such recommendation, or nothing says so any more.", field="id")
        if row is not None and row.state == STATES[state] and row.reason == reason:
            return _decided(row, current)
        kept = to_json(finding) if finding is not None else row.finding if row is not None else {}
        row = RecommendationRow(
            tenant_id=principal.tenant_id,
            key=key,
            state=STATES[state],
            decided_at=context.services.now(),
            key_id=principal.key_id,
            reason=reason,
            finding=kept,
        )
        await repository.decide(row)
    return _decided(row, current)
