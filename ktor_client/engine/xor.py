"""A compiled XOR for masking, from whichever library on this machine has one.

Masking is `protocol/masking.py`'s; in pure Python it costs most of what sending long messages does.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

from ktor_client._twin import implementation
from ktor_client.protocol.masking import Mask, mask_bytes

__all__ = ["best_mask"]


def best_mask() -> Mask:
    """Return ours if it is compiled, that of websockets or aiohttp if one is installed, or ours."""
    if implementation == "compiled":
        return mask_bytes
    try:
        mask: Mask = import_module("websockets.speedups").apply_mask
    except (ImportError, AttributeError):
        return _aiohttp_mask() or mask_bytes
    return mask


def _aiohttp_mask() -> Mask | None:
    """Return aiohttp's XOR, which it does not promise to keep; not for the price of an import."""
    if "aiohttp" not in sys.modules:
        return None
    try:
        in_place: Any = import_module("aiohttp._websocket.mask")._websocket_mask_cython
    except (ImportError, AttributeError):
        return None

    def mask(payload: bytes | memoryview, key: bytes) -> bytearray:
        masked = bytearray(payload)
        in_place(key, masked)
        return masked

    return mask
