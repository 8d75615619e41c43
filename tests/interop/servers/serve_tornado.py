"""The interop server on Tornado."""

import asyncio
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler
from tornado.websocket import WebSocketHandler

from .lifeline import Closures, announce, bind, choose_subprotocol

closures = Closures()


class Hello(RequestHandler):
    def get(self) -> None:
        self.write("hello from tornado")


class Recorded(RequestHandler):
    async def get(self) -> None:
        self.write(await closures.recorded(self.get_query_argument("id")))


class Refuse(RequestHandler):
    def get(self) -> None:
        self.set_status(403)
        self.write("no entry")


class Echo(WebSocketHandler):
    def get_compression_options(self) -> dict[str, Any]:
        return {}

    async def on_message(self, message: str | bytes) -> None:
        await self.write_message(message, binary=isinstance(message, bytes))


class Choosy(Echo):
    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        return choose_subprotocol(subprotocols)


class Close(WebSocketHandler):
    def open(self) -> None:
        self.close(4001, "bye")

    def on_message(self, message: str | bytes) -> None:
        raise AssertionError("nobody should talk here")


class Count(WebSocketHandler):
    async def open(self) -> None:
        for i in range(int(self.get_query_argument("n"))):
            await self.write_message(str(i))
        self.close(1000, "done")

    def on_message(self, message: str | bytes) -> None:
        raise AssertionError("nobody should talk here")


class Ping(WebSocketHandler):
    def open(self) -> None:
        self.ping(b"are you there")

    def on_pong(self, data: bytes) -> None:
        self.write_message(f"pong: {data.decode()}")

    def on_message(self, message: str | bytes) -> None:
        raise AssertionError("nobody should talk here")


class Record(WebSocketHandler):
    def on_message(self, message: str | bytes) -> None:
        pass

    def on_close(self) -> None:
        closures.record(self.get_query_argument("id"), self.close_code, self.close_reason)


async def main() -> None:
    listener = bind()
    app = Application(
        [
            ("/hello", Hello),
            ("/recorded", Recorded),
            ("/refuse", Refuse),
            ("/echo", Echo),
            ("/subprotocol", Choosy),
            ("/close", Close),
            ("/count", Count),
            ("/ping", Ping),
            ("/record", Record),
        ]
    )
    HTTPServer(app).add_socket(listener)
    announce(listener)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
