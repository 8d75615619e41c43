"""CoreFoundation by ctypes: who creates or copies an object owns it; a pool releases its own."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from ctypes import c_void_p

from ktor_client.engines._darwin.functions import Frameworks, Functions

__all__ = ["Pool"]

_UTF8 = 0x08000100
_ROOM = 2048
"""Bytes of a text that is read."""


class Pool(ExitStack):
    """Objects of CoreFoundation and Security: released, last made first, when the pool closes."""

    def __init__(self, libraries: Frameworks, functions: Functions) -> None:
        super().__init__()
        self._libraries = libraries
        self._functions = functions

    def own(self, pointer: int | None) -> int | None:
        """Take over an object that a function with Create or Copy in its name has returned."""
        if pointer is not None:
            self.callback(self._functions.CFRelease, pointer)
        return pointer

    def constant(self, name: str) -> int | None:
        """Return a constant of Security or CoreFoundation; None on a system that has it not."""
        library = self._libraries.security if name.startswith("kSec") else self._libraries.core
        try:
            return c_void_p.in_dll(library, name).value
        except ValueError:
            return None

    def data(self, content: bytes) -> int | None:
        """Make a CFData."""
        return self.own(self._functions.CFDataCreate(None, content, len(content)))

    def string(self, text: str) -> int | None:
        """Make a CFString."""
        return self.own(self._functions.CFStringCreateWithCString(None, text.encode(), _UTF8))

    def array(self, values: Sequence[int | None]) -> int | None:
        """Make a CFArray, which holds its values."""
        create = self._functions.CFArrayCreate
        return self.own(create(None, _pointers(values), len(values), self._callbacks("Array")))

    def dictionary(self, of: Mapping[int | None, int | None]) -> int | None:
        """Make a CFDictionary, which holds its keys and values."""
        keys, values = _pointers([*of]), _pointers([*of.values()])
        create = self._functions.CFDictionaryCreate
        how = self._callbacks("DictionaryKey"), self._callbacks("DictionaryValue")
        return self.own(create(None, keys, values, len(of), *how))

    def text(self, string: int) -> str:
        """Return what a CFString says; nothing if that is very long."""
        room = ctypes.create_string_buffer(_ROOM)
        self._functions.CFStringGetCString(string, room, _ROOM, _UTF8)
        return room.value.decode()

    def _callbacks(self, of: str) -> c_void_p:
        return c_void_p(
            ctypes.addressof(c_void_p.in_dll(self._libraries.core, f"kCFType{of}CallBacks"))
        )


def _pointers(values: Sequence[int | None]) -> ctypes.Array[c_void_p]:
    return (c_void_p * len(values))(*values)
