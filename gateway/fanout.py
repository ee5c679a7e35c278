"""Live questions: whoever watches the same shares one computation and one encoded answer.

Shared are subscriptions whose every answer is the whole present state, as the schema marks them: for these a watcher
that reads slowly may miss answers that are out of date, so each has room for the latest only. Subscriptions that send
what is new (events) are not shared: each reads the log at its own pace and misses nothing.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Coroutine, Hashable
from contextlib import aclosing
from contextvars import Context
from functools import partial
from typing import Any, Protocol, TypeVar

from gateway.answers import Answer
from gateway.limits import Limits
from gateway.sessions import Sessions
from resolvers.errors import Overloaded
from resolvers.live.looks import Looks
from resolvers.live.tasks import ended

T = TypeVar("T")
Source = Callable[[], AsyncGenerator[Answer, None]]
"""Begins the answers of a subscription, errors among them; it does not raise."""

_SLICE = 250
"""Watchers told before others than they may go on."""


class Listener(Protocol):
    """One who needs no task while there is nothing to take: thousands of tasks that wait take much memory."""

    def pass_on(self, answer: Answer) -> bool:
        """Send an answer on, if that can be done at once."""

    def wake(self) -> None:
        """There is something to take."""


class Watch(Protocol):
    """What one watches."""

    @property
    def rests(self) -> bool:
        """Whether the listener will be woken."""

    def rest(self) -> bool:
        """Whether there is nothing to take; then the listener is passed what comes, or woken."""

    async def take(self) -> Answer | None:
        """The next answer; None once there is no other."""

    async def leave(self) -> None:
        """Watch no more; on return nothing is left of what nobody else watches."""


class Alone:
    """A watch of answers that nobody else watches."""

    __slots__ = ("_answers", "_left")

    def __init__(self, answers: AsyncGenerator[Answer, None], left: Callable[[], None] = lambda: None) -> None:
        self._answers = answers
        self._left = left

    @property
    def rests(self) -> bool:
        """Never: the answers do not come by themselves."""
        return False

    def rest(self) -> bool:
        """Never."""
        return False

    async def take(self) -> Answer | None:
        """The next answer."""
        return await anext(self._answers, None)

    async def leave(self) -> None:
        """End the answers."""
        try:
            await self._answers.aclose()
        finally:
            self._left()


class Mailbox:
    """One watcher's slot: the latest answer it has not taken, the present one first."""

    __slots__ = ("_answer", "_ended", "_last", "_late", "_listener", "_question", "_waiter", "rests")

    def __init__(self, question: "_Question", listener: Listener | None, *, late: bool) -> None:
        self._question = question
        self._listener = listener
        self._late = late
        """Whether the watcher came when its question was already being computed, and has no answer yet."""
        self._answer: Answer | None = None
        self._ended = False
        self._waiter: asyncio.Future[None] | None = None
        self._last: bytes | None = None
        """The answer that the watcher knows."""
        self.rests = False

    def put(self, answer: Answer) -> None:
        """Have the watcher know ``answer``, instead of any that it has not taken yet."""
        if self.rests and self._listener is not None and answer.executed:
            if answer.body == self._last:
                return
            if self._listener.pass_on(answer):
                self._last = answer.body
                return
        self._answer = answer
        self._wake()

    def end(self) -> None:
        """There will be no other."""
        self._ended = True
        self._wake()

    def rest(self) -> bool:
        """Whether there is nothing to take; then the listener is passed what comes, or woken."""
        if self._answer is not None and self._answer.body == self._last:
            self._answer = None
        self.rests = self._listener is not None and not self._late and not self._ended and self._answer is None
        return self.rests

    async def take(self) -> Answer | None:
        """The next answer that the watcher does not know; None once there is no other."""
        if self._late:
            present = await self._question.present()
            self._late = False
            self._ended = self._ended or present is None
            if present is not None:
                self._last = present.body
            return present
        while True:
            answer, self._answer = self._answer, None
            if answer is not None and answer.body != self._last:
                self._last = answer.body
                return answer
            if self._ended:
                return None
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    async def leave(self) -> None:
        """Watch no more."""
        self.rests = False
        await self._question.leave(self)

    def _wake(self) -> None:
        if self.rests and self._listener is not None:
            self.rests = False
            self._listener.wake()
        elif self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class _Question:
    """One computation and those who watch it."""

    def __init__(
        self, source: Source, sessions: Sessions, left: Callable[["_Question"], Coroutine[Any, Any, None]]
    ) -> None:
        self._source = source
        self._sessions = sessions
        self._left = left
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

    def join(self, listener: Listener | None) -> Mailbox:
        """Begin to watch."""
        mailbox = Mailbox(self, listener, late=self._begun)
        self._watchers.add(mailbox)
        return mailbox

    async def leave(self, mailbox: Mailbox) -> None:
        """Watch no more."""
        self._watchers.discard(mailbox)
        await self._left(self)

    async def present(self) -> Answer | None:
        """The present answer, for who came late."""
        return await self._looks.fresh()

    async def end(self) -> None:
        """Compute no more; on return nothing of it is left."""
        tasks: set[asyncio.Task[Any]] = {self._task, *self._looks.tasks}
        await ended(tasks)

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

    def watch(self, tenant_id: int, key: Hashable | None, source: Source, listener: Listener | None = None) -> Watch:
        """Watch a subscription, with those with an equal ``key``; None shares with nobody.

        What is passed on to the ``listener`` is not there to take. Raises Overloaded where the tenant watches too much.
        """
        self._watchers.take(tenant_id)
        try:
            question = None if key is None else self._shared.get(key)
            if question is None or question.ended:
                self._computed.take(tenant_id)
        except Overloaded:
            self._watchers.give(tenant_id)
            raise
        if key is None:
            return Alone(source(), partial(self._give, tenant_id))
        if question is None or question.ended:
            question = self._shared[key] = _Question(source, self._sessions, partial(self._left, tenant_id, key))
        return question.join(listener)

    async def _left(self, tenant_id: int, key: Hashable, question: _Question) -> None:
        if question.watched:
            self._watchers.give(tenant_id)
            return
        if self._shared.get(key) is question:
            del self._shared[key]
        try:
            await question.end()
        finally:
            self._give(tenant_id)

    def _give(self, tenant_id: int) -> None:
        self._watchers.give(tenant_id)
        self._computed.give(tenant_id)
