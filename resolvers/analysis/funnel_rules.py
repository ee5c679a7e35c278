"""A funnel's definition as numbers, as the kernel takes it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from resolvers.analysis.funnels import Counting, Effect, Entry, FunnelDefinition, Order
from resolvers.analysis.periods import epoch_us

_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Barrier:
    """An exclusion: the events with ``bit``, between the steps at ``after`` and ``before``."""

    bit: int
    after: int
    before: int
    removes: bool


@dataclass(frozen=True, slots=True)
class Gap:
    """What may happen from one required step to the next, ``step``."""

    step: int
    optional: tuple[int, ...]
    barriers: tuple[Barrier, ...]


@dataclass(frozen=True, slots=True)
class Rules:
    """How to walk ``steps`` steps; times are in microseconds, ``within_us`` is by step."""

    steps: int
    window_us: int
    entry: Entry
    entry_end_us: int
    order: Order = Order.ORDERED
    strictly_later: bool = False
    optional: frozenset[int] = frozenset()
    within_us: Mapping[int, int] = field(default_factory=dict)
    barriers: tuple[Barrier, ...] = ()
    counting: Counting = Counting.SUBJECTS

    @classmethod
    def of(cls, definition: FunnelDefinition, entry_end: datetime) -> "Rules":
        """The rules of a definition over events whose bits are ``conditions`` in their order."""
        steps = definition.steps
        last = len(steps) - 1
        return cls(
            steps=len(steps),
            window_us=definition.window // _MICROSECOND,
            entry=definition.entry,
            entry_end_us=epoch_us(entry_end),
            order=definition.order,
            strictly_later=definition.strictly_later,
            optional=frozenset(index for index, step in enumerate(steps) if step.optional),
            within_us={
                index: step.within // _MICROSECOND for index, step in enumerate(steps) if step.within is not None
            },
            barriers=tuple(
                Barrier(
                    len(steps) + place,
                    one.after,
                    last if one.before is None else one.before,
                    one.effect is Effect.REMOVE,
                )
                for place, one in enumerate(definition.exclusions)
            ),
            counting=definition.counting,
        )

    @property
    def first_only(self) -> bool:
        """Whether a subject's first entry is known without walking, and no other is walked from."""
        return self.entry is Entry.FIRST and self.order is not Order.ANY and self.counting is not Counting.TOTALS

    @property
    def plain(self) -> bool:
        """Whether only events of the steps matter, and of those none before a subject's first entry."""
        return self.order is Order.ORDERED and not self.barriers and self.counting is Counting.SUBJECTS

    def gaps(self) -> Iterator[Gap]:
        """The ways from each required step to the next, in order."""
        since, optional = 0, list[int]()
        for step in range(1, self.steps):
            if step in self.optional:
                optional.append(step)
                continue
            barriers = tuple(one for one in self.barriers if one.after <= since and step <= one.before)
            yield Gap(step, tuple(optional), barriers)
            since, optional = step, []
