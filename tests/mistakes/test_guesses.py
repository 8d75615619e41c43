"""What somebody types who knows Ktor, httpx, aiohttp or websockets: it works, or is answered."""

from __future__ import annotations

import textwrap
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ktor_client import HttpClient, install
from ktor_client.plugins import SSE, WebSockets
from ktor_client.testing import echo_server
from tests.mistakes.test_table import NAMES

URL = "'ws://127.0.0.1:8080/echo'"
HELLO = "'http://127.0.0.1:8080/hello'"
BODY = "'http://127.0.0.1:8080/echo-body'"
PLACE = "host='127.0.0.1', port=8080, path='/echo'"

WORKS = f"""
from ktor_client.engines import CIO
HttpClient('aiohttp', install(WebSockets))
HttpClient('AiohttpEngine', install(WebSockets))
HttpClient('CIO', lambda c: c.install(WebSockets))
HttpClient(AiohttpEngine(), install(WebSockets))
HttpClient(CIO, expect_success=True)
HttpClient(CIO, install(DefaultRequest, url='http://127.0.0.1:8080/'))
async with client.ws({PLACE}) as s: assert s.is_open
async with client.web_socket(method=HttpMethod.Get, {PLACE}) as s: assert s.is_open
async with client.web_socket(method='get', {PLACE}) as s: assert s.is_open
async with client.web_socket(method='GET', host='', port=8080, path='/echo') as s: assert s
s = await client.web_socket_session({PLACE}); await s.close()
async with client.web_socket(url={URL}) as s: assert s.call.response.status == 101
async with client.web_socket({URL}, headers={{'a': 'b'}}) as s: assert s.is_open
async with client.web_socket({URL}, lambda r: r.headers.add('a', 'b')) as s: assert s.is_open
await s.send('x'); f = await s.incoming.receive(); assert isinstance(f, Frame.Text)
await s.send('x'); f = await s.incoming.receive(); assert f.read_text() == 'x'
await s.outgoing.send(Frame.Text('x')); assert await s.incoming.receive() == Frame.Text('x')
await s.close(CloseReason(CloseReason.Codes.NORMAL, 'bye')); assert await s.close_reason
await s.send(Frame.Binary(b'x', True)); assert await s.receive_bytes() == b'x'
await s.flush(); await s.ping(); await s.send(Frame.Ping(b'x'))
s.ping_interval = 5; assert s.ping_interval == 5
r = await client.get({HELLO}); assert await r.body(str) == await r.body_as_text()
r = await client.get({HELLO}, parameter('a', 1)); assert r.request.url.query == 'a=1'
r = await client.get({HELLO}, content_type('text/plain'), bearer_auth('x'), accept('text/plain'))
r = await client.post({BODY}, body='x'); assert await r.body_as_text() == 'x'
async with client.prepare_get({HELLO}) as r: assert r.status == http.HTTPStatus.OK
client.sse('http://127.0.0.1:8080/sse')
"""

ANSWERED = {
    "from ktor_client import AiohttpEngine": "from ktor_client.engines import AiohttpEngine",
    "from ktor_client import WebSockets": "from ktor_client.plugins import WebSockets",
    "from ktor_client import MockEngine, respond": "from ktor_client.engines import MockEngine",
    "from ktor_client import set_body": "client.post(url, body=...)",
    "from ktor_client import HttpStatusCode": "http.HTTPStatus",
    "from ktor_client import default_request": "install(DefaultRequest",
    "from ktor_client.engines import OkHttp": "from ktor_client.engines import HttpxEngine",
    "from ktor_client.engines import Js": "from ktor_client.engines import BrowserEngine",
    "from ktor_client.plugins import HttpCache": "not cached",
    "from ktor_client.plugins import ResponseObserver": "client.events.subscribe",
    "from ktor_client.plugins import Resources": "client.get(url, params={...})",
    "from ktor_client.plugins import HttpClient": "from ktor_client import HttpClient",
    "from ktor_client.websockets import WebSockets": "from ktor_client.plugins import WebSockets",
    "from ktor_client.engines.cio import CIO": "from ktor_client.engines import CIO",
    "import ktor_client.plugins.websocket": "from ktor_client.plugins import WebSockets",
    "from ktor_client import HTTPClient": "write `from ktor_client import HttpClient`",
    "from ktor_client import Websockets": "write `from ktor_client.plugins import WebSockets`",
    "from ktor_client import HttpCleint": "did you mean `from ktor_client import HttpClient`?",
    "from ktor_client.plugins import HttpTimout": "import HttpTimeout`?",
    "HttpClient('okhttp')": "did you mean 'httpx'?",
    "HttpClient('curl')": "did you mean 'cio'?",
    f"await client.get({HELLO}, headers={{'a': 1}})": "the value of 'a' is int",
    "await client.get('http://127.0.0.1:80800/')": "a port is at most 65535",
    "await s.send(b'x'); await s.receive_text()": "receive_bytes() takes those",
    "await s.send('x'); await s.receive_bytes()": "receive_text() takes those",
    "list(s.incoming)": "async for frame in session.incoming:",
    "HttpClient(CIO, install(WebSockets, pingInterval=20))": "write `ping_interval=...`",
    "HttpClient(CIO, install(WebSockets, maxFrameSize=1))": "write `max_frame_size=...`",
    "install(WebSockets, pingIntervalMillis=20_000)": "`ping_interval=20`: times are in seconds",
    "install(HttpTimeout, requestTimeoutMillis=500)": "`request_timeout=0.5`",
    "install(HttpTimeout, request_timeout_millis=None)": "`request_timeout=...`",
    "HttpClient(CIO, expectSuccess=True)": "expect_success=...",
    "HttpClient(CIO, timeout=3)": "install(HttpTimeout, request_timeout=10)",
    "HttpClient(CIO, plugins=[WebSockets])": "install(...)",
    "HttpClient(CIO, verify=False)": "ssl_context",
    "HttpClient(CIO).install(WebSockets)": "HttpClient(CIO, install(WebSockets))",
    f"client.webSocket({PLACE})": "write `web_socket`",
    f"client.web_socket(method=HttpMethod.GET, {PLACE})": "write `HttpMethod.Get`",
    f"client.web_socket({URL}, ping_interval=5)": "client.config(install(WebSockets, ping_",
    f"client.web_socket({URL}, max_frame_size=5)": "client.config(install(WebSockets, max_",
    f"client.web_socket({URL}, max_size=None)": "max_frame_size=...",
    f"client.web_socket({URL}, ping_timeout=3)": "install(WebSockets, timeout=...)",
    f"client.web_socket({URL}, origin='x')": 'headers={"Origin"',
    f"client.web_socket({URL}, protocols=['x'])": "subprotocols=",
    f"client.ws({URL}, heartbeat=3)": "ping_interval",
    f"await client.web_socket_session({URL}, compression=None)": "WebSocketDeflate",
    "async def b(s): print(s)\nawait client.web_socket('ws://127.0.0.1:8080/echo', b)": ".execute(",
    "await client.web_socket_session('GET', '127.0.0.1', 8080, '/echo')": "given by name",
    f"client.web_socket({URL}, lambda r: r.header('a', 'b'))": "request.headers.add(",
    f"client.web_socket({URL}, lambda r: r.headers.append('a', 'b'))": "headers.add(",
    f"await client.post({BODY}, lambda r: r.set_body('x'))": "request.body = ...",
    f"await client.submit_form({BODY}, form_parameters={{}})": "client.post(url, form={...})",
    f"await client.get({HELLO}, timeout=3)": "timeout(request=10)",
    f"await client.get({HELLO}, cookies={{}})": "cookie(name, value)",
    f"await client.get({HELLO}, verify=False)": "ssl_context",
    f"await client.get({HELLO}, json={{}})": 'client.request("GET", url, json=...)',
    f"await client.post({BODY}, data='x')": "body=...",
    f"r = await client.get({HELLO}); r.json()": "response.body(dict)",
    f"r = await client.get({HELLO}); r.text": "response.body_as_text()",
    f"r = await client.get({HELLO}); r.status_code": "response.status",
    f"r = await client.get({HELLO}); await r.bodyAsText()": "body_as_text",
    f"r = await client.get({HELLO}); await r.body()": "response.body(dict)",
    f"r = await client.get({HELLO}); r.raise_for_status()": "expect_success",
    f"r = await client.get({HELLO}); r.ok": "response.status < 400",
    f"r = await client.get({HELLO}); r.status.value": "a status is an int",
    f"r = await client.get({HELLO}); r.status.isSuccess()": "200 <= response.status < 300",
    f"r = await client.get({HELLO}); r.status.description": "response.reason",
    f"r = await client.get({HELLO}); await r.body[dict]()": "await response.body(dict)",
    f"r = await client.get({HELLO}); r.encoding": "await response.body_as_text()",
    f"r = await client.get({HELLO}); r.iter_chunked(5)": "response.chunks()",
    f"r = await client.get({HELLO}); r.requestTime": "client.events.subscribe(...)",
    f"await client.get({HELLO}, requestTimeoutMillis=5)": "timeout(request=10)",
    f"await client.get({HELLO}, chunks=5)": "it has: url, params, headers",
    f"await client.request({HELLO})": 'client.request("GET", url)',
    f"await client.post({BODY}, {{'a': 1}})": "body=, json=, form=",
    "client.plugin('WebSockets')": "client.plugin(WebSockets)",
    "client.pluginOrNull(WebSockets)": "client.plugin_or_none(WebSockets)",
    "client.websocket('/')": "client.web_socket(url)",
    "client.websocket_session('/')": "client.web_socket_session(url)",
    "client.event_hooks": "client.events.subscribe(...)",
    "Url('http://example.org/')": 'Url.parse("https://example.org/")',
    "Url.parse('http://a/').encodedPathAndQuery": "url.target",
    "HttpMethod.Get.value": "str(HttpMethod.Get)",
    "CIO(verify=False)": "ssl_context=...",
    "HttpClient(functools.partial(CIO, maxConnectionsCount=5))": "limit=...",
    "HttpClient(functools.partial(AiohttpEngine, connector=5))": "session=...",
    "HttpClient(install(WebSockets))": "HttpClient(CIO, install(WebSockets))",
    "HttpClient(CIO, max_size=5)": "install(WebSockets, max_frame_size=...)",
    "install(WebSockets, additional_headers={})": "client.web_socket(url, headers={...})",
    "install(WebSockets, protocols=['x'])": "client.web_socket(url, subprotocols=[...])",
    "install(UserAgent, 'x')": "install(UserAgent, agent=...)",
    "install(Auth, bearer='x')": "providers=[BearerAuth(",
    "install(Auth, BasicAuth('a', 'b'))": "install(Auth, providers=...)",
    "install(HttpRequestRetry, delayMillis=5)": "times are in seconds",
    "install(HttpTimeout, sock_read=5)": "socket_timeout=...",
    "install(ContentEncoding, gzip=True)": 'accept=("gzip", "deflate")',
    f"client.ws({URL}, pingIntervalMillis=5)": "install(WebSockets, ping_interval=...)",
    f"client.ws({URL}, keepalive_ping_timeout_seconds=5)": "install(WebSockets, timeout=...)",
    f"client.ws({URL}, process_exception=print)": "client.web_socket_reconnecting(url)",
    f"client.ws({URL}, nothing_like_it=5)": "it has: url, method, host, port, path,",
    "from ktor_client import WSMsgType": "isinstance(frame, Frame.Text)",
    "from ktor_client import WebSocketDisconnect": "import ConnectionClosedError",
    "from ktor_client import ClientTimeout": "install(HttpTimeout, request_timeout=10)",
    "from ktor_client import submitForm": "client.post(url, form={...})",
    "from ktor_client import aconnect_ws": "client.web_socket(url)",
    "from ktor_client.engine import CIO": "from ktor_client.engines import CIO",
    "from ktor_client.plugins import bearer": "from ktor_client.plugins import BearerAuth",
    "for f in s: pass": "async for message in session:",
    "await s.outgoing.send('x')": "Frame.Text(...)",
    "await s.incoming.receive_catching()": "async for frame in session.incoming:",
    "await s.incoming.receiveCatching()": "async for frame in session.incoming:",
    "s.incoming.try_receive()": "receive_nowait()",
    "s.incoming.poll()": "receive_nowait()",
    "s.outgoing.trySend(Frame.Text('x'))": "send_nowait(frame)",
    "await s.receiveText()": "receive_text",
    "await s.receive_deserialized[dict]()": "await session.receive_deserialized(dict)",
    "await s.receive_json()": "session.receive_deserialized(dict)",
    "await s.send_str('x')": "session.send(...)",
    "await s.write_message('x')": "session.send(...)",
    "await s.recv(timeout=5)": "async with asyncio.timeout(10):",
    "s.url": "session.call.request.url",
    "s.response_headers": "session.call.response.headers",
    "s.close_rcvd": "session.close_reason.received",
    "s.incoming.qsize()": "len(session.incoming)",
    "s.incoming.receive_text()": "session.receive_text()",
    "s.outgoing.invokeOnClose(print)": "session.wait_closed()",
    "await s.send('x'); (await s.incoming.receive()).readText()": "write `frame.read_text()`",
    "await s.send('x'); (await s.incoming.receive()).json()": "receive_deserialized(dict)",
    "Frame.Text('x').type": "frame.frame_type",
    "Frame.Text('x').payload": "frame.data",
    "Frame.Binary(b'x').text": "frame.data",
    "Frame.Close(1000)": "Frame.Close(CloseReason(1000))",
    "Frame.Close().code": "frame.read_reason()",
    "Frame.TEXT": "Frame.Text(...)",
    "Frame.byType(FrameType.TEXT, b'x')": "by_type",
    "FrameType.TEXT.controlFrame": "frame_type.is_control",
    "CloseReason(1000, reason='bye')": 'CloseReason(1000, "bye")',
    "CloseReason()": 'CloseReason(1000, "bye")',
    "await s.close('bye')": "close(CloseReason(1000, 'bye'))",
    "await s.recv()": "session.receive_text()",
    "await s.receive()": "session.receive_text()",
    "await s.send_json({})": "session.send_serialized(",
    "s.closeReason": "close_reason",
    "CloseReason.Codes.GoingAway": "write `GOING_AWAY`",
    "FrameType.Text": "write `TEXT`",
    "LogLevel.headers": "write `HEADERS`",
    "await s.close(1000, 'bye')": 'CloseReason(1000, "bye")',
    "await s.close(4000)": "close(CloseReason(4000))",
    "await s.close(code=4000)": 'CloseReason(1000, "bye")',
    "Frame.Binary(True, b'x')": "the payload comes first",
    "Frame.Text(True, b'x')": "the payload comes first",
    "await s.send_serialized({'a': 1})": "content_converter=JsonConverter()",
    "s.launch(None)": "asyncio.TaskGroup()",
    "s.coroutine_context": "asyncio.TaskGroup()",
    "s.is_active": "session.is_open",
    "s.closed": "session.is_open",
    "s.pingIntervalMillis = 5000": "session.ping_interval = 5",
    "await s.send_stream(['a', 'b'])": "send_stream takes an async iterable of str or bytes, not l",
    "RetryPolicy(max_retries=3)": "write `max_attempts=...`",
    "RetryPolicy(first=1)": "write `backoff=Backoff(first=1)`",
    "Backoff(base=1)": "write `first=...`",
    f"client.web_socket_reconnecting({URL}, max_attempts=3)": "policy=RetryPolicy(Backoff(...), ",
    "await client.get('127.0.0.1:8080/hello')": "write http://host/path or ws://host/path",
    "BearerAuth('token')": "install(DefaultRequest, headers={'Authorization': ...})",
    "HttpClient('cio', install(DefaultRequest, headers='X-Id: 1'))": "headers takes a mapping or",
    "HttpClient('cio', install(DefaultRequest, headers={'X-Id': 1}))": "the value of 'X-Id' is int",
    "install(HttpCallValidator, handle_response_exception=print)": "write `on_error=...`",
    "client.aclose()": "client.close()",
    "client.stream('GET', '/')": "client.prepare_get(url)",
}


@pytest.fixture
async def names() -> AsyncIterator[dict[str, Any]]:
    """Return the names that a program has: what is public, a client, and an open session."""
    async with (
        echo_server() as server,
        HttpClient("cio", install(WebSockets), install(SSE)) as client,
        client.web_socket(f"{server.url}/echo") as session,
    ):
        yield NAMES | {"client": client, "s": session, "port": str(server.port)}


async def run(code: str, names: dict[str, Any]) -> None:
    code = code.replace("8080", names["port"])
    exec("async def program():\n" + textwrap.indent(code, "    "), names)
    await names["program"]()


@pytest.mark.parametrize("code", WORKS.strip().splitlines())
async def test_what_works(code: str, names: dict[str, Any]) -> None:
    await run(code, names)


@pytest.mark.parametrize("code", ANSWERED)
async def test_what_is_answered(code: str, names: dict[str, Any]) -> None:
    answer = ANSWERED[code]
    with pytest.raises(Exception, match=r"(?s).+") as caught:
        await run(code, names)
    assert answer in str(caught.value), caught.value


def test_milliseconds_are_questioned() -> None:
    with pytest.warns(UserWarning, match=r"5\.6 hours: .* Write ping_interval=20 if ") as caught:
        HttpClient("cio", install(WebSockets, ping_interval=20_000))
    assert caught[0].filename == __file__
    names = {"HttpClient": HttpClient, "install": install, "WebSockets": WebSockets}
    with pytest.warns(UserWarning, match=r"5\.6 hours"):  # from code without a module
        exec("HttpClient('cio', install(WebSockets, ping_interval=20_000))", names)
    from datetime import timedelta

    HttpClient("cio", install(WebSockets, ping_interval=timedelta(hours=5)))
    HttpClient("cio", install(WebSockets, ping_interval=3600))
