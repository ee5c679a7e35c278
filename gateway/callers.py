"""Callers: who sends a request, and whether it still may at the rate it does."""

from dataclasses import replace
from datetime import datetime

from gateway.limits import Limits
from gateway.rates import Rate, network
from resolvers.context import Principal, Role
from resolvers.errors import Unauthenticated
from resolvers.export_links import ExportLink, ExportLinks
from resolvers.keys import Authenticator

_WRONG_KEY = 10.0
"""What a wrong key counts, in requests without any."""


class Callers:
    """Tells who sends a request and counts it: by key and tenant, or by address without a good key."""

    def __init__(self, authenticator: Authenticator, limits: Limits) -> None:
        self._authenticator = authenticator
        self._keys = Rate(limits.key_rate, "This key sends too many requests.")
        self._tenants = Rate(limits.tenant_rate, "This tenant sends too many requests.")
        self._costs = Rate(limits.key_cost_rate, "This key asks for too much.")
        self._addresses = Rate(limits.address_rate, "This address sends too many requests without a key that is good.")

    async def authenticate(self, token: str | None, address: str = "") -> Principal | None:
        """The holder of a live key, None without one; raises Unauthenticated for a wrong key and RateLimited.

        A key that was good is asked about again whatever its address did: guesses from it cannot shut its holder out.
        """
        if token is None:
            self._addresses.take(network(address))
            return None
        principal = self._authenticator.trusted(token)
        if principal is None:
            principal = await self._found(token, network(address))
        self._keys.take(principal.key_id)
        self._tenants.take(principal.tenant_id)
        return principal

    async def _found(self, token: str, caller: str) -> Principal:
        if self._authenticator.knew(token):
            return await self._authenticator.find(token)
        # Taken before the answer is there, or a crowd of guesses at once would pass.
        self._addresses.take(caller, _WRONG_KEY)
        wrong = False
        try:
            return await self._authenticator.find(token)
        except Unauthenticated:
            wrong = True
            raise
        finally:
            if not wrong:
                self._addresses.give(caller, _WRONG_KEY)

    async def linked(self, links: ExportLinks, text: str, address: str, now: datetime) -> tuple[Principal, ExportLink]:
        """Whom a link is for, and what it says; raises RateLimited, Unauthenticated also where its key is revoked."""
        try:
            link = links.open(text, now)
        except Unauthenticated:
            self._addresses.take(network(address), _WRONG_KEY)
            raise
        holder = await self._authenticator.holder(link.tenant_id, link.key_id)
        principal = replace(holder, role=min(holder.role, Role(link.role)))
        self._keys.take(principal.key_id)
        self._tenants.take(principal.tenant_id)
        return principal, link

    def charge(self, principal: Principal | None, cost: int, *, apart: bool = False) -> None:
        """Count what an answer costs that has to be computed; raises RateLimited.

        What is counted ``apart`` takes nothing from what the key may ask for beside it.
        """
        if principal is not None:
            self._costs.take((principal.key_id, apart), cost)
