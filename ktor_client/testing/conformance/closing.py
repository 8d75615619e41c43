"""Checks of the end of a session: who closes, with what, how long it takes, what is left."""

from __future__ import annotations

import asyncio

from ktor_client.client import WebSocketStatement
from ktor_client.engine.capabilities import RawFramesCapability
from ktor_client.errors import ConnectionClosedError
from ktor_client.frames import CloseReason, Frame
from ktor_client.session import DefaultClientWebSocketSession
from ktor_client.testing.conformance.check import (
    QUICK,
    Lab,
    Query,
    Room,
    end_of_tasks,
    equal,
    expect,
    raises,
)

__all__ = ["ROOM"]

# Where a check needs RawFramesCapability: a browser drops no connection and, once it has sent
# Close, delivers no message.

ROOM = Room("closing")
check = ROOM.check


# --- by us


@check("Ktor: testSessionClose")
async def leaving_the_block(lab: Lab) -> None:
    """Leaving the block closes with 1000."""
    async with lab.session("/echo", query={"id": lab.id}) as session:
        expect(session.is_open, "the session is not open")
    expect(not session.is_open, "the session is open")
    reason = session.close_reason
    equal((reason.code, reason.initiator, reason.clean), (1000, "local", True), "close_reason")
    record = await lab.recorded()
    equal((record.code, record.reason), (1000, ""), "the Close that the server saw")


@check("ktor-client: leaving the body; Ktor: testExceptionWss, testErrorHandling")
async def leaving_by_an_exception(lab: Lab) -> None:
    """An exception in the block closes with 1011 and comes out unchanged."""
    error = LookupError("THIS IS AN ERROR !!!!")
    with raises(LookupError) as caught:
        async with lab.session("/echo", query={"id": lab.id}):
            raise error
    expect(caught.error is error, f"{caught.error!r} came out")
    await lab.expect_code(1011)


@check("ktor-client: leaving the body", RawFramesCapability)
async def leaving_by_cancellation(lab: Lab) -> None:
    """A cancelled block writes Close 1001 without waiting, and the cancellation passes at once."""
    entered = asyncio.Event()

    async def body() -> None:
        async with lab.client(close_timeout=1000) as client:
            async with client.web_socket(lab.url("/silent", id=lab.id)) as session:
                entered.set()
                await session.incoming.receive()

    task = asyncio.ensure_future(body())
    task.add_done_callback(lambda _: entered.set())
    await entered.wait()
    task.cancel()
    with raises(asyncio.CancelledError):
        await task
    await lab.expect_code(1001)


@check("ktor-client: closing; Ktor: close()")
async def close_is_idempotent(lab: Lab) -> None:
    """`close` may be called by any task, any number of times; the first reason counts."""
    async with lab.session("/echo", query={"id": lab.id}) as session:
        reasons = [CloseReason(4000 + i, str(i)) for i in range(5)]
        await asyncio.gather(*(session.close(reason) for reason in reasons))
        await session.close()
        equal(await session.close_reason, CloseReason(4000, "0"), "close_reason")
    equal((await lab.recorded()).code, 4000, "the code that the server saw")


@check("ktor-client: closing")
async def reason_tells_both_halves(lab: Lab) -> None:
    """`close_reason` has what we sent, what the peer sent, who was first, and that it was clean."""
    async with lab.session("/echo") as session:
        await session.close(CloseReason(4321, "grüße"))
        reason = session.close_reason
        equal(reason, CloseReason(4321, "grüße"), "close_reason")
        equal(reason.sent, CloseReason(4321, "grüße"), "sent")
        equal(reason.received, CloseReason(4321, "grüße"), "received")
        equal((reason.initiator, reason.clean), ("local", True), "initiator and clean")


@check("ktor-client: the session")
async def reason_of_an_open_session(lab: Lab) -> None:
    """While a session is open `close_reason` is false, and can be awaited, repeatedly."""
    async with lab.session("/echo") as session:
        reason = session.close_reason
        expect(not reason and reason.code is None, f"{reason!r} of an open session")
        waiting = [asyncio.ensure_future(_wait(reason)) for _ in range(2)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        await session.close()
        equal((await waiting[1]).code, 1000, "what one waiter got")
        equal((await reason).code, 1000, "what a later waiter got")
        expect(session.close_reason, "the final reason is false")


async def _wait(reason: CloseReason) -> CloseReason:
    return await reason


@check("ktor-client: close codes; Ktor: testBadCloseReason")
async def codes_that_may_not_be_sent(lab: Lab) -> None:
    """`close` and `send` refuse 1005, 1006, 1015 and the like; the session stays open."""
    async with lab.session("/echo") as session:
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535):
            with raises(ValueError):
                await session.close(CloseReason(code))
            if code != 1005:  # a Close frame without a code is legal
                with raises(ValueError):
                    await session.send(Frame.Close(CloseReason(code)))
        await session.send("on")
        equal(await session.receive_text(), "on", "the echo")


@check("Ktor: WebSocketTest (server), raw Close")
async def close_frame_by_send(lab: Lab) -> None:
    """Sending a Close frame closes the session."""
    async with lab.session("/echo", query={"id": lab.id}) as session:
        await session.send(Frame.Close(CloseReason(4001, "by send")))
        with raises(ConnectionClosedError):
            await session.send("x")
        equal(await session.close_reason, CloseReason(4001, "by send"), "close_reason")
    equal((await lab.recorded()).code, 4001, "the code that the server saw")


@check("ktor-client: closing")
async def close_wakes_a_receiver(lab: Lab) -> None:
    """A task that waits in `receive` learns that another one has closed; iteration just ends."""
    async with lab.session("/echo") as session:

        async def iterate() -> list[str | bytes]:
            return [message async for message in session]

        receiving = asyncio.ensure_future(session.incoming.receive())
        await asyncio.sleep(0)
        iterating = asyncio.ensure_future(iterate())
        await asyncio.sleep(0)
        await session.close(CloseReason(4000))
        with raises(ConnectionClosedError) as caught:
            await receiving
        equal(caught.error.initiator, "local", "initiator")
        equal(await iterating, [], "the messages")


@check("ktor-client: receiving; Ktor: testClientClosingFirst", RawFramesCapability)
async def last_words_are_delivered(lab: Lab) -> None:
    """After our Close, what the peer says before its own is still received."""
    async with lab.session("/last-words", query={"n": 3}) as session:
        await session.close()
        got = [message async for message in session]
        equal(got, ["last word 0", "last word 1", "last word 2"], "the messages")


@check("Ktor: testCancellingScope, testSessionTermination", RawFramesCapability)
async def cancel_drops_the_connection(lab: Lab) -> None:
    """`cancel` ends the session at once: 1006, by us; the server sees no Close."""
    async with lab.session("/silent", query={"id": lab.id}) as session:
        session.cancel()
        session.cancel()
        reason = await session.close_reason
        equal((reason.code, reason.initiator, reason.clean), (1006, "local", False), "it")
        with raises(ConnectionClosedError):
            await session.incoming.receive()
        with raises(ConnectionClosedError):
            await session.send("x")
        await session.wait_closed()
    await lab.recorded()


# --- by the peer


@check("Ktor: DefaultWebSocketTest.closeByClient")
async def peer_closes_first(lab: Lab) -> None:
    """The peer's Close is echoed, and `close_reason` is the peer's."""
    async with lab.session("/close", query={"id": lab.id}) as session:
        await session.send("End")
        with raises(ConnectionClosedError) as caught:
            await session.incoming.receive()
        equal(caught.error.reason, CloseReason(1000, "End"), "the reason of the error")
        reason = await session.close_reason
        equal(reason, CloseReason(1000, "End"), "close_reason")
        equal((reason.initiator, reason.clean), ("peer", True), "initiator and clean")
        with raises(ConnectionClosedError):
            await session.send("x")
        await session.close(CloseReason(4000))
        equal(session.close_reason, CloseReason(1000, "End"), "close_reason after a close of ours")
    record = await lab.recorded()
    equal((record.code, record.reason), (1000, "End"), "the echo that the server saw")


def _code(code: int) -> None:
    async def run(lab: Lab) -> None:
        query: Query = {"code": code, "reason": "test", "id": lab.id}
        async with lab.session("/close", query=query) as session:
            reason = await session.close_reason
            equal(reason, CloseReason(code, "test"), "close_reason")
            equal((reason.initiator, reason.clean), ("peer", True), "initiator and clean")
        equal((await lab.recorded()).code, code, "the echo that the server saw")

    ROOM.add(
        f"peer_closes_with_{code}",
        f"A Close with code {code} is told as it is, and echoed.",
        "RFC 6455 7.4; Ktor: WebSocketEngineSuite, server closes first",
        run,
    )


for _number in (1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 4999):
    _code(_number)


@check("RFC 6455 7.1.5; ktor-client: closing")
async def peer_closes_without_a_code(lab: Lab) -> None:
    """A Close without a code is 1005, and is echoed empty."""
    query: Query = {"code": "none", "id": lab.id}
    async with lab.session("/close", query=query) as session:
        reason = await session.close_reason
        equal((reason.code, reason.message, reason.clean), (1005, "", True), "close_reason")
        expect(reason.is_normal, "1005 is not normal")
    equal((await lab.recorded()).code, 1005, "the echo that the server saw")


@check("ktor-client: closing; Ktor: closeReason")
async def connection_is_lost(lab: Lab) -> None:
    """A connection that ends without Close is 1006, not clean, by the peer."""
    for how in ("fin", "reset"):
        query: Query = {"after": 1, "how": how}
        async with lab.session("/drop", query=query) as session:
            await session.send("x")
            with raises(ConnectionClosedError) as caught:
                while True:
                    await session.incoming.receive()
            equal(caught.error.reason.code, 1006, "the code of the error")
            reason = await session.close_reason
            equal((reason.code, reason.initiator, reason.clean), (1006, "peer", False), "it")
            equal((reason.sent, reason.received), (None, None), "sent and received")


@check("Ktor: WebSocketEngineSuite, peer disconnects")
async def everybody_hears_of_the_loss(lab: Lab) -> None:
    """A lost connection ends receivers, iterations, waiters and senders alike."""
    async with lab.session("/drop", query={"after": 1}) as session:

        async def iterate() -> None:
            _ = [message async for message in session]

        async def flood() -> None:
            while True:
                await session.send("x" * 1000)

        tasks = [
            asyncio.ensure_future(work())
            for work in (session.incoming.receive, iterate, flood, session.wait_closed)
        ]
        results = await asyncio.gather(*tasks[1:], return_exceptions=True)
        equal(
            [type(r).__name__ for r in results],
            ["ConnectionClosedError", "ConnectionClosedError", "NoneType"],
            "how iteration, sender and waiter ended",
        )
        await asyncio.wait(tasks[:1])


@check("RFC 6455 5.5.1", RawFramesCapability)
async def nothing_follows_a_close(lab: Lab) -> None:
    """Data behind the peer's Close is not delivered, and a second Close changes nothing."""
    async with lab.session("/data-after-close", query={"code": 1001}) as session:
        equal([m async for m in session], ["before"], "the messages")
        equal((await session.close_reason).code, 1001, "close_reason.code")
    async with lab.wire("8802 0fa0 8802 0fa1 810161") as session:
        equal((await session.close_reason).code, 4000, "close_reason.code")
        with raises(ConnectionClosedError):
            await session.incoming.receive()


# --- deadlines


@check("ktor-client: closing", RawFramesCapability)
async def silent_peer_cannot_hold_close(lab: Lab) -> None:
    """A peer that does not answer Close holds us for `close_timeout`, no longer."""
    async with lab.session("/silent", query={"id": lab.id}, close_timeout=QUICK) as session:
        await session.close(CloseReason(4000, "enough"))
        reason = session.close_reason
        equal((reason.code, reason.message), (4000, "enough"), "close_reason")
        expect(not reason.clean and reason.received is None, "it was clean")
    equal((await lab.recorded()).code, 4000, "the code that the server saw")


@check("ktor-client: closing")
async def streaming_peer_cannot_hold_close(lab: Lab) -> None:
    """A peer that streams on and on holds us for `close_timeout`, no longer."""
    async with lab.session("/stream", close_timeout=2 * QUICK) as session:
        await session.incoming.receive()
        await session.close()
        expect(not session.close_reason.clean, "it was clean")


@check("ktor-client: closing")
async def close_passes_cancellation(lab: Lab) -> None:
    """A cancelled `close` raises CancelledError; the close goes on and ends by its deadline."""
    async with lab.session("/silent", close_timeout=2 * QUICK) as session:
        closing = asyncio.ensure_future(session.close())
        await asyncio.sleep(0)
        closing.cancel()
        with raises(asyncio.CancelledError):
            await closing
        await session.wait_closed()
        equal(session.close_reason.code, 1000, "close_reason.code")


# --- what is left


@check("ktor-client: closing")
async def nothing_is_left(lab: Lab) -> None:
    """A session leaves no task, however it ends: return, exception, cancel, loss, violation."""
    await lab.client().close()
    before = asyncio.all_tasks()
    async with lab.client(close_timeout=QUICK) as client:
        for path in ("/echo", "/close?code=4000", "/drop", "/silent", "/stream"):
            async with client.web_socket(lab.url(path)) as session:
                if path == "/drop":
                    await session.wait_closed()
            session = await client.web_socket_session(lab.url(path))
            session.cancel()
            await session.wait_closed()
            with raises(LookupError):
                async with client.web_socket(lab.url(path)):
                    raise LookupError
            task = asyncio.ensure_future(_forever(client.web_socket(lab.url(path))))
            await asyncio.sleep(0.01)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    await end_of_tasks(before)


async def _forever(statement: WebSocketStatement[DefaultClientWebSocketSession]) -> None:
    async with statement as session:
        _ = [message async for message in session]
