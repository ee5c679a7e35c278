"""What subscriptions ever came to: of whom something new was said is walked again, and nobody else."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from resolvers.analysis.explanations import Explanation
from resolvers.analysis.mrr import Keys, Movements, merged, movements
from resolvers.analysis.subscriptions import Changes, Exchange, Ints, SubscriptionEvents, changes


@dataclass(frozen=True, slots=True)
class Walked:
    """What a tenant's subscriptions ever came to, whatever the period is that is asked about.

    ``groups`` are the values of the groups, numbered as in ``changes`` and ``by_group``. What cannot be converted is in
    ``foreign`` and nowhere else.
    """

    version: int
    """The position in the log of the last event of subscriptions that it holds, or a later one."""
    changes: Changes
    together: Movements
    by_group: Movements
    groups: Sequence[Keys]
    foreign: Changes
    explain: Explanation

    @property
    def nbytes(self) -> int:
        """What it takes, so far as that grows with the events."""
        parts = [self.changes, self.together, self.foreign]
        parts += [] if self.by_group is self.together else [self.by_group]
        return sum(part.nbytes for part in parts) + 200 * len(self.groups)

    def renewed(self, customers: Ints, part: "Walked") -> "Walked":
        """The same with ``part``, which is all there is of these customers, in place of what there was of them."""
        numbers = {keys: place for place, keys in enumerate(self.groups)}
        of_part = np.array([numbers.setdefault(keys, len(numbers)) for keys in part.groups], np.int32)

        def changed(before: Changes, now: Changes) -> Changes:
            return Changes.joined([before.without(customers), replace(now, group=of_part[now.group])])

        def moved(before: Movements, now: Movements) -> Movements:
            return Movements.joined([before.without(customers), now])

        together = moved(self.together, part.together)
        by_group = together
        if len(numbers) > 1:
            own = replace(part.by_group, group=of_part[part.by_group.group])
            by_group = moved(self.by_group, own).in_groups()
        return Walked(
            part.version,
            changed(self.changes, part.changes),
            together,
            by_group,
            list(numbers),
            changed(self.foreign, part.foreign),
            part.explain,
        )


def walked(
    events: SubscriptionEvents, exchange: Exchange, groups: Sequence[Keys], *, version: int, explain: Explanation
) -> Walked:
    """What events come to, all there are of their customers, of which the last one is at ``version`` of the log."""
    found = changes(events, exchange)
    own = found.currency == exchange.home
    changed = found.of(own)
    together = movements(merged(changed, [], len(groups)))
    by_group = movements(changed) if len(groups) > 1 else together
    return Walked(version, changed, together, by_group, groups, found.of(~own), explain)
