"""What a check is, what it may use, and how it fails. No check lives here.

A check is a coroutine function of a `Lab`: plain asyncio, no test framework, no network library, so
that it runs in a test suite, on a command line and in a browser tab alike.
"""

from __future__ import annotations

import asyncio
import binascii
import json
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar
from urllib.parse import urlencode, urlsplit

from ktor_client.client import HttpClient
from ktor_client.config import Block, install
from ktor_client.engine import Capability
from ktor_client.engine.capabilities import RawFramesCapability, WebSocketCapability
from ktor_client.engine.registry import EngineFactory
from ktor_client.errors import ConnectError, WebSocketHandshakeError
from ktor_client.http.headers import HeadersLike
from ktor_client.plugins import WebSockets
from ktor_client.session import ClientWebSocketSession, DefaultClientWebSocketSession

__all__ = [
    "QUICK",
    "REFUSALS",
    "Check",
    "CheckFailure",
    "Lab",
    "Query",
    "Record",
    "Room",
    "SkippedCheck",
    "end_of_tasks",
    "equal",
    "expect",
    "raises",
]

E = TypeVar("E", bound=BaseException)

Query: TypeAlias = dict[str, str | int]
"""Query parameters of a route."""

QUICK = 0.05
"""Seconds; a deadline that a check waits for, because the peer is silent on purpose."""
BATTERY_CLOSE_TIMEOUT = 5.0
REFUSALS = (WebSocketHandshakeError, ConnectError)
"""What a refused handshake raises; a browser does not tell it from a failed connection."""


class CheckFailure(AssertionError):
    """The engine does not do what the check's statement says."""


class SkippedCheck(Exception):  # an outcome, not an error
    """Raised by a check that cannot be run here; the text says why."""


Run: TypeAlias = Callable[["Lab"], Awaitable[None]]
"""The code of a check."""


class Check(NamedTuple):
    """One statement about engines, and the code that finds out whether it holds."""

    name: str
    statement: str
    """One sentence, what must hold."""
    source: str
    """Where the statement comes from, such as "RFC 6455 5.4" or "Ktor: testEmptyFrame"."""
    needs: tuple[Capability, ...]
    """What an engine must be able to do for the statement to apply."""
    run: Run
    room: str
    """The group of checks that it belongs to."""

    def missing(self, capabilities: frozenset[Capability]) -> list[Capability]:
        """Return what an engine with these capabilities lacks for this check."""
        return [capability for capability in self.needs if capability not in capabilities]


class Room:
    """Collects the checks of one module, in the order in which they stand there."""

    def __init__(self, name: str, *needs: Capability) -> None:
        """Open a room; `needs` are what each of its checks needs besides WebSockets."""
        self.name = name
        self.checks: list[Check] = []
        self._needs = needs

    def check(self, source: str, *needs: Capability) -> Callable[[Run], Run]:
        """Make the function below a check; its name is the name, its docstring the statement."""

        def take(run: Run) -> Run:
            self.add(*_told(run), source, run, *needs)
            return run

        return take

    def check_for_all(self, source: str, *needs: Capability) -> Callable[[Run], Run]:
        """Make the function below a check for engines without WebSockets too."""

        def take(run: Run) -> Run:
            self.add_for_all(*_told(run), source, run, *needs)
            return run

        return take

    def add(self, name: str, statement: str, source: str, run: Run, *needs: Capability) -> None:
        """Add a check that is one of a table's rows."""
        self.add_for_all(name, statement, source, run, WebSocketCapability, *self._needs, *needs)

    def add_for_all(
        self, name: str, statement: str, source: str, run: Run, *needs: Capability
    ) -> None:
        """Add a check for engines without WebSockets too."""
        self.checks.append(Check(name, statement, source, needs, run, self.name))


def _told(run: Run) -> tuple[str, str]:
    name: str = getattr(run, "__name__", "")
    return name, " ".join((run.__doc__ or "").split())


class Record(NamedTuple):
    """What the server saw of a session."""

    code: int | None
    """Of the Close frame that came; 1005 for one without a code, None if there was none."""
    reason: str | None
    frames: list[tuple[str, bool, bytes]]
    """Type, `fin` and payload of each frame, where the route keeps them."""
    bytes_sent: int
    writable: bool


class Lab:
    """Where a check works: the engine, the server, and ways to ask the server what it saw."""

    def __init__(self, factory: EngineFactory, base_url: str, other_url: str | None = None) -> None:
        self.factory = factory
        self.base_url = base_url.rstrip("/")
        self.id = binascii.hexlify(os.urandom(8)).decode()
        """An id for `?id=`, by which the server knows a session of this check."""
        self._other = other_url
        self._control = HttpClient(factory)
        self.capabilities = self._control.engine.capabilities

    # --- addresses ---

    def url(self, path: str, **query: str | int) -> str:
        """Return the WebSocket URL of a route of the server."""
        return self.base_url + path + (f"?{urlencode(query)}" if query else "")

    def http_url(self, path: str, **query: str | int) -> str:
        """Return the HTTP URL of a route of the server."""
        return "http" + self.url(path, **query).removeprefix("ws")

    @property
    def other_url(self) -> str:
        """The same server as another origin, without a path.

        Raises:
            SkippedCheck: none is known.
        """
        if self._other is not None:
            return self._other.rstrip("/")
        parts = urlsplit(self.base_url)
        twins = {"127.0.0.1": "localhost", "localhost": "127.0.0.1"}
        if parts.hostname not in twins:
            raise SkippedCheck("no second origin: give other_url")
        port = f":{parts.port}" if parts.port is not None else ""
        return f"{parts.scheme}://{twins[parts.hostname]}{port}"

    # --- clients and sessions ---

    def client(self, *blocks: Block, **options: Any) -> HttpClient:
        """Return a client with WebSockets; `options` are those of the plugin."""
        options.setdefault("close_timeout", BATTERY_CLOSE_TIMEOUT)
        return HttpClient(self.factory, install(WebSockets, **options), *blocks)

    @asynccontextmanager
    async def session(
        self,
        path: str,
        *,
        query: Query | None = None,
        headers: HeadersLike | None = None,
        subprotocols: Sequence[str] = (),
        **options: Any,
    ) -> AsyncGenerator[DefaultClientWebSocketSession]:
        """Open a session on a client of its own; both end with the block."""
        async with self.client(**options) as client:
            url = self.url(path, **(query or {}))
            async with client.web_socket(
                url, headers=headers, subprotocols=subprotocols
            ) as session:
                yield session

    async def visit(self, path: str, **options: Any) -> None:
        """Open a session, as `session` does, and leave it."""
        async with self.session(path, **options) as session:
            expect(session.is_open, "the session is not open")

    @asynccontextmanager
    async def raw_session(
        self, path: str, *, query: Query | None = None, **options: Any
    ) -> AsyncGenerator[ClientWebSocketSession]:
        """Open a raw session on a client of its own; both end with the block."""
        async with self.client(**options) as client:
            async with client.web_socket_raw(self.url(path, **(query or {}))) as session:
                yield session

    @asynccontextmanager
    async def wire(
        self, data: str, *, end: bool = False, **options: Any
    ) -> AsyncGenerator[DefaultClientWebSocketSession]:
        """Open a session whose peer writes bytes, given in hexadecimal, behind the 101."""
        query: Query = {"hex": data.replace(" ", ""), "id": self.id}
        if end:
            query["end"] = "yes"
        async with self.session("/wire", query=query, **options) as session:
            yield session

    # --- the server's view ---

    async def recorded(self, session_id: str | None = None) -> Record:
        """Return what the server saw of a session, once it has ended."""
        return await self._ask("/recorded", session_id)

    async def seen(self, session_id: str | None = None) -> Record:
        """Return what the server has seen of a session until now."""
        return await self._ask("/session", session_id)

    async def release(self, session_id: str | None = None) -> None:
        """Let a session of /stalled read on."""
        await self._ask("/release", session_id)

    async def _ask(self, path: str, session_id: str | None) -> Record:
        response = await self._control.get(self.http_url(path, id=session_id or self.id))
        text = await response.body_as_text()
        expect(response.status == 200, f"the server's {path} answered {response.status}: {text}")
        seen: dict[str, Any] = json.loads(text)
        frames = [(f["type"], f["fin"], bytes.fromhex(f["data"])) for f in seen["frames"]]
        return Record(seen["code"], seen["reason"], frames, seen["bytes_sent"], seen["writable"])

    async def expect_code(self, code: int) -> None:
        """Fail unless the server saw a Close with this code.

        Engines that do not write frames themselves may be browsers, which send only 1000 and
        3000..4999: 1001 leaves as 1000, others below 3000 as 3000 more.
        """
        seen = (await self.recorded()).code
        allowed = {code}
        if RawFramesCapability not in self.capabilities:
            allowed.add(1000 if code == 1001 else 3000 + code)
        expect(seen in allowed, f"the server saw Close {seen}, expected {code}")

    async def close(self) -> None:
        """Close what the lab itself has open."""
        await self._control.close()


async def end_of_tasks(before: set[asyncio.Task[Any]]) -> None:
    """Wait until no task is left but those of `before`; the watchdog ends it otherwise.

    The server may be on this loop too; what it runs for a connection ends soon after that.
    """
    while left := asyncio.all_tasks() - before:
        await asyncio.wait(left)


# --- expectations ---


def expect(condition: object, what: str) -> None:
    """Fail unless `condition` is true; `what` says what is wrong then."""
    if not condition:
        raise CheckFailure(what)


def equal(actual: object, expected: object, what: str) -> None:
    """Fail unless both are equal; `what` names the value."""
    if actual != expected:
        raise CheckFailure(f"{what} is {_short(actual)}, expected {_short(expected)}")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 300 else f"{text[:200]}... ({len(text)} characters)"


class raises(Generic[E]):
    """A block that must raise one of these; `error` is what it raised."""

    error: E

    def __init__(self, *kinds: type[E]) -> None:
        self._kinds = kinds

    def __enter__(self) -> raises[E]:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        if exc is None:
            raise CheckFailure(f"{' or '.join(k.__name__ for k in self._kinds)} was not raised")
        if not isinstance(exc, self._kinds):
            return False
        self.error = exc
        return True
