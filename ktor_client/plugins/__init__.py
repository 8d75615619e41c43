"""Plugins: one file a feature. A plugin sees a `PluginScope`, never the client."""

from ktor_client.plugin import (
    HttpClientPlugin,
    Interceptor,
    LayerKind,
    PluginScope,
    Send,
    client_plugin,
)
from ktor_client.plugins.body_progress import BodyProgress
from ktor_client.plugins.call_validator import HttpCallValidator
from ktor_client.plugins.converters import JsonConverter, MsgspecConverter, PydanticConverter
from ktor_client.plugins.default_request import DefaultRequest
from ktor_client.plugins.logging import Logging, LogLevel
from ktor_client.plugins.reconnect import WebSocketReconnect
from ktor_client.plugins.redirect import HttpRedirect
from ktor_client.plugins.request_retry import HttpRequestRetry, RequestRetried
from ktor_client.plugins.timeout import HttpTimeout
from ktor_client.plugins.user_agent import UserAgent
from ktor_client.plugins.websockets import WebSockets
from ktor_client.protocol.deflate import WebSocketDeflate
from ktor_client.protocol.extensions import (
    ExtensionCodec,
    ExtensionParameters,
    WebSocketExtension,
)
from ktor_client.session.converter import WebSocketContentConverter

__all__ = [
    "BodyProgress",
    "DefaultRequest",
    "ExtensionCodec",
    "ExtensionParameters",
    "HttpCallValidator",
    "HttpClientPlugin",
    "HttpRedirect",
    "HttpRequestRetry",
    "HttpTimeout",
    "Interceptor",
    "JsonConverter",
    "LayerKind",
    "LogLevel",
    "Logging",
    "MsgspecConverter",
    "PluginScope",
    "PydanticConverter",
    "RequestRetried",
    "Send",
    "UserAgent",
    "WebSocketContentConverter",
    "WebSocketDeflate",
    "WebSocketExtension",
    "WebSocketReconnect",
    "WebSockets",
    "client_plugin",
]


def __dir__() -> list[str]:
    return sorted(__all__)
