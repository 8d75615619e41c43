"""Plain HTTP routes of the echo server. A route's docstring is its line in `GET /`."""

from __future__ import annotations

import asyncio
import base64
import gzip
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING

from ktor_client.http import Headers
from ktor_client.testing.exchange import Refusal, Response

if TYPE_CHECKING:
    from ktor_client.testing.exchange import Exchange

__all__ = [
    "BASIC_PASSWORD",
    "BASIC_USER",
    "NO_HEADERS",
    "PATTERN",
    "ROUTES",
    "TOKEN",
    "check_basic",
]

NO_HEADERS = Headers()
PATTERN = b"0123456789abcdef"
"""What the bodies of /coded repeat."""
TOKEN = "valid"
BASIC_USER, BASIC_PASSWORD = "user1", "Password1"
RECORD_TIMEOUT = 15.0


async def index(exchange: Exchange) -> Response:
    """This list."""
    lines = ["ktor-client echo server. Query parameters in brackets.", ""]
    routes = {path.rstrip("/"): handler for path, handler in exchange.server.routes.items()}
    for path, handler in sorted(routes.items()):
        lines.append(f"{path or '/':<24} {' '.join((handler.__doc__ or '').split())}")
    return Response(200, "\n".join(lines) + "\n")


async def hello(exchange: Exchange) -> Response:
    """Say hello."""
    return Response(200, "hello from the echo server")


async def echo_body(exchange: Exchange) -> Response:
    """Return the request's body, with its Content-Type."""
    kind = exchange.headers.get("content-type", "application/octet-stream")
    return Response(200, await exchange.body(), content_type=kind)


async def request(exchange: Exchange) -> Response:
    """Return method, target, headers and body of the request as JSON."""
    body = await exchange.body()
    return Response.json(
        {
            "method": exchange.method,
            "target": exchange.target,
            "parameters": exchange.parameters,
            "headers": exchange.headers.fields(),
            "body": body.decode("utf-8", "replace"),
        }
    )


async def status(exchange: Exchange) -> Response:
    """/status/N[?body=][&retry_after=]: answer with that status, also to a handshake."""
    code = _last_number(exchange, 599)
    if code < 200:
        raise Refusal(400, "a final status is within 200..599")
    response = Response(code, exchange.query.get("body", f"status {code}"))
    if "retry_after" in exchange.query:
        response.headers.add("Retry-After", exchange.query["retry_after"])
    return response


async def server_error(exchange: Exchange) -> Response:
    """Answer 500."""
    return Response(500, "status 500")


async def redirect(exchange: Exchange) -> Response:
    """/redirect?to=URL[&status=302]: redirect there; /redirect/N: N times, then /hello or /echo."""
    code = exchange.number("status", 302, 399)
    to = exchange.query.get("to")
    if to is None:
        left = _last_number(exchange, 1000)
        end = "/echo" if exchange.is_web_socket else "/hello"
        to = f"/redirect/{left - 1}?status={code}" if left > 1 else end
    return Response(code, f"see {to}", headers={"Location": to})


async def cookies(exchange: Exchange) -> Response:
    """/cookies: the Cookie header as text; /cookies/set?name=value: set those."""
    if exchange.path.rstrip("/").endswith("/set"):
        fields = [("Set-Cookie", f"{n}={v}; Path=/") for n, v in exchange.parameters]
        return Response(200, "set", headers=fields)
    return Response(200, exchange.headers.get("cookie", ""))


async def gzipped(exchange: Exchange) -> Response:
    """[size=5]: that many times "x", with Content-Encoding: gzip."""
    body = await asyncio.to_thread(gzip.compress, b"x" * exchange.number("size", 5, 1 << 26))
    return Response(200, body, headers={"Content-Encoding": "gzip"})


async def coded(exchange: Exchange) -> Response:
    """[coding=gzip][&size=10000][&cut=0][&status=200]: a body in those codings, less its end."""
    codings = exchange.query.get("coding", "gzip")
    body = PATTERN * (exchange.number("size", 10_000, 1 << 24) // len(PATTERN))
    for coding in codings.split(","):
        pack = _PACK.get(coding.strip())
        body = body if pack is None else await asyncio.to_thread(pack, body)
    body = body[: len(body) - exchange.number("cut", 0, len(body))]
    status = exchange.number("status", 200, 599)
    return Response(status, body, headers={"Content-Encoding": codings, "Retry-After": "9"})


async def serial(exchange: Exchange) -> Response:
    """The number of the connection: the same for requests that went over the same one."""
    return Response(200, str(exchange.stream.serial))


async def chunks(exchange: Exchange) -> Response:
    """[n=10][&size=1000]: a body of n chunks; n=0: chunks without end."""
    count, size = exchange.number("n", 10), exchange.number("size", 1000, 1 << 24)

    async def body() -> AsyncIterator[bytes]:
        sent = 0
        while not count or sent < count:
            yield b"x" * size
            sent += 1
            await asyncio.sleep(0)

    return Response(200, body(), content_type="application/octet-stream")


async def events(exchange: Exchange) -> Response:
    """[n=3]: n server-sent events, from Last-Event-ID on; 204 when there are no more."""
    last, count = exchange.headers.get("last-event-id", ""), exchange.number("n", 3)
    first = int(last) + 1 if last.isascii() and last.isdigit() else 1
    if first > count:
        return Response(204)

    async def body() -> AsyncIterator[bytes]:
        yield b"retry: 10\n\n"
        for number in range(first, count + 1):
            yield b"id: %d\ndata: event %d\n\n" % (number, number)
            await asyncio.sleep(0)

    return Response(200, body(), content_type="text/event-stream")


async def bearer(exchange: Exchange) -> Response:
    """Needs Authorization: Bearer valid."""
    check_bearer(exchange)
    return Response(200, "Hello from server")


async def basic(exchange: Exchange) -> Response | None:
    """Needs Basic user1 / Password1; a WebSocket here is an echo (/auth/basic/...)."""
    check_basic(exchange)
    if exchange.is_web_socket:
        from ktor_client.testing.web_socket_routes import echo

        return await echo(exchange)
    return Response(200, f"Hello, {BASIC_USER}")


def check_bearer(exchange: Exchange) -> None:
    """Refuse with 401 what has not the token "valid"."""
    if exchange.headers.get("authorization") != f"Bearer {TOKEN}":
        raise Refusal(401, "no valid token", {"WWW-Authenticate": 'Bearer realm="echo"'})


def check_basic(exchange: Exchange) -> None:
    """Refuse with 401 what has not user1 and Password1."""
    wanted = base64.b64encode(f"{BASIC_USER}:{BASIC_PASSWORD}".encode()).decode()
    if exchange.headers.get("authorization") != f"Basic {wanted}":
        raise Refusal(401, "wrong user or password", {"WWW-Authenticate": 'Basic realm="echo"'})


async def session(exchange: Exchange) -> Response:
    """?id=: what is known now of the newest session opened with that id, as JSON."""
    record = exchange.server.sessions.get(exchange.query.get("id", ""))
    if record is None:
        raise Refusal(404, "no session with that id")
    return Response.json(record.as_json())


async def recorded(exchange: Exchange) -> Response:
    """?id=: the same, once that session has ended; "code" and "reason" are the client's Close."""
    record = exchange.server.sessions.get(exchange.query.get("id", ""))
    if record is None:
        raise Refusal(404, "no session with that id")
    try:
        async with asyncio.timeout(RECORD_TIMEOUT):
            await record.ended.wait()
    except TimeoutError:
        raise Refusal(504, "that session is still open") from None
    return Response.json(record.as_json())


async def release(exchange: Exchange) -> Response:
    """?id=: let a session of /stalled read on."""
    record = exchange.server.sessions.get(exchange.query.get("id", ""))
    if record is None:
        raise Refusal(404, "no session with that id")
    record.released.set()
    return Response.json(record.as_json())


async def connections(exchange: Exchange) -> Response:
    """How many connections and sessions are open, as JSON."""
    server = exchange.server
    return Response.json({"connections": server.connections, "sessions": len(server.sessions)})


_PACK: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "deflate": zlib.compress}


def _last_number(exchange: Exchange, most: int) -> int:
    text = exchange.path.rpartition("/")[2]
    if not (text.isascii() and text.isdigit() and int(text) <= most):
        raise Refusal(400, f"the path ends in a number up to {most}, not {text!r}")
    return int(text)


ROUTES: dict[str, Callable[[Exchange], Awaitable[Response | None]]] = {
    "/": index,
    "/hello": hello,
    "/echo-body": echo_body,
    "/request": request,
    "/status/": status,
    "/500": server_error,
    "/redirect": redirect,
    "/redirect/": redirect,
    "/cookies": cookies,
    "/cookies/": cookies,
    "/gzip": gzipped,
    "/coded": coded,
    "/serial": serial,
    "/chunks": chunks,
    "/events": events,
    "/auth/bearer": bearer,
    "/auth/basic": basic,
    "/auth/basic/": basic,
    "/session": session,
    "/recorded": recorded,
    "/release": release,
    "/connections": connections,
}
