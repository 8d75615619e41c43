"""Masking (RFC 6455 5.3): keys from the operating system's random source, and XOR in pure Python.

A compiled XOR may be handed in by an engine whose library has one; this is the reference.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from struct import Struct
from typing import TypeAlias

from ktor_client import _twin

__all__ = ["Mask", "fresh_key", "mask_bytes", "take_key"]

Mask: TypeAlias = Callable[[bytes | memoryview, bytes], bytes | bytearray]
"""Return a payload XORed with the repeated four-byte key: `mask(payload, key)`."""

POOL_SIZE = 128
"""Keys that are asked for at a time."""

_POOL = Struct("4s" * POOL_SIZE)
_SHORT = 8192
_TABLES: list[bytes | None] = [None] * 256


# All connections of all threads take their keys from here; each key is taken once.
_keys: list[bytes] = []
take_key = _keys.pop
"""Return four random bytes for a frame; `IndexError` says to call `fresh_key` instead."""


def _forget_keys() -> None:
    _keys.clear()
    _twin.forget_keys()


# The child of a fork must not go on with the keys that its parent will use. (Not on Windows.)
getattr(os, "register_at_fork", dict)(after_in_child=_forget_keys)


def fresh_key() -> bytes:
    """Return four random bytes for a frame, and provide for the next ones."""
    keys: list[bytes] = list(_POOL.unpack(os.urandom(_POOL.size)))
    key = keys.pop()
    _keys.extend(keys)
    return key


@_twin.twin
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
