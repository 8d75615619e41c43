"""Raw sessions: every frame in, any frame out, nothing by itself; and what all sessions show."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ktor_client import (
    Channels,
    CloseReason,
    ConnectionClosedError,
    ConverterNotFoundError,
    DeserializationError,
    Frame,
    bounded,
)
from ktor_client.http import Headers, HttpMethod, HttpRequest, HttpResponse, Url
from ktor_client.link.oneshot import OneShot
from ktor_client.protocol.handshake import Negotiated
from ktor_client.session import (
    ClientWebSocketSession,
    DefaultClientWebSocketSession,
    HttpClientCall,
    WebSocketContentConverter,
)
from tests.support.fake_link import FakeLink, core_on, on_fake_link, steps


def raw_session(**options: Any) -> tuple[ClientWebSocketSession, FakeLink]:
    link = FakeLink()
    return ClientWebSocketSession(core_on(link, raw=True, **options)), link


async def test_nothing_is_answered() -> None:
    session, link = raw_session()
    frames = [Frame.Ping(b"p"), Frame.Text("t"), Frame.Binary(b"b", fin=False), Frame.Pong(b"q")]
    link.deliver(*frames)
    assert [await session.incoming.receive() for _ in range(4)] == frames
    assert link.sent == []
    await session.send(Frame.Pong(b"p"))
    await session.send(Frame.Text("fragment", fin=False))
    assert link.sent == [Frame.Pong(b"p"), Frame.Text("fragment", fin=False)]
    link.lose()


async def test_the_peers_close_is_answered_by_hand() -> None:
    session, link = raw_session()
    link.deliver(Frame.Close(CloseReason(4000, "bye")))
    assert link.closes == []
    assert not session.is_open
    assert not session.close_reason
    assert await session.incoming.receive() == Frame.Close(CloseReason(4000, "bye"))
    with pytest.raises(ConnectionClosedError):
        await session.incoming.receive()
    await session.send(Frame.Close(CloseReason(4001)))
    assert link.closes == [CloseReason(4001)]
    reason = session.close_reason
    assert (reason.code, reason.initiator, reason.clean) == (4000, "peer", True)
    with link.time.passing():
        await session.close()
    assert link.closes == [CloseReason(4001)]


async def test_other_frames_may_go_out_before_the_answer() -> None:
    session, link = raw_session()
    link.peer_closes(1000)
    await session.send("last words")
    with link.time.passing():
        await session.close(CloseReason(1000))
    assert link.sent == [Frame.Text("last words"), Frame.Close(CloseReason(1000))]


async def test_a_close_that_nobody_answers() -> None:
    session, link = raw_session()
    link.peer_closes(4000)
    link.lose()
    reason = await session.close_reason
    assert (reason.code, reason.initiator, reason.clean) == (4000, "peer", False)


async def test_we_close_first() -> None:
    session, link = raw_session()
    closing = asyncio.create_task(session.close(CloseReason(4000)))
    await steps()
    link.deliver(Frame.Text("late"), Frame.Close(CloseReason(4001)))
    frames = [await session.incoming.receive() for _ in range(2)]
    assert frames == [Frame.Text("late"), Frame.Close(CloseReason(4001))]
    link.lose()
    await closing
    assert session.close_reason == CloseReason(4000)


async def test_a_violation_is_told_as_ever() -> None:
    _, link = raw_session()
    link.violate(1009)
    await steps()
    assert link.closes == [CloseReason(1009, "A rule was broken")]
    link.lose()


async def test_marks_of_bytes_count_fragments_too() -> None:
    session, link = raw_session(channels=Channels(incoming=bounded(64, max_bytes=100)))
    link.deliver(Frame.Text("x" * 60, fin=False), Frame.Ping(b"p"), Frame.Text("y" * 60))
    assert link.calls == ["pause"]
    assert (await session.incoming.receive()).data == b"x" * 60
    assert (await session.incoming.receive()) == Frame.Ping(b"p")
    assert link.calls == ["pause"]  # 60 are more than half
    await session.incoming.receive()
    assert link.calls == ["pause", "resume"]
    link.lose()


# --- facts


async def test_a_session_without_a_call() -> None:
    session, link = raw_session()
    with pytest.raises(AttributeError, match="not opened by a client"):
        _ = session.call
    assert (session.extensions, session.subprotocol, session.peer_address) == ((), None, None)
    assert link.options.raw
    link.lose()


async def test_a_session_with_a_call() -> None:
    link = FakeLink()
    request = HttpRequest(HttpMethod.Get, Url.parse("ws://localhost/x"), Headers())
    response = HttpResponse(request, 101, Headers())
    negotiated = Negotiated(subprotocol="chat")
    session = ClientWebSocketSession(
        core_on(link, negotiated=negotiated), HttpClientCall(request, response)
    )
    assert session.call.request is request
    assert session.call.response is response
    assert repr(session.call) == f"HttpClientCall({request!r}, 101)"
    assert session.subprotocol == "chat"
    async with session as entered:
        assert entered is session
        link.peer_closes()
        link.lose()


async def test_typed_receives_and_no_converter() -> None:
    session, link = on_fake_link()
    text, binary = Frame.Text("t"), Frame.Binary(b"b")
    link.deliver(text, binary, text, binary)
    assert await session.receive_text() == "t"
    assert await session.receive_bytes() == b"b"
    with pytest.raises(DeserializationError, match="expected a binary") as caught:
        await session.receive_bytes()
    assert caught.value.frame is text
    with pytest.raises(DeserializationError, match="expected a text"):
        await session.receive_text()
    assert session.converter is None
    with pytest.raises(ConverterNotFoundError):
        await session.send_serialized({})
    with pytest.raises(ConverterNotFoundError):
        await session.receive_deserialized(dict)
    link.lose()


class Numbers(WebSocketContentConverter):
    """Numbers as text."""

    def serialize(self, value: object) -> Frame:
        return Frame.Text(str(value))

    def deserialize(self, frame: Frame, type_: Any) -> Any:
        try:
            return type_(frame.data.decode())
        except ValueError as error:
            raise DeserializationError(str(error)) from error

    def is_applicable(self, frame: Frame) -> bool:
        return isinstance(frame, Frame.Text)


async def test_typed_messages() -> None:
    link = FakeLink()
    converter = Numbers()
    session = DefaultClientWebSocketSession(core_on(link), content_converter=converter)
    assert session.converter is converter
    await session.send_serialized(17)
    assert link.sent == [Frame.Text("17")]
    link.deliver(Frame.Text("4"), Frame.Text("four"), Frame.Binary(b"4"))
    assert await session.receive_deserialized(int) == 4
    with pytest.raises(DeserializationError) as caught:
        await session.receive_deserialized(int)
    assert caught.value.frame == Frame.Text("four")
    with pytest.raises(DeserializationError, match="doesn't support frame type BINARY"):
        await session.receive_deserialized(int)
    link.lose()
    with pytest.raises(ConnectionClosedError):
        await session.receive_deserialized(int)


async def test_codecs_end_with_the_session() -> None:
    class Codec:
        closed = 0

        def close(self) -> None:
            self.closed += 1

    codec: Any = Codec()
    session, link = raw_session(negotiated=Negotiated(codecs=(codec,), descriptions=("x-ours",)))
    assert session.extensions == ("x-ours",)
    link.lose()
    link.lose()
    assert codec.closed == 1


# --- a value that comes once


async def test_a_value_that_comes_once() -> None:
    once: OneShot[str] = OneShot()
    assert (once.is_set, once.value) == (False, None)
    waiting = [asyncio.create_task(once.wait()) for _ in range(3)]
    await steps()
    waiting[0].cancel()
    await steps()
    once.set("first")
    waiting[1].cancel()  # its value is on the way
    once.set("second")
    await steps()
    assert waiting[1].cancelled()
    assert await waiting[2] == await once.wait() == once.value == "first"
    assert once.is_set


async def test_a_value_whose_waiter_was_cancelled_in_the_same_step() -> None:
    once: OneShot[str] = OneShot()
    waiting = asyncio.create_task(once.wait())
    await steps()
    waiting.cancel()
    once.set("value")
    await steps()
    assert waiting.cancelled()
