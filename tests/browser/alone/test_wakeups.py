"""Who has asked and awaits the answer is woken by microtask; everybody else by the loop."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ktor_client import ConnectionClosedError, DefaultClientWebSocketSession, HttpClient, install
from ktor_client.engines import BrowserEngine
from ktor_client.engines._browser.wakeups import Wakeups
from ktor_client.plugins import WebSockets

from .fake_browser import Browser


@pytest.fixture
async def session(browser: Browser) -> AsyncIterator[DefaultClientWebSocketSession]:
    async with HttpClient(BrowserEngine, install(WebSockets, close_timeout=0.01)) as client:
        opening = asyncio.create_task(client.web_socket_session("ws://example.org/"))
        await browser.opened.wait()
        browser.socket.fire_open()
        session = await opening
        yield session
        session.cancel()
        await browser.come_out_of_the_event()


@pytest.fixture
def wakeups(browser: Browser) -> Wakeups:
    return Wakeups(browser.js, browser.ffi)


async def settled() -> None:
    """Let the loop do all that it has to do."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_an_answer_wakes_by_microtask(
    browser: Browser, session: DefaultClientWebSocketSession
) -> None:
    await session.send("question")
    receiving = asyncio.create_task(session.incoming.receive())
    await settled()
    browser.socket.fire_message("answer")
    await settled()
    assert not receiving.done()
    await browser.come_out_of_the_event()
    assert (await receiving).read_bytes() == b"answer"


async def test_who_only_listens_is_woken_by_the_loop(
    browser: Browser, session: DefaultClientWebSocketSession
) -> None:
    receiving = asyncio.create_task(session.incoming.receive())
    await settled()
    browser.socket.fire_message("news")
    assert not browser.microtasks
    assert (await receiving).read_bytes() == b"news"


async def test_a_cancelled_receiver(
    browser: Browser, session: DefaultClientWebSocketSession
) -> None:
    await session.send("question")
    receiving = asyncio.create_task(session.incoming.receive())
    await settled()
    receiving.cancel()
    await browser.come_out_of_the_event()
    with pytest.raises(asyncio.CancelledError):
        await receiving
    browser.socket.fire_message("answer")
    assert (await session.incoming.receive()).read_bytes() == b"answer"


async def test_the_end_wakes_too(browser: Browser, session: DefaultClientWebSocketSession) -> None:
    await session.send("question")
    receiving = asyncio.create_task(session.incoming.receive())
    await settled()
    browser.socket.fire_close(4000, "enough")
    await browser.come_out_of_the_event()
    with pytest.raises(ConnectionClosedError, match="enough"):
        await receiving


async def test_futures_behave_like_those_of_the_loop(browser: Browser, wakeups: Wakeups) -> None:
    called: list[object] = []
    future = wakeups.create_future()
    future.add_done_callback(called.append)
    future.add_done_callback(called.append)
    assert future.remove_done_callback(called.append) == 2
    future.add_done_callback(called.append)
    future.set_result(1)
    assert called == []
    await browser.come_out_of_the_event()
    assert called == [future]
    future.add_done_callback(called.append)
    await browser.come_out_of_the_event()
    assert called == [future, future]
    assert not future.cancel()
    wakeups.close()


async def test_callbacks_that_fail_are_told_to_the_loop(browser: Browser, wakeups: Wakeups) -> None:
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))

    def fail(_: object) -> None:
        raise ValueError("broken")

    future = wakeups.create_future()
    future.add_done_callback(fail)
    future.set_result(None)
    await browser.come_out_of_the_event()
    assert isinstance(told[0]["exception"], ValueError)
    wakeups.close()


def test_an_exit_leaves_through_the_loop() -> None:
    browser = Browser()

    def leave(_: object) -> None:
        raise SystemExit(3)

    async def main() -> None:
        wakeups = Wakeups(browser.js, browser.ffi)
        try:
            future = wakeups.create_future()
            future.add_done_callback(leave)
            future.set_result(None)
            await browser.come_out_of_the_event()
            await asyncio.Event().wait()
        finally:
            wakeups.close()

    with pytest.raises(SystemExit) as caught:
        asyncio.run(main())
    assert caught.value.code == 3


async def test_one_that_stands_still_holds_up_no_other(browser: Browser, wakeups: Wakeups) -> None:
    called: list[object] = []
    first, second = wakeups.create_future(), wakeups.create_future()

    def stand_still(future: object) -> None:
        browser.microtasks.pop()()  # as the browser does while run_sync() waits
        called.append(future)

    first.add_done_callback(stand_still)
    second.add_done_callback(called.append)
    first.set_result(None)
    second.set_result(None)
    await browser.come_out_of_the_event()
    assert called == [second, first]
    wakeups.close()


async def test_events_in_a_row_queue_one_microtask_at_a_time(
    browser: Browser, wakeups: Wakeups
) -> None:
    called: list[object] = []
    futures = [wakeups.create_future() for _ in range(3)]
    for future in futures:
        future.add_done_callback(called.append)
        future.set_result(None)
    wakeups.create_future().set_result(None)  # nobody waits for it
    assert len(browser.microtasks) == 1
    await browser.come_out_of_the_event()
    assert called == futures
    wakeups.close()


async def test_within_a_task_the_loop_calls(browser: Browser, wakeups: Wakeups) -> None:
    called: list[object] = []
    future = wakeups.create_future()
    future.add_done_callback(called.append)
    future.set_result(None)
    browser.microtasks.pop()()  # as if this task stood still in pyodide.ffi.run_sync
    assert called == []
    await settled()
    assert called == [future]
    wakeups.close()


async def test_closed_with_a_microtask_under_way(browser: Browser, wakeups: Wakeups) -> None:
    called: list[object] = []
    first, second = wakeups.create_future(), wakeups.create_future()
    first.add_done_callback(called.append)
    second.add_done_callback(called.append)
    first.set_result(None)
    wakeups.close()
    wakeups.close()
    second.set_result(None)
    assert called == []
    await settled()
    assert called == [second]
    await browser.come_out_of_the_event()
    assert called == [second, first]
