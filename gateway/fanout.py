"""Live questions: whoever watches the same shares one computation and one encoded answer.

Shared are subscriptions whose every answer is the whole present state, as the schema marks them: for these a watcher
that reads slowly may miss answers that are out of date, so each has room for the latest only. Subscriptions that send
what is new (events) are not shared: each reads the log at its own pace and misses nothing.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Hashable
from contextlib import aclosing, asynccontextmanager
from contextvars import Context
from typing import Any, TypeVar

from gateway.answers import Answer
from gateway.limits import Limits
from gateway.sessions import Sessions
from resolvers.errors import Overloaded
from resolvers.live.looks import Looks

T = TypeVar("T")
Source = Callable[[], AsyncGenerator[Answer, None]]
"""Begins the answers of a subscription, errors among them; it does not raise."""
Sink = Callable[[Answer], bool]
"""Takes an answer if it can be passed on at once."""

_SLICE = 250
"""Watchers told before others than they may go on."""


class Mailbox:
    """One watcher's slot: the latest answer it has not taken.

    ``sink`` is offered an answer when none waits, and says whether it took it: whoever can send at once needs no task
    woken for each answer.
    """

    __slots__ = ("_answer", "_ended", "_sink", "_waiter", "last", "late")

    def __init__(self, sink: Sink | None, *, late: bool) -> None:
        self._sink = sink
        self.late = late
        """Whether the watcher came when its question was already being computed."""
        self._answer: Answer | None = None
        self._ended = False
        self._waiter: asyncio.Future[None] | None = None
        self.last: bytes | None = None
        """The answer that the watcher knows."""

    def put(self, answer: Answer) -> None:
        """Have the watcher know ``answer``, instead of any that it has not taken yet."""
        if self._sink is not None and self._waiter is not None and answer.executed and not self._waiter.done():
            if answer.body == self.last:
                return
            if self._sink(answer):
                self.last = answer.body
                return
        self._answer = answer
        self._wake()

    def end(self) -> None:
        """There will be no other."""
        self._ended = True
        self._wake()

    async def take(self) -> Answer | None:
        """The next answer that the watcher does not know; None once there is no other."""
        while True:
            answer, self._answer = self._answer, None
            if answer is not None and answer.body != self.last:
                self.last = answer.body
                return answer
            if self._ended:
                return None
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class _Question:
    """One computation and those who watch it."""

    def __init__(self, source: Source, sessions: Sessions) -> None:
        self._source = source
        self._sessions = sessions
        self._looks: Looks[Answer | None] = Looks(self._first, self._keep)
        self._begun = False
        self._watchers: set[Mailbox] = set()
        self._task = self._keep(self._run())

    @property
    def watched(self) -> bool:
        """Whether anybody is left."""
        return bool(self._watchers)

    @property
    def ended(self) -> bool:
        """Whether no further answer will come."""
        return self._task.done()

    def join(self, sink: Sink | None) -> Mailbox:
        """Begin to watch."""
        mailbox = Mailbox(sink, late=self._begun)
        self._watchers.add(mailbox)
        return mailbox

    def leave(self, mailbox: Mailbox) -> None:
        """Watch no more."""
        self._watchers.discard(mailbox)

    async def end(self) -> None:
        """Compute no more; on return nothing of it is left."""
        tasks: set[asyncio.Task[Any]] = {self._task, *self._looks.tasks}
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    async def answers(self, mailbox: Mailbox) -> AsyncGenerator[Answer, None]:
        """A watcher's answers: the present one at once, then the latest whenever there is one that differs."""
        if mailbox.late:
            present = await self._looks.fresh()
            if present is None:
                return
            mailbox.last = present.body
            yield present
        while (answer := await mailbox.take()) is not None:
            yield answer

    async def _first(self) -> Answer | None:
        async with aclosing(self._source()) as answers:
            return await anext(answers, None)

    async def _run(self) -> None:
        self._begun = True
        try:
            async with aclosing(self._source()) as answers:
                async for answer in answers:
                    await self._publish(answer)
        finally:
            for watcher in self._watchers:
                watcher.end()

    async def _publish(self, answer: Answer) -> None:
        # Those who come meanwhile seek an answer of their own first.
        for number, watcher in enumerate(list(self._watchers), 1):
            if watcher in self._watchers:
                watcher.put(answer)
            if not number % _SLICE:
                await asyncio.sleep(0)

    def _keep(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        # It works for all its watchers: what the log says of the first one's request must not be said of it.
        return Context().run(self._sessions.keep, work)


class _Quota:
    """How many of something each tenant may have."""

    def __init__(self, most: int, refusal: str) -> None:
        self._most = most
        self._refusal = refusal
        self._taken: Counter[int] = Counter()

    def take(self, tenant_id: int) -> None:
        if self._taken[tenant_id] >= self._most:
            raise Overloaded(self._refusal, retry_after=5)
        self._taken[tenant_id] += 1

    def give(self, tenant_id: int) -> None:
        self._taken[tenant_id] -= 1
        if not self._taken[tenant_id]:
            del self._taken[tenant_id]


class LiveQuestions:
    """What is watched in this process, each question computed once."""

    def __init__(self, sessions: Sessions, limits: Limits) -> None:
        self._sessions = sessions
        self._shared: dict[Hashable, _Question] = {}
        self._watchers = _Quota(limits.subscriptions_per_tenant, "Too many subscriptions are open for this tenant.")
        self._computed = _Quota(limits.questions_per_tenant, "Too many different subscriptions are open.")

    def __len__(self) -> int:
        """How many shared questions are computed."""
        return len(self._shared)

    @asynccontextmanager
    async def watched(
        self, tenant_id: int, key: Hashable | None, source: Source, sink: Sink | None = None
    ) -> AsyncIterator[AsyncGenerator[Answer, None]]:
        """The answers of a subscription, from the computation of those with an equal ``key``; None shares with nobody.

        Those that ``sink`` takes are not repeated. Raises Overloaded where the tenant watches too much.
        """
        self._watchers.take(tenant_id)
        try:
            watching = self._alone(tenant_id, source) if key is None else self._together(tenant_id, key, source, sink)
            async with watching as answers:
                yield answers
        finally:
            self._watchers.give(tenant_id)

    @asynccontextmanager
    async def _alone(self, tenant_id: int, source: Source) -> AsyncIterator[AsyncGenerator[Answer, None]]:
        self._computed.take(tenant_id)
        try:
            yield source()
        finally:
            self._computed.give(tenant_id)

    @asynccontextmanager
    async def _together(
        self, tenant_id: int, key: Hashable, source: Source, sink: Sink | None
    ) -> AsyncIterator[AsyncGenerator[Answer, None]]:
        question = self._shared.get(key)
        if question is None or question.ended:
            self._computed.take(tenant_id)
            question = self._shared[key] = _Question(source, self._sessions)
        mailbox = question.join(sink)
        try:
            yield question.answers(mailbox)
        finally:
            question.leave(mailbox)
            if not question.watched:
                self._computed.give(tenant_id)
                if self._shared.get(key) is question:
                    del self._shared[key]
                await question.end()
