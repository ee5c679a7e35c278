"""The JavaScript clients that the gateway is tried with, run by Node.js."""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

CLIENTS = Path(__file__).parent.parent / "clients"
MODULES = CLIENTS / "node_modules"
JAVASCRIPT_CLIENTS = ("graphql_ws", "graphql_sse", "apollo", "urql", "urql_ws")

needs_node = pytest.mark.skipif(
    shutil.which("node") is None or not MODULES.exists(),
    reason="needs Node.js and 'npm install --no-package-lock' in tests/clients",
)


async def run(*command: str | Path, folder: Path = CLIENTS) -> str:
    """What a command prints, which must succeed."""
    process = await asyncio.create_subprocess_exec(*command, cwd=folder, stdout=asyncio.subprocess.PIPE)
    try:
        output, _ = await asyncio.wait_for(process.communicate(), 60)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0
    return output.decode()


async def operate(client: str, host: str, key: str, *operations: str) -> Any:
    """The answers to each operation; see ``run.mjs`` for what an operation is."""
    return json.loads(await run("node", "run.mjs", client, host, key, *operations))


async def audit(host: str, key: str) -> Any:
    """How many audits of GraphQL over HTTP there are, and those that failed."""
    return json.loads(await run("node", "audit.mjs", host, key))


def codes(answer: dict[str, Any]) -> list[str]:
    """The codes of an answer's errors."""
    return [error["extensions"]["code"] for error in answer["errors"]]
