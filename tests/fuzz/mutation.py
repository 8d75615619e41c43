"""Inputs: seeds by hand, and their mutations. What gave a new trace joins the seeds."""

from __future__ import annotations

import random
import zlib

from tests.fuzz.target import Trace, run
from tests.protocol.wire import BINARY, CLOSE, CONT, KEY, PING, PONG, TEXT, frame

__all__ = ["Failure", "Fuzzer"]

INTERESTING = bytes((0, 1, 2, 8, 9, 10, 0x7D, 0x7E, 0x7F, 0x80, 0x81, 0x82, 0x88, 0xC1, 0xFE, 0xFF))
MAX_SIZE = 4096


def packed(payload: bytes, mode: int = zlib.Z_SYNC_FLUSH) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return (packer.compress(payload) + packer.flush(mode)).removesuffix(b"\x00\x00\xff\xff")


def seeds() -> list[bytes]:
    """Return one input for each kind of thing that a stream can hold."""
    found = []
    for mask in (None, KEY):
        parts = [
            frame(TEXT, "Hellö, wörld €𝄞".encode(), mask=mask),
            frame(BINARY, bytes(range(256)), mask=mask),
            frame(BINARY, bytes(600), mask=mask),
            frame(BINARY, bytes(66_000), mask=mask)[:30],
            frame(TEXT, b"a\xc3", fin=False, mask=mask) + frame(CONT, b"\xa9b", mask=mask),
            frame(BINARY, b"x", fin=False, mask=mask) + frame(PING, b"p", mask=mask),
            frame(PONG, bytes(125), mask=mask) + frame(CONT, mask=mask),
            frame(CLOSE, b"\x03\xe8bye", mask=mask),
            frame(CLOSE, b"\x03", mask=mask),
            frame(TEXT, packed(b"compressed " * 20), rsv=0x40, mask=mask),
            frame(TEXT, packed(b"ended", zlib.Z_FINISH), rsv=0x40, mask=mask),
            frame(TEXT, packed(b"in parts")[:4], rsv=0x40, fin=False, mask=mask)
            + frame(CONT, packed(b"in parts")[4:], mask=mask),
            frame(BINARY, packed(bytes(100_000)), rsv=0x40, mask=mask),
        ]
        for at, part in enumerate(parts):
            for mode in range(0 if mask is None else 1, 16, 2):
                found.append(bytes((mode, 16 * at + 5 - at % 6)) + part)
        found.append(bytes((0 if mask is None else 1, 5)) + b"".join(parts))
    for text in ("a; b=1, c", 'permessage-deflate; client_max_window_bits="1\\0"', ",,x;y , z"):
        found.append(b"\x10\x00" + text.encode())
    return found


class Failure(Exception):
    """An input that broke something; the cause is what it broke."""

    def __init__(self, data: bytes) -> None:
        super().__init__(f"replay with: python -m tests.fuzz --replay {data.hex()}")
        self.data = data


class Fuzzer:
    """Mutates inputs; the same seed gives the same run."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.traces: set[Trace] = set()
        self.corpus: list[bytes] = []
        self.runs = 0
        for data in seeds():
            self.corpus.append(data)
            self.try_input(data)

    def try_input(self, data: bytes) -> None:
        """Run one input and keep it if it is something new. Raises `Failure`."""
        self.runs += 1
        try:
            trace = run(data)
        except Exception as error:
            raise Failure(data) from error
        if trace and trace not in self.traces:
            self.traces.add(trace)
            self.corpus.append(data)

    def step(self) -> None:
        """Make one new input and run it."""
        data = bytearray(self.random.choice(self.corpus))
        for _ in range(self.random.choice((1, 1, 2, 3, 6))):
            self.mutate(data)
        self.try_input(bytes(data[:MAX_SIZE]))

    def mutate(self, data: bytearray) -> None:
        pick = self.random.randrange
        at = pick(len(data) + 1)
        upto = min(len(data), at + pick(1, 12))
        match pick(8):
            case 0 if at < len(data):
                data[at] ^= 1 << pick(8)
            case 1 if at < len(data):
                data[at] = self.random.choice(INTERESTING)
            case 2:
                data.insert(at, pick(256))
            case 3:
                del data[at:upto]
            case 4:
                data[at:at] = data[at:upto] * pick(1, 4)
            case 5:
                other = self.random.choice(self.corpus)
                data[at:] = other[pick(len(other)) :]
            case 6:
                other = self.random.choice(self.corpus)
                data.extend(other[2:])
            case _:
                del data[max(2, at) :]
