"""The interop application on Starlette, served by the ASGI servers of the lane."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from .lifeline import Closures, choose_subprotocol


def build_app(server_name: str) -> Starlette:
    closures = Closures()

    async def hello(request: Request) -> PlainTextResponse:
        return PlainTextResponse(f"hello from {server_name}")

    async def recorded(request: Request) -> PlainTextResponse:
        return PlainTextResponse(await closures.recorded(request.query_params["id"]))

    async def refuse(socket: WebSocket) -> None:
        await socket.send_denial_response(PlainTextResponse("no entry", status_code=403))

    async def echo(socket: WebSocket) -> None:
        choosy = socket.url.path == "/subprotocol"
        offered: list[str] = socket.scope["subprotocols"]
        await socket.accept(subprotocol=choose_subprotocol(offered) if choosy else None)
        while (event := await socket.receive())["type"] == "websocket.receive":
            if event.get("text") is not None:
                await socket.send_text(event["text"])
            else:
                await socket.send_bytes(event["bytes"])

    async def close(socket: WebSocket) -> None:
        await socket.accept()
        await socket.close(4001, "bye")

    async def count(socket: WebSocket) -> None:
        await socket.accept()
        for i in range(int(socket.query_params["n"])):
            await socket.send_text(str(i))
        await socket.close(1000, "done")

    async def record(socket: WebSocket) -> None:
        await socket.accept()
        try:
            while True:
                await socket.receive_text()
        except WebSocketDisconnect as end:
            closures.record(socket.query_params["id"], end.code, end.reason)

    return Starlette(
        routes=[
            Route("/hello", hello),
            Route("/recorded", recorded),
            WebSocketRoute("/refuse", refuse),
            WebSocketRoute("/echo", echo),
            WebSocketRoute("/subprotocol", echo),
            WebSocketRoute("/close", close),
            WebSocketRoute("/count", count),
            WebSocketRoute("/record", record),
        ]
    )
