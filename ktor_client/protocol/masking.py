"""Masking (RFC 6455 5.3): keys from the operating system's random source, and XOR in pure Python.

A compiled XOR may be handed in by an engine whose library has one; this is the reference.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeAlias

__all__ = ["Mask", "mask_bytes", "new_keys"]

Mask: TypeAlias = Callable[[bytes | memoryview, bytes], bytes | bytearray]
"""Return a payload XORed with the repeated four-byte key: `mask(payload, key)`."""

POOL_SIZE = 4096

_SHORT = 8192
_TABLES: list[bytes | None] = [None] * 256


def new_keys() -> bytes:
    """Return a pool of fresh random bytes, four for each frame."""
    return os.urandom(POOL_SIZE)


def mask_bytes(payload: bytes | memoryview, key: bytes) -> bytes:
    """Return `payload` XORed with the key; masking twice gives the payload back."""
    size = len(payload)
    if size <= _SHORT:
        stream = (key * ((size + 3) >> 2))[:size]
        number = int.from_bytes(payload, "big") ^ int.from_bytes(stream, "big")
        return number.to_bytes(size, "big")
    result = bytearray(payload)
    for at in range(4):
        result[at::4] = result[at::4].translate(_table(key[at]))
    return bytes(result)


def _table(key: int) -> bytes:
    table = _TABLES[key]
    if table is None:
        table = _TABLES[key] = bytes(value ^ key for value in range(256))
    return table
