"""Sets of codes as a process last needed them, as many as fit."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

from resolvers.analysis.code_sets import CodeSet

BUDGET = 48 << 20
_ENTRY_BYTES = 300
"""About what an entry takes beside the set itself."""
_DRAWN = 64


class PresenceCache:
    """Keeps the sets used last, within a budget of bytes.

    A key names the rows that a set was made from, each in its edition; so what is kept cannot be out of date.
    """

    def __init__(self, budget: int = BUDGET) -> None:
        self.budget = budget
        self.size = 0
        """Bytes held."""
        self._sets: OrderedDict[Hashable, CodeSet] = OrderedDict()
        self._drawn: OrderedDict[Hashable, Any] = OrderedDict()

    def get(self, key: Hashable) -> CodeSet | None:
        """The set kept under a key."""
        found = self._sets.get(key)
        if found is not None:
            self._sets.move_to_end(key)
        return found

    def keep(self, key: Hashable, one: CodeSet) -> None:
        """Keep a set, in place of those used longest ago."""
        if key in self._sets:
            return
        self._sets[key] = one
        self.size += one.nbytes + _ENTRY_BYTES
        while self.size > self.budget:
            # What was made of sets that are dropped is not to hold them.
            self._drawn.clear()
            self.size -= self._sets.popitem(last=False)[1].nbytes + _ENTRY_BYTES

    def made(self, key: Hashable, make: Callable[[], CodeSet]) -> CodeSet:
        """The set kept under a key, made where there is none."""
        found = self.get(key)
        if found is None:
            found = make()
            self.keep(key, found)
        return found

    def drawn(self, key: Hashable) -> Any:
        """What was last made under a key of sets that are kept; None where there is nothing."""
        found = self._drawn.get(key)
        if found is not None:
            self._drawn.move_to_end(key)
        return found

    def draw(self, key: Hashable, made: Any) -> None:
        """Keep what was made of sets, for as long as none of them is dropped."""
        self._drawn[key] = made
        if len(self._drawn) > _DRAWN:
            self._drawn.popitem(last=False)
