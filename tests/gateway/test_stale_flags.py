"""Flags that become stale, over the wire, as time passes."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import httpx2
import pytest

from gateway.app import Gateway
from resolvers.flag_upkeep import attend_due
from resolvers.store.database import Database
from tests.client import Client, running_gateway
from tests.conftest import new_client
from tests.gateway.test_flags import CONFIGURE, CREATE, ON, done, evaluated, setup
from tests.resolvers.test_flags import Clock

DAY = timedelta(days=1)
STALE = '{ flag(key: "%s") { stale%s { environment reason variation since } } }'
PRO = {"dimension": {"dimension": "PLAN", "in": ["pro"]}}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def timed(database_url: str, clock: Clock) -> AsyncIterator[tuple[str, Gateway]]:
    """A gateway whose clock is put forward by hand."""
    async with running_gateway(database_url, upkeep=False, pool_size=4) as (address, gateway):
        gateway._services = replace(gateway.services, now=clock)
        yield address, gateway


@pytest.fixture
async def admin(timed: tuple[str, Gateway], owner: Database, http: httpx2.AsyncClient) -> Client:
    return await new_client(timed[0], owner, http)


async def pass_time(gateway: Gateway, clock: Clock, by: timedelta) -> None:
    """Let time pass, and what is seen to by the way be seen to."""
    await gateway.services.tallies.flush(gateway.services.database, clock())
    clock.now += by
    await attend_due(gateway.services)


async def stale(client: Client, key: str, after: str = "") -> list[tuple[str, str | None, datetime]]:
    found = (await client.ask(STALE % (key, after)))["flag"]["stale"]
    return [(one["reason"], one["variation"], datetime.fromisoformat(one["since"])) for one in found]


async def listed(client: Client, **asked: Any) -> list[str]:
    query = 'query ($stale: Boolean, $after: Duration! = "30d") { flags(stale: $stale, staleAfter: $after) {'
    edges = (await client.ask(f"{query} edges {{ node {{ key }} }} }} }}", **asked))["flags"]["edges"]
    return [edge["node"]["key"] for edge in edges]


async def test_flags_become_stale_each_for_its_reason(timed: tuple[str, Gateway], admin: Client, clock: Clock) -> None:
    gateway, begun = timed[1], clock()
    steps = [{"percentage": 50, "lasting": "3d"}, {"percentage": 100}]
    for key in ("asked", "off", "out", "ramp", "unasked"):
        await done(admin, CREATE, key=key)
    some = {"rules": [{"where": PRO, "serve": ON}], "default": {"variation": "off"}}
    await setup(admin, "asked", **some)
    await setup(admin, "unasked", **some)
    await setup(admin, "out")
    await setup(admin, "ramp", rules=[{"serve": ON, "ramp": {"steps": steps}}], default={"variation": "off"})
    keys = ["asked", "off", "out", "ramp", "unasked"]
    for _ in range(10):
        await pass_time(gateway, clock, DAY)
        await evaluated(admin, subject="ann", keys=["asked", "off", "out", "ramp"])
    assert (await listed(admin, stale=True), await listed(admin, stale=False)) == ([], keys)
    await pass_time(gateway, clock, 20 * DAY - timedelta(minutes=1))
    assert await listed(admin, stale=True) == []
    await pass_time(gateway, clock, timedelta(minutes=1))
    # On the thirtieth day.
    assert await stale(admin, "off") == [("OFF", "off", begun)]
    assert await stale(admin, "out") == [("ROLLED_OUT", "on", begun)]
    assert await stale(admin, "unasked") == [("NEVER_EVALUATED", None, begun)]
    assert await listed(admin, stale=True) == ["off", "out", "unasked"]
    assert await listed(admin, stale=False) == ["asked", "ramp"]
    # The ramp had reached everybody three days later.
    await pass_time(gateway, clock, 3 * DAY)
    assert await stale(admin, "ramp") == [("ROLLED_OUT", "on", begun + 3 * DAY)]
    assert await stale(admin, "asked") == []
    await pass_time(gateway, clock, 7 * DAY)
    assert [(reason, variation) for reason, variation, _ in await stale(admin, "asked")] == [("NOT_EVALUATED", None)]
    assert await listed(admin, stale=True) == keys
    # Being asked for, and set up anew, it is stale no more.
    await evaluated(admin, subject="ann", keys=["asked", "out", "unasked"])
    await setup(admin, "out", **some)
    await pass_time(gateway, clock, timedelta(seconds=1))
    assert await listed(admin, stale=True) == ["off", "ramp"]
    assert await listed(admin, stale=True, after="39d") == ["off"]


async def test_what_time_changed_is_no_older_than_that(timed: tuple[str, Gateway], admin: Client, clock: Clock) -> None:
    gateway, begun = timed[1], clock()
    on_at = begun + 40 * DAY
    await done(admin, CREATE, key="later", environments=[{"schedule": [{"at": on_at.isoformat(), "on": True}]}])
    await evaluated(admin, subject="ann")
    await pass_time(gateway, clock, 39 * DAY)
    # It is off for long, but is to go on.
    await evaluated(admin, subject="ann")
    await pass_time(gateway, clock, timedelta(0))
    assert await stale(admin, "later") == []
    # Whether or not upkeep has looked yet, it went on just now.
    clock.now += 2 * DAY
    assert await stale(admin, "later") == []
    await pass_time(gateway, clock, DAY)
    assert await stale(admin, "later") == []
    assert await stale(admin, "later", '(after: "2d")') == [("ROLLED_OUT", "on", on_at)]
    # What was set up yesterday in another environment was not asked for yet.
    await done(
        admin,
        CONFIGURE,
        key="later",
        environment={"name": "staging", "rules": [{"where": PRO, "serve": ON}], "on": True},
    )
    await pass_time(gateway, clock, DAY)
    assert [reason for reason, _, _ in await stale(admin, "later")] == []
    await pass_time(gateway, clock, 29 * DAY)
    found = (await admin.ask(STALE % ("later", "")))["flag"]["stale"]
    assert {one["environment"]: one["reason"] for one in found} == {
        "production": "ROLLED_OUT",
        "staging": "NEVER_EVALUATED",
    }


async def test_how_long_is_long(admin: Client) -> None:
    await done(admin, CREATE, key="f")
    for query, field in (
        (STALE % ("f", '(after: "59s")'), "after"),
        (STALE % ("f", '(after: "367d")'), "after"),
        ('{ flags(stale: true, staleAfter: "1s") { edges { node { key } } } }', "staleAfter"),
    ):
        (error,) = (await admin.send(query))["errors"]
        assert error["extensions"] == {"code": "BAD_USER_INPUT", "field": field}
