"""Whole answers: the encoded answer to a query, given again for as long as the log says the same.

An answer may be kept if every field it asks for at the root is an analysis: such a field depends on its arguments,
the caller's tenant and role, the kinds of events it counts and the minute. Before it is given again one look at the
data versions confirms that nothing of those kinds was committed since. Where every field accepts an older answer, it is
given again for that long without the look.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from datetime import UTC, datetime

from gateway.answers import Answer
from resolvers.context import Reliance

Versions = Callable[[int, tuple[int, ...]], Awaitable[tuple[int, ...]]]
"""The present data versions of a tenant's kinds of events."""

_LARGEST_PART = 8
_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Kept:
    answer: Answer
    kinds: tuple[int, ...]
    versions: tuple[int, ...]
    since: datetime
    until: datetime
    accepted: datetime
    """Until when it is given again whatever the versions are."""


class WholeAnswers:
    """Kept answers, the least recently used dropped first; bounded in bytes."""

    def __init__(self, versions: Versions, size: int, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._versions = versions
        self._most = size
        self._size = 0
        self._kept: OrderedDict[Hashable, _Kept] = OrderedDict()
        self.now = now
        self.hits = 0

    def __contains__(self, key: Hashable) -> bool:
        """Whether there is an answer under ``key``, true or not."""
        return key in self._kept

    def __len__(self) -> int:
        return len(self._kept)

    async def get(self, key: Hashable, tenant_id: int) -> Answer | None:
        """The answer under ``key``, None where there is none or it may no longer be true."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        now = self.now()
        # A clock may have stepped back to before the answer was asked for.
        if kept.since <= now and (
            now < kept.accepted or (now < kept.until and await self._versions(tenant_id, kept.kinds) == kept.versions)
        ):
            self.hits += 1
            if key in self._kept:
                self._kept.move_to_end(key)
            return kept.answer
        if self._kept.get(key) is kept:
            self._drop(key)
        return None

    def keep(self, key: Hashable, answer: Answer, reliance: Reliance) -> None:
        """Keep an ``answer`` and what it relies on, unless it holds an error or is too large."""
        accepted = reliance.accepted or _NEVER
        if not (reliance.sound or accepted > self.now()):
            return
        if answer.errors or len(answer.body) > self._most // _LARGEST_PART:
            return
        if key in self._kept:
            self._drop(key)
        kinds = tuple(sorted(reliance.versions))
        versions = tuple(reliance.versions[kind] for kind in kinds)
        until = reliance.until if reliance.sound else _NEVER
        self._kept[key] = _Kept(answer, kinds, versions, reliance.begun, until, accepted)
        self._size += _weight(answer)
        while self._size > self._most:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: Hashable) -> None:
        self._size -= _weight(self._kept.pop(key).answer)


def _weight(answer: Answer) -> int:
    # The key and the entry take memory too.
    return len(answer.body) + 1_024
