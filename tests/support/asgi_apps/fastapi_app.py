"""The app in Fastapi."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import Depends, FastAPI, Request, Response, WebSocket, WebSocketException
from fastapi.responses import PlainTextResponse, StreamingResponse

from ktor_client.engines._asgi.scope import App
from tests.support.asgi_apps import Log


def make(log: Log) -> App:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[dict[str, Any]]:
        log.append("up")
        yield {"greeting": "from lifespan"}
        log.append("down")

    app = FastAPI(lifespan=lifespan)

    @app.get("/hello", response_class=PlainTextResponse)
    async def hello(name: str = "world") -> str:
        return f"hello {name}"

    @app.get("/state", response_class=PlainTextResponse)
    async def state(request: Request) -> str:
        return str(request.state.greeting)

    @app.get("/cookies", response_class=PlainTextResponse)
    async def cookies(request: Request, response: Response) -> str:
        response.set_cookie("seen", "yes")
        response.set_cookie("again", "yes")
        return request.cookies.get("seen", "never")

    @app.post("/echo")
    async def echo_body(request: Request) -> Response:
        return PlainTextResponse(await request.body())

    @app.get("/stream")
    async def stream() -> Response:
        async def parts() -> AsyncIterator[bytes]:
            for number in range(3):
                yield b"part %d " % number

        return StreamingResponse(parts(), media_type="text/plain")

    @app.get("/boom")
    async def boom() -> None:
        raise ValueError("boom in a handler")

    @app.websocket("/echo")
    async def echo(socket: WebSocket) -> None:
        offered = socket.scope["subprotocols"]
        await socket.accept(subprotocol=offered[0] if offered else None)
        while True:  # as in FastAPI's documentation: the disconnect is not caught
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                log.append(f"gone {message['code']} {message['reason']}")
                return
            if message.get("text") is not None:
                await socket.send_text(message["text"])
            else:
                await socket.send_bytes(message["bytes"])

    @app.websocket("/deny")
    async def deny(socket: WebSocket) -> None:
        response = PlainTextResponse("who are you", 401, headers={"X-Reason": "nobody"})
        await socket.send_denial_response(response)

    async def nobody() -> None:
        raise WebSocketException(1008)

    @app.websocket("/forbid")
    async def forbid(socket: WebSocket, allowed: None = Depends(nobody)) -> None:
        await socket.accept()

    @app.websocket("/bye")
    async def bye(socket: WebSocket) -> None:
        await socket.accept()
        await socket.close(4001, "bye")

    @app.websocket("/boom")
    async def fail(socket: WebSocket) -> None:
        await socket.accept()
        raise ValueError("boom in a WebSocket")

    return app
