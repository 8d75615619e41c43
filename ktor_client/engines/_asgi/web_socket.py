"""One WebSocket to the app: connecting, then open or denied, then closed.

The server's side is a session of ours, which answers pings and Close, joins fragments, keeps the
limits and holds senders back; here it is told in ASGI's events.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ktor_client.channels import Channels
from ktor_client.engine import WebSocketUpgrade
from ktor_client.engines._asgi.failures import Failures, is_about_disconnect
from ktor_client.engines._asgi.response import ResponseInTheMaking
from ktor_client.engines._asgi.scope import App, Event, Scope, headers_from
from ktor_client.errors import ClientClosedError, ConnectError, ConnectionClosedError
from ktor_client.frames import CloseReason, TextFrame
from ktor_client.http import Headers, HttpRequest, HttpResponse
from ktor_client.link import FrameLink
from ktor_client.memory.outcome import outcome
from ktor_client.protocol.acceptance import accept
from ktor_client.protocol.extensions import WebSocketExtension
from ktor_client.protocol.handshake import Negotiated
from ktor_client.session import DefaultWebSocketSession, SessionCore

__all__ = ["WebSocketConnection"]

Connect = Callable[[], tuple[FrameLink, FrameLink]]
"""Makes the client's and the server's end."""


class WebSocketConnection:
    """The app's side of one WebSocket."""

    def __init__(
        self,
        app: App,
        scope: Scope,
        request: HttpRequest,
        failures: Failures,
        extensions: tuple[WebSocketExtension, ...],
        max_frame_size: int,
        connect: Connect,
    ) -> None:
        self._app = app
        self._scope = scope
        self._request = request
        self._failures = failures
        self._fields, self._negotiated = accept(request.headers, (), extensions)
        self._max_frame_size = max_frame_size
        self._connect = connect
        self._denial = ResponseInTheMaking(request)
        self._session: DefaultWebSocketSession | None = None
        self._is_connected = False
        self._decided = asyncio.Event()
        self._decision: asyncio.Future[WebSocketUpgrade] = (
            asyncio.get_running_loop().create_future()
        )

    async def upgrade(self) -> WebSocketUpgrade:
        """Return the app's decision. Raises what the app raised before it decided."""
        return await asyncio.shield(self._decision)

    async def run(self) -> None:
        """Run the app, and close the WebSocket when it has ended: 1000, or 1011 if it raised."""
        try:
            error = await outcome("the app", self._app, self._scope, self._receive, self._send)
        except asyncio.CancelledError:
            closed = "TestEngine was closed during the handshake"
            self._fail(ClientClosedError(closed))
            self._denial.fail(ConnectError(closed))
            if self._session is not None:
                self._session.cancel()
            raise
        await self._end(error)

    async def _end(self, error: BaseException | None) -> None:
        session, denial = self._session, self._denial
        if session is not None:
            if error is not None and (session.is_open or not is_about_disconnect(error)):
                self._failures.add(error)
            code = CloseReason.Codes.NORMAL if error is None else CloseReason.Codes.INTERNAL_ERROR
            await session.close(CloseReason(code))
        elif not self._decision.done():
            if self._failures.enabled:
                silent = RuntimeError(f"the app neither accepted nor denied {self._request!r}")
                self._fail(error or silent)
            else:
                self._answer(HttpResponse(self._request, 500, Headers(), b"Internal Server Error"))
        elif not denial.over.is_set():
            unfinished = ConnectError(f"the app left its denial of {self._request!r} unfinished")
            unfinished.__cause__ = error
            denial.fail(unfinished)
        elif error is not None and not is_about_disconnect(error):
            self._failures.add(error)

    # --- the app's calls ---

    async def _receive(self) -> Event:
        if not self._is_connected:
            self._is_connected = True
            return {"type": "websocket.connect"}
        session = self._session
        if session is None:
            await self._decided.wait()
            session = self._session
            if session is None:
                await self._denial.over.wait()
                await asyncio.sleep(0)  # as below
                return {"type": "websocket.disconnect", "code": 1006, "reason": ""}
        try:
            frame = await session.incoming.receive()
        except ConnectionClosedError as ended:
            await asyncio.sleep(0)  # an app that asks again and again must not stop the loop
            reason = ended.reason.received or ended.reason  # what the client said, as servers do
            return {
                "type": "websocket.disconnect",
                "code": 1005 if reason.code is None else reason.code,
                "reason": reason.message,
            }
        if type(frame) is TextFrame:
            return {"type": "websocket.receive", "text": frame.text}
        return {"type": "websocket.receive", "bytes": frame.data}

    async def _send(self, event: Event) -> None:
        session, kind = self._session, event["type"]
        if session is not None:
            if kind == "websocket.send":
                text = event.get("text")
                await session.send(event["bytes"] if text is None else text)
            elif kind == "websocket.close":
                code = event.get("code", 1000)
                await session.close(CloseReason(code, event.get("reason") or ""))
            else:
                raise RuntimeError(f"the app sent {kind!r} to a WebSocket that is open")
        elif kind == "websocket.http.response.body":
            await self._denial.add(event)
        elif self._decision.done():
            raise RuntimeError(f"the app sent {kind!r} to a WebSocket that it had denied")
        elif kind == "websocket.accept":
            self._accept(event)
        elif kind == "websocket.close":
            self._answer(HttpResponse(self._request, 403, Headers(), reason="Forbidden"))
            self._denial.over.set()
        elif kind == "websocket.http.response.start":
            self._denial.start(event)
            self._answer(self._denial.head.result())
        else:
            raise RuntimeError(
                f"the app sent {kind!r} before websocket.accept; it may accept, close, or answer "
                "with websocket.http.response.start"
            )

    def _accept(self, event: Event) -> None:
        fields = [*self._fields, *headers_from(event).fields()]
        subprotocol = event.get("subprotocol")
        if subprotocol:
            fields.append(("Sec-WebSocket-Protocol", subprotocol))
        agreed = self._negotiated
        negotiated = Negotiated(subprotocol, agreed.extensions, agreed.codecs, agreed.descriptions)
        client, server = self._connect()
        core = SessionCore(
            server,
            channels=Channels(),
            max_frame_size=self._max_frame_size,
            negotiated=negotiated,
            client=False,
        )
        self._session = DefaultWebSocketSession(core)
        response = HttpResponse(self._request, 101, Headers(fields), reason="Switching Protocols")
        self._decided.set()
        self._decision.set_result(WebSocketUpgrade(response, client))

    def _answer(self, response: HttpResponse) -> None:
        self._decided.set()
        self._decision.set_result(WebSocketUpgrade(response))

    def _fail(self, error: BaseException) -> None:
        if not self._decision.done():
            self._decided.set()
            self._decision.set_exception(error)
            self._decision.exception()  # a call that was cancelled does not ask for it
