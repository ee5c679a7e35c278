"""What is dear to come by, kept between questions for as long as it is true."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, Protocol, TypeVar


class Sized(Protocol):
    """What knows how many bytes it takes."""

    @property
    def nbytes(self) -> int: ...


S = TypeVar("S", bound=Sized)

BUDGET = 32 << 20


class Lasting(Generic[S]):
    """Keeps what was used last, within a budget of bytes; each is true of one state of the log, which is named."""

    def __init__(self, budget: int = BUDGET) -> None:
        self.budget = budget
        self.size = 0
        """Bytes held."""
        self._held: OrderedDict[Hashable, tuple[Hashable, S]] = OrderedDict()

    def of(self, key: Hashable, state: Hashable) -> S | None:
        """What is kept for a key in that state."""
        true_of, kept = self._held.get(key, (None, None))
        if kept is None or true_of != state:
            return None
        self._held.move_to_end(key)
        return kept

    def keep(self, key: Hashable, state: Hashable, value: S) -> None:
        """Keep it in place of what there was for the key, unless it is too large."""
        _, before = self._held.pop(key, (None, None))
        if before is not None:
            self.size -= before.nbytes
        if value.nbytes > self.budget:
            return
        self._held[key] = state, value
        self.size += value.nbytes
        while self.size > self.budget:
            self.size -= self._held.popitem(last=False)[1][1].nbytes
