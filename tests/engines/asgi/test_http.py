"""TestEngine: requests, bodies and lifespan of apps that frameworks never make."""

from __future__ import annotations

import asyncio
import gc
import gzip
import warnings
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ktor_client import (
    ConnectError,
)
from ktor_client.engines import TestEngine
from ktor_client.engines._asgi.scope import Event, Receive, Scope, Send
from tests.engines.asgi.apps import client_of
from tests.support.fake_link import steps
from tests.support.leaks import quiet_destructors


async def test_a_response_holds_the_app_back() -> None:
    sent = 0

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal sent
        await send({"type": "http.response.start", "status": 200})
        for _ in range(100):
            await send({"type": "http.response.body", "body": b"x" * 10_000, "more_body": True})
            sent += 1
        await send({"type": "http.response.body"})

    async with client_of(app, lifespan=False) as client, client.prepare_get("/") as response:
        for _ in range(50):
            await asyncio.sleep(0)
        assert sent < 10
        assert len(await response.body_as_bytes()) == 1_000_000


async def test_a_response_that_nobody_wants_any_more() -> None:
    events = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        events.append(await receive())
        events.append(await receive())
        with pytest.raises(OSError, match="closed the response"):
            await send({"type": "http.response.body", "body": b"second"})
        events.append({"type": "raised"})

    async with client_of(app, lifespan=False) as client:
        async with client.prepare_get("/") as response:
            async for chunk in response.chunks():
                assert chunk == b"first"
                break
    assert [event["type"] for event in events] == ["http.request", "http.disconnect", "raised"]


async def test_gzip_is_undone() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-encoding", b"gzip")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": gzip.compress(b"small" * 100)})

    async with client_of(app, lifespan=False) as client:
        assert await (await client.get("/")).body_as_bytes() == b"small" * 100


async def test_gzip_arrives_in_any_pieces() -> None:
    data = gzip.compress(b"small" * 100)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-encoding", b"gzip")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for byte in data:
            await send({"type": "http.response.body", "body": bytes([byte]), "more_body": True})
        await send({"type": "http.response.body"})

    async with client_of(app, lifespan=False) as client, client.prepare_get("/") as response:
        chunks = [chunk async for chunk in response.chunks()]
        assert b"".join(chunks) == b"small" * 100
        assert all(chunks)  # a piece that gives nothing is no chunk


async def test_damaged_gzip_is_our_error() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-encoding", b"gzip")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"no gzip"})

    async with client_of(app, lifespan=False) as client:
        with pytest.raises(ConnectError, match="is not gzip, though its Content-Encoding says so"):
            await client.get("/")


async def test_a_host_of_the_users_own() -> None:
    hosts: list[list[bytes]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        hosts.append([value for name, value in scope["headers"] if name == b"host"])
        await send({"type": "http.response.start", "status": 204})
        await send({"type": "http.response.body"})

    async with client_of(app, lifespan=False) as client:
        await client.get("/")
        await client.get("/", headers={"Host": "tenant.example"})
    assert hosts == [[b"testserver"], [b"tenant.example"]]


async def test_the_app_sees_the_fields_that_a_server_would() -> None:
    seen: list[dict[bytes, bytes]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(dict(scope["headers"]))
        await send({"type": "http.response.start", "status": 204})
        await send({"type": "http.response.body"})

    async with client_of(app, lifespan=False) as client:
        await client.post("/")
        await client.get("/", headers={"Accept": "text/html"})
    assert (seen[0][b"accept"], seen[0][b"content-length"]) == (b"*/*", b"0")
    assert (seen[1][b"accept"], seen[1].get(b"content-length")) == (b"text/html", None)


async def test_a_part_is_asked_for_without_a_coding() -> None:
    accepted: list[bytes] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        accepted.append(dict(scope["headers"])[b"accept-encoding"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async with client_of(app, lifespan=False) as client:
        await client.get("/")
        await client.get("/", headers={"Range": "bytes=0-9"})
    assert accepted == [b"gzip, deflate, br, zstd", b"identity"]


@pytest.mark.parametrize("answers", [False, True])
async def test_the_users_own_exception_comes_out_of_an_upload(answers: bool) -> None:
    seen: list[Event] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(await receive())
        seen.append(await receive())
        if answers:  # too late: nobody listens
            await send({"type": "http.response.start", "status": 400})
            await send({"type": "http.response.body", "body": b"what?"})

    async def broken() -> AsyncIterator[bytes]:
        yield b"first"
        raise KeyError("the user's own")

    async with client_of(app, lifespan=False) as client:
        with pytest.raises(KeyError, match="the user's own"):
            await client.post("/", body=broken())
    assert [event["type"] for event in seen] == ["http.request", "http.disconnect"]


class OwnEnd(BaseException):
    """The user's, and no `Exception`."""


@pytest.mark.parametrize("error", [OwnEnd("mine"), asyncio.CancelledError("mine")], ids=repr)
async def test_an_upload_that_ends_in_no_exception(error: BaseException) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    async def broken() -> AsyncIterator[bytes]:
        yield b"first"
        raise error

    async with asyncio.timeout(20), client_of(app, lifespan=False) as client:
        with pytest.raises(type(error)) as caught:
            await client.post("/", body=broken())
        assert caught.value is error


@pytest.mark.parametrize("asks_on", [False, True])
async def test_an_upload_that_the_app_does_not_take_is_closed(asks_on: bool) -> None:
    closed: list[str] = []
    asking: list[asyncio.Future[Event]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        if asks_on:
            asking.append(asyncio.ensure_future(receive()))
            await asyncio.sleep(0)
        await send({"type": "http.response.start", "status": 413})
        await send({"type": "http.response.body", "body": b"too much"})

    async def content() -> AsyncIterator[bytes]:
        try:
            yield b"first"
            await asyncio.Event().wait()
        finally:
            closed.append("closed")

    kept = content()  # so that no collector closes it
    async with asyncio.timeout(20):
        async with client_of(app, lifespan=False) as client:
            response = await client.post("/", body=kept)
            assert (response.status, await response.body_as_bytes()) == (413, b"too much")
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
    assert closed == ["closed"]


@pytest.mark.parametrize("is_complete", [False, True])
async def test_a_response_that_is_closed_while_a_task_reads_it(is_complete: bool) -> None:
    go = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        if is_complete:
            await go.wait()
            await send({"type": "http.response.body", "body": b"last"})
        assert (await receive())["type"] == "http.disconnect"

    async with asyncio.timeout(20), client_of(app, lifespan=False) as client:
        async with client.prepare_get("/") as response:
            reading = asyncio.ensure_future(response.body_as_bytes())
            for _ in range(10):
                await asyncio.sleep(0)
            go.set()
            await asyncio.sleep(0)  # what the app sends now has not reached the reader
            await response.close()
            with pytest.raises(ConnectError, match="the response was closed"):
                await reading


def test_a_client_closes_in_the_midst_of_a_body_when_its_loop_was_closed_by_hand() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        await asyncio.get_running_loop().create_future()

    async def begin() -> None:
        waiting = asyncio.ensure_future(client.get("/"))
        await steps(20)
        loop.stop()
        await waiting

    client = client_of(app, lifespan=False)
    with warnings.catch_warnings(action="ignore"), quiet_destructors():
        loop = asyncio.new_event_loop()
        beginning = loop.create_task(begin())
        loop.run_forever()
        loop.close()
        asyncio.run(client.close())
        del beginning
        gc.collect()


@pytest.mark.parametrize("halfway", [False, True])
async def test_an_app_that_gives_no_whole_response(halfway: bool) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if halfway:
            await send({"type": "http.response.start", "status": 200})

    async with client_of(app, lifespan=False) as client:
        error, text = (
            (ConnectError, "left its response .* unfinished")
            if halfway
            else (RuntimeError, "ended without a response to HttpRequest")
        )
        with pytest.raises(error, match=text):
            await client.get("/")


async def test_an_exception_in_the_middle_of_a_body() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        raise ValueError("halfway")

    async with client_of(app, lifespan=False) as client:
        with pytest.raises(ValueError, match="halfway"):
            await client.get("/")
    async with client_of(app, lifespan=False, raise_app_exceptions=False) as client:
        with pytest.raises(ConnectError, match="unfinished"):
            await client.get("/")


async def test_background_work_is_waited_for_and_its_exceptions_told() -> None:
    done = []
    is_closing = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 202})
        await send({"type": "http.response.body", "body": b"accepted"})
        await is_closing.wait()
        done.append("work")
        raise ValueError("in the background")

    client = client_of(app, lifespan=False)
    assert (await client.get("/")).status == 202
    assert done == []
    asyncio.get_running_loop().call_soon(is_closing.set)
    with pytest.raises(ValueError, match="in the background"):
        await client.close()
    assert done == ["work"]


async def test_a_startup_that_fails() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert (await receive())["type"] == "lifespan.startup"
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    async with client_of(app) as client:
        with pytest.raises(RuntimeError, match="startup failed: no database"):
            await client.get("/")


def test_pytest_does_not_take_it_for_a_test() -> None:
    assert TestEngine.__test__ is False


def test_something_that_is_no_app() -> None:
    with pytest.raises(TypeError, match="takes an ASGI app"):
        TestEngine("app")  # type: ignore[arg-type]


def test_no_frame_fits_into_nothing() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None: ...

    with pytest.raises(ValueError, match="max_frame_size must be at least 1"):
        TestEngine(app, max_frame_size=0)


async def test_an_upload_of_something_else_than_bytes() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert await receive() == {"type": "http.disconnect"}

    async def chunks() -> AsyncIterator[Any]:
        yield "text"

    async with client_of(app, lifespan=False) as client:
        with pytest.raises(TypeError, match="a streamed body yields bytes, not str; encode it"):
            await client.post("/", body=chunks())
