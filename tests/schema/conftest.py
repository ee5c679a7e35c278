"""The schema asked without a service behind it: resolvers are stood in for by each test."""

from collections.abc import Callable
from typing import Any, cast

import pytest
from graphql import GraphQLError
from strawberry.types import ExecutionResult

from resolvers.context import Context, Principal, Role, Services
from schema import schema

NO_SERVICES = cast(Services, None)
Ask = Callable[..., Any]


def principal(role: Role = Role.ADMIN) -> Principal:
    return Principal(7, "acme", "EUR", "Europe/Berlin", 3, role)


def context(role: Role | None = Role.ADMIN) -> Context:
    return Context(NO_SERVICES, None if role is None else principal(role))


async def execute(query: str, *, role: Role | None = Role.ADMIN, **variables: Any) -> ExecutionResult:
    result = await schema.execute(query, variable_values=variables, context_value=context(role))
    assert isinstance(result, ExecutionResult)
    return result


async def answer(query: str, *, role: Role | None = Role.ADMIN, **variables: Any) -> dict[str, Any]:
    """The data of an operation that succeeds."""
    result = await execute(query, role=role, **variables)
    assert result.errors is None
    assert result.data is not None
    return result.data


async def failure(query: str, *, role: Role | None = Role.ADMIN, **variables: Any) -> GraphQLError:
    """The only error of an operation that fails."""
    result = await execute(query, role=role, **variables)
    assert result.errors is not None
    (error,) = result.errors
    return error


class Recorder:
    """Stands in for a resolver: keeps what it was called with and gives what it was made with."""

    def __init__(self, result: Any) -> None:
        self.result = result
        self.calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    async def __call__(self, _context: Context, *args: Any, **kwargs: Any) -> Any:
        self.calls.append((args, kwargs))
        if isinstance(self.result, Exception):
            raise self.result
        return self.result

    @property
    def args(self) -> tuple[Any, ...]:
        """The positional arguments of the only call."""
        ((args, _),) = self.calls
        return args

    @property
    def kwargs(self) -> dict[str, Any]:
        """The named arguments of the only call."""
        ((_, kwargs),) = self.calls
        return kwargs


@pytest.fixture
def record(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Any], Recorder]:
    """Puts a recorder in the place of a resolver, named by its module and function."""

    def replace(name: str, result: Any) -> Recorder:
        recorder = Recorder(result)
        monkeypatch.setattr(name, recorder)
        return recorder

    return replace
