"""Content codings, sans-IO: whole, in pieces, in lists, cut off, damaged, and as bombs."""

from __future__ import annotations

import gzip
import random
import sys
import tracemalloc
import types
import zlib
from collections.abc import Callable
from importlib import import_module
from typing import Any

import brotli
import pytest
from backports import zstd

from ktor_client.http import Headers, codings, installed_codings
from ktor_client.http.codings import CodingError, accept_encoding, decoder_for, hindrance
from ktor_client.http.inflate import PIECE

PLAIN = b"".join(b"line %d of the document\n" % i for i in range(4_000))


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


def full_gzip(data: bytes) -> bytes:
    """Pack with every field that a header may have."""
    packed = gzip.compress(data)
    extra = b"\x04\x00abcd"
    return packed[:3] + b"\x1e" + packed[4:10] + extra + b"name\0comment\0\x12\x34" + packed[10:]


CHECKED: dict[int, int] = {zstd.CompressionParameter.checksum_flag: 1}

PACKED: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "every field": ("gzip", full_gzip),
    "x-gzip": ("x-gzip", gzip.compress),
    "other case": ("GZip", gzip.compress),
    "zlib": ("deflate", zlib.compress),
    "raw deflate": ("deflate", raw_deflate),
    "br": ("br", brotli.compress),
    "zstd": ("zstd", lambda data: zstd.compress(data, options=CHECKED)),
}


def decode(coding: str | Headers, data: bytes, size: int = 1 << 20) -> bytes:
    headers = Headers({"Content-Encoding": coding}) if isinstance(coding, str) else coding
    decoder = decoder_for(headers)
    assert decoder is not None
    pieces: list[bytes] = []
    for at in range(0, len(data), size):
        pieces += decoder.decode(data[at : at + size])
    decoder.end()
    assert all(pieces)
    return b"".join(pieces)


@pytest.fixture(params=["backports.zstd", "zstandard"])
def libraries(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Either kind of library for zstd: with a limit of what comes out, or without one."""
    library = import_module(request.param)
    monkeypatch.setattr(installed_codings, "zstandard", lambda: library)


@pytest.mark.parametrize("size", [1, 7, 1000, 1 << 20])
@pytest.mark.parametrize("kind", PACKED)
@pytest.mark.usefixtures("libraries")
def test_a_coding_in_pieces_of_any_size(kind: str, size: int) -> None:
    coding, pack = PACKED[kind]
    for plain in (PLAIN, b"", b"x", random.Random(1).randbytes(5000)):
        assert decode(coding, pack(plain), size) == plain


@pytest.mark.parametrize("kind", PACKED)
@pytest.mark.usefixtures("libraries")
def test_no_body_is_an_empty_body(kind: str) -> None:
    assert decode(PACKED[kind][0], b"") == b""
    assert decode(f"gzip, {PACKED[kind][0]}", b"") == b""


@pytest.mark.parametrize("size", [1, 1 << 20])
@pytest.mark.parametrize("kind", PACKED)
@pytest.mark.usefixtures("libraries")
def test_cut_off_anywhere(kind: str, size: int) -> None:
    coding, pack = PACKED[kind]
    packed = pack(b"a document " * 40 + b"that is not all the same")
    forgiven = {"zlib": 4, "raw deflate": 0, "br": 0, "zstd": 0}.get(kind, 8)
    name = "gzip" if forgiven == 8 else coding
    for cut in range(1, len(packed) - forgiven):
        with pytest.raises(CodingError, match=f"^ended in the middle of its {name} data$"):
            decode(coding, packed[:cut], size)
    for cut in range(len(packed) - forgiven, len(packed) + 1):
        assert decode(coding, packed[:cut], size).endswith(b"not all the same")


@pytest.mark.parametrize("kind", ["gzip", "every field", "zlib", "zstd"])
@pytest.mark.usefixtures("libraries")
def test_damaged_data(kind: str) -> None:
    coding, pack = PACKED[kind]
    packed = pack(PLAIN)
    middle = len(packed) // 2
    damaged = packed[:middle] + b"\xff" * 200 + packed[middle + 200 :]
    with pytest.raises(CodingError, match=r"damaged|checksum|ended in the middle"):
        decode(coding, damaged)


@pytest.mark.parametrize("at", [-1, -5])
def test_a_wrong_checksum_or_length(at: int) -> None:
    packed = bytearray(gzip.compress(PLAIN))
    packed[at] ^= 1
    with pytest.raises(CodingError, match=r"^does not agree with the checksum of its gzip data$"):
        decode("gzip", bytes(packed))
    packed = bytearray(zlib.compress(PLAIN))
    packed[-1] ^= 1
    with pytest.raises(
        CodingError, match=r"^does not agree with the checksum of its deflate data$"
    ):
        decode("deflate", bytes(packed))


@pytest.mark.parametrize(
    ("coding", "data", "told"),
    [
        ("gzip", b"hello, this is not packed at all", "is not gzip, though"),
        ("gzip", b"\x1f\x8b\x07" + bytes(20), "header that cannot be read"),
        ("gzip", b"\x1f\x8b\x08\x08" + bytes(6) + b"n" * 70_000, "header that cannot be read"),
        ("deflate", b"\x78\xbb" + bytes(20), "needs a dictionary"),
        ("deflate", b"\xff\xff\xff", "has damaged deflate data"),
        ("br", b"\xff\xff\xff", "has damaged br data"),
        ("zstd", b"hello, this is not packed at all", "has damaged zstd data"),
    ],
)
@pytest.mark.usefixtures("libraries")
def test_what_is_not_packed(coding: str, data: bytes, told: str) -> None:
    with pytest.raises(CodingError, match=told):
        decode(coding, data)


SKIPPABLE = b"\x5a\x2a\x4d\x18\x03\x00\x00\x00abc"


@pytest.mark.parametrize(
    ("coding", "packed", "plain"),
    [
        ("gzip", gzip.compress(PLAIN) + bytes(512), PLAIN),
        ("gzip", gzip.compress(PLAIN) + b"\x1f", PLAIN),
        ("gzip", gzip.compress(PLAIN) + b"\x1f\x00more", PLAIN),
        ("gzip", gzip.compress(PLAIN) * 2, PLAIN * 2),
        ("gzip", gzip.compress(PLAIN) + full_gzip(b"x") + b"\r\n", PLAIN + b"x"),
        ("deflate", zlib.compress(PLAIN) + b"more", PLAIN),
        ("deflate", raw_deflate(PLAIN) + b"more", PLAIN),
        ("zstd", zstd.compress(PLAIN) + SKIPPABLE + zstd.compress(b"x"), PLAIN + b"x"),
        ("zstd", zstd.compress(PLAIN) + b"more of it", PLAIN),
        ("zstd", zstd.compress(PLAIN) + b"mo", PLAIN),
    ],
)
@pytest.mark.parametrize("size", [1, 1 << 20])
@pytest.mark.usefixtures("libraries")
def test_what_follows_the_end(coding: str, packed: bytes, plain: bytes, size: int) -> None:
    assert decode(coding, packed, size) == plain


def test_a_second_member_that_is_cut_off() -> None:
    with pytest.raises(CodingError, match="ended in the middle"):
        decode("gzip", gzip.compress(PLAIN) + gzip.compress(PLAIN)[:5])


def test_a_member_that_is_a_whole_piece() -> None:
    """The end of the last piece and the end of the member come at once."""
    assert decode("gzip", gzip.compress(bytes(PIECE)) + gzip.compress(b"x")) == bytes(PIECE) + b"x"


def test_a_window_that_no_browser_grants() -> None:
    options: dict[int, int] = {zstd.CompressionParameter.window_log: 27}
    packed = zstd.compress(bytes(20_000_000), options=options)
    with pytest.raises(CodingError, match="has damaged zstd data"):
        decode("zstd", packed)


# --- lists ---


@pytest.mark.parametrize(
    "fields",
    [
        ["deflate, gzip"],
        ["deflate", "gzip"],
        ["identity, deflate ,, identity", "X-GZIP"],
    ],
)
def test_the_last_coding_comes_first(fields: list[str]) -> None:
    headers = Headers([("content-Encoding", value) for value in fields])
    assert decode(headers, gzip.compress(zlib.compress(PLAIN)), 100) == PLAIN


def test_five_codings_and_six() -> None:
    packed = PLAIN
    for _ in range(5):
        packed = gzip.compress(packed)
    assert decode("gzip, " * 4 + "gzip", packed) == PLAIN
    headers = Headers({"Content-Encoding": "gzip, " * 6})
    assert decoder_for(headers) is None
    assert hindrance(headers) == "it has 6 codings; at most 5 are undone"


def test_the_inner_data_is_cut_off() -> None:
    with pytest.raises(CodingError, match="middle of its deflate data"):
        decode("deflate, gzip", gzip.compress(zlib.compress(PLAIN)[:100]))


@pytest.mark.parametrize("value", ["", "identity", " Identity , "])
def test_nothing_to_undo(value: str) -> None:
    headers = Headers({"Content-Encoding": value})
    assert decoder_for(headers) is None
    assert hindrance(headers) is None


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("exi", "'exi' is not known here"),
        ("gzip, aes128gcm", "'aes128gcm' is not known here"),
        ("br", "'br' is not known here; pip install 'brotli>=1.2'"),
        ("gzip, zstd", "'zstd' is not known here; pip install backports.zstd"),
    ],
)
def test_an_unknown_coding(value: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codings, "brotli", lambda: None)
    monkeypatch.setattr(codings, "zstandard", lambda: None)
    codings._known.cache_clear()
    codings.accept_encoding.cache_clear()
    try:
        headers = Headers({"Content-Encoding": value})
        assert decoder_for(headers) is None
        assert hindrance(headers) == told
        assert accept_encoding() == "gzip, deflate"
    finally:
        codings._known.cache_clear()
        codings.accept_encoding.cache_clear()


def test_what_is_accepted_is_what_is_known() -> None:
    assert accept_encoding() == "gzip, deflate, br, zstd"


class OldDecompressor:
    """That of brotli before 1.2."""

    def process(self, data: bytes) -> bytes:
        return data


def test_libraries_are_looked_for_when_they_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    missing: Any = None
    for name in ("brotli", "brotlicffi", "compression.zstd", "backports.zstd", "zstandard"):
        monkeypatch.setitem(sys.modules, name, missing)
    assert installed_codings.brotli.__wrapped__() is None
    assert installed_codings.zstandard.__wrapped__() is None
    old: Any = types.SimpleNamespace(Decompressor=OldDecompressor)
    monkeypatch.setitem(sys.modules, "brotli", old)
    assert installed_codings.brotli.__wrapped__() is None
    monkeypatch.setitem(sys.modules, "brotlicffi", brotli)
    assert installed_codings.brotli.__wrapped__() is brotli


# --- bombs ---


@pytest.mark.parametrize("kind", ["gzip", "zlib", "br", "zstd"])
@pytest.mark.usefixtures("libraries")
def test_a_bomb_comes_out_in_small_pieces(kind: str) -> None:
    coding, pack = PACKED[kind]
    bomb = pack(bytes(50_000_000))
    decoder = decoder_for(Headers({"Content-Encoding": coding}))
    assert decoder is not None
    tracemalloc.start()
    try:
        size = sum(len(piece) for piece in decoder.decode(bomb))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    decoder.end()
    assert size == 50_000_000
    assert peak < 20_000_000
