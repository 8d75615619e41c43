"""Chat: print what arrives, send what you type. Ctrl-D or Ctrl-C ends it.

    python examples/chat.py [URL]

Without a URL it starts an echo server and talks to that.
"""

import asyncio
import contextlib
import io
import sys
import threading
from collections.abc import AsyncIterator

from ktor_client import Frame, HttpClient, KtorClientError, WebSocketSession, install
from ktor_client.plugins import WebSockets
from ktor_client.testing import echo_server


async def typed() -> AsyncIterator[str]:
    """Yield what you type. A thread waits for the keyboard, so the event loop does not have to."""
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[str | None] = asyncio.Queue()

    def read() -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits any more
            for line in io.FileIO(0, closefd=False):
                loop.call_soon_threadsafe(lines.put_nowait, line.decode().rstrip("\r\n"))
            loop.call_soon_threadsafe(lines.put_nowait, None)

    threading.Thread(target=read, daemon=True).start()
    while (line := await lines.get()) is not None:
        yield line


async def send_what_is_typed(session: WebSocketSession) -> None:
    async for line in typed():
        await session.send(line)
    await session.close()


async def chat(url: str) -> None:
    async with HttpClient(None, install(WebSockets, ping_interval=20)) as client:
        async with client.web_socket(url) as session:
            print(f"connected to {url}", flush=True)
            async with asyncio.TaskGroup() as tasks:
                typing = tasks.create_task(send_what_is_typed(session))
                async for frame in session.incoming:
                    if isinstance(frame, Frame.Text):
                        print(frame.read_text(), flush=True)
                typing.cancel()
        print("closed:", await session.close_reason, flush=True)


async def main() -> None:
    if len(sys.argv) > 1:
        await chat(sys.argv[1])
    else:
        async with echo_server() as server:
            await chat(f"{server.url}/echo")


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except* KeyboardInterrupt:
        pass
    except* KtorClientError as errors:
        raise SystemExit(f"{errors.exceptions[0]}") from None
