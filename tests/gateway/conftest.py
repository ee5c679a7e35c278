"""What the gateway's tests may ask for."""

import pytest

from tests.gateway import graphql_world


@pytest.fixture(params=[False, True], ids=["any server", "own server"])
def either_server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Has the test's endpoint served by a server that knows of nothing but ASGI, and by the gateway's own."""
    monkeypatch.setattr(graphql_world, "OWN_SERVER", request.param)
