"""Checks of HTTP on the same engine: what the send onion above it relies on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from ktor_client.client import HttpClient
from ktor_client.engine.capabilities import (
    ManualRedirectsCapability,
    StreamingUploadCapability,
)
from ktor_client.errors import ClientRequestError, ConnectError, ServerResponseError
from ktor_client.testing.conformance.check import Lab, Room, equal, expect, raises

__all__ = ["ROOM"]

ROOM = Room("http")
check = ROOM.check_for_all


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
