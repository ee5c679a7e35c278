"""Writing much at once outlives a database that is away for a while."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import pytest

from gateway.app import Gateway
from gateway.commands import importing
from gateway.commands.importing import persistently
from resolvers.analysis.events import Receipt
from resolvers.context import Principal, Role
from resolvers.errors import BadInput, GatewayError, Unavailable

PRINCIPAL = Principal(1, "acme", "USD", "UTC", 0, Role.INGEST)


class Failing:
    """Takes a batch after having failed with each of some errors."""

    def __init__(self, *errors: GatewayError) -> None:
        self.errors = list(errors)
        self.asked = 0

    async def ingest(self, principal: Principal, items: Sequence[Mapping[str, Any]]) -> Receipt:
        self.asked += 1
        if self.errors:
            raise self.errors.pop(0)
        return Receipt(accepted=len(items))


async def _stored(failing: Failing) -> Receipt:
    return await persistently(cast(Gateway, failing), PRINCIPAL, [{"id": "a"}])


async def test_it_tries_again() -> None:
    away = Unavailable("away", retry_after=0.001)
    failing = Failing(away, away)
    assert (await _stored(failing)).accepted == 1
    assert failing.asked == 3


async def test_it_gives_up_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "_PERSISTENCE", 0)
    failing = Failing(Unavailable("away", retry_after=1))
    with pytest.raises(Unavailable):
        await _stored(failing)
    assert failing.asked == 1


async def test_what_stays_wrong_is_not_tried_again() -> None:
    failing = Failing(BadInput("wrong", field="id"))
    with pytest.raises(BadInput):
        await _stored(failing)
    assert failing.asked == 1
