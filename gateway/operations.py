"""Operations: matched with a document and executed, the same for every transport."""

import asyncio
import time
from collections.abc import AsyncGenerator, Coroutine, Hashable
from contextlib import aclosing
from contextvars import Context as ContextVariables
from dataclasses import dataclass
from functools import partial
from inspect import isawaitable
from typing import Any, TypeVar

from graphql import ExecutionResult, OperationDefinitionNode, OperationType, execute, subscribe

from gateway.answers import Answer, ErrorPayload, refusal, refuse, result, without_suggestions
from gateway.compiled import CompiledExecutor
from gateway.documents import Documents, Prepared
from gateway.endpoint import Endpoint
from gateway.fanout import Alone, Listener, LiveQuestions
from gateway.marks import Marks
from gateway.parameters import Parameters
from gateway.persisted import MESSAGE, NOT_FOUND, PersistedQueries
from gateway.questions import Questions
from gateway.variables import are_modest
from gateway.watching import Watching
from gateway.whole import WholeAnswers
from resolvers.context import Context, Principal, Reliance, Role
from resolvers.errors import Overloaded, RateLimited
from resolvers.live.deadlines import Deadlines
from resolvers.live.looks import Looks
from schema.access import INSTANT

T = TypeVar("T")


class Refused(Exception):
    """An operation that is not executed; ``answer`` says why."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.code)
        self.answer = answer


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation that may be executed for ``principal``."""

    prepared: Prepared
    node: OperationDefinitionNode
    parameters: Parameters
    principal: Principal | None
    reads: bool
    """Whether the caller may read the schema."""
    question: Hashable | None
    """What it has in common with those that the same answer serves; None where it has an answer of its own."""
    came: float | None
    """When its request came, by ``time.monotonic``, if that is known."""
    instant: bool = False
    """Whether it is a query that is answered from memory, all of it."""

    @property
    def cost(self) -> int:
        """How many fields the answer may hold."""
        costs = self.prepared.costs
        return costs.of(self.node, self.parameters.variables) if costs is not None else 0

    @property
    def kind(self) -> OperationType:
        """Query, mutation or subscription."""
        return self.node.operation

    @property
    def name(self) -> str | None:
        """The name the document gives it."""
        return self.node.name.value if self.node.name else None


class Operations:
    """Matches requests with operations and executes them."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self.documents = Documents(endpoint.schema._schema, endpoint.limits)
        self.persisted = PersistedQueries(endpoint.limits.persisted_characters)
        versions = endpoint.versions
        self.whole = WholeAnswers(versions, endpoint.limits.whole_answers) if versions is not None else None
        self._deadlines = Deadlines(endpoint.limits.operation_seconds)
        self._asked: dict[Hashable, Looks[Answer]] = {}
        self._marks = Marks(endpoint.schema._schema)
        self._questions = Questions(self._marks)
        self.live = LiveQuestions(endpoint.sessions, endpoint.limits)

    def match(self, parameters: Parameters, principal: Principal | None, came: float | None = None) -> Operation:
        """The operation asked for; ``Refused`` if it is not valid, not allowed or too costly."""
        try:
            return self._match(parameters, principal, came)
        except Refused as refused:
            self._endpoint.observer.operation(None, "unknown", 0.0, refused.answer.code)
            raise

    def _match(self, parameters: Parameters, principal: Principal | None, came: float | None) -> Operation:
        source = parameters.query or self.persisted.get(parameters.digest or "")
        if source is None:
            raise _refused(NOT_FOUND, MESSAGE)
        prepared = self.documents.get(source)
        reads = principal is not None and principal.role >= Role.VIEWER
        if prepared.errors:
            raise Refused(refusal(prepared.errors if reads else without_suggestions(prepared.errors)))
        if parameters.digest is not None and principal is not None:
            self.persisted.keep(parameters.digest, source)
        if prepared.introspects and not reads:
            code = "UNAUTHENTICATED" if principal is None else "FORBIDDEN"
            raise _refused(code, "The schema may be read with a key of the role viewer or above.")
        node = _select(prepared, parameters.operation_name)
        question = self._questions.of(prepared, node, parameters.variables, principal)
        instant = node.operation is OperationType.QUERY and self._marks.has(INSTANT, prepared, node)
        operation = Operation(prepared, node, parameters, principal, reads, question, came, instant)
        # What was answered before was not too much.
        if self.whole is None or question not in self.whole:
            self._check_size(operation)
        return operation

    def _check_size(self, operation: Operation) -> None:
        if not are_modest(operation.node, operation.parameters.variables):
            raise _refused("BAD_USER_INPUT", "The variables hold too many lists and objects, or too long a list.")
        if operation.cost > (limit := self._endpoint.limits.cost):
            raise _refused(
                "GRAPHQL_VALIDATION_FAILED",
                f"The operation costs more than {limit}: ask for shorter lists or fewer fields.",
            )

    async def known(self, operation: Operation) -> Answer | None:
        """The answer of a query that was given before and is still true; None where it has to be sought."""
        if operation.question is None or operation.principal is None or self.whole is None:
            return None
        started = time.perf_counter()
        try:
            answer = await self.whole.get(operation.question, operation.principal.tenant_id)
        except Exception as error:
            answer = refuse(error)
        if answer is not None:
            self._note(operation, started, answer)
        return answer

    def _note(self, operation: Operation, started: float, answer: Answer | None) -> None:
        code = answer.code if answer is not None else "CANCELLED"
        self._endpoint.observer.operation(operation.name, operation.kind.value, time.perf_counter() - started, code)

    async def execute(self, operation: Operation) -> Answer:
        """The answer of a query that is not ``known``, or of a mutation, within the deadline.

        When the caller is cancelled a query is too, but a mutation runs on.
        """
        if operation.kind is OperationType.MUTATION:
            return await asyncio.shield(self._endpoint.sessions.keep(self._execute(operation)))
        return await self._execute(operation)

    async def _execute(self, operation: Operation) -> Answer:
        started, answer = time.perf_counter(), None
        try:
            with self._deadlines():
                answer = await self._answer(operation)
        except Exception as error:
            answer = refuse(error)
        finally:
            self._note(operation, started, answer)
        return answer

    async def _answer(self, operation: Operation) -> Answer:
        if operation.kind is OperationType.MUTATION:
            with self._endpoint.writes.inside():
                return await self._sought(operation, self._endpoint.context(operation.principal))
        key, whole = operation.question, self.whole
        if key is None or whole is None:
            return await self._computed(operation, self._endpoint.context(operation.principal))
        if key not in self._asked:
            self._asked[key] = Looks(partial(self._renewed, operation, key, whole), partial(self._shared, key))
        return await self._asked[key].fresh()

    async def _renewed(self, operation: Operation, key: Hashable, whole: WholeAnswers) -> Answer:
        """The answer computed and kept, for all who asked for it before this began."""
        context, reliance = self._endpoint.context(operation.principal), Reliance(whole.now())
        if isinstance(context, Context):
            context.reliance = reliance
        with self._deadlines():
            answer = await self._computed(operation, context)
        whole.keep(key, answer, reliance)
        return answer

    def _shared(self, key: Hashable, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run the work for all who asked, whether or not they stay."""
        # What the log says of the first one's request must not be said of an answer for all.
        task = ContextVariables().run(self._endpoint.sessions.keep, work)
        task.add_done_callback(lambda _: self._forget(key))
        return task

    def _forget(self, key: Hashable) -> None:
        if not self._asked[key].tasks:
            del self._asked[key]

    async def _computed(self, operation: Operation, context: object) -> Answer:
        """The answer of a query, in turn."""
        principal = operation.principal
        self._endpoint.charge(principal, operation.cost)
        if operation.instant:
            return await self._sought(operation, context)
        async with self._endpoint.turns.turn(principal.tenant_id if principal else 0, since=operation.came):
            return await self._sought(operation, context)

    async def page(self, operation: Operation, context: Context, *, patient: bool) -> Answer:
        """The answer of a query that asks for a page, in the context of its list; whoever is ``patient`` waits for its
        turn.
        """
        endpoint, started = self._endpoint, time.perf_counter()
        line, answer = ("export", context.require(Role.VIEWER).tenant_id), None
        context.renew()
        try:
            endpoint.charge(operation.principal, operation.cost, apart=True)
            async with endpoint.turns.turn(line, patient=patient):
                with self._deadlines():
                    answer = await self._sought(operation, context)
        except Exception as error:
            answer = refuse(error)
        finally:
            self._note(operation, started, answer)
        return answer

    async def _sought(self, operation: Operation, context: object) -> Answer:
        direct = operation.prepared.direct.get(id(operation.node)) if operation.instant else None
        found = await direct.answer({**operation.parameters.variables}, context) if direct is not None else None
        if found is None:
            pending = execute(**self._arguments(operation, context))
            found = pending if isinstance(pending, ExecutionResult) else await pending
        return result(found.data, found.errors, operation.prepared.document, suggestions=operation.reads)

    def watch(self, operation: Operation, listener: Listener | None = None) -> Watching:
        """Begin a subscription. What others watch too is computed once for all."""
        tenant_id = operation.principal.tenant_id if operation.principal else 0
        try:
            self._endpoint.charge(operation.principal, operation.cost)
            watch = self.live.watch(tenant_id, operation.question, partial(self._source, operation), listener)
        except (Overloaded, RateLimited) as error:
            watch = Alone(_single(refuse(error)))
        return Watching(watch, operation.name, self._endpoint.observer)

    async def stream(self, operation: Operation) -> AsyncGenerator[Answer, None]:
        """The answers of a subscription, each sought once the one before is taken; the last may not be ``executed``."""
        watching = self.watch(operation)
        try:
            while (answer := await watching.take()) is not None:
                yield answer
        finally:
            await watching.close()

    async def _source(self, operation: Operation) -> AsyncGenerator[Answer, None]:
        try:
            results = await _results(
                subscribe(**self._arguments(operation, self._endpoint.context(operation.principal)))
            )
            async with aclosing(results):
                async for outcome in results:
                    yield result(outcome.data, outcome.errors, operation.prepared.document, suggestions=operation.reads)
        except Exception as error:
            yield refuse(error)

    def _arguments(self, operation: Operation, context: object) -> dict[str, Any]:
        return {
            "schema": self._endpoint.schema._schema,
            "document": operation.prepared.document,
            "variable_values": operation.parameters.variables,
            "operation_name": operation.name,
            "context_value": context,
            "executor_class": CompiledExecutor,
            "compiled": operation.prepared.compiled,
        }


async def _results(begun: Any) -> AsyncGenerator[ExecutionResult, None]:
    """What a subscription sends: its results, or the one that says why there are none."""
    begun = await begun if isawaitable(begun) else begun
    return _single(begun) if isinstance(begun, ExecutionResult) else begun


async def _single(result: T) -> AsyncGenerator[T, None]:
    yield result


def _select(prepared: Prepared, name: str | None) -> OperationDefinitionNode:
    operations = prepared.operations
    if name is not None and name in operations:
        return operations[name]
    if name is None and len(operations) == 1:
        return next(iter(operations.values()))
    message = (
        "The document has no operation of the name in 'operationName'."
        if name is not None
        else "The document has no operation."
        if not operations
        else "The document has several operations: 'operationName' must say which to execute."
    )
    raise _refused("OPERATION_RESOLUTION_FAILURE", message)


def _refused(code: str, message: str) -> Refused:
    return Refused(refusal([ErrorPayload(message=message, extensions={"code": code})]))
