"""Apple's connections by ctypes: the queues of callbacks, and the way from them to the event loop.

Callbacks come on a queue's thread. There they become values of Python, bytes copied, and cross by
`call_soon_threadsafe`. What a connection does with them is in `transport.py`.
"""

from __future__ import annotations

import asyncio
import atexit
import ctypes
import os
import time
import warnings
import weakref
from collections import deque
from collections.abc import Callable
from ctypes import c_bool, c_int, c_size_t, c_void_p
from functools import cache, partial
from typing import Protocol

from ktor_client.engines._darwin.blocks import Blocks
from ktor_client.engines._darwin.errors import exception_of
from ktor_client.engines._darwin.functions import Frameworks, Functions, frameworks
from ktor_client.errors import ConnectError

__all__ = ["CANCELLED", "FAILED", "READY", "WAITING", "Bridge", "Line", "LineOwner", "bridge"]

WAITING, READY, FAILED, CANCELLED = 1, 3, 4, 5
"""States of an `nw_connection`, as far as they matter."""

PATIENCE = 5.0
"""Seconds that the end of the interpreter waits for Apple's last callback."""


_Told = ctypes.CFUNCTYPE(None, c_void_p, c_void_p)
_StateChanged = ctypes.CFUNCTYPE(None, c_void_p, c_int, c_void_p)
_Received = ctypes.CFUNCTYPE(None, c_void_p, c_void_p, c_void_p, c_bool, c_void_p)
_Asked = ctypes.CFUNCTYPE(None, c_void_p, c_void_p, c_void_p, c_void_p)

_EVENTS = b"ktor-client.darwin"
_QUESTIONS = b"ktor-client.darwin.trust"
"""Whether to trust a server may take Apple a look into the network; events do not wait for that."""


class Bridge:
    """The way to Apple's functions; one for a process."""

    def __init__(self, libraries: Frameworks) -> None:
        """Declare what is called. Raises what `Functions` raises."""
        self.libraries = libraries
        self.functions = Functions(libraries)
        stack_class = c_void_p.in_dll(libraries.system, "_NSConcreteStackBlock")
        self.blocks = Blocks(ctypes.addressof(stack_class))
        self.lines: set[Line] = set()
        """Those that were started and not yet told to be cancelled. They are held here, as a loop
        holds its sockets."""
        self._made: weakref.WeakSet[Line] = weakref.WeakSet()
        """All lines, with those that were cancelled and whose loop was not told."""
        self._queues: dict[bytes, int] = {}
        self._last_loop: asyncio.AbstractEventLoop | None = None
        self._refusal = ""
        self.is_dead = False
        """Whether nothing may be called any more: this process was forked from one that did."""
        self._thunks = (
            _Told(self._told),
            _StateChanged(self._state_changed),
            _Received(self._received),
            _Asked(self._asked),
        )
        self._told_at, self._state_changed_at, self._received_at, self._asked_at = (
            ctypes.cast(thunk, c_void_p) for thunk in self._thunks
        )
        network = libraries.network
        self._no_tls = c_void_p.in_dll(network, "_nw_parameters_configure_protocol_disable")
        self._stream = c_void_p.in_dll(network, "_nw_content_context_default_stream")
        self._free = ctypes.cast(libraries.system.free, c_void_p)

    def open(
        self,
        host: str,
        port: int,
        configure_tls: Callable[[int], object] | None,
        owner: LineOwner,
    ) -> Line:
        """Begin to connect, with TLS if there is something to configure it.

        Args:
            host: a name or an address.
            port: a number.
            configure_tls: called at once with the TLS options; None for no TLS.
            owner: told of everything, on the running loop.

        Raises:
            ConnectError: this process was forked, or ends.
        """
        if self._refusal:
            raise ConnectError(f"DarwinEngine cannot connect: {self._refusal}")
        loop = asyncio.get_running_loop()
        if loop is not self._last_loop:
            self._last_loop = loop
            self._sweep()
        functions = self.functions
        endpoint = functions.nw_endpoint_create_host(host.encode(), str(port).encode())
        parameters = self._parameters(configure_tls)
        line = Line(self, loop, owner, functions.nw_connection_create(endpoint, parameters))
        functions.nw_release(parameters)
        functions.nw_release(endpoint)
        functions.nw_connection_set_queue(line.pointer, self._queue(_EVENTS))
        line.start()
        return line

    def _queue(self, name: bytes) -> int:
        if name not in self._queues:
            self._queues[name] = self.functions.dispatch_queue_create(name, None)
        return self._queues[name]

    def _parameters(self, configure_tls: Callable[[int], object] | None) -> int:
        create = self.functions.nw_parameters_create_secure_tcp

        def configure_tcp(options: int) -> None:
            self.functions.nw_tcp_options_set_no_delay(options, True)

        with self.blocks.literal(self._told_at, configure_tcp) as tcp:
            if configure_tls is None:
                pointer: int = create(self._no_tls, tcp)
            else:
                with self.blocks.literal(self._told_at, configure_tls) as tls:
                    pointer = create(tls, tcp)
        return pointer

    def _sweep(self) -> None:
        """Drop connections of loops that were closed before them: nobody else will."""
        for line in tuple(self.lines):
            if line.loop.is_closed() and not line.is_cancelled:
                warnings.warn(f"unclosed connection {line!r}", ResourceWarning, stacklevel=2)
                line.cancel(force=True)

    def close(self) -> None:
        """Drop every connection, and return when no callback can come any more.

        An interpreter that has ended cannot be called back: the process would crash.
        """
        if self._refusal:
            return
        self._refusal = "the interpreter ends"
        limit = time.monotonic() + PATIENCE
        for line in tuple(self.lines):
            line.cancel(force=True)
        while self.lines and time.monotonic() < limit:
            time.sleep(0.001)
        for line in tuple(self._made):
            line.end()  # a connection holds the block that is asked whom to trust
        while len(self.blocks) and time.monotonic() < limit:
            time.sleep(0.001)
        while self._queues:
            _, queue = self._queues.popitem()
            self.functions.dispatch_sync_f(queue, None, self._free)  # behind the last callback
            self.functions.dispatch_release(queue)

    def forked(self) -> None:
        """Touch nothing any more: Apple's frameworks do not survive a fork without exec."""
        if self._queues:
            self._refusal = (
                "this process was forked from one that had used it, and Apple's frameworks do not "
                "survive that; start processes by 'spawn'"
            )
            self.is_dead = True
            self.lines.clear()

    # --- called by Apple, on a queue's thread ---

    def _told(self, block: int, value: int) -> None:
        """Run a block of one argument: protocol options, or the error of a send."""
        self.blocks.function(block)(value)

    def _state_changed(self, block: int, state: int, error: int | None) -> None:
        self.blocks.function(block)(state, self._exception(error))

    def _received(
        self, block: int, content: int | None, context: int, is_complete: bool, error: int | None
    ) -> None:
        data = b"" if content is None else self._bytes(content)
        self.blocks.function(block)(data, is_complete, self._exception(error))

    def _asked(self, block: int, metadata: int, trust: int, answer: int) -> None:
        self.blocks.function(block)(trust, answer)

    # --- for lines ---

    def _exception(self, error: int | None) -> OSError | None:
        if error is None:
            return None
        functions = self.functions
        return exception_of(
            functions.nw_error_get_error_domain(error), functions.nw_error_get_error_code(error)
        )

    def _bytes(self, content: int) -> bytes:
        start, size = c_void_p(), c_size_t()
        functions = self.functions
        region = functions.dispatch_data_create_map(
            content, ctypes.byref(start), ctypes.byref(size)
        )
        data = ctypes.string_at(start, size.value)
        functions.dispatch_release(region)
        return data

    def set_state_changed_handler(
        self, pointer: int, function: Callable[[int, OSError | None], object]
    ) -> None:
        """Set who is told of a connection's states."""
        with self.blocks.literal(self._state_changed_at, function) as block:
            self.functions.nw_connection_set_state_changed_handler(pointer, block)

    def receive(
        self, pointer: int, size: int, function: Callable[[bytes, bool, OSError | None], object]
    ) -> None:
        """Ask for what comes next."""
        with self.blocks.literal(self._received_at, function) as block:
            self.functions.nw_connection_receive(pointer, 1, size, block)

    def send(self, pointer: int, data: bytes, function: Callable[[OSError | None], object]) -> None:
        """Send bytes."""
        functions = self.functions
        content = functions.dispatch_data_create(data, len(data), None, None)

        def sent(error: int | None) -> None:
            function(self._exception(error))

        with self.blocks.literal(self._told_at, sent) as block:
            functions.nw_connection_send(pointer, content, self._stream, False, block)
        functions.dispatch_release(content)

    def set_verify_block(self, options: int, function: Callable[[int, int], object]) -> None:
        """Set who is asked whether to trust a server (a `sec_trust`), and has a block to answer."""
        with self.blocks.literal(self._asked_at, function) as block:
            queue = self._queue(_QUESTIONS)
            self.functions.sec_protocol_options_set_verify_block(options, block, queue)

    def peer_of(self, pointer: int) -> tuple[str, int] | None:
        """Return address and port of a connection's other end, where the system tells."""
        functions = self.functions
        path = functions.nw_connection_copy_current_path(pointer)
        if path is None:
            return None
        endpoint = functions.nw_path_copy_effective_remote_endpoint(path)
        functions.nw_release(path)
        text = functions.nw_endpoint_copy_address_string(endpoint)
        address = ctypes.string_at(text).decode()
        functions.free(text)
        port: int = functions.nw_endpoint_get_port(endpoint)
        functions.nw_release(endpoint)
        return address, port


@cache
def bridge() -> Bridge:
    """Return the bridge of this process. Raises what `frameworks` and `Bridge` raise."""
    made = Bridge(frameworks())
    atexit.register(made.close)
    os.register_at_fork(after_in_child=made.forked)
    return made


class LineOwner(Protocol):
    """Who is told, on the event loop."""

    def state_changed(self, state: int, error: OSError | None) -> None:
        """Take a state; CANCELLED is the last one."""
        ...

    def received(self, data: bytes, is_complete: bool, error: OSError | None) -> None:
        """Take what a receive has brought; `is_complete` is the peer's end."""
        ...

    def sent(self, size: int, error: OSError | None) -> None:
        """Take note that a send of so many bytes is done, or has failed."""
        ...


class Line:
    """An `nw_connection`. What it tells is told to its owner, on the event loop.

    Blocks hold the line and never the owner: that must not end on the queue's thread.
    """

    def __init__(
        self, over: Bridge, loop: asyncio.AbstractEventLoop, owner: LineOwner, pointer: int
    ) -> None:
        """Take a connection that was made."""
        self._bridge = over
        over._made.add(self)
        self.loop = loop
        self.owner: LineOwner | None = owner
        """None once it wants to hear no more."""
        self.pointer = pointer
        """0 once it was given back."""
        self.peer: tuple[str, int] | None = None
        """Address and port of the other end, once it is ready."""
        self.is_cancelled = False
        self.unheard: deque[None] = deque()
        """One for each state and each receive that is on its way to the loop."""

    def __del__(self) -> None:
        self.end()

    def start(self) -> None:
        """Connect."""
        self._bridge.lines.add(self)
        self._bridge.set_state_changed_handler(self.pointer, self._state_changed)
        self._bridge.functions.nw_connection_start(self.pointer)

    def receive(self, size: int) -> None:
        """Ask once for at most `size` bytes."""
        if self._is_there:
            self._bridge.receive(self.pointer, size, self._received)

    def send(self, data: bytes) -> None:
        """Send bytes."""
        if self._is_there:
            self._bridge.send(self.pointer, data, partial(self._sent, len(data)))

    def cancel(self, *, force: bool = False) -> None:
        """Close the connection, with force by a reset; CANCELLED is told when it is gone."""
        self.is_cancelled = True
        if self._is_there:
            functions = self._bridge.functions
            if force:
                functions.nw_connection_force_cancel(self.pointer)
            else:
                functions.nw_connection_cancel(self.pointer)

    def end(self) -> None:
        """Hear no more, and give the connection back, which was cancelled before."""
        self.owner = None
        if self._is_there:
            pointer, self.pointer = self.pointer, 0
            self._bridge.functions.nw_release(pointer)

    @property
    def _is_there(self) -> bool:
        return self.pointer != 0 and not self._bridge.is_dead

    # --- on the queue's thread ---

    def _state_changed(self, state: int, error: OSError | None) -> None:
        pointer = self.pointer
        if pointer == 0:
            return  # a state that was on its way
        if state == READY:
            self.peer = self._bridge.peer_of(pointer)
        elif state == CANCELLED:
            self._bridge.lines.discard(self)
            # The handler holds us, and the connection the handler.
            self._bridge.functions.nw_connection_set_state_changed_handler(pointer, None)
        self.unheard.append(None)
        self._cross(self._hear_state, state, error)

    def _received(self, data: bytes, is_complete: bool, error: OSError | None) -> None:
        self.unheard.append(None)
        self._cross(self._hear_received, data, is_complete, error)

    def _sent(self, size: int, error: OSError | None) -> None:
        self._cross(self._hear_sent, size, error)

    def _cross(self, hear: Callable[..., object], *values: object) -> None:
        try:
            self.loop.call_soon_threadsafe(hear, *values)
        except RuntimeError:
            if not self.loop.is_closed():
                raise
            self.cancel(force=True)  # nobody is there any more

    # --- on the loop ---

    def _hear_state(self, state: int, error: OSError | None) -> None:
        self.unheard.popleft()
        if self.owner is not None:
            self.owner.state_changed(state, error)

    def _hear_received(self, data: bytes, is_complete: bool, error: OSError | None) -> None:
        self.unheard.popleft()
        if self.owner is not None:
            self.owner.received(data, is_complete, error)

    def _hear_sent(self, size: int, error: OSError | None) -> None:
        if self.owner is not None:
            self.owner.sent(size, error)
