"""The compiled XOR: whichever library is here, masked bytes are the same."""

from __future__ import annotations

import sys

import aiohttp
import pytest

from ktor_client.engine.xor import best_mask
from ktor_client.protocol.masking import mask_bytes

KEY = b"\x01\x80\xff\x00"
PAYLOADS: list[bytes | memoryview] = [
    b"",
    b"a",
    b"hello",
    bytes(range(256)) * 5,
    memoryview(b"0123456789")[3:],
]

WEBSOCKETS = "websockets.speedups"
AIOHTTP = "aiohttp._websocket.mask"


@pytest.mark.parametrize(
    ("absent", "compiled"),
    [((), True), ((WEBSOCKETS,), True), ((WEBSOCKETS, AIOHTTP), False)],
)
def test_every_xor_masks_alike(
    monkeypatch: pytest.MonkeyPatch, absent: tuple[str, ...], compiled: bool
) -> None:
    monkeypatch.setitem(sys.modules, "aiohttp", aiohttp)  # it has been imported
    for module in absent:
        monkeypatch.setitem(sys.modules, module, None)
    mask = best_mask()
    assert (mask is not mask_bytes) is compiled
    for payload in PAYLOADS:
        assert bytes(mask(payload, KEY)) == mask_bytes(payload, KEY)


def test_aiohttp_is_not_imported_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, WEBSOCKETS, None)
    monkeypatch.delitem(sys.modules, "aiohttp")
    assert best_mask() is mask_bytes
    assert "aiohttp" not in sys.modules
