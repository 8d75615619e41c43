"""Checks of HTTP on the same engine: what the layers above it rely on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from ktor_client.client import HttpClient
from ktor_client.engine import Capability
from ktor_client.engine.capabilities import (
    ManualRedirectsCapability,
    StreamingUploadCapability,
)
from ktor_client.errors import (
    ClientRequestError,
    ConnectError,
    RedirectError,
    ResponseError,
    ServerResponseError,
)
from ktor_client.http import Body, FilePart, HttpRequestBuilder
from ktor_client.http.codings import max_decoded_size
from ktor_client.testing.conformance.check import (
    Lab,
    Room,
    equal,
    expect,
    raises,
)
from ktor_client.testing.conformance.connections import OWN_CONNECTIONS, hello
from ktor_client.testing.http_routes import PATTERN

__all__ = ["ROOM"]

ROOM = Room("http")
check = ROOM.check_for_all

OWN_CODINGS: tuple[Capability, ...] = (ManualRedirectsCapability,)
"""What engines have whose bodies come as they were sent: a browser, which follows redirects by
itself, undoes codings by itself too, by rules of its own."""


@check("ktor-client: HTTP")
async def get_reads_the_response(lab: Lab) -> None:
    """A GET has status, headers and body."""
    async with lab.client() as client:
        response = await client.get(lab.http_url("/hello"))
        equal(response.status, 200, "the status")
        equal(await response.body_as_text(), "hello from the echo server", "the text")
        equal(await response.body_as_bytes(), b"hello from the echo server", "the bytes")
        expect(response.headers.get("Content-Type", "").startswith("text/plain"), "no type")


@check("ktor-client: HTTP")
async def requests_arrive_as_they_are(lab: Lab) -> None:
    """Method, path, parameters, headers and body arrive."""
    async with lab.client() as client:
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            response = await client.request(
                method,
                lab.http_url("/request"),
                params={"a": "1 2", "b": "é&"},
                headers={"X-Id": "7"},
                body="grüße",
            )
            seen = await response.body(dict[str, Any])
            equal(seen["method"], method, "the method")
            equal(seen["parameters"], [["a", "1 2"], ["b", "é&"]], "the parameters")
            equal(seen["body"], "grüße", "the body")
            headers = {name.lower(): value for name, value in seen["headers"]}
            equal(headers.get("x-id"), "7", "X-Id")


@check("ktor-client: HTTP")
async def bodies_go_there_and_back(lab: Lab) -> None:
    """Empty, binary and JSON bodies come back as they were."""
    async with lab.client() as client:
        url = lab.http_url("/echo-body")
        for data in (b"", bytes(range(256)) * 1000):
            response = await client.post(url, body=data)
            expect(await response.body_as_bytes() == data, f"a body of {len(data)} differs")
        response = await client.post(url, json={"a": [1, None, "ä"]})
        equal(await response.body(dict[str, Any]), {"a": [1, None, "ä"]}, "the JSON")
        equal(response.headers.get("content-type"), "application/json", "the type")


@check("ktor-client: HTTP")
async def no_status_is_an_error(lab: Lab) -> None:
    """Any status is a response; under `expect_success` those of failures raise, with it."""
    async with lab.client() as client:
        for status in (204, 404, 503):
            response = await client.get(lab.http_url(f"/status/{status}"))
            equal(response.status, status, "the status")
    async with HttpClient(
        lab.factory, lambda config: setattr(config, "expect_success", True)
    ) as client:
        with raises(ClientRequestError) as client_error:
            await client.get(lab.http_url("/status/404"))
        equal(client_error.error.response.status, 404, "the error's status")
        with raises(ServerResponseError) as server_error:
            await client.get(lab.http_url("/status/503"))
        equal(await server_error.error.response.body_as_text(), "status 503", "its body")


@check("ktor-client: HTTP")
async def redirects_are_followed(lab: Lab) -> None:
    """Redirects are followed."""
    async with lab.client() as client:
        response = await client.get(lab.http_url("/redirect/3"))
        equal(await response.body_as_text(), "hello from the echo server", "the text")


async def _manual_redirects(lab: Lab) -> None:
    async with HttpClient(
        lab.factory, lambda config: setattr(config, "follow_redirects", False)
    ) as client:
        response = await client.get(lab.http_url("/redirect/1"))
        equal(response.status, 302, "the status")
        equal(response.headers.get("location"), "/hello", "Location")


ROOM.add_for_all(
    "redirects_can_be_seen",
    "Without `follow_redirects` a redirect is a response.",
    "ktor-client: HTTP",
    _manual_redirects,
    ManualRedirectsCapability,
)


@check("ktor-client: HTTP")
async def compressed_bodies_are_read(lab: Lab) -> None:
    """A body with Content-Encoding: gzip comes out decoded."""
    async with lab.client() as client:
        response = await client.get(lab.http_url("/gzip", size=10_000))
        equal(await response.body_as_bytes(), b"x" * 10_000, "the body")


@check("ktor-client: HTTP")
async def responses_stream(lab: Lab) -> None:
    """A body streams in chunks, and may be left before its end."""
    async with lab.client() as client:
        async with client.prepare_get(lab.http_url("/chunks", n=20, size=5000)) as response:
            got = [chunk async for chunk in response.chunks()]
        equal(sum(map(len, got)), 100_000, "the length")
        async with client.prepare_get(lab.http_url("/chunks", n=0)) as response:
            async for chunk in response.chunks():
                expect(chunk, "an empty chunk")
                break
        response = await client.get(lab.http_url("/hello"))
        equal(response.status, 200, "the status afterwards")


async def _upload(lab: Lab) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for i in range(50):
            yield b"%03d" % i * 100

    async with lab.client() as client:
        response = await client.post(lab.http_url("/echo-body"), body=chunks())
        expected = b"".join(b"%03d" % i * 100 for i in range(50))
        equal(await response.body_as_bytes(), expected, "the body")


ROOM.add_for_all(
    "uploads_stream",
    "A body from an async iterator is streamed.",
    "ktor-client: HTTP",
    _upload,
    StreamingUploadCapability,
)


@check("ktor-client: errors")
async def hang_ups_are_connect_errors(lab: Lab) -> None:
    """A connection that ends without a whole answer is a ConnectError."""
    async with lab.client() as client:
        for path in ("/hang-up", "/garbage", "/truncated"):
            with raises(ConnectError):
                await client.get(lab.http_url(path))


# --- without a body ---


@check("RFC 9110 9.3.2, 15.3.5")
async def no_body_is_an_empty_body(lab: Lab) -> None:
    """An answer to HEAD, and one of status 204, has no body, whatever its headers say."""
    async with lab.client() as client:
        for url in (lab.http_url("/hello"), lab.http_url("/coded"), lab.http_url("/chunks")):
            response = await client.head(url)
            equal((response.status, await response.body_as_bytes()), (200, b""), "HEAD")
        response = await client.get(lab.http_url("/status/204"))
        equal((response.status, await response.body_as_bytes()), (204, b""), "204")
        equal(await hello(client, lab), "hello from the echo server", "the text afterwards")


# --- codings ---


@check("RFC 9110 8.4.1")
async def codings_are_undone(lab: Lab) -> None:
    """Bodies in gzip and in deflate come out decoded, read or streamed."""
    async with lab.client() as client:
        for coding in ("gzip", "deflate", "identity"):
            url = lab.http_url("/coded", coding=coding, size=160_000)
            body = await (await client.get(url)).body_as_bytes()
            expect(body == PATTERN * 10_000, f"a body in {coding} differs")
            async with client.prepare_get(url) as response:
                body = b"".join([chunk async for chunk in response.chunks()])
            expect(body == PATTERN * 10_000, f"a streamed body in {coding} differs")


@check("RFC 9110 8.4", *OWN_CODINGS)
async def lists_of_codings_are_undone(lab: Lab) -> None:
    """The coding that was applied last comes off first."""
    async with lab.client() as client:
        for codings in ("deflate, gzip", "gzip, deflate", "gzip, identity, gzip"):
            response = await client.get(lab.http_url("/coded", coding=codings))
            expect(await response.body_as_bytes() == PATTERN * 625, f"{codings} differs")


@check("ktor-client: errors", *OWN_CODINGS)
async def half_a_coded_body_is_an_error(lab: Lab) -> None:
    """A body that ends in the middle of its coded data is no body."""
    async with lab.client() as client:
        for coding in ("gzip", "deflate"):
            with raises(ConnectError):
                await client.get(lab.http_url("/coded", coding=coding, cut=15))


@check("ktor-client: errors", *OWN_CODINGS)
async def an_unknown_coding_hides_no_status(lab: Lab) -> None:
    """Status, headers and bytes are there; reading the text says which coding it is."""
    async with lab.client() as client:
        response = await client.get(lab.http_url("/coded", coding="x-rot13", status=403))
        equal((response.status, response.retry_after), (403, 9.0), "the status")
        expect(await response.body_as_bytes() == PATTERN * 625, "the bytes differ")
        with raises(ResponseError) as caught:
            await response.body_as_text()
        expect("x-rot13" in str(caught.error), f"the coding is not named: {caught.error}")


@check("ktor-client: limits", *OWN_CODINGS)
async def decoded_bodies_have_a_limit(lab: Lab) -> None:
    """A coded body that is larger than `max_decoded_size` is refused."""

    def limited(request: HttpRequestBuilder) -> None:
        request.attributes[max_decoded_size] = 1000

    async with lab.client() as client:
        with raises(ResponseError):
            await client.get(lab.http_url("/coded"), limited)
        equal(await hello(client, lab), "hello from the echo server", "the text afterwards")


# --- bodies of requests ---


@check("RFC 7578; HTML: multipart/form-data")
async def forms_arrive(lab: Lab) -> None:
    """Fields arrive as a browser sends them, files as parts."""
    async with lab.client() as client:
        url = lab.http_url("/request")
        seen = await (await client.post(url, form={"a": "1 &", "b": ["x", "y"]})).body(
            dict[str, Any]
        )
        equal(seen["body"], "a=1+%26&b=x&b=y", "the form")
        file = FilePart("a file", "ü.txt")
        seen = await (await client.post(url, form={"a": 1}, files={"f": file})).body(dict[str, Any])
        expect('name="f"; filename="ü.txt"\r\n' in seen["body"], f"no file: {seen['body']!r}")
        expect("\r\n\r\na file\r\n--" in seen["body"], f"no content: {seen['body']!r}")


async def _pieces() -> AsyncIterator[bytes]:
    yield b"one "
    yield b"two"


async def _bodies_again(lab: Lab) -> None:
    url = lab.http_url("/redirect", to="/echo-body", status=307)
    async with lab.client() as client:
        for body in (b"one two", Body(_pieces), Body(_pieces, 7)):
            response = await client.post(url, body=body)
            equal(await response.body_as_text(), "one two", "the body")
        with raises(RedirectError):
            await client.post(url, body=_pieces())


ROOM.add_for_all(
    "bodies_are_opened_again",
    "A redirect sends a body again that can be opened again, and refuses one that cannot.",
    "RFC 9110 15.4.8",
    _bodies_again,
    StreamingUploadCapability,
    ManualRedirectsCapability,
)


@check("RFC 9112 6.2", StreamingUploadCapability, *OWN_CONNECTIONS)
async def a_known_length_is_sent(lab: Lab) -> None:
    """A streamed body of a known length has a Content-Length, any other is chunked."""
    async with lab.client() as client:
        for body, name in ((Body(_pieces, 7), "content-length"), (_pieces(), "transfer-encoding")):
            response = await client.post(lab.http_url("/request"), body=body)
            seen = await response.body(dict[str, Any])
            equal(seen["body"], "one two", "the body")
            names = [one.lower() for one, _ in seen["headers"]]
            found = {"content-length", "transfer-encoding"}.intersection(names)
            equal(found, {name}, "what tells where the body ends")
