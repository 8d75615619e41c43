"""Sessions: the conversation above a link. Knows no library, no socket, no bytes on the wire."""

from ktor_client.session.base import SessionStatistics, WebSocketSession
from ktor_client.session.call import HttpClientCall
from ktor_client.session.converter import WebSocketContentConverter
from ktor_client.session.core import SessionCore, State
from ktor_client.session.default import DefaultClientWebSocketSession, DefaultWebSocketSession
from ktor_client.session.raw import ClientWebSocketSession

__all__ = [
    "ClientWebSocketSession",
    "DefaultClientWebSocketSession",
    "DefaultWebSocketSession",
    "HttpClientCall",
    "SessionCore",
    "SessionStatistics",
    "State",
    "WebSocketContentConverter",
    "WebSocketSession",
]
