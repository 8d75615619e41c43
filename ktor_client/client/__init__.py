"""The client: config, engine and plugins brought together; calls, statements, the end of it all."""

from ktor_client.client.http_client import HttpClient
from ktor_client.client.statements import HttpStatement, WebSocketStatement

__all__ = ["HttpClient", "HttpStatement", "WebSocketStatement"]
