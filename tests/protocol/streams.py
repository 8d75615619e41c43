"""Byte streams for property tests: legal ones, odd ones, and legal ones that were damaged."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import strategies as st

from tests.protocol.wire import BINARY, CLOSE, CONT, KEY, PING, PONG, TEXT, frame

__all__ = [
    "Mutation",
    "apply",
    "cut",
    "cuts",
    "legal_streams",
    "mutations",
    "odd_frames",
    "streams",
]

sizes = st.one_of(
    st.integers(0, 12),
    st.sampled_from([124, 125, 126, 127, 300, 511, 512, 513, 700, 1536, 1537]),
    st.sampled_from([65535, 65536]),
)
texts = st.one_of(
    st.text(max_size=20),
    st.builds(lambda text, size: (text * size)[:size], st.text(min_size=1, max_size=3), sizes),
)
data = st.one_of(
    st.binary(max_size=20),
    st.builds(lambda part, size: (part * size)[:size], st.binary(min_size=1, max_size=3), sizes),
)
reasons = st.one_of(
    st.just(b""),
    st.builds(
        lambda code, text: code.to_bytes(2, "big") + text.encode(),
        st.sampled_from([1000, 1001, 1007, 1011, 3000, 4999]),
        st.text(max_size=8),
    ),
)

Build = Callable[..., bytes]


@st.composite
def controls(draw: st.DrawFn) -> tuple[int, bytes]:
    """A Ping or Pong."""
    return draw(st.sampled_from([PING, PONG])), draw(st.binary(max_size=5))


@st.composite
def messages(draw: st.DrawFn, mask: bytes | None) -> bytes:
    """A message, whole or in fragments with control frames between them."""
    opcode = draw(st.sampled_from([TEXT, BINARY]))
    payload = draw(texts).encode() if opcode == TEXT else draw(data)
    marks = sorted(draw(st.lists(st.integers(0, len(payload)), max_size=3)))
    parts = [payload[a:b] for a, b in zip([0, *marks], [*marks, len(payload)], strict=True)]
    stream = b""
    for at, part in enumerate(parts):
        if at and draw(st.booleans()):
            stream += frame(*draw(controls()), mask=mask)
        stream += frame(opcode if at == 0 else CONT, part, fin=at == len(parts) - 1, mask=mask)
    return stream


@st.composite
def odd_frames(draw: st.DrawFn, mask: bytes | None) -> bytes:
    """A frame of which anything may be wrong."""
    payload = draw(data)
    built = bytearray(frame(draw(st.integers(0, 15)), payload, mask=mask))
    built[0] = draw(st.sampled_from([built[0], built[0] & 0x7F, draw(st.integers(0, 255))]))
    length = draw(
        st.sampled_from([None, b"\x7e", b"\x7f", b"\x7f\x80\x00\x00\x00", b"\xfe", b"\xff"])
    )
    if length is not None:
        built[1 : 1 + len(length)] = length
    return bytes(built)


@st.composite
def legal_streams(draw: st.DrawFn, mask: bytes | None = None) -> bytes:
    """Messages and control frames, at the end perhaps a Close and something behind it."""
    item = st.one_of(messages(mask), controls().map(lambda pair: frame(*pair, mask=mask)))
    stream = b"".join(draw(st.lists(item, max_size=6)))
    if draw(st.booleans()):
        stream += frame(CLOSE, draw(reasons), mask=mask) + draw(st.binary(max_size=3))
    return stream


Mutation = tuple[str, float, float, bytes]
"""What to do, where, up to where (both as parts of the length), and with which bytes."""

fractions = st.floats(0, 1, allow_nan=False)
mutations = st.lists(
    st.tuples(
        st.sampled_from(["set", "insert", "delete", "repeat", "cut"]),
        fractions,
        fractions,
        st.binary(min_size=1, max_size=4),
    ),
    max_size=3,
)


def apply(stream: bytes, changes: list[Mutation]) -> bytes:
    """Damage a stream."""
    for what, low, high, new in changes:
        start, stop = sorted((int(low * len(stream)), int(high * len(stream))))
        stop = min(stop, start + 8)
        if what == "set":
            stream = stream[:start] + new + stream[start + len(new) :]
        elif what == "insert":
            stream = stream[:start] + new + stream[start:]
        elif what == "delete":
            stream = stream[:start] + stream[stop:]
        elif what == "repeat":
            stream = stream[:stop] + stream[start:stop] + stream[stop:]
        else:
            stream = stream[:start]
    return stream


def streams(mask: bytes | None = None) -> st.SearchStrategy[bytes]:
    """Legal, odd and damaged streams."""
    legal = legal_streams(mask)
    odd = st.lists(st.one_of(legal, odd_frames(mask)), max_size=4).map(b"".join)
    return st.one_of(legal, odd, st.builds(apply, st.one_of(legal, odd), mutations))


cuts = st.lists(st.integers(0, 400), max_size=12)


def cut(stream: bytes, lengths: list[int]) -> list[bytes]:
    """Cut a stream into pieces of these lengths, and the rest."""
    pieces = []
    at = 0
    for length in lengths:
        pieces.append(stream[at : at + length])
        at += length
    return [*pieces, stream[at:]]


MASKS = [None, KEY]
