"""Journeys from the log itself: the events of several questions in one scan."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import BigInteger, ColumnElement, Integer, and_, case, func, literal, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from resolvers.analysis.filters import Any as AnyOf
from resolvers.analysis.filters import Filter
from resolvers.analysis.funnels import Constant
from resolvers.analysis.journeys import Journeys, step_bits
from resolvers.analysis.periods import Period
from resolvers.store.conditions import Codes, condition, trait
from resolvers.store.copying import EPOCH_US, copied
from resolvers.store.events import EVENT


@dataclass(frozen=True, slots=True)
class JourneyQuestion:
    """Which events are read as arrays: those of the period that have a subject, pass ``where`` and qualify for a step.

    Steps are at most 31. Each of ``constant``, none of them a dimension, is one more row of the journeys' dimensions,
    under codes of the reading; they are read from the log.
    """

    period: Period
    where: Filter
    steps: Sequence[Filter]
    by: Sequence[str] = ()
    constant: Sequence[Constant] = ()


def span(periods: Sequence[Period]) -> Period:
    """The least period that holds all of them."""
    return Period(min(one.start for one in periods), max(one.end for one in periods))


async def logged(
    session: AsyncSession,
    tenant_id: int,
    asked: Sequence[JourneyQuestion],
    codes: Codes,
    uncovered: ColumnElement[bool] | None,
) -> list[Journeys]:
    """The events of each question, of the log or of the part of it that meets a condition.

    Raises BadInput where all of them are more than fit in memory.
    """
    by = list(dict.fromkeys(name for one in asked for name in one.by))
    constant = list(dict.fromkeys(held for one in asked for held in one.constant))
    passing = [_passing(one, codes) for one in asked]
    masks = [_mask(one, codes) for one in asked]
    if len(asked) > 1:
        passing = [and_(*_within(one.period), passes) for one, passes in zip(asked, passing, strict=True)]
        masks = [case((passes, mask), else_=literal(0, Integer)) for passes, mask in zip(passing, masks, strict=True)]
    query = select(
        EVENT.position,
        EVENT.subject,
        EVENT.occurred_at,
        *(mask.cast(Integer) for mask in masks),
        *(func.coalesce(EVENT[name], literal(0, Integer)).cast(Integer) for name in by),
        *(func.coalesce(trait(one), literal(0, BigInteger)).cast(BigInteger) for one in constant),
    ).where(
        EVENT.tenant_id == tenant_id,
        EVENT.subject.is_not(None),
        *_within(span([one.period for one in asked])),
        or_(*passing),
    )
    if uncovered is not None:
        query = query.where(uncovered)
    steps = [(f"s{place}", ">i4") for place in range(len(asked))]
    dimensions = [(f"d{place}", ">i4") for place in range(len(by))]
    constants = [(f"c{place}", ">i8") for place in range(len(constant))]
    fields = [("position", ">i8"), ("subject", ">i4"), ("at", ">i8"), *steps, *dimensions, *constants]
    rows = await copied(session, query, fields)
    position = rows["position"].astype(np.int64)
    if np.any(position[1:] < position[:-1]):
        # A scan mostly meets rows in the order they came in, so that this is rarely needed.
        rows = rows[np.argsort(position)]
    found = []
    for one, (name, _) in zip(asked, steps, strict=True):
        own = rows if len(asked) == 1 else rows[rows[name] != 0]
        columns = [own[f"d{by.index(dimension)}"].astype(np.int32) for dimension in one.by]
        columns += [_numbered(own[f"c{constant.index(held)}"]) for held in one.constant]
        found.append(
            Journeys(
                subject=own["subject"].astype(np.int32),
                at=own["at"].astype(np.int64) + EPOCH_US,
                steps=own[name].astype(step_bits(len(one.steps))),
                dimensions=np.stack(columns) if columns else np.empty((0, len(own)), np.int32),
                ordered=False,
            )
        )
    return found


def _passing(asked: JourneyQuestion, codes: Codes) -> ColumnElement[bool]:
    return and_(condition(asked.where, codes), condition(AnyOf(tuple(asked.steps)), codes))


def _within(period: Period) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return EVENT.occurred_at >= period.start, EVENT.occurred_at < period.end


def _mask(asked: JourneyQuestion, codes: Codes) -> ColumnElement[int]:
    """The steps that an event qualifies for, as bits."""
    mask: ColumnElement[int] = literal(0, Integer)
    for place, step in enumerate(asked.steps):
        bit = literal(1 << place, Integer)
        mask = mask + case((condition(step, codes), bit), else_=literal(0, Integer))
    return mask


def _numbered(values: NDArray[np.int64]) -> NDArray[np.int32]:
    """The values under codes from 1 on, 0 staying itself."""
    codes = np.unique(values, return_inverse=True)[1].astype(np.int32) + 1
    codes[values == 0] = 0
    return codes
