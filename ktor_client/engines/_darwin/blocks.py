"""Blocks, made by ctypes: a literal in Python, whose function lives while somebody holds a copy.

Which blocks there are, and what their arguments mean, is the bridge's business.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Generator
from contextlib import contextmanager
from itertools import count
from typing import Any

__all__ = ["Blocks"]

_HAS_COPY_DISPOSE = 1 << 25


class _Descriptor(ctypes.Structure):
    _fields_ = (
        ("reserved", ctypes.c_ulong),
        ("size", ctypes.c_ulong),
        ("copy", ctypes.c_void_p),
        ("dispose", ctypes.c_void_p),
    )


class _Literal(ctypes.Structure):
    _fields_ = (
        ("isa", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("reserved", ctypes.c_int),
        ("invoke", ctypes.c_void_p),
        ("descriptor", ctypes.c_void_p),
        ("number", ctypes.c_size_t),  # the one variable that it captures
    )


_Copy = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)
_Dispose = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_Answer = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_bool)


class Blocks:
    """Functions by number, and how many copies of its block hold each.

    The runtime copies and disposes on any thread, so nothing here takes a lock: a finalizer that
    runs within one could come back for it. Each step is one operation on a list or dictionary.
    """

    def __init__(self, stack_class: int) -> None:
        """Take the address of `_NSConcreteStackBlock`."""
        self._stack_class = stack_class
        self._functions: dict[int, Callable[..., object]] = {}
        self._holders: dict[int, list[None]] = {}
        self._numbers = count(1)
        # Made once and kept: a thunk that went while it runs would crash.
        self._thunks = (_Copy(self._copied), _Dispose(self._disposed))
        self._descriptor = _Descriptor(
            0, ctypes.sizeof(_Literal), *(ctypes.cast(one, ctypes.c_void_p) for one in self._thunks)
        )

    def __len__(self) -> int:
        """Return how many functions are held."""
        return len(self._functions)

    def function(self, block: int) -> Callable[..., Any]:
        """Return the function of a block that is being invoked."""
        return self._functions[_Literal.from_address(block).number]

    def answer(self, block: int, value: bool) -> None:
        """Invoke a block of Apple's that takes a yes or no."""
        _Answer(_Literal.from_address(block).invoke)(block, value)

    @contextmanager
    def literal(
        self, invoke: ctypes.c_void_p, function: Callable[..., object]
    ) -> Generator[ctypes.c_void_p]:
        """Give a `with` block a literal on the stack, so to speak: who wants to keep it copies it.

        Args:
            invoke: what the runtime calls; it asks `function` for the other one.
            function: held until the last copy is disposed of, and at least for the `with` block.
        """
        number = next(self._numbers)
        self._holders[number] = [None]
        self._functions[number] = function
        one = _Literal(
            self._stack_class,
            _HAS_COPY_DISPOSE,
            0,
            invoke,
            ctypes.addressof(self._descriptor),
            number,
        )
        try:
            yield ctypes.c_void_p(ctypes.addressof(one))
        finally:
            self._let_go(number)

    def _copied(self, copy: int, original: int) -> None:
        self._holders[_Literal.from_address(copy).number].append(None)

    def _disposed(self, block: int) -> None:
        self._let_go(_Literal.from_address(block).number)

    def _let_go(self, number: int) -> None:
        holders = self._holders[number]
        holders.pop()
        if not holders:
            del self._holders[number]
            del self._functions[number]
