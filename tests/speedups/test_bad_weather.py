"""The compiled twin under failing allocations, and after many rounds: no crash, nothing left."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ktor_client import _twin

COMMON = """
import asyncio, gc, os, sys
from collections import deque
from ktor_client import Frame, _twin
from ktor_client.frames import BinaryFrame, TextFrame
from tests.protocol.wire import BINARY, TEXT, frame
from tests.session.test_awaitables import ROADS, in_a_step, opened, read

assert _twin.implementation == "compiled"
core = _twin._core
"""

FAILING = """
from _testcapi import remove_mem_hooks, set_nomemory

data = frame(TEXT, "ä".encode()) + frame(BINARY, bytes(200)) + frame(TEXT, b"x" * 40)
messages = deque()

def check(call):
    '''Let one allocation after the other fail, until none of the call's does.'''
    failed = 0
    for number in range(100_000):
        set_nomemory(number, number + 1)
        try:
            call()
        except (MemoryError, UnicodeEncodeError):
            remove_mem_hooks()
            failed += 1
        else:
            remove_mem_hooks()
            if number > failed + 40:  # the last ones all went well
                return failed
    raise AssertionError("it never came to its end")

assert check(lambda: core.take_copied(data, 1000, messages)) > 3
messages.clear()
assert check(lambda: core.take_plain(memoryview(data), 0, 1000, messages)) > 3
messages.clear()
assert check(lambda: core.mask_bytes(b"x" * 5000, b"abcd")) > 0
assert check(lambda: core.new_text("a")) > 0
assert check(lambda: core.new_binary(b"a")) > 0

def go(call):
    try:
        call.send(None)
    except StopIteration:
        pass
    finally:
        call.close()

async def main():
    session, transport = opened()
    text, many = "abc" * 20, [str(number) for number in range(200_000)]
    for name, road in ROADS.items():
        if name == "send":
            await in_a_step(session)
        else:
            session.incoming.queue.extend(map(core.new_text, many))
        check(lambda: go(road(session)))
        check(lambda: road(session).close())
        session.incoming.queue.clear()
    session._core.cancel()
    if _twin.is_eager:
        await wait_in_vain()

async def wait_in_vain():
    session, transport = opened()
    for name in ("receive", "next frame", "next message"):
        def wait():
            call = ROADS[name](session)
            try:
                call.send(None)
            finally:
                call.close()
        assert check(wait) > 0
        assert not session._core.incoming._waiters
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda loop, context: None)
    answered = []
    session._core.cancel()
    one = frame(TEXT, b"abc")
    async def body(session):
        answered.append(await session.receive_text())
    def read_one(session, number):
        set_nomemory(number, number + 1)
        try:
            session._link.data_received(one)
        except MemoryError:
            pass
        finally:
            remove_mem_hooks()
    # Whatever fails: the frame, the waiter, a step of the task, the loop's handle.
    for number in range(60):
        session, transport = opened()  # which ends where the decoder has no memory
        task = asyncio.create_task(body(session))
        await asyncio.sleep(0)
        loop.call_soon(read_one, session, number)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        session._core.cancel()
    assert answered
    # A task whose handle could not be made never goes on, as with futures: nobody waits for it.
    print("survived", flush=True)
    os._exit(0)

asyncio.run(main())
print("survived")
"""

ROUNDS = """
import resource
data = frame(TEXT, b"abc") * 2 + frame(BINARY, b"abc" * 50) + frame(TEXT, b"\\xff")

async def rounds(count):
    session, transport = opened()
    link = session._link
    good = data[:-3]
    loop = asyncio.get_running_loop()
    for number in range(count):
        reader = asyncio.ensure_future(session.receive_text())
        await asyncio.sleep(0)
        loop.call_soon(read, session, "alone")  # outside of every task, as transports do
        assert await reader == "alone"
        waits = session.incoming.receive()
        waits.send(None)
        del waits
        read(session, "a", "b", "c", "d")
        link.buffer_updated  # what read has called
        late = session.incoming.receive()
        assert (await session.incoming.receive()).text == "a"
        assert (await anext(session.incoming)).text == "b"
        assert await anext(aiter(session)) == "c"
        await late
        task = asyncio.ensure_future(session.incoming.receive())
        late = session.incoming.receive()
        await asyncio.sleep(0)
        task.cancel()
        late.close()
        await session.send("text")
        await session.send(b"bytes" * 30)
        await session.send("ä")
        transport.writes.clear()
    await asyncio.sleep(0)
    session._core.cancel()
    await asyncio.sleep(0)

def counts():
    gc.collect()
    types = (TextFrame, BinaryFrame, type(None), str, bytes)
    return len(gc.get_objects()), *map(sys.getrefcount, types[:2])

asyncio.run(rounds(300))
before, size = counts(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
asyncio.run(rounds(int(sys.argv[1])))
after = counts()
assert all(abs(a - b) < 30 for a, b in zip(before, after)), (before, after)
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - size
assert grown < 4096, grown  # KiB
print("nothing left")
"""


@pytest.fixture(params=["0", "1"], ids=["by turns", "eager"], autouse=True)
def wakes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(_twin.EAGER, request.param)


def test_failing_allocations(run_compiled: Callable[..., str]) -> None:
    pytest.importorskip("_testcapi", reason="this Python was built without its test modules")
    assert run_compiled(COMMON + FAILING) == "survived\n"


def test_nothing_is_left_after_many_rounds(run_compiled: Callable[..., str]) -> None:
    assert run_compiled(COMMON + ROUNDS, "2000") == "nothing left\n"


@pytest.mark.exhaustive
@pytest.mark.hours
@pytest.mark.timeout(170)
def test_nothing_is_left_after_a_hundred_thousand_rounds(run_compiled: Callable[..., str]) -> None:
    assert run_compiled(COMMON + ROUNDS, "100000") == "nothing left\n"
