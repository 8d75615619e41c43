"""HTTP by `fetch`: responses, streamed bodies, aborting, and what a page may not ask for."""

import asyncio

import pytest

from ktor_client import (
    ClientClosedError,
    ClientRequestError,
    ConnectError,
    HttpClient,
    UnsupportedCapabilityError,
    header,
    install,
)
from ktor_client.engines import BrowserEngine
from ktor_client.plugins import UserAgent

from .conftest import Site


async def test_status_and_headers(client: HttpClient, site: Site) -> None:
    response = await client.get(site.http("/http/status?code=404"))
    assert (response.status, response.reason) == (404, "Not Found")
    assert response.headers["x-twice"] == "one, two"
    assert await response.body_as_text() == "the body"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_methods_headers_and_query(client: HttpClient, site: Site, method: str) -> None:
    response = await client.request(
        method.lower(),
        site.http("/http/mirror"),
        header("X-Id", "1"),
        header("X-Id", "2"),
        params={"q": "a b"},
    )
    got = await response.body(dict)
    assert got["method"] == method
    assert got["headers"]["X-Id"] == "1, 2"
    assert got["query"] == {"q": "a b"}


async def test_bodies(client: HttpClient, site: Site) -> None:
    url = site.http("/http/mirror")
    got = await (await client.post(url, body=b"\x00\xff")).body(dict)
    assert got["body"] == "\x00\xff"
    got = await (await client.post(url, json={"a": 1})).body(dict)
    assert (got["body"], got["headers"]["Content-Type"]) == ('{"a":1}', "application/json")
    large = b"x" * 2_000_000
    got = await (await client.put(url, body=large)).body(dict)
    assert len(got["body"]) == len(large)


@pytest.mark.parametrize("code", [204, 200])
async def test_no_body(client: HttpClient, site: Site, code: int) -> None:
    response = await client.head(site.http(f"/http/status?code={code}"))
    assert (response.status, await response.body_as_bytes()) == (code, b"")


async def test_a_url_without_a_host_is_the_pages_own(client: HttpClient) -> None:
    assert (await client.get("/http/status?code=200")).status == 200
    async with client.web_socket(path="/ws/echo") as session:
        await session.send("here")
        assert await session.receive_text() == "here"


async def test_expect_success(client: HttpClient, site: Site) -> None:
    strict = client.config(lambda config: setattr(config, "expect_success", True))
    with pytest.raises(ClientRequestError, match="the body"):
        await strict.get(site.http("/http/status?code=403"))
    await strict.close()


async def test_the_browser_follows_redirects(client: HttpClient, site: Site) -> None:
    response = await client.get(site.http("/http/redirect"))
    assert (await response.body(dict))["query"] == {"redirected": "yes"}
    assert str(response.request.url) == site.http("/http/mirror?redirected=yes")


async def test_a_body_streams(client: HttpClient, site: Site, name: str) -> None:
    async with client.prepare_get(site.http(f"/http/stream?id={name}")) as response:
        chunks = response.chunks()
        assert await anext(chunks) == b"first"
        await site.go(name)
        assert b"".join([chunk async for chunk in chunks]) == b"second"


async def test_a_body_that_breaks_off(client: HttpClient, site: Site, name: str) -> None:
    async with client.prepare_get(site.http(f"/http/stream?break&id={name}")) as response:
        await site.go(name)
        with pytest.raises(ConnectError):
            await response.body_as_bytes()


async def test_leaving_a_response_aborts_it(client: HttpClient, site: Site, name: str) -> None:
    async with client.prepare_get(site.http(f"/http/endless?id={name}")) as response:
        async for chunk in response.chunks():
            assert set(chunk) == {ord("x")}
            break
    assert (await site.seen(name))["aborted"]


async def test_cancelling_a_request_aborts_it(client: HttpClient, site: Site, name: str) -> None:
    request = asyncio.create_task(client.get(site.http(f"/http/hang?id={name}")))
    await site.passed(f"{name}-arrived")
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert (await site.seen(name))["aborted"]


async def test_cancelling_a_body_aborts_it(client: HttpClient, site: Site, name: str) -> None:
    reading = asyncio.Event()

    async def read() -> None:
        async with client.prepare_get(site.http(f"/http/endless?id={name}")) as response:
            async for _ in response.chunks():
                reading.set()

    task = asyncio.create_task(read())
    await reading.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await site.seen(name))["aborted"]


async def test_closing_the_engine_aborts_requests(
    client: HttpClient, site: Site, name: str
) -> None:
    other = HttpClient(BrowserEngine)
    request = asyncio.create_task(other.get(site.http(f"/http/hang?id={name}")))
    await site.passed(f"{name}-arrived")
    await other.close()
    with pytest.raises(ClientClosedError, match="while the request was under way"):
        await request
    assert (await site.seen(name))["aborted"]


@pytest.mark.parametrize("is_read", [False, True])
async def test_closing_the_engine_cuts_a_body_short(site: Site, name: str, is_read: bool) -> None:
    engine = BrowserEngine()
    async with HttpClient(engine) as client:
        async with client.prepare_get(site.http(f"/http/stream?id={name}")) as response:
            chunks = response.chunks()
            if is_read:
                assert await anext(chunks) == b"first"
            await engine.close()
            with pytest.raises(ConnectError, match=r"whole body from .*: the response was closed"):
                await anext(chunks)
        with pytest.raises(ClientClosedError, match="BrowserEngine is closed; make a new one"):
            await client.get(site.http("/http/status?code=200"))
    await site.go(name)


async def test_characters_beyond_ascii_in_headers(client: HttpClient, site: Site) -> None:
    response = await client.get(site.http("/http/mirror"), headers={"X-Name": "é☃"})
    assert (await response.body(dict))["headers"]["X-Name"] == "é☃"
    response = await client.get(site.http("/http/status?code=200"))
    assert response.headers["x-name"] == "é☃"


async def test_nobody_listens(client: HttpClient) -> None:
    with pytest.raises(ConnectError, match="Browsers hide the reason"):
        await client.get("http://127.0.0.1:9/")


async def test_another_origin_without_cors(client: HttpClient, site: Site) -> None:
    elsewhere = site.http("/http/mirror").replace("127.0.0.1", "localhost")
    with pytest.raises(ConnectError, match="CORS"):
        await client.get(elsewhere)


@pytest.mark.parametrize("name", ["Cookie", "Origin", "Sec-Fetch-Mode", "Proxy-Authorization"])
async def test_headers_that_are_the_browsers(client: HttpClient, site: Site, name: str) -> None:
    with pytest.raises(UnsupportedCapabilityError, match=f"request header '{name}'"):
        await client.get(site.http("/http/mirror"), headers={name: "x"})


async def test_a_user_agent_is_left_to_the_browser(site: Site) -> None:
    async with HttpClient(None, install(UserAgent, agent="demo/1")) as client:
        got = await (await client.get(site.http("/http/mirror"))).body(dict)
    assert got["headers"]["User-Agent"].startswith("Mozilla/")


async def test_a_method_that_a_page_may_not_use(client: HttpClient, site: Site) -> None:
    with pytest.raises(UnsupportedCapabilityError, match="TRACE"):
        await client.request("TRACE", site.http("/http/mirror"))


async def test_a_body_with_get(client: HttpClient, site: Site) -> None:
    with pytest.raises(UnsupportedCapabilityError, match="a body with GET"):
        await client.request("GET", site.http("/http/mirror"), body=b"x")
