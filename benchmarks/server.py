"""The neutral server: answers in prebuilt frames, so that the client is the one measured.

It knows no message: a URL says after how many bytes it answers, with how many frames, of what
size. Nothing is unmasked, parsed or built while a client is being measured. It ends when its
standard input is closed, hence never outlives the process that started it.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import random
import ssl
import sys
import zlib
from dataclasses import dataclass
from functools import cache
from typing import cast
from urllib.parse import parse_qs, urlencode, urlsplit

import trustme

BUFFER_SIZE = 256 * 1024
BLOCK_SIZE = 256 * 1024
WRITE_HIGH_WATER = 1024 * 1024
BURST_SECONDS = 0.001
"""A paced answer is sent in one burst per this many seconds."""

WEB_SOCKET_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CLOSE_NORMAL = b"\x88\x02\x03\xe8"
BODY = b'{"id": 17, "name": "benchmark", "tags": ["small", "json"], "price": 12.5}'
HTTP_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
HTTP_RESPONSE = HTTP_HEAD % len(BODY) + BODY
LONG_BODY = memoryview(bytes(BLOCK_SIZE))
"""What a path that is a number is answered with, again and again, until that many bytes went."""


@dataclass(frozen=True)
class Answer:
    """What a URL asks of the server.

    After each `every` bytes (0: after each read) it sends `frames` frames with `size` bytes of
    payload; with `burst`, that many of them per `BURST_SECONDS` instead of all at once.
    """

    every: int
    frames: int
    size: int
    binary: bool = False
    deflate: bool = False
    burst: int = 0

    def query(self) -> str:
        return urlencode({name: int(value) for name, value in vars(self).items()})

    @classmethod
    def parse(cls, target: str) -> Answer:
        number = {name: int(values[0]) for name, values in parse_qs(urlsplit(target).query).items()}
        return cls(
            every=number["every"],
            frames=number["frames"],
            size=number["size"],
            binary=bool(number["binary"]),
            deflate=bool(number["deflate"]),
            burst=number["burst"],
        )


def masked_frame_size(payload: int) -> int:
    """Bytes on the wire of one unfragmented, uncompressed frame from a client (RFC 6455 5.2)."""
    extended = 0 if payload < 126 else 2 if payload < 65536 else 8
    return 2 + extended + 4 + payload


@dataclass(frozen=True)
class Block:
    """A run of prebuilt frames; `ends[k]` is where its first `k` frames end."""

    data: bytes
    ends: tuple[int, ...]


def text_messages(size: int, count: int) -> list[bytes]:
    """Texts that compress like what sockets carry: JSON, varied, the same in every process."""
    source = random.Random(size)
    messages = []
    for number in range(count):
        fields = [f'{{"id":{number},"time":{1700000000 + number}']
        while sum(map(len, fields)) < size:
            fields.append(f',"price{len(fields)}":{source.random() * 1000:.4f}')
        messages.append("".join(fields).encode()[:size])
    return messages


@cache
def block(size: int, binary: bool, deflate: bool) -> Block:
    first = (0x80 | 0x40 * deflate) | (2 if binary else 1)
    count = max(1, min(4096, BLOCK_SIZE // (size + 10)))
    payloads = text_messages(size, min(count, 64)) if deflate else [b"x" * size] * count
    if deflate:
        # One context for the whole block, ended by a full flush: no frame refers to bytes before
        # its block, so a block may follow itself for ever (RFC 7692 7.2.3.2, context takeover).
        compressor = zlib.compressobj(wbits=-15)
        flushes = [zlib.Z_SYNC_FLUSH] * (len(payloads) - 1) + [zlib.Z_FULL_FLUSH]
        payloads = [
            (compressor.compress(payload) + compressor.flush(flush)).removesuffix(b"\0\0\xff\xff")
            for payload, flush in zip(payloads, flushes, strict=True)
        ]
    data = bytearray()
    ends = [0]
    for payload in payloads:
        length = len(payload)
        if length < 126:
            data += bytes((first, length))
        elif length < 65536:
            data += bytes((first, 126)) + length.to_bytes(2, "big")
        else:
            data += bytes((first, 127)) + length.to_bytes(8, "big")
        data += payload
        ends.append(len(data))
    return Block(bytes(data), tuple(ends))


class Peer(asyncio.BufferedProtocol):
    """One connection: HTTP with keep-alive until an upgrade, counted bytes after it."""

    buffer = bytearray(BUFFER_SIZE)
    view = memoryview(buffer)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's does not inherit from it
        self.loop = asyncio.get_running_loop()
        self.transport.set_write_buffer_limits(high=WRITE_HIGH_WATER)
        self.head = bytearray()
        self.answer: Answer | None = None
        self.counted = 0
        self.owed = 0
        self.body_owed = 0
        self.body_to_come = 0
        self.paused = False
        self.timer: asyncio.TimerHandle | None = None

    def get_buffer(self, sizehint: int) -> bytearray:
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self.answer is None:
            taken = min(self.body_to_come, nbytes)
            self.body_to_come -= taken
            if taken and not self.body_to_come:
                self.transport.write(HTTP_RESPONSE)
            self.head += self.view[taken:nbytes]
            while b"\r\n\r\n" in self.head and self.answer is None:
                head, _, self.head = self.head.partition(b"\r\n\r\n")
                self.respond(bytes(head))
        else:
            self.count(self.answer, nbytes)

    def respond(self, head: bytes) -> None:
        request, *lines = head.split(b"\r\n")
        headers = dict(line.split(b": ", 1) for line in lines if b": " in line)
        headers = {name.lower(): value for name, value in headers.items()}
        if b"sec-websocket-key" not in headers:
            self.respond_http(request.split(b" ")[1], int(headers.get(b"content-length", 0)))
            return
        answer = Answer.parse(request.split(b" ")[1].decode())
        offered = b"permessage-deflate" in headers.get(b"sec-websocket-extensions", b"")
        if answer.deflate and not offered:
            self.transport.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            return
        digest = hashlib.sha1(headers[b"sec-websocket-key"] + WEB_SOCKET_GUID).digest()
        self.transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: %b\r\n%b\r\n"
            % (
                base64.b64encode(digest),
                b"Sec-WebSocket-Extensions: permessage-deflate\r\n" if answer.deflate else b"",
            )
        )
        self.block = block(answer.size, answer.binary, answer.deflate)
        self.single = self.block.data[: self.block.ends[1]]
        self.answer = answer

    def respond_http(self, path: bytes, length: int) -> None:
        """Answer once the body has come; a path such as /1000 asks for that many bytes."""
        self.body_to_come = max(0, length - len(self.head))
        self.head = self.head[length:]
        if self.body_to_come:
            return
        if path == b"/":
            self.transport.write(HTTP_RESPONSE)
            return
        self.body_owed = int(path[1:])
        self.transport.write(HTTP_HEAD % self.body_owed)
        self.pump_body()

    def pump_body(self) -> None:
        while self.body_owed and not self.paused:
            step = min(self.body_owed, BLOCK_SIZE)
            self.body_owed -= step
            self.transport.write(LONG_BODY[:step])

    def count(self, answer: Answer, nbytes: int) -> None:
        position = 0
        while position < nbytes:
            if not self.counted and self.view[position] & 0x0F == 8:
                self.transport.write(CLOSE_NORMAL)
                self.transport.close()
                return
            if not answer.every:
                self.reply(answer)
                return
            step = min(answer.every - self.counted, nbytes - position)
            position += step
            self.counted += step
            if self.counted == answer.every:
                self.counted = 0
                self.reply(answer)

    def reply(self, answer: Answer) -> None:
        if answer.frames == 1:
            self.transport.write(self.single)
            return
        self.owed += answer.frames
        if not answer.burst:
            self.pump()
        elif self.timer is None:
            self.send_burst(answer.burst, self.loop.time())

    def pump(self) -> None:
        while self.owed and not self.paused:
            self.send_frames(min(self.owed, len(self.block.ends) - 1))

    def send_burst(self, burst: int, due: float) -> None:
        if not self.paused:
            self.send_frames(min(self.owed, burst, len(self.block.ends) - 1))
        due = max(due + BURST_SECONDS, self.loop.time() - 1.0)
        self.timer = self.loop.call_at(due, self.send_burst, burst, due) if self.owed else None

    def send_frames(self, count: int) -> None:
        self.owed -= count
        end = self.block.ends[count]
        data = self.block.data
        self.transport.write(data if end == len(data) else data[:end])

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False
        self.pump_body()
        if self.answer is not None and not self.answer.burst:
            self.pump()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.owed = self.body_owed = 0
        if self.timer is not None:
            self.timer.cancel()


async def serve() -> None:
    loop = asyncio.get_running_loop()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    plain = await loop.create_server(Peer, "127.0.0.1", 0, backlog=4096)
    tls = await loop.create_server(Peer, "127.0.0.1", 0, backlog=4096, ssl=context)
    parent_gone = asyncio.Event()
    loop.add_reader(sys.stdin, parent_gone.set)
    async with plain, tls:
        print(*(server.sockets[0].getsockname()[1] for server in (plain, tls)), flush=True)
        await parent_gone.wait()


def main() -> None:
    try:
        import uvloop
    except ImportError:
        asyncio.run(serve())
    else:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve())


if __name__ == "__main__":
    main()
