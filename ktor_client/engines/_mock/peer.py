"""The scripted other side of a WebSocket: a server's session with words for tests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn, TypeAlias, TypeVar

from ktor_client.channels import Channels
from ktor_client.durations import Duration, seconds
from ktor_client.engines._mock.conversation import Conversation
from ktor_client.engines._mock.matching import (
    Expected,
    describe,
    difference,
    fits,
    holds,
    show,
)
from ktor_client.engines._mock.responses import raisable
from ktor_client.engines._mock.tap import ConversationTap
from ktor_client.errors import ConnectionClosedError
from ktor_client.frames import CloseReason, Frame, TextFrame
from ktor_client.http import HttpRequest
from ktor_client.http.typed_json import to_json
from ktor_client.link.oneshot import OneShot
from ktor_client.memory.pipe import PipedLink
from ktor_client.memory.real_clock import RealClock
from ktor_client.memory.virtual_clock import VirtualClock
from ktor_client.protocol.handshake import Negotiated
from ktor_client.session import DefaultWebSocketSession, SessionCore
from ktor_client.unset import UNSET

__all__ = ["MockPeerSession", "Peer"]

T = TypeVar("T")

MAX_FRAME_SIZE = 1 << 40
MAX_STALL = 24 * 60 * 60.0
"""Virtual seconds after which a stalled peer gives up: the client will never leave by itself."""


class MockPeerSession(DefaultWebSocketSession):
    """The server's side of a WebSocket, for a script: `await peer.expect("hello")`.

    It is a session like the client's, and answers pings and Close by itself. For tests, it adds
    expectations, which fail with the conversation so far, and ways to misbehave.
    """

    __slots__ = (
        "_clock",
        "_conversation",
        "_is_gone",
        "_patience",
        "_raw",
        "_stalled",
        "_strict",
        "_tap",
    )

    def __init__(
        self,
        link: PipedLink,
        conversation: Conversation,
        negotiated: Negotiated,
        clock: VirtualClock | RealClock,
        patience: float,
        channels: Channels,
        *,
        raw: bool,
    ) -> None:
        """Start the session; `MockEngine` makes it."""
        self._tap = ConversationTap(link, conversation)
        self._conversation = conversation
        self._clock = clock
        self._patience = patience
        self._raw = raw
        self._strict = False
        self._is_gone = False
        self._stalled: OneShot[None] | None = None
        core = SessionCore(
            self._tap,
            channels=channels,
            max_frame_size=MAX_FRAME_SIZE,
            negotiated=negotiated,
            raw=raw,
            client=False,
        )
        super().__init__(core)
        core.on_closed(lambda _: self._tap.pings.put_nowait(None))

    @property
    def request(self) -> HttpRequest:
        """The handshake that opened this WebSocket."""
        return self._conversation.request

    @property
    def conversation(self) -> Conversation:
        """Every frame until now."""
        return self._conversation

    # --- expectations ---

    async def expect(self, expected: Expected = Frame, *, json: Any = UNSET) -> Frame:
        """Wait for the client's next message, check it, and return it.

        Args:
            expected: the text, the bytes or the frame itself; a kind of frame such as
                `Frame.Binary`; a pattern that the text begins with; or a function of the frame.
                `Frame.Ping` and `Frame.Close` wait for those, and let virtual time pass; in a raw
                session they are messages like others.
            json: the object that a text message must hold, however it is written.

        Raises:
            ExpectationError: another message, the end of the session, or nothing for `patience`
                real seconds. It ends the session and fails the test even if your code swallows it.
        """
        __tracebackhide__ = True  # pytest shows the script's line
        if not self._raw:
            if expected is Frame.Close or isinstance(expected, Frame.Close):
                return await self._expect_close(expected)
            if expected is Frame.Ping or isinstance(expected, Frame.Ping):
                return await self._expect_ping(expected)
        self._strict = True
        wanted = f"json={json!r}" if json is not UNSET else describe(expected)
        frame = await self._wait(wanted, self.incoming.receive())
        if json is not UNSET:
            met = holds(frame, json)
            text = to_json(json)
        else:
            met = fits(frame, expected)
            text = expected if isinstance(expected, str) else ""
            if isinstance(expected, TextFrame) and expected.fin:
                text = expected.read_text()
        if not met:
            raise self._conversation.failure(
                f"expected {wanted}, but the client sent {show(frame)}",
                difference(text, frame) if text else "",
            )
        return frame

    async def expect_close(
        self, code: int | None = None, message: str | None = None
    ) -> CloseReason:
        """Wait until the client closes, check code and message where given, return its reason.

        Lets virtual time pass. Raises `ExpectationError` as `expect` does.
        """
        __tracebackhide__ = True
        self._strict = True
        parts = [repr(part) for part in (code, message) if part is not None]
        wanted = "a Close frame" + (f" with {' and '.join(parts)}" if parts else "")
        with self._clock.passing():
            frame = await self._wait(wanted, self._message_or_end())
        if frame is not None:
            raise self._conversation.failure(
                f"expected {wanted}, but the client sent {show(frame)}"
            )
        received = self._core.ending.reason().received
        if received is None:
            self._fail_ended(wanted)
        if (code is not None and received.code != code) or (
            message is not None and received.message != message
        ):
            raise self._conversation.failure(
                f"expected {wanted}, but the client closed with {received}"
            )
        return received

    async def _expect_close(self, expected: Expected) -> Frame:
        __tracebackhide__ = True
        reason = expected.read_reason() if isinstance(expected, Frame.Close) else None
        if reason is None:
            return Frame.Close(await self.expect_close())
        return Frame.Close(await self.expect_close(reason.code, reason.message))

    async def _expect_ping(self, expected: Expected) -> Frame:
        __tracebackhide__ = True
        wanted = describe(expected)
        with self._clock.passing():
            ping = await self._wait(wanted, self._tap.pings.get())
        if ping is None:
            self._tap.pings.put_nowait(None)
            self._fail_ended(wanted)
        if isinstance(expected, Frame) and ping != expected:
            raise self._conversation.failure(f"expected {wanted}, but the client sent {ping!r}")
        return ping

    async def _wait(self, wanted: str, waiting: Awaitable[T]) -> T:
        __tracebackhide__ = True
        self._conversation.expected = wanted  # and stays, where the test ends meanwhile
        try:
            async with asyncio.timeout(self._patience):
                result = await waiting
        except TimeoutError:
            self._conversation.expected = None
            raise self._conversation.failure(
                f"expected {wanted}, but nothing came within {self._patience:g} s "
                "(MockEngine's patience)"
            ) from None
        except ConnectionClosedError:
            self._fail_ended(wanted)
        self._conversation.expected = None
        return result

    def _fail_ended(self, wanted: str) -> NoReturn:
        __tracebackhide__ = True
        self._conversation.expected = None
        reason = self._core.ending.reason()
        happened = (
            f"the client closed with {reason.received}"
            if reason.received is not None
            else "the connection was lost"
        )
        raise self._conversation.failure(f"expected {wanted}, but {happened}")

    async def _message_or_end(self) -> Frame | None:
        try:
            return await self.incoming.receive()
        except ConnectionClosedError:
            await self._core.closed.wait()
            return None

    def _check_leftovers(self) -> None:
        """Refuse messages that nobody asked for, where the script said what to expect.

        Raises:
            ExpectationError: there are some.
        """
        left = list(self._core.messages)
        if self._strict and left:
            shown = ", ".join(show(frame) for frame in left[:3])
            more = f" and {len(left) - 3} more" if len(left) > 3 else ""
            raise self._conversation.failure(
                f"the script is over, but the client also sent {shown}{more}"
            )

    # --- misbehaviour ---

    async def delay(self, duration: Duration) -> None:
        """Let virtual time pass: the client's keepalive and deadlines see it, but nobody waits."""
        await self._clock.sleep(duration)

    async def stall(self, duration: Duration | None = None) -> None:
        """Read and answer nothing, neither pings nor Close, while virtual time passes.

        Without a duration, until the client has given up; the script usually ends then.

        Raises:
            ExpectationError: the client has not given up after a virtual day.
        """
        self._strict = False
        over: OneShot[None] = OneShot()
        limit = MAX_STALL if duration is None else seconds(duration, "stall")
        timer = self._clock.call_later(limit, over.set, None)
        self._stalled = over
        self._tap.pause()
        try:
            if not self._is_gone:
                with self._clock.passing():
                    await over.wait()
            if duration is None and not self._is_gone:
                raise self._conversation.failure(
                    "stalled for a virtual day, and the client still has not given up: it has "
                    "neither ping_interval nor called close()"
                )
        finally:
            timer.cancel()
            self._tap.resume()
        await asyncio.sleep(0)  # what has piled up is read, and pings answered

    def drop(self, error: Exception | type[Exception] | None = None) -> None:
        """End the connection without a Close frame: what was sent arrives, and then `error`."""
        error = raisable(error)
        if not isinstance(error, Exception | None):
            raise TypeError(f"drop takes an exception that the client sees, not {error!r}")
        self._strict = False
        self._conversation.end = "the peer dropped the connection"
        self._fail(error or ConnectionResetError("the mock peer dropped it"))

    def write_bytes(self, data: bytes) -> None:
        """Write bytes to the wire that no codec has checked: `write_bytes(bytes([0x83, 0]))`.

        Raises:
            RuntimeError: messages sent before still wait, and would be overtaken.
        """
        if len(self._sending):
            raise RuntimeError(
                "MockEngine: write_bytes would overtake messages that still wait to be sent; "
                "await session.flush() before it"
            )
        self._tap.inner.write_bytes(data)

    # --- for the engine ---

    def _left(self) -> None:
        """Take note that the client's end of the connection is no more."""
        self._is_gone = True
        if self._stalled is not None:
            self._stalled.set(None)

    def _fail(self, error: Exception) -> None:
        """End the connection with an error that the client sees."""
        self._tap.inner.reset(error)
        self._core.cancel()


Peer: TypeAlias = Callable[[MockPeerSession], Awaitable[object]]
"""The script: `async def peer(session)`. Returning closes the session with 1000."""
