"""Subscriptions as they were walked, kept between questions until something is said of them again."""

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from resolvers.analysis.explanations import Explanation
from resolvers.analysis.mrr import Movements
from resolvers.analysis.subscriptions import Changes

Keys = tuple[str | None, ...]

BUDGET = 32 << 20


@dataclass(frozen=True, slots=True)
class Walked:
    """What a tenant's subscriptions ever came to, whatever the period is that is asked about.

    ``groups`` are the values of the groups, numbered as in ``changes`` and ``by_group``. What cannot be converted is in
    ``foreign`` and nowhere else.
    """

    changes: Changes
    together: Movements
    by_group: Movements
    groups: Sequence[Keys]
    foreign: Changes
    explain: Explanation

    @property
    def nbytes(self) -> int:
        """What it takes, so far as that grows with the events."""
        parts = (self.changes, self.together, self.by_group, self.foreign)
        return sum(part.nbytes for part in parts) + 200 * len(self.groups)


class WalkedSubscriptions:
    """Keeps those used last, within a budget of bytes; each is true of one state of the log, which is to be named."""

    def __init__(self, budget: int = BUDGET) -> None:
        self.budget = budget
        self.size = 0
        """Bytes held."""
        self._held: OrderedDict[Hashable, tuple[Hashable, Walked]] = OrderedDict()

    def of(self, key: Hashable, state: Hashable) -> Walked | None:
        """What was walked for a key in that state."""
        true_of, walked = self._held.get(key, (None, None))
        if walked is None or true_of != state:
            return None
        self._held.move_to_end(key)
        return walked

    def keep(self, key: Hashable, state: Hashable, walked: Walked) -> None:
        """Keep it in place of what there was for the key, unless it is too large."""
        _, before = self._held.pop(key, (None, None))
        if before is not None:
            self.size -= before.nbytes
        if walked.nbytes > self.budget:
            return
        self._held[key] = state, walked
        self.size += walked.nbytes
        while self.size > self.budget:
            self.size -= self._held.popitem(last=False)[1][1].nbytes
