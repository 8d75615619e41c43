"""The app in Quart."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from quart import Quart, Response, make_response, request, websocket

from ktor_client.engines._asgi.scope import App
from tests.support.asgi_apps import Log


def make(log: Log) -> App:
    app = Quart(__name__)

    @app.before_serving
    async def up() -> None:
        log.append("up")

    @app.after_serving
    async def down() -> None:
        log.append("down")

    @app.get("/hello")
    async def hello() -> str:
        return f"hello {request.args.get('name', 'world')}"

    @app.get("/cookies")
    async def cookies() -> Any:
        response = await make_response(request.cookies.get("seen", "never"))
        response.set_cookie("seen", "yes")
        response.set_cookie("again", "yes")
        return response

    @app.post("/echo")
    async def echo_body() -> Any:
        return await request.get_data()

    @app.get("/stream")
    async def stream() -> Any:
        async def parts() -> AsyncIterator[bytes]:
            for number in range(3):
                yield b"part %d " % number

        return Response(parts(), content_type="text/plain")

    @app.websocket("/echo")
    async def echo() -> None:
        offered = websocket.requested_subprotocols
        await websocket.accept(subprotocol=offered[0] if offered else None)
        while True:
            await websocket.send(await websocket.receive())

    @app.websocket("/deny")
    async def deny() -> Any:
        return Response("who are you", 401, headers={"X-Reason": "nobody"})

    @app.websocket("/bye")
    async def bye() -> None:
        await websocket.accept()
        await websocket.close(4001, "bye")

    return app
