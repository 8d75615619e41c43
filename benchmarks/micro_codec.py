"""`python -m benchmarks.micro_codec`: nanoseconds that the codec alone takes for a frame.

No socket, no loop. A busy machine only ever adds time, so the best of many short runs is shown; to
compare two commits, run them in turns and more than once.
"""

from __future__ import annotations

import argparse
import sys
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator

from ktor_client.engine.xor import best_mask
from ktor_client.frames import BinaryFrame, Frame, PingFrame, TextFrame
from ktor_client.protocol.decoder import FrameDecoder
from ktor_client.protocol.deflate import WebSocketDeflate
from ktor_client.protocol.encoder import FrameEncoder
from ktor_client.protocol.extensions import ExtensionCodec
from ktor_client.protocol.masking import Mask, mask_bytes

READ = 256 * 1024
BATCH = 256 * 1024
"""Bytes for one run, at least: short enough to fit between two interruptions."""


class Case:
    """Something to repeat: `run` handles `frames` frames."""

    def __init__(self, name: str, run: Callable[[], None], frames: int) -> None:
        self.name = name
        self.run = run
        self.frames = frames
        self.best = float("inf")

    def measure(self) -> None:
        start = time.perf_counter_ns()
        self.run()
        self.best = min(self.best, (time.perf_counter_ns() - start) / self.frames)


def extensions() -> list[tuple[int, ExtensionCodec]]:
    extension = WebSocketDeflate()
    return [(extension.rsv, extension.accept([]))]


def decoding(
    name: str,
    frames: list[Frame],
    *,
    read: int = READ,
    masked: bool = False,
    deflate: bool = False,
) -> Case:
    """Decode a stream of these frames, over and over, in reads of that size."""
    encoder = FrameEncoder(masked=masked, extensions=extensions() if deflate else ())
    once = b"".join(map(encoder.encode, frames))
    if deflate:  # a window that is kept makes the second time another stream
        times, stream = 1, once
    else:
        times = max(1, -(-BATCH // len(once)))
        stream = once * times
    reads = [memoryview(stream)[at : at + read] for at in range(0, len(stream), read)]
    messages: deque[Frame] = deque()

    def run() -> None:
        decoder = FrameDecoder(
            messages,
            max_size=1 << 24,
            masked=masked,
            extensions=extensions() if deflate else (),
        )
        for data in reads:
            fed = decoder.feed(data)
            while fed is not None and fed.rest:
                fed = decoder.feed(fed.rest)
        messages.clear()

    return Case(f"decode {name}", run, times * len(frames))


def encoding(name: str, frame: Frame, mask: Mask, *, deflate: bool = False) -> Case:
    """Encode the same frame, over and over."""
    times = max(1, min(1000, BATCH // (len(frame.data) + 1)))
    encoder = FrameEncoder(mask=mask, extensions=extensions() if deflate else ())

    def run() -> None:
        for _ in range(times):
            encoder.encode(frame)

    return Case(f"encode {name}", run, times)


def cases() -> Iterator[Case]:
    short, json = "x" * 32, '{"id": 12345, "name": "some name", "on": true}, ' * 22
    yield decoding("text 32 B", [TextFrame(short)])
    yield decoding("text 32 B, one a read", [TextFrame(short)], read=34)
    yield decoding("text 32 B, not ASCII", [TextFrame("é" * 16)])
    yield decoding("binary 32 B", [BinaryFrame(short.encode())])
    yield decoding("text 300 B", [TextFrame("x" * 300)])
    yield decoding("text 1 KiB", [TextFrame(json[:1024])])
    yield decoding("binary 1 KiB", [BinaryFrame(json[:1024].encode())])
    mixed: list[Frame] = [TextFrame(json[:size]) for size in (90, 700, 150, 2000, 60, 300)]
    yield decoding("texts of 60 to 2,000 B", mixed)
    yield decoding("binary 64 KiB", [BinaryFrame(bytes(65536))])
    yield decoding("text 64 KiB", [TextFrame("x" * 65536)])
    yield decoding("text 32 B in two fragments", [TextFrame(short[:16], fin=False), TextFrame("x")])
    yield decoding("ping 8 B", [PingFrame(bytes(8))])
    yield decoding("text 32 B, masked", [TextFrame(short)], masked=True)
    yield decoding("text 1 KiB, deflate", [TextFrame(json[:1024])] * 256, deflate=True)
    for name, mask in (("", mask_bytes), (", compiled mask", best_mask())):
        yield encoding(f"text 32 B{name}", TextFrame(short), mask)
        yield encoding(f"binary 1 KiB{name}", BinaryFrame(json[:1024].encode()), mask)
        yield encoding(f"binary 64 KiB{name}", BinaryFrame(bytes(65536)), mask)
    yield encoding("text 1 KiB, deflate", TextFrame(json[:1024]), best_mask(), deflate=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.micro_codec", description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--only", default="", help="cases whose name has this in it")
    options = parser.parse_args()
    chosen = [case for case in cases() if options.only in case.name]
    for _ in range(options.rounds):
        for case in chosen:
            case.measure()
    print(f"Python {sys.version.split()[0]}, zlib {zlib.ZLIB_RUNTIME_VERSION}")
    for case in chosen:
        print(f"{case.name:34} {case.best:10,.0f} ns")


if __name__ == "__main__":
    main()
