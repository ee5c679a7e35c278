"""Rates: how much each caller may ask for in the long run, per process, and what it may ask for at once.

Each caller has a bucket that holds ten seconds' worth and fills at its rate. As long as there is something in it a
request passes, whatever it takes, so that no request is ever too dear to pass at all: the bucket is then in debt.
"""

import time
from collections.abc import Callable, Hashable
from ipaddress import IPv6Address

from resolvers.errors import RateLimited

BURST_SECONDS = 10.0
"""How long a caller that was silent for as long may go at any speed."""


class Rate:
    """Buckets that fill at ``per_second``; 0 is without limit.

    ``callers`` bounds the buckets that are kept: a full one need not be, and where more than that are in use all
    callers begin anew.
    """

    def __init__(
        self,
        per_second: float,
        refusal: str = "Too many requests.",
        *,
        callers: int = 100_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._per_second = per_second
        self._refusal = refusal
        self._callers = callers
        self._clock = clock
        self._full_at: dict[Hashable, float] = {}
        """When a caller's bucket will be full again."""

    def __len__(self) -> int:
        """How many buckets are kept."""
        return len(self._full_at)

    def take(self, caller: Hashable, amount: float = 1.0) -> None:
        """Take ``amount`` out of the caller's bucket; raises RateLimited while it is empty."""
        if not self._per_second:
            return
        now = self._clock()
        full_at = max(self._full_at.get(caller, now), now)
        if (wait := full_at - now - BURST_SECONDS) > 0:
            raise RateLimited(self._refusal, retry_after=round(wait, 3))
        if caller not in self._full_at and len(self._full_at) >= self._callers:
            self._make_room(now)
        self._full_at[caller] = full_at + amount / self._per_second

    def give(self, caller: Hashable, amount: float = 1.0) -> None:
        """Put ``amount`` back into the caller's bucket."""
        if caller in self._full_at:
            self._full_at[caller] -= amount / self._per_second

    def _make_room(self, now: float) -> None:
        kept = {caller: full_at for caller, full_at in self._full_at.items() if full_at > now}
        # Half of the room at least, or the next callers would each have it looked through again.
        self._full_at = kept if len(kept) <= self._callers // 2 else {}


def network(address: str) -> str:
    """Whom an address stands for: an IPv6 network of 64 bits is one customer's, an IPv4 address is itself."""
    if ":" not in address:
        return address
    try:
        return IPv6Address(address.partition("%")[0]).packed[:8].hex()
    except ValueError:
        return address
