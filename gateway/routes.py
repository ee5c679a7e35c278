"""The routes of the GraphQL endpoint."""

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute

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
