"""Classes of events: what those share that metrics tell apart, and which of them pass a filter."""

from collections.abc import Container, Mapping
from typing import NamedTuple

from resolvers.analysis.event_columns import FLAGS
from resolvers.analysis.filters import All, Any, Filter, FlagIs, KindIs, NameIs, Not
from resolvers.analysis.metrics import Statistic


class EventClass(NamedTuple):
    """Kind, code of the name, currency (empty where there is none), and flags as ``rollups.FLAGS`` says."""

    kind: int
    name: int
    currency: str
    flags: int

    def says(self, flag: str) -> int:
        """What its events say of a flag: 0 nothing, 1 false, 2 true."""
        place: int = 3 ** FLAGS.index(flag)
        return self.flags // place % 3

    def passes(self, root: Filter, names: Mapping[str, int]) -> bool:
        """Whether its events pass a filter on classes; ``names`` are the codes of those that occur at all."""
        match root:
            case All(of):
                return all(self.passes(part, names) for part in of)
            case Any(of):
                return any(self.passes(part, names) for part in of)
            case Not(of):
                return not self.passes(of, names)
            case KindIs(kinds):
                return self.kind in kinds
            case NameIs(wanted):
                return any(names.get(name) == self.name for name in wanted)
            case FlagIs(flag, value):
                return self.says(flag) == (2 if value else 1)
        raise ValueError(f"classes do not tell {root}")

    def counts(self, statistic: Statistic, names: Mapping[str, int], currencies: Container[str] | None) -> bool:
        """Whether a statistic is taken over its events; money only of ``currencies``, or of any where that is None."""
        if statistic.field in FLAGS and not self.says(statistic.field):
            return False
        if statistic.in_currency and currencies is not None and self.currency not in currencies:
            return False
        return self.passes(statistic.where, names)
