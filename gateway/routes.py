"""The routes of the GraphQL endpoint."""

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
