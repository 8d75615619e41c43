"""A browser that does what a test says: `js` and `pyodide.ffi` for engine tests without Chromium.

Only what the engine calls is here, as Chromium and Pyodide were measured to behave. A destroyed
proxy that is called, or destroyed twice, is an error, as it is there.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from functools import partial
from types import ModuleType, SimpleNamespace
from typing import Any, NoReturn

CONNECTING, OPEN, CLOSING, CLOSED = range(4)


class JsException(Exception):
    """Pyodide's wrapper of a JavaScript error."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{name}: {message}")
        self.name = name
        self.message = message


class Proxy:
    """A Python object in JavaScript's hands: a function, or bytes to look into."""

    alive = 0

    def __init__(self, target: Any) -> None:
        self._target: Any = target
        Proxy.alive += 1

    def getBuffer(self, kind: str) -> SimpleNamespace:
        assert kind == "u8"
        Proxy.alive += 1
        return SimpleNamespace(data=Bytes(bytes(self._target)), release=self._release)

    @staticmethod
    def _release() -> None:
        Proxy.alive -= 1

    def __call__(self, *arguments: object) -> object:
        assert self._target is not None, "a destroyed proxy was called"
        return self._target(*arguments)

    def destroy(self) -> None:
        assert self._target is not None, "a proxy was destroyed twice"
        self._target = None
        Proxy.alive -= 1


class Bytes:
    """An ArrayBuffer or Uint8Array."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def to_bytes(self) -> bytes:
        return self.data


class Bindable:
    """A function of JavaScript's: bound to an object, it takes the rest of its arguments."""

    def __init__(self, function: Any) -> None:
        self._function = function

    def bind(self, this: object) -> Any:
        return partial(self._function, this)


class Array:
    """An Array."""

    def __init__(self, items: list[Any]) -> None:
        self._items = items
        self.push = Bindable(Array._push)

    def _push(self, item: object) -> int:
        self._items.append(item)
        return len(self._items)

    def splice(self, start: int, count: int | None = None) -> "Array":
        end = None if count is None else start + count
        taken = self._items[start:end]
        del self._items[start:end]
        return Array(taken)

    def map(self, function: Any) -> "Array":
        return Array([function(item, at, self) for at, item in enumerate(self._items)])

    def to_py(self, *, depth: int) -> list[Any]:
        assert depth == 1, "deeper, it would convert ArrayBuffers to memoryviews"
        return list(self._items)


def _data_of(event: SimpleNamespace) -> object:
    return event.data


def _own_property(target: object, name: str) -> SimpleNamespace:
    assert (target, name) == ("MessageEvent.prototype", "data")
    return SimpleNamespace(get=_data_of)


def _call(function: Any, this: Any, *arguments: object) -> object:
    assert function is _data_of  # JavaScript gives getters more than they take
    return function(this)


class Socket:
    """A WebSocket; `fire_*` are the network's part."""

    def __init__(self, url: str, protocols: list[str]) -> None:
        if "refused-by-syntax" in url:
            raise JsException("SyntaxError", "The URL is invalid")
        if "refused-by-security" in url:
            raise JsException("SecurityError", "An insecure WebSocket")
        self.url = url
        self.protocols = protocols
        self.protocol = protocols[0] if protocols else ""
        self.extensions = ""
        self.readyState = CONNECTING
        self.bufferedAmount = 0
        self.binaryType = "blob"
        self.sent: list[str | bytes] = []
        self.closed_with: list[tuple[object, ...]] = []
        self.onopen: Any = None
        self.onmessage: Any = None
        self.onerror: Any = None
        self.onclose: Any = None

    def send(self, data: str | Bytes) -> None:
        assert self.readyState == OPEN
        self.sent.append(data if isinstance(data, str) else data.data)

    def close(self, *arguments: object) -> None:
        code = arguments[0] if arguments else None
        assert code is None or code == 1000 or (isinstance(code, int) and 3000 <= code <= 4999)
        if self.readyState < CLOSING:
            self.readyState = CLOSING
            self.closed_with.append(arguments)

    def fire_open(self) -> None:
        self.readyState = OPEN
        self.onopen(SimpleNamespace())

    def fire_message(self, data: str | bytes) -> None:
        wrapped = data if isinstance(data, str) else Bytes(data)
        self.onmessage(SimpleNamespace(data=wrapped))

    def fire_error(self, state: int = CLOSED) -> None:
        self.readyState = state
        self.onerror(SimpleNamespace())

    def fire_close(self, code: int, reason: str = "") -> None:
        self.readyState = CLOSED
        if self.onclose is not None:
            self.onclose(SimpleNamespace(code=code, reason=reason, wasClean=code != 1006))


class Signal:
    """An AbortSignal."""

    def __init__(self) -> None:
        self.aborted = asyncio.Event()

    async def heeded(self) -> NoReturn:
        """Wait for the abort, as `fetch` and a body that is read do."""
        await self.aborted.wait()
        raise JsException("AbortError", "signal is aborted without reason")


class Reader:
    """Of a response's body: chunks, then an error, silence or the end."""

    def __init__(
        self, chunks: list[bytes], error: JsException | None, stalled_until: Signal | None
    ) -> None:
        self._chunks = list(chunks)
        self._error = error
        self._stalled_until = stalled_until

    async def read(self) -> SimpleNamespace:
        if self._chunks:
            return SimpleNamespace(done=False, value=Bytes(self._chunks.pop(0)))
        if self._error is not None:
            raise self._error
        if self._stalled_until is not None:
            await self._stalled_until.heeded()
        return SimpleNamespace(done=True, value=None)


class Response:
    """What `fetch` gives."""

    def __init__(
        self,
        chunks: list[bytes] | None = None,
        error: JsException | None = None,
        redirected_to: str = "",
        *,
        is_stalled: bool = False,
    ) -> None:
        self.status = 200
        self.statusText = "OK"
        self.headers = [["content-type", "text/plain"], ["x-id", "1, 2"]]
        self.redirected = bool(redirected_to)
        self.url = redirected_to
        self.signal = Signal()
        until = self.signal if is_stalled else None
        self.body = (
            None
            if chunks is None
            else SimpleNamespace(getReader=lambda: Reader(chunks, error, until))
        )


class Browser:
    """The global object, and what was done to it."""

    def __init__(self, *, web_sockets: bool = True) -> None:
        self.sockets: list[Socket] = []
        self.opened = asyncio.Event()
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.answer: Response | JsException | None = None
        self.aborted = 0
        self.microtasks: list[Any] = []
        self.js = ModuleType("js")
        self.ffi = ModuleType("pyodide.ffi")
        parts: dict[str, object] = {
            "fetch": self.fetch,
            "queueMicrotask": self.microtasks.append,
            "AbortController": SimpleNamespace(new=self._controller),
            "Array": SimpleNamespace(new=lambda: Array([])),
            "Function": SimpleNamespace(prototype=SimpleNamespace(call=Bindable(_call))),
            "MessageEvent": SimpleNamespace(prototype="MessageEvent.prototype"),
            "Object": SimpleNamespace(fromEntries=dict, getOwnPropertyDescriptor=_own_property),
            "Reflect": SimpleNamespace(get=getattr),
        }
        if web_sockets:
            parts["WebSocket"] = SimpleNamespace(new=self._socket)
        vars(self.js).update(parts)
        vars(self.ffi).update(create_proxy=Proxy, JsException=JsException, to_js=_to_js)

    @property
    def socket(self) -> Socket:
        """The newest one."""
        return self.sockets[-1]

    async def come_out_of_the_event(self) -> None:
        """Run the microtasks, outside of all tasks."""
        done = asyncio.get_running_loop().create_future()

        def run() -> None:
            while self.microtasks:
                self.microtasks.pop(0)()
            done.set_result(None)

        asyncio.get_running_loop().call_soon(run)
        await done

    def _socket(self, url: str, protocols: list[str]) -> Socket:
        socket = Socket(url, protocols)
        self.sockets.append(socket)
        self.opened.set()
        return socket

    def _controller(self) -> SimpleNamespace:
        signal = Signal()

        def abort() -> None:
            self.aborted += 1
            signal.aborted.set()

        return SimpleNamespace(signal=signal, abort=abort)

    async def fetch(self, url: str, options: dict[str, Any]) -> Response:
        self.requests.append((url, options))
        signal: Signal = options["signal"]
        if self.answer is None:
            self.opened.set()
            await signal.heeded()
        if isinstance(self.answer, JsException):
            raise self.answer
        self.answer.signal.aborted = signal.aborted
        return self.answer


def _to_js(value: object, dict_converter: object = None) -> object:
    return Bytes(value) if isinstance(value, bytes) else value


def collected(chunks: AsyncIterator[bytes]) -> Any:
    """A coroutine that gives the chunks joined."""

    async def join() -> bytes:
        return b"".join([chunk async for chunk in chunks])

    return join()


def no_proxy_left() -> Iterator[None]:
    """Body of a fixture: fails when a proxy was not destroyed."""
    before = Proxy.alive
    yield
    assert Proxy.alive == before, "proxies were not destroyed"
