"""Subscriptions as they were walked, kept between questions until something is said of them again."""

from collections.abc import Sequence
from dataclasses import dataclass

from resolvers.analysis.explanations import Explanation
from resolvers.analysis.mrr import Movements
from resolvers.analysis.subscriptions import Changes
from resolvers.store.lasting import Lasting

Keys = tuple[str | None, ...]


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


class WalkedSubscriptions(Lasting[Walked]):
    """Of the tenants and conditions that were asked about last."""
