"""Counting what a gateway has the database do, past SQLAlchemy and through it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import asyncpg
import pytest
from sqlalchemy import event

from resolvers.context import Services

_CALLS = ("execute", "executemany", "fetch", "fetchrow", "fetchval", "copy_to_table", "copy_from_query")

_PROBE = "SELECT 1"
"""What the bus asks every few seconds."""
_KEY = "key_holder("
"""By which a key is looked up again every few seconds."""


@contextmanager
def counted(services: Services, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Every statement that is executed meanwhile, but for looks at versions and what is asked every few seconds."""
    seen: list[str] = []

    def noted(name: str, original: Any) -> Any:
        async def call(self: asyncpg.Connection, statement: str, *arguments: Any, **more: Any) -> Any:
            if statement != _PROBE:
                seen.append(f"{name} {statement}")
            return await original(self, statement, *arguments, **more)

        return call

    def executed(_c: Any, _k: Any, statement: str, *_: Any) -> None:
        if _KEY not in statement:
            seen.append(statement)

    engine = services.database.engine.sync_engine
    with monkeypatch.context() as patch:
        for name in _CALLS:
            patch.setattr(asyncpg.Connection, name, noted(name, getattr(asyncpg.Connection, name)))
        event.listen(engine, "before_cursor_execute", executed)
        try:
            yield seen
        finally:
            event.remove(engine, "before_cursor_execute", executed)
