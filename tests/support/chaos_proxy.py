"""A TCP proxy that splits, holds and cuts bytes at offsets that a test chooses."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncGenerator, Callable
from typing import Literal, TypeAlias

Way: TypeAlias = Literal["up", "down"]
"""Towards the server, or towards the client."""
How: TypeAlias = Literal["fin", "reset"]


class Plan:
    """What happens to one connection."""

    def __init__(
        self,
        *,
        split: int | None = None,
        cut: tuple[Way, int] | None = None,
        how: How = "fin",
        hold: tuple[Way, int] | None = None,
    ) -> None:
        self.split = split
        """Bytes of each piece; a step of the loop lies between two."""
        self.cut = cut
        """After how many bytes of which direction both ends are cut off."""
        self.how = how
        self.hold = hold
        """After how many bytes a direction waits for `release`."""
        self.held = asyncio.Event()
        self.release = asyncio.Event()
        self.passed: dict[Way, int] = {"up": 0, "down": 0}


class ChaosProxy:
    """Where it listens; `plan` is for the connections that come from now on."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.plan = Plan()
        self.next_plan: Callable[[], Plan] | None = None
        """Makes a plan for each connection, in the place of `plan`."""
        self.connections: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.connections.add(task)
        plan = self.plan if self.next_plan is None else self.next_plan()
        try:
            upstream = await asyncio.open_connection("127.0.0.1", self.target)
        except BaseException:
            writer.close()
            raise
        ends = (writer, upstream[1])
        try:
            with contextlib.suppress(OSError):
                await self._carry(plan, (reader, writer), upstream)
        except asyncio.CancelledError:
            pass  # the test is over
        finally:
            for end in ends:
                end.close()
            for end in ends:
                with contextlib.suppress(OSError, asyncio.CancelledError):
                    await end.wait_closed()
            self.connections.discard(task)

    async def _carry(
        self,
        plan: Plan,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        server: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        is_cut = asyncio.Event()
        for _, writer in (client, server):
            sock: socket.socket = writer.get_extra_info("socket")
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        async def pump(
            way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
        ) -> None:
            at = 0
            while data := await reader.read(65536):
                if is_cut.is_set():
                    continue  # an end that was cut off is read to its end, so that FIN stays FIN
                while data:
                    size = min(len(data), plan.split or len(data))
                    if plan.cut is not None and plan.cut[0] == way:
                        size = min(size, plan.cut[1] - at)
                    if plan.hold is not None and plan.hold[0] == way:
                        if at == plan.hold[1]:
                            plan.held.set()
                            await plan.release.wait()
                        elif at < plan.hold[1]:
                            size = min(size, plan.hold[1] - at)
                    if is_cut.is_set():
                        break
                    if size:
                        writer.write(data[:size])
                        await writer.drain()
                        data, at = data[size:], at + size
                        plan.passed[way] = at
                    if plan.cut == (way, at):
                        is_cut.set()
                        cut()
                        break
                    if plan.split:
                        await asyncio.sleep(0)
            if not is_cut.is_set():
                writer.write_eof()

        def cut() -> None:
            for _, writer in (client, server):
                if plan.how == "fin":
                    writer.write_eof()
                else:
                    sock: socket.socket = writer.get_extra_info("socket")
                    linger = struct.pack("ii", 1, 0)
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    writer.transport.abort()

        pumps = [
            asyncio.ensure_future(pump("up", client[0], server[1])),
            asyncio.ensure_future(pump("down", server[0], client[1])),
        ]
        try:
            await asyncio.gather(*pumps)
        finally:
            for task in pumps:
                task.cancel()
            await asyncio.wait(pumps)


@contextlib.asynccontextmanager
async def chaos_proxy(target: int) -> AsyncGenerator[ChaosProxy]:
    """Run a proxy in front of a port of this machine."""
    proxy = ChaosProxy(target)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        running = set(proxy.connections)
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)
        await server.wait_closed()
