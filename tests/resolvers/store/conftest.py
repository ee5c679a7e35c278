"""What the tests of the store may ask for."""

import pytest

from resolvers.context import Principal
from resolvers.store.database import Database
from tests.factories import new_principal


@pytest.fixture
async def plain(owner: Database) -> Principal:
    """The admin of a tenant whose log is never folded, to compare with."""
    return await new_principal(owner)
