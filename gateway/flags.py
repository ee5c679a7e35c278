"""Flags over plain HTTP, for SDKs: the OpenFeature Remote Evaluation Protocol, and definitions to evaluate locally.

https://openfeature.dev/docs/reference/other-technologies/ofrep/openapi/ specifies the protocol, which says nothing of
environments: one is named by ``?environment=`` or the header ``X-Environment``.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from hashlib import blake2b
from math import ceil
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.endpoint import Authenticate
from gateway.flag_payload import payload
from gateway.handshakes import address_of, bearer_token
from gateway.http_requests import JSON, BadRequest, Buffer, Disconnected, json_of
from gateway.limits import Limits
from gateway.parameters import Malformed
from resolvers.analysis.flag_evaluation import FlagError, FlagEvaluation
from resolvers.analysis.flag_targeting import Person
from resolvers.analysis.flags import PRODUCTION
from resolvers.context import Context, Principal, Role
from resolvers.errors import GatewayError
from resolvers.flag_evaluations import evaluate_flags, person
from resolvers.flags import known, known_environment

EVALUATE = "/ofrep/v1/evaluate/flags"
_DEFINITIONS = 64
"""Documents of definitions that are kept encoded."""
_STATUS = {
    "UNAUTHENTICATED": 401,
    "FORBIDDEN": 403,
    "RATE_LIMITED": 429,
    "OVERLOADED": 503,
    "UNAVAILABLE": 503,
    "TIMEOUT": 504,
}


class _Refused(Exception):
    """A request that is not evaluated, with OpenFeature's error code."""

    def __init__(self, code: str, details: str, status: int = 400) -> None:
        super().__init__(details)
        self.code = code
        self.details = details
        self.status = status


class Flags:
    """The routes of flags.

    ``context`` makes the context of one request of a caller; ``charge`` is told how many flags were evaluated.
    """

    def __init__(
        self,
        authenticate: Authenticate,
        context: Callable[[Principal | None], Context],
        charge: Callable[[Principal | None, int], None],
        limits: Limits,
    ) -> None:
        self._authenticate = authenticate
        self._context = context
        self._charge = charge
        self._limits = limits
        self._buffer = Buffer(limits)
        self._encoded: OrderedDict[tuple[int, str, int], bytes] = OrderedDict()

    def routes(self) -> list[Route]:
        return [
            Route(EVALUATE, self.evaluate_all, methods=["POST"]),
            Route(f"{EVALUATE}/{{key}}", self.evaluate_one, methods=["POST"]),
            Route("/flags/{environment}.json", self.definitions, methods=["GET"]),
        ]

    async def evaluate_all(self, request: Request) -> Response:
        """What every flag comes to for a context; 304 where that is what the client has."""
        try:
            context = await self._caller(request)
            who = await self._person(request)
            found = await evaluate_flags(context, who, None, _environment(request))
            self._charge(context.principal, len(found))
        except Exception as error:
            return _failure(error)
        return _tagged(request, orjson.dumps({"flags": list(map(_shown, found))}))

    async def evaluate_one(self, request: Request) -> Response:
        """What one flag comes to for a context."""
        key = request.path_params["key"]
        try:
            context = await self._caller(request)
            who = await self._person(request)
            (found,) = await evaluate_flags(context, who, [key], _environment(request))
            self._charge(context.principal, 1)
        except Exception as error:
            return _failure(error, key)
        status = 200 if found.error is None else 404 if found.error is FlagError.FLAG_NOT_FOUND else 400
        return _json(_shown(found), status)

    async def definitions(self, request: Request) -> Response:
        """The definitions of an environment, for local evaluation; 304 where they are what the client has."""
        environment = request.path_params["environment"]
        try:
            context = await self._caller(request)
            principal = context.require(Role.VIEWER)
            held = await known(context)
            known_environment(held, environment)
        except Exception as error:
            return _failure(error)
        key = (principal.tenant_id, environment, held.version)
        body = self._encoded.get(key)
        if body is None:
            body = self._encoded[key] = orjson.dumps(payload(held, environment))
            if len(self._encoded) > _DEFINITIONS:
                self._encoded.popitem(last=False)
        return _tagged(request, body)

    async def _caller(self, request: Request) -> Context:
        token = request.headers.get("x-api-key") or bearer_token(request.headers.get("authorization"))
        context = self._context(await self._authenticate(token, address_of(request.scope)))
        context.require(None)
        return context

    async def _person(self, request: Request) -> Person:
        """Whoever the request's context speaks of; an empty body speaks of nobody."""
        with self._buffer.reservation(self._limits.body) as reservation:
            body = await json_of(request.scope, request.receive, self._limits, reservation)
        given = body.get("context", {}) if isinstance(body, dict) else None
        if not isinstance(given, dict):
            raise _Refused("INVALID_CONTEXT", "The body must be an object whose context is an object.")
        attributes = dict(given)
        subject = attributes.pop("targetingKey", None)
        if subject == "":
            raise _Refused("TARGETING_KEY_MISSING", "The targetingKey must not be empty.")
        return person(subject, attributes)


def _environment(request: Request) -> str:
    return request.query_params.get("environment") or request.headers.get("x-environment") or PRODUCTION


def _shown(found: FlagEvaluation) -> Mapping[str, Any]:
    if found.error is not None:
        return {"key": found.flag, "errorCode": found.error.name, "errorDetails": found.message}
    shown = {"key": found.flag, "value": found.value, "variant": found.variation, "reason": found.reason.name}
    metadata = {"rule": found.rule, "prerequisite": found.prerequisite}
    told = {name: value for name, value in metadata.items() if value is not None}
    return shown | ({"metadata": told} if told else {})


def _tagged(request: Request, body: bytes) -> Response:
    """A body under its tag, or only the tag where the client has that body."""
    tag = f'"{blake2b(body, digest_size=16).hexdigest()}"'
    headers = {"etag": tag, "cache-control": "no-cache", "vary": "Authorization, X-API-Key, X-Environment"}
    sent = {part.strip().removeprefix("W/") for part in request.headers.get("if-none-match", "").split(",")}
    if tag in sent or "*" in sent:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=JSON, headers=headers)


def _json(value: object, status: int) -> Response:
    return Response(orjson.dumps(value), status, media_type=JSON, headers={"cache-control": "no-store"})


def _failure(error: Exception, key: str | None = None) -> Response:
    """The response to a request that failed; raises what is a defect."""
    headers: dict[str, str] = {}
    match error:
        case _Refused():
            status, code, details = error.status, error.code, error.details
        case Malformed():
            status, code, details = 400, "PARSE_ERROR", str(error)
        case BadRequest():
            status, code, details = error.status, "PARSE_ERROR", error.message
            headers = error.headers
        case Disconnected():
            return Response(status_code=400)
        case GatewayError():
            status = _STATUS.get(error.code, 400)
            code = "INVALID_CONTEXT" if error.field in ("subject", "context") else "GENERAL"
            details = error.message
            if status in (429, 503):
                headers = {"retry-after": str(max(1, ceil(error.retry_after or 1)))}
            elif status == 401:
                headers = {"www-authenticate": "Bearer"}
        case _:
            raise error
    shown = {"errorCode": code, "errorDetails": details} | ({} if key is None else {"key": key})
    response = _json(shown, status)
    response.headers.update(headers)
    return response
