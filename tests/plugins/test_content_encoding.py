"""Which codings are asked for, bodies that leave in one, and the limit of what comes."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from ktor_client import Block, Body, HttpClient, ResponseError, header, install
from ktor_client.engine.registry import EngineFactory
from ktor_client.engines import MockEngine
from ktor_client.engines._mock import respond
from ktor_client.http.codings import accept_encoding
from ktor_client.plugins import (
    ContentEncoding,
    ContentNegotiation,
    HttpClientPlugin,
    WebSockets,
)
from ktor_client.testing import echo_server


@dataclass
class Thing:
    n: int


TEXT = b"so much of the same " * 500


async def test_what_is_asked_for(engine: EngineFactory) -> None:
    async with echo_server() as server:
        for accept, sent in (
            (("gzip", "deflate;q=0.5"), "gzip, deflate;q=0.5"),
            ((), "identity"),
        ):
            async with HttpClient(engine, install(ContentEncoding, accept=accept)) as client:
                url = f"{server.http_url}/request"
                fields = (await (await client.get(url)).body(dict))["headers"]
                assert [v for n, v in fields if n.lower() == "accept-encoding"] == [sent]
                own = await client.get(url, header("Accept-Encoding", "deflate"))
                fields = (await own.body(dict))["headers"]
                assert [v for n, v in fields if n.lower() == "accept-encoding"] == ["deflate"]
                part = await client.get(url, header("Range", "bytes=0-9"))
                fields = (await part.body(dict))["headers"]
                assert [v for n, v in fields if n.lower() == "accept-encoding"] == ["identity"]
        async with HttpClient(engine, install(ContentEncoding)) as client:
            fields = (await (await client.get(url)).body(dict))["headers"]
            assert ["Accept-Encoding", accept_encoding()] in fields


@pytest.mark.parametrize("first", [ContentEncoding, ContentNegotiation])
async def test_an_object_is_compressed_whichever_plugin_comes_first(
    engine: EngineFactory, first: type[HttpClientPlugin]
) -> None:
    plugins: list[Block] = [
        install(ContentEncoding, compress="gzip"),
        install(ContentNegotiation),
    ]
    if first is ContentNegotiation:
        plugins.reverse()
    async with echo_server() as server, HttpClient(engine, *plugins) as client:
        response = await client.post(f"{server.http_url}/echo-body", body=Thing(1))
        assert response.headers["content-type"] == "application/json"
        assert json.loads(gzip.decompress(await response.body_as_bytes())) == {"n": 1}


async def once() -> AsyncIterator[bytes]:
    for at in range(0, len(TEXT), 1000):
        yield TEXT[at : at + 1000]


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
@pytest.mark.parametrize(
    "make",
    [lambda: TEXT, TEXT.decode, once, lambda: Body(once, len(TEXT))],
    ids=["bytes", "text", "stream", "body"],
)
async def test_bodies_leave_in_a_coding(
    engine: EngineFactory, coding: Any, make: Callable[[], Any]
) -> None:
    plugin = install(ContentEncoding, compress=coding)
    async with echo_server() as server, HttpClient(engine, plugin) as client:
        response = await client.post(f"{server.http_url}/echo-body", body=make())
        data = await response.body_as_bytes()
        undo = gzip.decompress if coding == "gzip" else zlib.decompress
        assert len(data) < len(TEXT) / 10
        assert undo(data) == TEXT
        assert response.request.headers["content-encoding"] == coding
        kept = await client.post(
            f"{server.http_url}/echo-body", header("Content-Encoding", "x"), body="as it is"
        )
        assert await kept.body_as_text() == "as it is"
        empty = await client.post(f"{server.http_url}/echo-body", body=b"")
        assert "content-encoding" not in empty.request.headers
        assert "content-encoding" not in (await client.get(server.http_url)).request.headers


async def test_a_limit_of_what_is_decoded() -> None:
    engine = MockEngine()
    engine.on_request("/", respond(gzip.compress(TEXT), headers={"Content-Encoding": "gzip"}))
    async with HttpClient(engine, install(ContentEncoding, max_decoded_size=len(TEXT))) as client:
        assert await (await client.get("/")).body_as_bytes() == TEXT
    engine = MockEngine()
    engine.on_request("/", respond(gzip.compress(TEXT), headers={"Content-Encoding": "gzip"}))
    plugin = install(ContentEncoding, max_decoded_size=len(TEXT) - 1)
    async with HttpClient(engine, plugin) as client:
        with pytest.raises(ResponseError, match="max_decoded_size"):
            await client.get("/")


async def test_handshakes_are_left_alone(engine: EngineFactory) -> None:
    plugin = install(ContentEncoding, accept=("gzip",), compress="gzip")
    async with echo_server() as server, HttpClient(engine, plugin, install(WebSockets)) as client:
        async with client.web_socket(f"{server.url}/echo") as session:
            assert "accept-encoding" not in session.call.request.headers


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"accept": "gzip"}, TypeError),
        ({"accept": ("lzma",)}, ValueError),
        ({"compress": "br"}, ValueError),
        ({"max_decoded_size": 0}, ValueError),
        ({"max_decoded_size": "1"}, TypeError),
    ],
)
def test_options_that_make_no_sense(options: dict[str, Any], kind: type[Exception]) -> None:
    with pytest.raises(kind):
        HttpClient("mock", install(ContentEncoding, **options))
