"""What the answers to several mistakes have in common."""

from __future__ import annotations

__all__ = [
    "AUTH",
    "BASE_URL",
    "CALL",
    "CHUNKS",
    "CLIENT",
    "COOKIES",
    "DEFLATE",
    "ENGINE_TLS",
    "EVENTS",
    "FORM",
    "HEADERS",
    "LIMIT",
    "LIMIT_OF_ENGINE",
    "NOWAIT",
    "PARAMS",
    "PLUGIN",
    "PONG",
    "PROXY",
    "QUEUE",
    "RECEIVE",
    "REDIRECTS",
    "REQUEST_TIMEOUT",
    "RETRY",
    "SEND",
    "SOCKET_TIMEOUT",
    "STATE",
    "SUCCESS",
    "TASKS",
    "TIMEOUT",
    "TLS",
    "option_of_sessions",
]

CLIENT = "`async with HttpClient() as client:`"
PLUGIN = "plugins are given to the client: `HttpClient(CIO, install(WebSockets))`"
TASKS = (
    "asyncio has tasks: `async with asyncio.TaskGroup() as tasks:`, and `tasks.create_task(...)`"
)
TIMEOUT = (
    "write the block `timeout(request=10)` after the URL, with `install(HttpTimeout)` for the "
    "client; for all requests `install(HttpTimeout, request_timeout=10)`"
)
TLS = (
    "the engine has it: `HttpClient(functools.partial(CIO, ssl_context=context))`; a context that "
    "trusts your certificate is `ssl.create_default_context(cafile=...)`"
)
PROXY = 'the engine has it: `HttpClient(functools.partial(CIO, proxy="http://..."))`'
HEADERS = "write `headers={...}`; for all requests `install(DefaultRequest, headers={...})`"
COOKIES = (
    "write the block `cookie(name, value)`; `install(HttpCookies)` keeps what servers set, and "
    "`install(HttpCookies, cookies=[...])` begins with some"
)
AUTH = (
    "write the block `basic_auth(user, password)` or `bearer_auth(token)`, or `install(Auth, ...)`"
)
POLICY = (
    "write `client.web_socket_reconnecting(url, policy=RetryPolicy(Backoff(...), max_attempts=3))`"
)
RETRY = "write `install(HttpRequestRetry, max_retries=3)` for the client"
SUCCESS = (
    "write the block `expect_success()` after the URL, or `HttpClient(..., expect_success=True)`"
)
REDIRECTS = (
    "the client has it: `HttpClient(..., follow_redirects=False)`, and `install(HttpRedirect, ...)`"
)
BASE_URL = 'write `install(DefaultRequest, url="https://example.org/v1/")`'
PARAMS = "write `params={...}`"
FORM = "write `form={...}`, and `files={...}` for files"
RECEIVE = (
    "write `async for message in session:`, `await session.receive_text()` or `receive_bytes()`, "
    "or `await session.incoming.receive()` for a frame; `async with asyncio.timeout(10):` around "
    "it limits the wait"
)
SEND = "write `await session.send(...)`: str is sent as text, bytes as binary"
STATE = "write `session.is_open`, or `session.close_reason` for how it ended"
NOWAIT = "write `receive_nowait()`, which raises `asyncio.QueueEmpty` where nothing is queued"
EVENTS = "write `client.events.subscribe(...)`, which hears of each request and response"
REQUEST_TIMEOUT = "write `install(HttpTimeout, request_timeout=10)`"
SOCKET_TIMEOUT = "write `install(HttpTimeout, socket_timeout=10)`"
LIMIT_OF_ENGINE = "the engine has it: `HttpClient(functools.partial(CIO, limit=100))`"
ENGINE_TLS = (
    "write `ssl_context=...`; a context that trusts your certificate is "
    "`ssl.create_default_context(cafile=...)`"
)
CALL = "`async with client.web_socket(url) as session:`"
CHUNKS = (
    "write `async with client.prepare_get(url) as response:`, and in it "
    "`async for chunk in response.chunks():`"
)


def option_of_sessions(name: str) -> str:
    """Say where an option of sessions belongs."""
    return (
        f"it is an option of the plugin: `install(WebSockets, {name}=...)`; for some sessions "
        f"alone `client.config(install(WebSockets, {name}=...)).web_socket(url)`"
    )


LIMIT = option_of_sessions("max_frame_size")
PONG = option_of_sessions("timeout") + ", in seconds, beside `ping_interval`"
DEFLATE = "write `install(WebSockets, extensions=[WebSocketDeflate()])`"
QUEUE = "write `install(WebSockets, channels=Channels(incoming=bounded(64)))`"
