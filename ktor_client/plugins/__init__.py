"""Plugins: one file a feature. A plugin sees a `PluginScope`, never the client.

Those that a client does not always have are imported when they are named, and not before.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from ktor_client.http.conversion import ContentConverter
from ktor_client.mistakes import absent
from ktor_client.plugin import (
    HttpClientPlugin,
    Interceptor,
    LayerKind,
    PluginScope,
    RequestPhase,
    Send,
    When,
    client_plugin,
)
from ktor_client.plugins.redirect import HttpRedirect
from ktor_client.protocol.deflate import WebSocketDeflate
from ktor_client.protocol.extensions import (
    ExtensionCodec,
    ExtensionParameters,
    WebSocketExtension,
)

if TYPE_CHECKING:
    from ktor_client.plugins.auth import (
        ApiKeyAuth,
        Auth,
        AuthProvider,
        BasicAuth,
        BearerAuth,
        BearerTokens,
        Challenge,
        DigestAuth,
        RefreshTokensParams,
        Refusal,
    )
    from ktor_client.plugins.body_progress import BodyProgress
    from ktor_client.plugins.call_validator import HttpCallValidator
    from ktor_client.plugins.content_encoding import ContentEncoding
    from ktor_client.plugins.content_negotiation import ContentNegotiation
    from ktor_client.plugins.converters import JsonConverter, MsgspecConverter, PydanticConverter
    from ktor_client.plugins.cookies import (
        Cookie,
        CookieStorage,
        FileCookies,
        HttpCookies,
        InMemoryCookies,
    )
    from ktor_client.plugins.default_request import DefaultRequest
    from ktor_client.plugins.logging import Logging, LogLevel
    from ktor_client.plugins.reconnect import WebSocketReconnect
    from ktor_client.plugins.request_retry import HttpRequestRetry, RequestRetried
    from ktor_client.plugins.sse import SSE, ServerSentEvent, SseSession
    from ktor_client.plugins.timeout import HttpTimeout
    from ktor_client.plugins.user_agent import UserAgent
    from ktor_client.plugins.websockets import WebSockets
    from ktor_client.session import WebSocketContentConverter

__all__ = [
    "SSE",
    "ApiKeyAuth",
    "Auth",
    "AuthProvider",
    "BasicAuth",
    "BearerAuth",
    "BearerTokens",
    "BodyProgress",
    "Challenge",
    "ContentConverter",
    "ContentEncoding",
    "ContentNegotiation",
    "Cookie",
    "CookieStorage",
    "DefaultRequest",
    "DigestAuth",
    "ExtensionCodec",
    "ExtensionParameters",
    "FileCookies",
    "HttpCallValidator",
    "HttpClientPlugin",
    "HttpCookies",
    "HttpRedirect",
    "HttpRequestRetry",
    "HttpTimeout",
    "InMemoryCookies",
    "Interceptor",
    "JsonConverter",
    "LayerKind",
    "LogLevel",
    "Logging",
    "MsgspecConverter",
    "PluginScope",
    "PydanticConverter",
    "RefreshTokensParams",
    "Refusal",
    "RequestPhase",
    "RequestRetried",
    "Send",
    "ServerSentEvent",
    "SseSession",
    "UserAgent",
    "WebSocketContentConverter",
    "WebSocketDeflate",
    "WebSocketExtension",
    "WebSocketReconnect",
    "WebSockets",
    "When",
    "client_plugin",
]

_ON_DEMAND = {
    "auth": (
        "ApiKeyAuth",
        "Auth",
        "AuthProvider",
        "BasicAuth",
        "BearerAuth",
        "BearerTokens",
        "Challenge",
        "DigestAuth",
        "Refusal",
        "RefreshTokensParams",
    ),
    "cookies": ("Cookie", "CookieStorage", "FileCookies", "HttpCookies", "InMemoryCookies"),
    "body_progress": ("BodyProgress",),
    "call_validator": ("HttpCallValidator",),
    "content_encoding": ("ContentEncoding",),
    "content_negotiation": ("ContentNegotiation",),
    "converters": (
        "JsonConverter",
        "MsgspecConverter",
        "PydanticConverter",
    ),
    "default_request": ("DefaultRequest",),
    "logging": (
        "Logging",
        "LogLevel",
    ),
    "reconnect": ("WebSocketReconnect",),
    "request_retry": (
        "HttpRequestRetry",
        "RequestRetried",
    ),
    "sse": (
        "SSE",
        "ServerSentEvent",
        "SseSession",
    ),
    "timeout": ("HttpTimeout",),
    "user_agent": ("UserAgent",),
    "websockets": ("WebSocketContentConverter", "WebSockets"),
}
"""Names by the module that has them."""


def __getattr__(name: str) -> object:
    for module, names in _ON_DEMAND.items():
        if name in names:
            found = import_module(f"{__name__}.{module}")
            globals().update((one, getattr(found, one)) for one in names)
            return globals()[name]
    raise absent(__name__, name)


def __dir__() -> list[str]:
    return sorted(__all__)
