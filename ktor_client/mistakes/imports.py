"""Imports that people expect, and what to write instead."""

from __future__ import annotations

from ktor_client.mistakes.phrases import CALL, CLIENT, FORM, LIMIT_OF_ENGINE

__all__ = ["ENGINES", "MODULES"]

ENGINES = {
    name: engine
    for engine, names in {
        "CIO": "Default Apache Apache5 Android Java Jetty Curl WinHttp CIOEngine",
        "DarwinEngine": "Darwin DarwinClientEngine NSURLSession AppleEngine",
        "HttpxEngine": "OkHttp OkHttpEngine Httpx HTTPX",
        "AiohttpEngine": "Aiohttp AioHttp AioHttpEngine AIOHTTP",
        "BrowserEngine": "Js JsClient Browser",
        "MockEngine": "Mock",
        "TestEngine": "Test TestClient ASGI ASGITransport",
        "HttpClientEngine": "HttpClientEngineFactory",
    }.items()
    for name in names.split()
}
"""Which class is meant by the name of an engine elsewhere."""
_ENGINES = {
    name: f"write `from ktor_client.engines import {engine}`" for name, engine in ENGINES.items()
}
_PLUGINS = {
    "HttpCache": "responses are not cached here; keep what you need, or ask a cache of your own",
    "ResponseObserver": "write `client.events.subscribe(ResponseReceived, handler)`",
    "Resources": "write the URL: `client.get(url, params={...})`",
    "HttpSend": "write a plugin: `scope.on_send(...)` stands around every request",
    "HttpPlainText": "nothing is to be installed: `await response.body_as_text()`",
    "DefaultHeaders": "write `install(DefaultRequest, headers={...})`",
    "Compression": "write `install(ContentEncoding)`, or `WebSocketDeflate` for WebSockets",
    "Json": "write `from ktor_client.plugins import JsonConverter`",
    "AcceptAllCookiesStorage": "write `from ktor_client.plugins import InMemoryCookies`",
    "ConstantCookiesStorage": "write `install(HttpCookies, cookies=[...])`",
    "BasicAuthCredentials": "write `from ktor_client.plugins import BasicAuth`",
    "BasicAuthProvider": "write `from ktor_client.plugins import BasicAuth`",
    "BearerAuthProvider": "write `from ktor_client.plugins import BearerAuth`",
    "DigestAuthProvider": "write `from ktor_client.plugins import DigestAuth`",
    "KotlinxWebsocketSerializationConverter": (
        "write `from ktor_client.plugins import JsonConverter`"
    ),
    "Timeout": "write `from ktor_client.plugins import HttpTimeout`",
    "Cookies": "write `from ktor_client.plugins import HttpCookies`",
    "WebSocket": "write `from ktor_client.plugins import WebSockets`",
    "WebSocketDeflateExtension": "write `from ktor_client.plugins import WebSocketDeflate`",
    "Deflate": "write `from ktor_client.plugins import WebSocketDeflate`",
    "PerMessageDeflate": "write `from ktor_client.plugins import WebSocketDeflate`",
    "bearer": "write `from ktor_client.plugins import BearerAuth`",
    "basic": "write `from ktor_client.plugins import BasicAuth`",
    "digest": "write `from ktor_client.plugins import DigestAuth`",
    "json": "write `from ktor_client.plugins import JsonConverter`",
    "gzip": 'write `install(ContentEncoding, accept=("gzip",))`',
    "Logger": "write `install(Logging, logger=...)`, with a logger of the standard library",
    "Charsets": "a body of text is UTF-8, or what its `content_type(...)` says",
    "Redirect": "write `from ktor_client.plugins import HttpRedirect`",
    "ExpectSuccess": "write `HttpClient(..., expect_success=True)`",
    "HttpPlugin": "write `from ktor_client.plugins import HttpClientPlugin`",
    "Plugin": "write `from ktor_client.plugins import HttpClientPlugin`",
    "createClientPlugin": "write `from ktor_client.plugins import client_plugin`",
}
_ERRORS = {
    wrong: f"write `from ktor_client import {right}`"
    for right, names in {
        "KtorClientError": "HTTPError RequestException ClientError",
        "ConnectError": "ClientConnectionError ConnectException ConnectionError",
        "ConnectionClosedError": (
            "ConnectionClosed ConnectionClosedOK ClosedReceiveChannelException "
            "ClosedSendChannelException ConnectionClosedException WebSocketDisconnect "
            "WebSocketNetworkError"
        ),
        "ConnectTimeoutError": "ConnectTimeout ConnectTimeoutException",
        "RequestTimeoutError": "HttpRequestTimeoutException TimeoutException Timeout",
        "SocketTimeoutError": "SocketTimeoutException ReadTimeout",
        "ResponseError": "ResponseException HTTPStatusError ClientResponseError",
        "ClientRequestError": "ClientRequestException",
        "ServerResponseError": "ServerResponseException",
        "RedirectError": "RedirectResponseException TooManyRedirects",
        "WebSocketHandshakeError": (
            "WebSocketException InvalidStatus InvalidStatusCode InvalidHandshake "
            "WSServerHandshakeError"
        ),
    }.items()
    for wrong in names.split()
}
MODULES: dict[str, dict[str, str]] = {
    "ktor_client": {
        **_ENGINES,
        **_PLUGINS,
        **_ERRORS,
        "set_body": "the call has it: `client.post(url, body=...)`, or `json=...`",
        "setBody": "the call has it: `client.post(url, body=...)`, or `json=...`",
        "default_request": "write `install(DefaultRequest, url=..., headers={...})`",
        "defaultRequest": "write `install(DefaultRequest, url=..., headers={...})`",
        "HttpStatusCode": "a status is an int: `response.status == http.HTTPStatus.OK`",
        "HttpStatus": "a status is an int: `response.status == http.HTTPStatus.OK`",
        "codes": "a status is an int: `response.status == http.HTTPStatus.OK`",
        "HttpProtocolVersion": "write `response.http_version`",
        "URLProtocol": 'a scheme is a str: `url.scheme == "wss"`',
        "WSMsgType": "write `isinstance(frame, Frame.Text)`",
        "Opcode": "write `isinstance(frame, Frame.Text)`",
        "WSMessage": "write `from ktor_client import Frame`",
        "Message": "write `from ktor_client import Frame`",
        **{
            f"{name}Frame": f"write `Frame.{name}(...)`"
            for name in ("Text", "Binary", "Close", "Ping", "Pong")
        },
        "Codes": "write `CloseReason.Codes`",
        "CloseCode": "write `CloseReason.Codes`",
        "Channel": "write `from ktor_client import Channels`, and `bounded(64)`",
        "Request": "write `from ktor_client import HttpRequest`",
        "ClientResponse": "write `from ktor_client import HttpResponse`",
        "Session": f"write `from ktor_client import HttpClient` and {CLIENT}",
        "ClientWebSocketResponse": "write `from ktor_client import DefaultClientWebSocketSession`",
        "WebSocketClientProtocol": "write `from ktor_client import DefaultClientWebSocketSession`",
        "ClientConnection": "write `from ktor_client import DefaultClientWebSocketSession`",
        "ClientTimeout": "write `install(HttpTimeout, request_timeout=10)`",
        "Limits": LIMIT_OF_ENGINE,
        "TCPConnector": LIMIT_OF_ENGINE,
        "logging": "write `install(Logging)`",
        "submit_form": "write `await client.post(url, form={...})`",
        "submitForm": "write `await client.post(url, form={...})`",
        "form_data": FORM,
        "formData": FORM,
        "headers": "write `headers={...}` in the call, or the block `header(name, value)`",
        "url": "the URL is the first argument: `client.get(url)`",
        "parameters": "write `params={...}`, or the block `parameter(name, value)`",
        "body_as_text": "the response has it: `await response.body_as_text()`",
        "bodyAsText": "the response has it: `await response.body_as_text()`",
        "body": "the response has it: `await response.body(dict)`",
        "read_text": "the frame has it: `frame.read_text()`",
        "readText": "the frame has it: `frame.read_text()`",
        "close": "the session has it: `await session.close()`",
        "send": "the session has it: `await session.send(...)`",
        "HttpHeaders": 'headers are named by strings: `response.headers["content-type"]`',
        "ContentType": 'types are strings: `content_type("application/json")`',
        "URLBuilder": "write `from ktor_client import Url`",
        "URL": "write `from ktor_client import Url`",
        "Parameters": "write `params={...}` or `form={...}`",
        "FormDataContent": FORM,
        "MultiPartFormDataContent": FORM,
        "TextContent": "write `body=...`, and the block `content_type(...)`",
        "ByteArrayContent": "write `body=...`, and the block `content_type(...)`",
        "runBlocking": "write `asyncio.run(main())`",
        "run_blocking": "write `asyncio.run(main())`",
        "echo_server": "write `from ktor_client.testing import echo_server`",
        "ClientSession": f"write `from ktor_client import HttpClient` and {CLIENT}",
        "AsyncClient": f"write `from ktor_client import HttpClient` and {CLIENT}",
        "Client": f"write `from ktor_client import HttpClient` and {CLIENT}",
        **dict.fromkeys(
            "connect web_socket webSocket websocket ws ws_connect aconnect_ws".split(),
            f"write {CLIENT} and {CALL}",
        ),
        **{
            name: f"write {CLIENT} and `await client.{name}(url)`"
            for name in ("get", "post", "put", "patch", "delete", "head", "options", "request")
        },
    },
    "ktor_client.engine": _ENGINES,
    "ktor_client.engines": _ENGINES,
    "ktor_client.plugins": _PLUGINS,
    "ktor_client.testing": {
        "testApplication": "write `from ktor_client.engines import TestEngine`",
        "test_application": "write `from ktor_client.engines import TestEngine`",
        "TestClient": "write `from ktor_client.engines import TestEngine`",
        "respondOk": "write `from ktor_client.testing import respond`",
        "respond_ok": "write `from ktor_client.testing import respond`",
        "respondError": "write `from ktor_client.testing import respond`, and `status=500`",
        "respond_error": "write `from ktor_client.testing import respond`, and `status=500`",
        "mock": "write `from ktor_client.engines import MockEngine`",
        "TestApplication": "write `from ktor_client.engines import TestEngine`",
    },
}
"""By module, then by name. A public class is found in whichever module has it, by rule."""
