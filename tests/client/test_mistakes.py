"""What only looks right: each says what to write instead, where Python's own words would not."""

from __future__ import annotations

import inspect
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack
from typing import Any

import pytest

from ktor_client import ConnectError, HttpClient, HttpRequestBuilder, install
from ktor_client.engine.registry import EngineFactory
from ktor_client.engines import HttpxEngine, MockEngine
from ktor_client.plugins import DefaultRequest, WebSockets
from tests.engines.mock.scripts import echo


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    async with MockEngine(lambda request: "hello") as engine:
        engine.on_web_socket("/", echo)
        async with HttpClient(engine, install(WebSockets)) as made:
            yield made


# --- a URL without a scheme


@pytest.fixture
def nobody() -> int:
    """A port of this machine on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


async def notes_of_web_socket(client: HttpClient, *args: Any, **options: Any) -> list[str]:
    with pytest.raises(ConnectError) as caught:
        await client.web_socket_session(*args, **options)
    return getattr(caught.value, "__notes__", [])


async def test_a_host_that_became_a_path(engine: EngineFactory, nobody: int) -> None:
    async with HttpClient(engine, install(WebSockets)) as client:
        for url in ("example.org/y", "example.org", "example.org/y?token=s3cret"):
            path = url.partition("?")[0]
            assert await notes_of_web_socket(client, url, port=nobody) == [
                f"the URL {path!r} has no scheme, so it was taken as a path on localhost; "
                f"if it starts with the host, write ws://{path}"
            ]

        def there(request: HttpRequestBuilder) -> None:
            request.url.port = nobody

        with pytest.raises(ConnectError) as caught:
            await client.get("example.org/y", there)
        assert caught.value.__notes__[0].endswith("write http://example.org/y")


async def test_a_host_that_became_a_path_on_the_default_one(
    engine: EngineFactory, nobody: int
) -> None:
    there = install(DefaultRequest, url=f"wss://127.0.0.1:{nobody}/v1/")
    async with HttpClient(engine, install(WebSockets), there) as client:
        (note,) = await notes_of_web_socket(client, "example.org/y")
    assert "a path on 127.0.0.1; " in note
    assert note.endswith("write wss://example.org/y")


async def test_other_paths_need_no_such_word(engine: EngineFactory, nobody: int) -> None:
    async with HttpClient(engine, install(WebSockets)) as client:
        for url in ("feed", "/example.org/y", "../x", "feed/v1.2", f"ws://localhost:{nobody}/a.b"):
            assert await notes_of_web_socket(client, url, port=nobody) == []
        assert await notes_of_web_socket(client, port=nobody) == []
        assert await notes_of_web_socket(client, "a.b/c", host="127.0.0.1", port=nobody) == []


# --- options that belong elsewhere


@pytest.mark.parametrize(
    ("args", "name", "belongs"),
    [
        ((HttpxEngine,), "limit", "functools.partial(HttpxEngine, limit=...)"),
        (("httpx",), "limit", "functools.partial(HttpxEngine, limit=...)"),
        ((), "trust_env", "functools.partial(CioEngine, trust_env=...)"),
        ((), "ssl", "functools.partial(CIO, ssl_context=context)"),
        ((MockEngine,), "ping_interval", "install(WebSockets, ping_interval=...)"),
        ((MockEngine,), "timeout", "install(HttpTimeout, request_timeout=10)"),
        ((MockEngine,), "expectSuccess", "write `expect_success=...`"),
        ((MockEngine,), "limit", "it has expect_success and follow_redirects; plugins"),
        ((lambda: MockEngine(),), "limit", "it has expect_success and follow_redirects; plugins"),
    ],
)
def test_options_of_something_else(args: tuple[Any, ...], name: str, belongs: str) -> None:
    make: Any = HttpClient
    with pytest.raises(TypeError, match=rf"^HttpClient has no option '{name}'; ") as caught:
        make(*args, **{name: True})
    assert belongs in str(caught.value)


def test_the_engine_by_its_keyword() -> None:
    make: Any = HttpClient
    assert isinstance(make(engine=MockEngine).engine, MockEngine)
    with pytest.raises(TypeError, match=r"partial\(MockEngine, patience=\.\.\.\)"):
        make(engine=MockEngine, patience=5)
    signature = inspect.signature(HttpClient)
    assert list(signature.parameters) == [
        "engine",
        "blocks",
        "expect_success",
        "follow_redirects",
    ]


# --- what is asynchronous


async def test_with_instead_of_async_with(client: HttpClient) -> None:
    async with client.web_socket("/") as session:
        for thing, instead in (
            (client, "`async with HttpClient(...) as client:`"),
            (client.web_socket("/"), "`async with client.web_socket(url) as session:`"),
            (client.prepare_get("/"), "`async with client.prepare_get(url) as response:`"),
            (session, "`async with session:`"),
        ):
            wrong: Any = thing
            with pytest.raises(TypeError, match="needs `async with`; write ") as caught:
                with wrong:
                    pytest.fail("it was entered")
            assert instead in str(caught.value)
            with ExitStack() as stack, pytest.raises(TypeError, match="needs `async with`"):
                stack.enter_context(wrong)


async def test_no_async_with_at_all(client: HttpClient) -> None:
    for made, member, instead in (
        (client.web_socket("/"), "send", "`async with client.web_socket(url) as session:`"),
        (client.prepare_get("/"), "status", "`async with client.prepare_get(url) as response:`"),
    ):
        wrong: Any = made
        with pytest.raises(AttributeError, match=rf"no attribute '{member}'; .* write ") as caught:
            getattr(wrong, member)
        assert instead in str(caught.value)
        with pytest.raises(TypeError, match="needs `async with` first; write ") as refused:
            async for _ in wrong:
                pytest.fail("there was a message")
        assert instead in str(refused.value)
        assert not hasattr(wrong, "send")
        with pytest.raises(AttributeError, match=r"no attribute '_private'$"):
            _ = wrong._private


async def test_for_instead_of_async_for(client: HttpClient) -> None:
    wrong: Any
    async with client.web_socket("/") as wrong:
        with pytest.raises(TypeError, match="write `async for message in session:`"):
            list(wrong)
    async with client.web_socket_raw("/") as wrong:
        with pytest.raises(TypeError, match=r"write `async for frame in session\.incoming:`"):
            for _ in wrong:
                pytest.fail("there was a message")


async def test_a_plain_function_to_execute(client: HttpClient) -> None:
    plain: Any = lambda _: 5  # noqa: E731
    for statement in (client.web_socket("/"), client.prepare_get("/")):
        execute: Any = statement.execute
        with pytest.raises(TypeError, match="takes a coroutine function, not NoneType"):
            await execute(None)
        with pytest.raises(TypeError, match=r"`async def`.* returned int, which cannot be awaited"):
            await execute(plain)


# --- headers


@pytest.mark.parametrize("item", ["s3cret", "ab", ("a",), 5])
async def test_headers_that_are_no_pairs(client: HttpClient, item: Any) -> None:
    for call in (client.web_socket, client.prepare_get):
        with pytest.raises(TypeError, match=r"mapping or pairs, .* in place of a pair") as caught:
            call("/", headers=[("X-Id", "1"), item])
        assert "s3cret" not in str(caught.value)
