"""The routes of the GraphQL endpoint, and the short way to it."""

from collections.abc import Iterable

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.endpoint import Endpoint
from gateway.graphql_http import GraphQLOverHTTP
from gateway.graphql_ws import GraphQLOverWebSocket
from gateway.operations import Operations


def graphql_routes(
    endpoint: Endpoint, operations: Operations | None = None, path: str = "/graphql"
) -> list[Route | WebSocketRoute]:
    """One path for HTTP, event streams and WebSockets, which share their documents, limits and sessions."""
    operations = operations or Operations(endpoint)
    return [
        Route(path, GraphQLOverHTTP(endpoint, operations)),
        WebSocketRoute(path, GraphQLOverWebSocket(endpoint, operations)),
    ]


def schema_route(endpoint: Endpoint, path: str = "/schema.graphql") -> Route:
    """The printed schema."""

    async def printed(request: Request) -> Response:
        return PlainTextResponse(endpoint.schema.as_str() + "\n", headers={"cache-control": "no-cache"})

    return Route(path, printed)


class ShortWay:
    """Takes requests straight to the GraphQL endpoint, which answers whatever it meets.

    Nothing is left for the router to find there, nor for Starlette to turn into an answer. All others go the long way.
    """

    def __init__(self, app: ASGIApp, routes: Iterable[BaseRoute]) -> None:
        self._app = app
        self._routes = {
            one.path: one for one in routes if isinstance(one, Route) and isinstance(one.endpoint, GraphQLOverHTTP)
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a connection."""
        route = self._routes.get(scope["path"]) if scope["type"] == "http" else None
        if route is None:
            await self._app(scope, receive, send)
        else:
            scope["route"] = route
            await route.app(scope, receive, send)
