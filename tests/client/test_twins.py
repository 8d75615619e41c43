"""Calls that open a session at once: coroutines, with a word for who forgets the `await`."""

from __future__ import annotations

import asyncio
import gc
import inspect
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from ktor_client import HttpClient, install
from ktor_client.engines import MockEngine
from ktor_client.plugins import WebSockets
from tests.engines.mock.scripts import echo


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    async with MockEngine() as engine:
        engine.on_web_socket("/", echo)
        async with HttpClient(engine, install(WebSockets)) as made:
            yield made


@pytest.mark.parametrize("name", ["web_socket", "web_socket_raw"])
async def test_a_forgotten_await_says_what_to_write(client: HttpClient, name: str) -> None:
    opened: Any = getattr(client, f"{name}_session")
    with pytest.raises(TypeError) as caught:
        async with opened("/"):
            raise AssertionError("it was entered")
    assert str(caught.value) == (
        f"opening a session is awaited; write `async with client.{name}(url) as session:`, or "
        f"`session = await client.{name}_session(url)`"
    )
    async with AsyncExitStack() as stack:
        with pytest.raises(TypeError, match="opening a session is awaited"):
            await stack.enter_async_context(opened("/"))
    gc.collect()  # and nobody complains of a coroutine that was never awaited


async def test_a_call_without_more_is_told_by_python(client: HttpClient) -> None:
    with pytest.warns(RuntimeWarning, match=r"'HttpClient.web_socket_session' was never awaited"):
        client.web_socket_session("/")  # type: ignore[unused-coroutine]  # pyright: ignore[reportUnusedCoroutine]


async def test_it_is_a_coroutine(client: HttpClient) -> None:
    async with asyncio.TaskGroup() as group:
        opening = group.create_task(client.web_socket_session("/"))
    async with opening.result() as session:
        await session.send("hello")
        assert await session.receive_text() == "hello"
    coroutine: Any = client.web_socket_raw_session("/")
    assert coroutine.__name__ == "web_socket_raw_session"
    assert coroutine.cr_frame is not None
    coroutine.close()
    assert coroutine.cr_frame is None


async def test_it_can_be_cancelled(client: HttpClient) -> None:
    async def never(request: object) -> Any:
        asked.set()
        await asyncio.Event().wait()

    engine: Any = client.engine
    engine.on_handshake("/never", never)
    asked = asyncio.Event()
    opening = asyncio.create_task(client.web_socket_session("/never"))
    await asked.wait()
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening


@pytest.mark.skipif(sys.version_info < (3, 12), reason="Python 3.11 cannot be told")
def test_mocks_see_a_coroutine_function() -> None:
    assert inspect.iscoroutinefunction(HttpClient.web_socket_session)
    assert inspect.iscoroutinefunction(HttpClient.web_socket_raw_session)


@pytest.mark.parametrize("name", ["web_socket", "web_socket_raw"])
def test_help_says_what_comes_of_it(name: str) -> None:
    prepare = inspect.signature(getattr(HttpClient, name))
    opened = inspect.signature(getattr(HttpClient, f"{name}_session"))
    assert opened.parameters == prepare.parameters
    session = prepare.return_annotation.removeprefix("WebSocketStatement[").removesuffix("]")
    # Where it is shown as `async def`, that says the rest.
    marked = sys.version_info >= (3, 12)
    assert opened.return_annotation == (session if marked else f"Coroutine[Any, Any, {session}]")
