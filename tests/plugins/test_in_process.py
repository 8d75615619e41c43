"""The plugins of requests on TestEngine: an app in process, real time."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from ktor_client import (
    Backoff,
    Block,
    HttpClient,
    RequestTimeoutError,
    RetryPolicy,
    SocketTimeoutError,
    install,
    on_download,
    on_upload,
    timeout,
)
from ktor_client.engines import TestEngine
from ktor_client.engines._asgi.scope import Receive, Scope, Send
from ktor_client.plugins import (
    BodyProgress,
    HttpCallValidator,
    HttpRequestRetry,
    HttpTimeout,
    Logging,
    LogLevel,
    WebSockets,
)
from tests.engines.asgi.apps import accept

AT_ONCE = RetryPolicy(Backoff(first=0.001, longest=0.001, factor=1))


class Shop:
    """An app: it fails at first, echoes bodies and messages, and may say nothing at all."""

    def __init__(self) -> None:
        self.failures = 0
        self.gone = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await accept(receive, send)
            while (event := await receive())["type"] == "websocket.receive":
                await send({"type": "websocket.send", "text": event["text"]})
            return
        if scope["path"] == "/silent":
            try:
                await asyncio.Event().wait()
            finally:
                self.gone.set()
        self.failures += 1
        status = 503 if self.failures < 3 and scope["path"] == "/busy" else 200
        await send({"type": "http.response.start", "status": status})
        more = True
        while more:
            event = await receive()
            more = event.get("more_body", False)
            await send(
                {"type": "http.response.body", "body": event.get("body", b""), "more_body": more}
            )


def client_of(shop: Shop, *blocks: Block) -> HttpClient:
    return HttpClient(TestEngine(shop, lifespan=False), install(WebSockets), *blocks)


async def test_retry() -> None:
    shop = Shop()
    async with client_of(shop, install(HttpRequestRetry, policy=AT_ONCE)) as client:
        response = await client.put("/busy", body=b"data")
        assert (response.status, await response.body_as_bytes()) == (200, b"data")
    assert shop.failures == 3


async def test_request_timeout() -> None:
    shop = Shop()
    async with client_of(shop, install(HttpTimeout, request_timeout=0.01)) as client:
        with pytest.raises(RequestTimeoutError, match="TestEngine did not finish GET"):
            await client.get("/silent")
        await shop.gone.wait()
        assert (await client.get("/", timeout(request=None))).status == 200
        async with client.web_socket("/") as session:
            await asyncio.sleep(0.02)
            await session.send("late")
            assert await session.receive_text() == "late"


async def test_socket_timeout() -> None:
    shop = Shop()
    async with client_of(shop, install(HttpTimeout, socket_timeout=0.01)) as client:
        with pytest.raises(SocketTimeoutError, match="TestEngine: no byte came from"):
            await client.get("/silent")
        await shop.gone.wait()
        assert (await client.get("/")).status == 200
        async with client.web_socket("/") as session:
            await asyncio.sleep(0.02)
            await session.send("late")
            assert await session.receive_text() == "late"


async def test_progress() -> None:
    told: dict[str, Any] = {}
    async with client_of(Shop(), install(BodyProgress)) as client:
        await client.post(
            "/",
            on_upload(lambda done, total: told.update(up=(done, total))),
            on_download(lambda done, total: told.update(down=(done, total))),
            body=b"x" * 300_000,
        )
    assert told == {"up": (300_000, 300_000), "down": (300_000, None)}


async def test_validator() -> None:
    def reject(response: object) -> None:
        raise LookupError("not that")

    async with client_of(Shop(), install(HttpCallValidator, validate=reject)) as client:
        with pytest.raises(LookupError):
            await client.get("/")
        with pytest.raises(LookupError):
            await client.web_socket_session("/")


async def test_logging(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "ktor_client"):
        async with client_of(Shop(), install(Logging, level=LogLevel.ALL)) as client:
            await client.post("/?token=s3cret", body='{"password": "s3cret"}')
            async with client.web_socket("/") as session:
                await session.send('{"token": "s3cret"}')
                await session.receive_text()
    assert caplog.text.count('body, 22 bytes: {"password": "***"}') == 2
    assert caplog.text.count('TEXT, 19 characters: {"token": "***"}') == 2
    assert "s3cret" not in caplog.text
