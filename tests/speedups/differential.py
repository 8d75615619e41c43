"""Both twins of the decoder on the same streams: `make twins`, or this module on the compiled core.

Frames, control frames and violations with their causes must be equal, whatever
the stream, the limit and the cuts. With an installed core, a million streams take some minutes.
"""

from __future__ import annotations

import argparse
import random
from typing import Any
from unittest.mock import patch

from ktor_client import _twin
from ktor_client.protocol import decoder as decoder_room
from ktor_client.protocol import plain as plain_room
from tests.protocol.wire import BINARY, CLOSE, CONT, PING, PONG, TEXT, Feeding, frame

__all__ = ["Stream", "compare", "outcome_of", "random_stream"]

LENGTHS = (0, 1, 2, 31, 124, 125, 126, 127, 128, 600, 1535, 1536, 1537, 65535, 65536, 65537)
LIMITS = (1, 2, 124, 125, 126, 127, 1536, 65535, 65536, 1 << 20, 1 << 70)
TEXTS = ("a", "ä", "€", "𝄞", "\x00", "\x7f", "\x80", "ÿ")
WRONG = (b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\xaf")

REPORT = 100_000
"""Streams after which the command says how far it is."""

Stream = tuple[bytes, int, list[int]]
"""Bytes, a limit, and where they are cut."""


def random_stream(source: random.Random) -> Stream:
    """Return a stream of which something may be wrong."""
    data = b""
    for _ in range(source.randrange(1, 9)):
        size = source.choice(LENGTHS[: source.choice((6, 10, 13, 16))])
        match source.randrange(10):
            case 0 | 1 | 2 | 3:
                text = (source.choice(TEXTS) * size).encode()[:size]
                data += frame(TEXT, text.decode(errors="ignore").encode())
            case 4 | 5 | 6:
                data += frame(BINARY, source.randbytes(size))
            case 7:
                data += frame(source.choice((PING, PONG)), source.randbytes(size % 126))
            case 8:
                data += frame(TEXT, b"x" * size, fin=False) + frame(CONT, source.choice(WRONG))
            case _:
                data += source.choice(
                    (
                        frame(TEXT, b"x" * size + source.choice(WRONG)),
                        frame(CLOSE, b"\x03\xe8"),
                        frame(BINARY, b"x", mask=b"abcd"),
                        frame(TEXT, b"x", rsv=0x40),
                        b"\x81\x7e\x00\x05aaaaa",
                        b"\x82\x7f" + (5).to_bytes(8, "big") + b"aaaaa",
                        b"\x82\x7f\x80" + bytes(7),
                        source.randbytes(6),
                    )
                )
    if source.randrange(3) == 0:
        damaged = bytearray(data)
        for _ in range(source.randrange(1, 4)):
            damaged[source.randrange(len(damaged))] ^= 1 << source.randrange(8)
        data = bytes(damaged)
    cuts = sorted(source.randrange(len(data) + 1) for _ in range(source.choice((0, 0, 1, 3, 12))))
    return data, source.choice(LIMITS), cuts


def outcome_of(stream: Stream, functions: dict[str, Any]) -> object:
    """Return all that comes of a stream where these functions take whole frames."""
    data, limit, cuts = stream
    with (
        patch.multiple(decoder_room, **functions),
        patch.object(plain_room, "take_copied", functions["take_copied"]),
    ):
        feeding = Feeding(limit)
        reads: list[bytes | memoryview] = []
        for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
            reads += [memoryview(bytearray(data[start:end])) if start % 2 else data[start:end]]
        for read in reads:
            if feeding.violation is None:
                feeding.feed(read)
    cause = None if feeding.violation is None else feeding.violation.__cause__
    # What is counted is a weight: how much of the headers it has depends on the road.
    payloads = sum(len(one.data) for one in feeding.messages)
    assert payloads <= feeding.size <= payloads + len(data)
    bits = [(type(one), one._bits) for one in feeding.messages]
    return feeding.outcome(), bits, repr(cause)


def twins(core: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the functions of the reference, and those of the compiled core."""
    names = ("take_plain", "take_copied")
    pure = {name: _twin.references.get(name, getattr(plain_room, name)) for name in names}
    return pure, {name: getattr(core, name) for name in names}


def compare(core: Any, stream: Stream) -> None:
    """Check that both twins make the same of a stream."""
    pure, compiled = twins(core)
    assert outcome_of(stream, pure) == outcome_of(stream, compiled), stream


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.speedups.differential")
    parser.add_argument("--streams", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    options = parser.parse_args()
    if _twin._core is None:
        raise SystemExit(f"the compiled core does not run here: {_twin.reason}")
    print(f"seed {options.seed}", flush=True)
    source = random.Random(options.seed)
    for number in range(1, options.streams + 1):
        compare(_twin._core, random_stream(source))
        if number % REPORT == 0:
            print(f"{number} streams so far", flush=True)
    print(f"{options.streams} streams, no difference")


if __name__ == "__main__":
    main()
