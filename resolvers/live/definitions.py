"""What a tenant defines, remembered in this process for as long as its data version stands."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")
_MOST = 1_000


class Definitions(Generic[T]):
    """Values of tenants, each with the version that it was read at; of very many, those that were asked for last."""

    def __init__(self) -> None:
        self._held: OrderedDict[int, tuple[int, T]] = OrderedDict()

    async def of(self, tenant_id: int, version: int, load: Callable[[], Awaitable[tuple[int, T]]]) -> T:
        """The value at a version, or a later one; ``load`` reads it, and its version, in one transaction."""
        held = self._held.get(tenant_id)
        if held is None or held[0] < version:
            held = await load()
            self._held[tenant_id] = held
            if len(self._held) > _MOST:
                self._held.popitem(last=False)
        self._held.move_to_end(tenant_id)
        return held[1]
