"""The subjects who are likeliest to churn or to convert, each with the reason, in pages."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import strawberry

from resolvers import propensity
from resolvers.context import Context, Role
from resolvers.cutoffs import Asking
from schema.arguments import WhereArgument
from schema.conditions import read_filter
from schema.cutoffs import CutoffArgument, HistoryArgument, Key, asked, found_again, read_asking
from schema.live import Analysis, Asked
from schema.nodes import Node, encode
from schema.pages import After, Connection, First, open_cursor, page
from schema.propensity import NameArgument
from schema.shapes import shapes

_SUBJECT = "Who, as the sender names its users."
_SEEN = "When the subject was last seen before the cut-off."
_REASON = (
    "A sentence of the features that raise the probability most, each beside what is typical. They go along with it; "
    "they need not be its cause."
)


@shapes(propensity.Candidate)
@strawberry.type(description="A subject that is likely to churn. `node` finds it again unless `where` was asked for.")
class SubjectAtRisk(Node):
    subject: str = strawberry.field(description=_SUBJECT)
    probability: float = strawberry.field(description="The probability to churn in the 30 days after the cut-off.")
    last_event_at: datetime = strawberry.field(description=_SEEN)
    reason: str = strawberry.field(description=_REASON)

    @classmethod
    async def load(cls, context: Context, keys: Sequence[str]) -> Mapping[str, Node]:
        context.require(Role.ANALYST)
        return await found_again(keys, lambda key, subjects: _loaded(context, cls, key, subjects))


@shapes(propensity.Candidate)
@strawberry.type(
    description="A subject that is likely to convert, e.g. upgrade. `node` finds it again unless `where` was asked for."
)
class UpsellCandidate(Node):
    subject: str = strawberry.field(description=_SUBJECT)
    probability: float = strawberry.field(description="The probability to convert in the 30 days after the cut-off.")
    last_event_at: datetime = strawberry.field(description=_SEEN)
    reason: str = strawberry.field(description=_REASON)

    @classmethod
    async def load(cls, context: Context, keys: Sequence[str]) -> Mapping[str, Node]:
        context.require(Role.ANALYST)
        return await found_again(keys, lambda key, subjects: _loaded(context, cls, key, subjects))


C = TypeVar("C", SubjectAtRisk, UpsellCandidate)


def _shown(cls: type[C], one: propensity.Candidate, key: Key) -> C:
    fields: dict[str, Any] = {
        name: getattr(one, name) for name in ("subject", "probability", "last_event_at", "reason")
    }
    return cls(id=strawberry.ID(encode(cls.__name__, key.of(one.subject))), **fields)


async def _loaded(context: Context, cls: type[C], key: Key, subjects: Sequence[str]) -> dict[str, Node]:
    found = await propensity.candidates(context, key.detail, key.asking, subjects)
    return {subject: _shown(cls, one, key) for subject, one in found.items()}


def _asked(
    cls: type[C],
    ask: Callable[[Asking, str | None], Awaitable[propensity.CandidatePage]],
    asking: Asking,
    name: str,
    after: str | None,
) -> Asked[Connection[C]]:
    """The question for a page of a list that ``ask`` reads."""
    cursor = open_cursor(cls.__name__, after)

    async def seek(wanted: Asking) -> Connection[C]:
        found = await ask(wanted, cursor)
        key = Key.made(found.cutoff, wanted, name)
        nodes = [_shown(cls, one, key) for one in found.candidates]
        return page(cls.__name__, nodes, found.cursors, has_next=found.has_next, after=after)

    return asked(asking, seek, propensity.kinds())


def _subjects_at_risk(
    context: Context,
    cutoff: CutoffArgument = None,
    history: HistoryArgument = "730d",
    where: WhereArgument = None,
    first: First = 50,
    after: After = None,
) -> Asked[Connection[SubjectAtRisk]]:
    async def ask(asking: Asking, cursor: str | None) -> propensity.CandidatePage:
        return await propensity.subjects_at_risk(context, asking, first=first, after=cursor)

    return _asked(SubjectAtRisk, ask, read_asking(cutoff, history, read_filter(where)), "", after)


def _upsell_candidates(
    context: Context,
    name: NameArgument = "upgrade",
    cutoff: CutoffArgument = None,
    history: HistoryArgument = "730d",
    where: WhereArgument = None,
    first: First = 50,
    after: After = None,
) -> Asked[Connection[UpsellCandidate]]:
    async def ask(asking: Asking, cursor: str | None) -> propensity.CandidatePage:
        return await propensity.upsell_candidates(context, name, asking, first=first, after=cursor)

    return _asked(UpsellCandidate, ask, read_asking(cutoff, history, read_filter(where)), name, after)


SUBJECTS_AT_RISK = Analysis(
    _subjects_at_risk,
    Connection[SubjectAtRisk],
    "The subjects likeliest to churn, the likeliest first, at most 5,000 in all: the people behind `churnRisk`. "
    "Empty where its `quality` is `INSUFFICIENT`.",
    least="1m",
    role=Role.ANALYST,
)
UPSELL_CANDIDATES = Analysis(
    _upsell_candidates,
    Connection[UpsellCandidate],
    "The subjects likeliest to have a conversion of a name, such as an upgrade, the likeliest first, at most 5,000 "
    "in all: the people behind `conversionPropensity`. Empty where its `quality` is `INSUFFICIENT`.",
    least="1m",
    role=Role.ANALYST,
)


@strawberry.type
class CandidateQuery:
    subjects_at_risk = SUBJECTS_AT_RISK.query()
    upsell_candidates = UPSELL_CANDIDATES.query()


@strawberry.type
class CandidateSubscription:
    subjects_at_risk = SUBJECTS_AT_RISK.subscription()
    upsell_candidates = UPSELL_CANDIDATES.subscription()
