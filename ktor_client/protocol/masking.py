"""Masking (RFC 6455 5.3): keys from the operating system's random source, and XOR in pure Python.

A compiled XOR may be handed in by an engine whose library has one; this is the reference.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from struct import Struct
from typing import TypeAlias

__all__ = ["Mask", "mask_bytes", "mask_keys"]

Mask: TypeAlias = Callable[[bytes | memoryview, bytes], bytes | bytearray]
"""Return a payload XORed with the repeated four-byte key: `mask(payload, key)`."""

FIRST_POOL = 16
POOL_SIZE = 128
"""Keys that are asked for at a time: few at first, since many connections send few frames."""

_FIRST = Struct("4s" * FIRST_POOL)
_MORE = Struct("4s" * POOL_SIZE)
_SHORT = 8192
_TABLES: list[bytes | None] = [None] * 256


def mask_keys() -> Iterator[bytes]:
    """Yield the keys of one connection: four random bytes for each frame, none of them twice."""
    pool = _FIRST
    while True:
        yield from pool.unpack(os.urandom(pool.size))
        pool = _MORE


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
