"""Questions that one answer is made of, answered side by side."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Sequence
from typing import Any, TypeVar

from resolvers.errors import BadInput, GatewayError, Pending, TimedOut

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
One = TypeVar("One")
Other = TypeVar("Other")


async def abreast(one: Coroutine[Any, Any, One], other: Coroutine[Any, Any, Other]) -> tuple[One, Other]:
    """What both come to; where one of them fails the other is given up.

    Two, as more would only wait for each other: one works in the database while the other one does here.
    """
    tasks = asyncio.ensure_future(one), asyncio.ensure_future(other)
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


async def side_by_side(
    asked: Sequence[K],
    together: Callable[[Sequence[K]], Awaitable[Sequence[V]]],
    alone: Callable[[K], Awaitable[V]],
) -> list[V | GatewayError]:
    """What each question is answered with, or refused by: read together unless one of them cannot be answered."""
    different = list(dict.fromkeys(asked))
    found: dict[K, V | GatewayError] = {}
    try:
        if len(different) > 1:
            found = dict(zip(different, await together(different), strict=True))
    except (BadInput, Pending, TimedOut):
        # Which one it is only each by itself tells; together they may also be more than fit in memory, or in time.
        found = {}
    for one in different:
        if one not in found:
            try:
                found[one] = await alone(one)
            except GatewayError as refused:
                found[one] = refused
    return [found[one] for one in asked]
