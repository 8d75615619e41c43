"""Objects as bodies: what is sent and accepted, what comes back, and what no converter takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import pydantic
import pytest

from ktor_client import (
    ConverterError,
    ConverterNotFoundError,
    DeserializationError,
    HttpClient,
    HttpRequest,
    content_type,
    header,
    install,
)
from ktor_client.engine.registry import EngineFactory
from ktor_client.engines import MockEngine
from ktor_client.engines._mock import MockResponse, respond
from ktor_client.plugins import (
    ContentConverter,
    ContentNegotiation,
    JsonConverter,
    MsgspecConverter,
    PydanticConverter,
)
from ktor_client.testing import echo_server


@dataclass
class Order:
    id: int
    note: str | None = None


class Model(pydantic.BaseModel):
    id: int


class Struct(msgspec.Struct):
    id: int


class Lines(ContentConverter):
    """Lists of texts, one a line."""

    media_types = ("text/x-lines",)

    def to_bytes(self, value: object) -> bytes:
        assert isinstance(value, list)
        return "\n".join(map(str, value)).encode()

    def from_bytes(self, data: bytes, type_: Any) -> Any:
        return data.decode().split("\n")


def answering(body: object, kind: str | None, status: int = 200) -> MockEngine:
    def answer(request: HttpRequest) -> MockResponse:
        headers = {} if kind is None else {"Content-Type": kind}
        return respond(body, status, headers)  # type: ignore[arg-type]  # bytes or text

    engine = MockEngine()
    engine.on_request("/", answer)
    return engine


async def test_an_object_there_and_back(engine: EngineFactory) -> None:
    async with echo_server() as server, HttpClient(engine, install(ContentNegotiation)) as client:
        response = await client.post(f"{server.http_url}/echo-body", body=Order(7, "é"))
        assert response.headers["content-type"] == "application/json"
        assert await response.body(Order) == Order(7, "é")
        assert response.request.headers["accept"] == "application/json"
        listed = await client.post(f"{server.http_url}/echo-body", body=[Order(1), Order(2)])
        assert await listed.body(list[Order]) == [Order(1), Order(2)]


async def test_what_is_content_is_sent_as_it_is() -> None:
    engine = answering(b"{}", "application/json")
    async with HttpClient(engine, install(ContentNegotiation)) as client:
        await client.post("/", body="text")
        await client.post("/", body=b"bytes")
        await client.post("/", json=Order(1))
    assert [request.body for request in engine.request_history] == [
        b"text", b"bytes", b'{"id":1,"note":null}',
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("converter", "value"),
    [
        (MsgspecConverter(), Struct(3)),
        (MsgspecConverter(format="msgpack"), Struct(3)),
        (PydanticConverter(), Model(id=3)),
    ],
)
async def test_other_converters(converter: ContentConverter, value: Any) -> None:
    async with echo_server() as server:
        plugin = install(ContentNegotiation, converters=[converter])
        async with HttpClient(None, plugin) as client:
            response = await client.post(f"{server.http_url}/echo-body", body=value)
            assert response.headers["content-type"] == converter.media_types[0]
            assert await response.body(type(value)) == value
        with pytest.raises(DeserializationError):
            converter.from_bytes(converter.to_bytes({"id": "x"}), type(value))


async def test_the_content_type_chooses() -> None:
    engine = answering("a\nb", "Text/X-Lines; charset=utf-8")
    plugin = install(ContentNegotiation, converters=[JsonConverter(), Lines()])
    async with HttpClient(engine, plugin) as client:
        response = await client.post("/", content_type("text/x-lines"), body=["x", "y"])
        assert await response.body(list[str]) == ["a", "b"]
        sent = engine.request_history[0]
        assert (sent.body, sent.headers["content-type"]) == (b"x\ny", "text/x-lines")
        assert sent.headers["accept"] == "application/json, text/x-lines"
        await client.post("/", header("Accept", "text/*"), body={})
        assert engine.request_history[1].headers.get_all("accept") == ["text/*"]
        with pytest.raises(ConverterNotFoundError, match=r"Order as 'text/csv'.*text/x-lines"):
            await client.post("/", content_type("text/csv"), body=Order(1))


@pytest.mark.parametrize("kind", ["application/problem+json", "application/json;x=y", None])
async def test_kinds_of_json(kind: str | None) -> None:
    async with HttpClient(answering(b'{"id": 1}', kind), install(ContentNegotiation)) as client:
        assert await (await client.get("/")).body(Order) == Order(1)


@pytest.mark.parametrize(
    ("body", "kind", "status", "error", "words"),
    [
        ("<p>", "text/html", 200, ConverterNotFoundError, "'text/html' of the 200.*has: appl"),
        ("x", "application/+", 200, ConverterNotFoundError, "no converter takes"),
        ("no", "text/plain", 406, ConverterError, r"\(406\); Accept was 'application/json'"),
        ("no", "text/plain", 415, ConverterError, r"\(415\); Content-Type was 'application/json'"),
        ("{", "application/json", 200, DeserializationError, "not JSON"),
        ("", "application/json", 204, DeserializationError, "not JSON"),
    ],
)
async def test_what_cannot_be_had(
    body: str, kind: str, status: int, error: type[Exception], words: str
) -> None:
    async with HttpClient(answering(body, kind, status), install(ContentNegotiation)) as client:
        response = await client.post("/", body=Order(1))
        with pytest.raises(error, match=words):
            await response.body(Order)
        assert await response.body(str) == body


async def test_an_empty_body_where_the_type_allows_it() -> None:
    async with HttpClient(answering("", None, 204), install(ContentNegotiation)) as client:
        response = await client.get("/")
        value: Order | None = await response.body(Order | None)
        assert value is None


async def test_without_the_plugin_an_object_is_no_body() -> None:
    async with HttpClient(answering("", None)) as client:
        with pytest.raises(TypeError, match=r"not Order; json= .*install\(ContentNegotiation\)"):
            await client.post("/", body=Order(1))


@pytest.mark.parametrize("wrong", [JsonConverter(), [JsonConverter], ["json"], 3])
def test_options_that_make_no_sense(wrong: Any) -> None:
    with pytest.raises(TypeError, match="converters takes"):
        HttpClient("mock", install(ContentNegotiation, converters=wrong))


def test_converters_that_cannot_convert() -> None:
    async def later(converter: object, data: bytes, type_: Any) -> Any: ...

    def of(name: str, member: object) -> Any:
        return type("Mine", (JsonConverter,), {name: member})()

    with pytest.raises(TypeError, match="Mine has no media_types"):
        ContentNegotiation(converters=[of("media_types", ())])
    with pytest.raises(TypeError, match=r"Mine\.from_bytes is a plain function"):
        ContentNegotiation(converters=[of("from_bytes", later)])
