"""The interop server on aiohttp."""

import asyncio

from aiohttp import WSMsgType, web

from .lifeline import SUBPROTOCOLS, Closures, announce, bind

CLOSURES = web.AppKey("CLOSURES", Closures)


async def hello(request: web.Request) -> web.Response:
    return web.Response(text="hello from aiohttp")


async def recorded(request: web.Request) -> web.Response:
    return web.Response(text=await request.app[CLOSURES].recorded(request.query["id"]))


async def refuse(request: web.Request) -> web.Response:
    return web.Response(status=403, text="no entry")


async def echo(request: web.Request) -> web.WebSocketResponse:
    chosen = SUBPROTOCOLS if request.path == "/subprotocol" else ()
    socket = web.WebSocketResponse(max_msg_size=2**24, protocols=chosen)
    await socket.prepare(request)
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            await socket.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await socket.send_bytes(message.data)
    return socket


async def close(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    await socket.close(code=4001, message=b"bye")
    return socket


async def count(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    for i in range(int(request.query["n"])):
        await socket.send_str(str(i))
    await socket.close(code=1000, message=b"done")
    return socket


async def ping(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(autoping=False)
    await socket.prepare(request)
    await socket.ping(b"are you there")
    async for message in socket:
        if message.type is WSMsgType.PONG:
            await socket.send_str(f"pong: {bytes(message.data).decode()}")
    return socket


async def record(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    while (message := await socket.receive()).type is not WSMsgType.CLOSE:
        assert message.type in (WSMsgType.TEXT, WSMsgType.BINARY), message
    request.app[CLOSURES].record(request.query["id"], message.data, message.extra)
    return socket


def build_app() -> web.Application:
    app = web.Application()
    app[CLOSURES] = Closures()
    app.add_routes(
        [
            web.get("/hello", hello),
            web.get("/recorded", recorded),
            web.get("/refuse", refuse),
            web.get("/echo", echo),
            web.get("/subprotocol", echo),
            web.get("/close", close),
            web.get("/count", count),
            web.get("/ping", ping),
            web.get("/record", record),
        ]
    )
    return app


async def main() -> None:
    listener = bind()
    runner = web.AppRunner(build_app())
    await runner.setup()
    await web.SockSite(runner, listener).start()
    announce(listener)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
