"""The site that the browser visits: pages, the archive for Pyodide, and peers for every trap.

A peer that is asked with `?id=...` tells afterwards what it saw, at `/seen/<id>`: a browser shows
only its own half of a conversation.
"""

import asyncio
import io
import zipfile
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType, web

from ktor_client.testing import EchoServer
from ktor_client.testing.exchange import Exchange, Response

from .lane import CACHE, HERE, PYODIDE, ROOT

CSP = "script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'"
"""Forbids eval, in the page and in the worker: neither the engine nor its tests may need it."""

IN_PAGE_DISTRIBUTIONS = ("pytest", "pluggy", "iniconfig", "packaging", "pygments")


def archive() -> bytes:
    """Everything for site-packages: the client, the tests, and the pytest of this environment."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as into:
        for folder, base in (
            (ROOT / "ktor_client", ROOT),
            (HERE / "in_page", HERE),
            (HERE / "page", HERE / "page"),
        ):
            for path in sorted(folder.rglob("*.py")):
                into.write(path, path.relative_to(base))
        for name in IN_PAGE_DISTRIBUTIONS:
            for file in distribution(name).files or ():
                if ".." not in file.parts and file.suffix not in (".pyc", ".so"):
                    into.write(Path(str(file.locate())), str(file))
    return packed.getvalue()


class Site:
    """The application, and what its peers have seen."""

    def __init__(self) -> None:
        self._archive = archive()
        self._seen: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._go: dict[str, asyncio.Event] = {}
        self._streams: dict[tuple[str, str], tuple[int, int, dict[int, str]]] = {}
        """By id and name: connections before, the last message that came, and what was sent."""
        self.app = web.Application(client_max_size=64 * 1024 * 1024)
        self.app.on_response_prepare.append(self._forbid_eval)
        self.app.router.add_static("/page", HERE / "page")
        self.app.router.add_static("/pyodide", PYODIDE)
        CACHE.mkdir(exist_ok=True)
        self.app.router.add_static("/cache", CACHE)
        self.app.router.add_get("/site.zip", self._site_zip)
        self.app.router.add_get("/seen/{id}", self._tell)
        self.app.router.add_post("/go/{id}", self._let_go)
        self.app.router.add_get("/passed/{id}", self._wait_passed)
        peers = [self.echo, self.close, self.silent, self.abort]
        peers += [self.burst, self.stuck, self.refuse, self.ping, self.sequence]
        for peer in peers:
            self.app.router.add_get(f"/ws/{peer.__name__}", peer)
        answers = [self.mirror, self.status, self.stream, self.endless, self.hang, self.redirect]
        for answer in answers:
            self.app.router.add_route("*", f"/http/{answer.__name__}", answer)

    # --- pages ---

    async def _forbid_eval(self, request: web.Request, response: web.StreamResponse) -> None:
        if request.path.startswith("/page/"):
            response.headers["Content-Security-Policy"] = request.query.get("csp", CSP)

    def echo_server(self) -> EchoServer:
        """The package's own server, with the same pages; not started."""
        files = {"/page": HERE / "page", "/pyodide": PYODIDE}
        server = EchoServer(files=files, file_headers={"Content-Security-Policy": CSP})

        async def site_zip(exchange: Exchange) -> Response:
            """Everything for site-packages."""
            return Response(200, self._archive, content_type="application/zip")

        server.routes["/site.zip"] = site_zip
        return server

    async def _site_zip(self, request: web.Request) -> web.Response:
        return web.Response(body=self._archive)

    # --- what was seen ---

    def _visit(self, request: web.Request) -> asyncio.Future[dict[str, Any]]:
        return self.seen(request.query.get("id", ""))

    def seen(self, name: str) -> asyncio.Future[dict[str, Any]]:
        if name not in self._seen:
            self._seen[name] = asyncio.get_running_loop().create_future()
        return self._seen[name]

    async def _tell(self, request: web.Request) -> web.Response:
        return web.json_response(await self.seen(request.match_info["id"]))

    def _gate(self, name: str) -> asyncio.Event:
        return self._go.setdefault(name, asyncio.Event())

    async def _let_go(self, request: web.Request) -> web.Response:
        self._gate(request.match_info["id"]).set()
        return web.Response()

    async def _wait_passed(self, request: web.Request) -> web.Response:
        await self._gate(request.match_info["id"]).wait()
        return web.Response()

    async def _accept(self, request: web.Request, **options: Any) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(
            protocols=("chat", "superchat"), max_msg_size=0, compress=True, **options
        )
        await socket.prepare(request)
        return socket

    async def _until_closed(self, request: web.Request, socket: web.WebSocketResponse) -> None:
        """Read to the end and note code, reason and number of messages."""
        messages = total = 0
        async for message in socket:
            messages += 1
            total += len(message.data)
        self._note(request, code=socket.close_code, messages=messages, bytes=total)

    def _note(self, request: web.Request, **seen: Any) -> None:
        visit = self._visit(request)
        if not visit.done():
            visit.set_result(seen)

    # --- WebSocket peers ---

    async def echo(self, request: web.Request) -> web.StreamResponse:
        socket = await self._accept(request, autoclose=False)
        reason, code, messages = "", 1006, 0
        while True:
            message = await socket.receive()
            if message.type is WSMsgType.TEXT:
                messages += 1
                await socket.send_str(message.data)
            elif message.type is WSMsgType.BINARY:
                messages += 1
                await socket.send_bytes(message.data)
            else:
                if message.type is WSMsgType.CLOSE:
                    code, reason = message.data, message.extra or ""
                    await socket.close(code=code or 1000)
                break
        headers = dict(request.headers)
        self._note(request, code=code, reason=reason, messages=messages, headers=headers)
        return socket

    async def close(self, request: web.Request) -> web.StreamResponse:
        socket = await self._accept(request)
        for number in range(int(request.query.get("first", 0))):
            await socket.send_str(str(number))
        code = int(request.query.get("code", 1000))
        await socket.close(code=code, message=request.query.get("reason", "").encode())
        return socket

    async def silent(self, request: web.Request) -> web.StreamResponse:
        """Never answer, not even a Close, until told to go."""
        socket = await self._accept(request, autoclose=False)
        await self._gate(request.query.get("id", "")).wait()
        if request.transport is not None:
            request.transport.abort()
        return socket

    async def abort(self, request: web.Request) -> web.StreamResponse:
        socket = await self._accept(request)
        await socket.receive()
        assert request.transport is not None
        request.transport.abort()
        return socket

    async def burst(self, request: web.Request) -> web.StreamResponse:
        """Send n messages of a size as fast as the client takes them."""
        socket = await self._accept(request)
        number, size = int(request.query["n"]), int(request.query["size"])
        if "go" in request.query:
            await socket.receive()
        for at in range(number):
            if "binary" in request.query:
                await socket.send_bytes(b"%0*d" % (size, at))
            else:
                await socket.send_str(f"{at:0{size}}")
        await self._until_closed(request, socket)
        return socket

    async def stuck(self, request: web.Request) -> web.StreamResponse:
        """Read nothing until told to go."""
        socket = await self._accept(request)
        assert isinstance(request.transport, asyncio.Transport)
        request.transport.pause_reading()
        await self._gate(request.query["id"]).wait()
        request.transport.resume_reading()
        await self._until_closed(request, socket)
        return socket

    async def refuse(self, request: web.Request) -> web.StreamResponse:
        return web.Response(status=403, text="not you")

    async def ping(self, request: web.Request) -> web.StreamResponse:
        """Ping, and tell the client what its browser answered."""
        socket = await self._accept(request, autoping=False)
        await socket.ping(b"anybody?")
        message = await socket.receive()
        await socket.send_str(f"{message.type.name} {message.data.decode()}")
        await self._until_closed(request, socket)
        return socket

    async def sequence(self, request: web.Request) -> web.StreamResponse:
        """Speak with `SequenceResume`: echo each message, and drop the first connections."""
        name, cuts = request.query["id"], int(request.query["cuts"])
        socket = await self._accept(request)
        _, stream, came = (await socket.receive_str()).split()
        connection, last, kept = self._streams.setdefault((name, stream), (0, 0, {}))
        for number in list(kept):
            if number <= int(came):
                del kept[number]
        await socket.send_str(f"resumed {last}")
        for number, text in kept.items():
            await socket.send_str(f"{number} {text}")
        taken = 0
        async for message in socket:
            word, _, text = message.data.partition(" ")
            if word == "ack":
                continue
            if int(word) > last:
                last = int(word)
                kept[last] = f"echo {text}"
                await socket.send_str(f"{last} {kept[last]}")
            self._streams[name, stream] = connection + 1, last, kept
            taken += 1
            if taken == 7 and connection < cuts:  # not even acknowledged
                assert request.transport is not None
                request.transport.abort()
                break
            await socket.send_str(f"ack {last}")
        return socket

    # --- HTTP ---

    async def mirror(self, request: web.Request) -> web.Response:
        body = await request.read()
        response = web.json_response(
            {
                "method": request.method,
                "headers": dict(request.headers),
                "query": dict(request.query),
                "body": body.decode("latin-1"),
            }
        )
        response.enable_compression()
        return response

    async def status(self, request: web.Request) -> web.Response:
        code = int(request.query["code"])
        text = None if code == 204 else "the body"
        fields = {"X-Twice": "one", "X-Name": "é☃"}
        response = web.Response(status=code, text=text, headers=fields)
        response.headers.add("X-Twice", "two")
        return response

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Send one chunk; the second when told that the first was received."""
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"first")
        await self._gate(request.query["id"]).wait()
        await response.write(b"second")
        if "break" in request.query and request.transport is not None:
            request.transport.abort()
        return response

    async def endless(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x" * 65536)
        except (ConnectionError, asyncio.CancelledError):
            self._note(request, aborted=True)
            raise

    async def hang(self, request: web.Request) -> web.StreamResponse:
        """Never answer."""
        self._gate(request.query["id"] + "-arrived").set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self._note(request, aborted=True)
            raise
        raise AssertionError

    async def redirect(self, request: web.Request) -> web.Response:
        raise web.HTTPFound("/http/mirror?redirected=yes")
