"""Exports: any answer as a file, CSV, JSON or lines of JSON, asked with the very arguments of its GraphQL field.

``GET /export/funnel.csv?arguments={…}&table=steps`` or POST of ``{"arguments": …, "table": …}``, with a key; or GET
with the ``link`` that ``exportLink`` gave, without one. What goes wrong before the first byte has a status of its own;
what goes wrong later breaks the connection off, so that nobody takes a part for the whole.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import ceil
from types import MappingProxyType
from typing import Any

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.answers import OVERLOAD_STATUSES, STATUSES, Answer, refuse
from gateway.downloads import Downloads
from gateway.endpoint import Endpoint
from gateway.export_rows import WRITERS, columns, rows
from gateway.export_streams import Download, ExportStreams, Failed
from gateway.handshakes import address_of, bearer_token
from gateway.http_requests import BadRequest, Buffer, Disconnected, header, payload_of, while_connected
from gateway.operations import Operations, Refused
from gateway.parameters import Malformed, Parameters
from resolvers.context import Context, Principal
from resolvers.errors import BadInput, NotFound, Unauthenticated
from schema.export_questions import ExportQuestion, export_question

_NAME = re.compile(r"([A-Za-z_][A-Za-z0-9_]{0,99})\.(csv|json|ndjson)", re.ASCII)
_PARAMETERS = frozenset({"arguments", "table", "link"})
_STATUSES = {**STATUSES, "NOT_FOUND": 404}
_ALONE = "A link says all there is to say: leave the other parameters out."


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a request asks for, and who does."""

    principal: Principal | None
    token: str | None
    table: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)


class Exports:
    """The ASGI application behind the route of exports."""

    def __init__(self, endpoint: Endpoint, operations: Operations, downloads: Callable[[], Downloads]) -> None:
        self._endpoint = endpoint
        self._operations = operations
        self._downloads = downloads
        self._buffer = Buffer(endpoint.limits)
        self._streams = ExportStreams(endpoint, operations, lambda principal: downloads().moment(principal))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            response = await self._respond(scope, receive, send)
        except Disconnected:
            return
        except BadRequest as error:
            response = _refusal(error.status, Malformed.code, error.message, headers=error.headers)
        except (Refused, Failed) as error:
            response = _failure(error.answer)
        except Exception as error:
            response = _failure(refuse(error))
        if response is not None:
            await response(scope, receive, send)

    async def _respond(self, scope: Scope, receive: Receive, send: Send) -> Response | None:
        """The response to send; None where a stream was the response."""
        if scope["method"] not in ("GET", "POST"):
            raise BadRequest(405, "Use GET, or POST where the arguments are long.", allow="GET, POST")
        name = _NAME.fullmatch(scope["path_params"].get("name", ""))
        if name is None:
            raise NotFound("Name an analysis and a format: /export/<field>.csv, .json or .ndjson.")
        asked = await self._asked(scope, receive, name[1], name[2])
        schema = self._endpoint.schema._schema
        question = export_question(schema, name[1], asked.arguments, asked.table, whole=name[2] == "json")
        context = self._endpoint.context(asked.principal)
        assert isinstance(context, Context)
        principal = context.require(question.needs)
        headers = _headers(question, name[2])
        if question.paged:
            download = Download(question, principal, asked.token, WRITERS[name[2]](), headers)
            await self._streams.run(download, receive, send)
            return None
        return await self._answer(question, principal, name[2], headers, receive)

    async def _asked(self, scope: Scope, receive: Receive, export: str, format: str) -> _Asked:
        limits, address = self._endpoint.limits, address_of(scope)
        link = _link(scope)
        if link is not None:
            holder, sealed = await self._downloads().linked(link, address)
            if (sealed.field, sealed.format) != (export, format):
                raise Unauthenticated("The link is for another file.")
            return _Asked(holder, None, sealed.table, sealed.arguments)
        token = bearer_token(header(scope, b"authorization"))
        principal = await self._endpoint.authenticate(token, address)
        most = limits.body_anonymous if principal is None else limits.body
        with self._buffer.reservation(most) as reservation:
            payload = await payload_of(scope, receive, limits, reservation, ("arguments",))
        return _read(payload, principal, token)

    async def _answer(
        self,
        question: ExportQuestion,
        principal: Principal,
        format: str,
        headers: Mapping[str, str],
        receive: Receive,
    ) -> Response:
        """An answer that is had at once, whole or as a table."""
        operation = self._operations.match(Parameters(question.query, None, question.variables), principal)
        answer = await self._operations.known(operation)
        if answer is None:
            answer = await while_connected(self._endpoint.sessions.keep(self._operations.execute(operation)), receive)
        if answer.errors:
            raise Failed(answer)
        found = orjson.loads(answer.body)["data"][question.field]
        writer = WRITERS[format]()
        if question.table is None:
            body = orjson.dumps(found)
        else:
            written = columns(question.table, found)
            lines = (
                writer.row(written, values, first=place == 0)
                for place, values in enumerate(rows(question.table, written, found))
            )
            body = b"".join((writer.begin(written), *lines, writer.end()))
        return Response(body, headers={"content-type": writer.media_type, **headers})


def _link(scope: Scope) -> str | None:
    """The text of a link; None where the request has none."""
    query: bytes = scope["query_string"]
    if scope["method"] != "GET" or not query.startswith(b"link="):
        return None
    if b"&" in query:
        raise BadInput(_ALONE, field="link")
    return query[5:].decode("latin-1")


def _read(payload: object, principal: Principal | None, token: str | None) -> _Asked:
    if not isinstance(payload, dict):
        raise Malformed("The request must be a JSON object.")
    for name in payload.keys() - _PARAMETERS:
        raise BadInput("There is no such parameter; there are arguments and table.", field=name[:80])
    if "link" in payload:
        raise BadInput(_ALONE, field="link")
    arguments, table = payload.get("arguments"), payload.get("table")
    if arguments is not None and not isinstance(arguments, dict):
        raise BadInput("The arguments must be a JSON object.", field="arguments")
    if table is not None and not isinstance(table, str):
        raise BadInput("The table must be a text.", field="table")
    if principal is None:
        raise Unauthenticated("A key is needed: send it as `Authorization: Bearer KEY`; or a link of `exportLink`.")
    return _Asked(principal, token, table, arguments or {})


def _headers(question: ExportQuestion, format: str) -> dict[str, str]:
    # Of names of the schema and digits alone, so that nothing that was sent can stand in a header.
    parts = (question.field, question.table.name.replace(".", "-") if question.table else "answer")
    name = f"{'-'.join(parts)}-{datetime.now(UTC):%Y-%m-%d}.{format}"
    return {
        "content-disposition": f'attachment; filename="{name}"',
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
    }


def _failure(answer: Answer) -> Response:
    error = answer.errors[0]
    code, details = error["extensions"]["code"], dict(error["extensions"])
    details.pop("code")
    status = OVERLOAD_STATUSES.get(code) or _STATUSES.get(code, 400)
    return _refusal(status, code, error["message"], details)


def _refusal(
    status: int,
    code: str,
    message: str,
    details: Mapping[str, Any] = MappingProxyType({}),
    headers: Mapping[str, str] = MappingProxyType({}),
) -> Response:
    sent = {"cache-control": "no-store", **headers}
    if status in (429, 503):
        sent["retry-after"] = str(max(1, ceil(details.get("retryAfter") or 1)))
    if status == 401:
        sent["www-authenticate"] = "Bearer"
    body = orjson.dumps({"error": {"code": code, "message": message, **details}})
    return Response(body, status, sent, "application/json")
