"""Lists as files: page after page of one moment of the log, written as they are read, in the memory of one page."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, aclosing, contextmanager
from dataclasses import dataclass
from typing import Any

import orjson
import structlog
from starlette.types import Receive, Send

from gateway.answers import Answer, refuse
from gateway.endpoint import Endpoint
from gateway.export_rows import Writer, columns, rows
from gateway.http_requests import disconnected, while_connected
from gateway.operations import Operation, Operations
from gateway.parameters import Parameters
from gateway.sessions import Kind, Session
from resolvers.context import Context, Principal
from resolvers.errors import Overloaded
from schema.export_questions import ExportQuestion
from schema.pages import MAX_PAGE

Snapshot = Callable[[Principal], AbstractAsyncContextManager[Context]]
"""A context all of whose answers are of the moment at which it is entered."""

_CHUNK = 64 * 1024
"""Bytes sent at a time."""
_LONGEST_WAIT = 10.0

log = structlog.get_logger(__name__)


class Failed(Exception):
    """An answer that is an error."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.code)
        self.answer = answer


@dataclass(frozen=True, slots=True)
class Download:
    """A list to be sent."""

    question: ExportQuestion
    principal: Principal
    token: str | None
    writer: Writer
    headers: Mapping[str, str]


class ExportStreams:
    """Sends lists; a bounded number of them at a time."""

    def __init__(self, endpoint: Endpoint, operations: Operations, snapshot: Snapshot) -> None:
        self._endpoint = endpoint
        self._operations = operations
        self._snapshot = snapshot
        self._running: Counter[int] = Counter()

    async def run(self, download: Download, receive: Receive, send: Send) -> None:
        """Send the list; raises before the response has begun, and afterwards ends it early instead.

        A response that ends before its last chunk is one that its client sees to be broken.
        """
        sessions = self._endpoint.sessions
        with self._place(download.principal.tenant_id):
            session = sessions.open(Kind.EXPORT, download.principal, download.token)
            chunks = self._chunks(download)
            try:
                async with aclosing(chunks):
                    # Until it is there, whatever goes wrong has a status of its own.
                    first = await while_connected(sessions.keep(_next(chunks)), receive)
                    await self._send(download, session, first, chunks, receive, send)
            finally:
                sessions.close(session)

    @contextmanager
    def _place(self, tenant_id: int) -> Iterator[None]:
        limits = self._endpoint.limits
        if self._running[tenant_id] >= limits.exports_per_tenant or self._running.total() >= limits.exports:
            raise Overloaded("Other lists are being exported; try again.", retry_after=5)
        self._running[tenant_id] += 1
        try:
            yield
        finally:
            self._running[tenant_id] -= 1
            if not self._running[tenant_id]:
                del self._running[tenant_id]

    async def _send(
        self,
        download: Download,
        session: Session,
        first: bytes,
        chunks: AsyncGenerator[bytes, None],
        receive: Receive,
        send: Send,
    ) -> None:
        headers = {"content-type": download.writer.media_type, **download.headers}
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": 200, "headers": raw})
        producer = self._endpoint.sessions.keep(_pass_on(first, chunks, send))
        gone = asyncio.create_task(disconnected(receive))
        try:
            ends: set[asyncio.Future[Any]] = {producer, gone, session.ended}
            await asyncio.wait(
                ends,
                timeout=self._endpoint.limits.export_seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if producer.done():
                _report(producer, download)
            else:
                code = "CANCELLED" if gone.done() else "UNAUTHENTICATED" if session.ended.done() else "TIMEOUT"
                log.warning("export.broken", field=download.question.field, code=code)
        finally:
            gone.cancel()
            producer.cancel()
            await asyncio.wait({producer})

    async def _chunks(self, download: Download) -> AsyncGenerator[bytes, None]:
        """The file, in parts; raises Failed where a page cannot be had."""
        table, writer = download.question.table, download.writer
        assert table is not None
        count, sent = 0, bytearray()
        async with aclosing(self._pages(download)) as pages:
            async for page in pages:
                written = columns(table, page)
                sent += b"" if count or sent else writer.begin(written)
                for values in rows(table, written, page):
                    sent += writer.row(written, values, first=not count)
                    count += 1
                if len(sent) >= _CHUNK:
                    yield bytes(sent)
                    sent.clear()
        yield bytes(sent + writer.end())
        log.info(
            "export.done",
            tenant=download.principal.tenant,
            key=download.principal.key_id,
            field=download.question.field,
            rows=count,
        )

    async def _pages(self, download: Download) -> AsyncGenerator[Any, None]:
        question, after, patient = download.question, None, False
        size = self._page_size(download)
        async with self._snapshot(download.principal) as context:
            while True:
                operation = self._match(download, size, after)
                answer = await self._operations.page(operation, context, patient=patient)
                if patient and answer.overload is not None:
                    await asyncio.sleep(min(answer.retry_after or 1.0, _LONGEST_WAIT))
                    continue
                if answer.errors:
                    raise Failed(answer)
                page = orjson.loads(answer.body)["data"][question.field]
                yield page
                if not page["pageInfo"]["hasNextPage"]:
                    return
                after, patient = page["pageInfo"]["endCursor"], True

    def _page_size(self, download: Download) -> int:
        """As many items as an operation may hold."""
        cost = self._match(download, 1, None).cost
        return max(1, min(MAX_PAGE, self._endpoint.limits.cost // cost))

    def _match(self, download: Download, first: int, after: str | None) -> Operation:
        variables = {**download.question.variables, "first": first, "after": after}
        return self._operations.match(Parameters(download.question.query, None, variables), download.principal)


async def _next(chunks: AsyncGenerator[bytes, None]) -> bytes:
    return await anext(chunks)


async def _pass_on(first: bytes, chunks: AsyncGenerator[bytes, None], send: Send) -> None:
    await send({"type": "http.response.body", "body": first, "more_body": True})
    async for chunk in chunks:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _report(producer: asyncio.Task[None], download: Download) -> None:
    """Log why a list was not sent to its end."""
    error = producer.exception()
    if error is None:
        return
    answer = error.answer if isinstance(error, Failed) else refuse(error) if isinstance(error, Exception) else None
    log.warning("export.broken", field=download.question.field, code=None if answer is None else answer.code)
