"""The pytest plugin, as users' test suites meet it: with each asyncio plugin, and with none."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest_plugins = ["pytester"]

LOOPS = ("-o", "asyncio_default_fixture_loop_scope=function", "-p", "no:anyio")
ASYNCIO = (*LOOPS, "-o", "asyncio_mode=auto")
STRICT = (*LOOPS, "-p", "no:aiohttp", "-o", "asyncio_mode=strict")
ANYIO = ("-p", "no:asyncio", "-p", "no:aiohttp")
NOTHING = ("-p", "no:asyncio", "-p", "no:aiohttp", "-p", "no:anyio")

HEAD = """
import asyncio
import pytest
from ktor_client import *
from ktor_client.engines import MockEngine, TestEngine
from ktor_client.plugins import WebSockets
from ktor_client.testing import *

async def echo(peer):
    async for message in peer:
        await peer.send(message)
"""


def run(pytester: pytest.Pytester, code: str, *options: str) -> pytest.RunResult:
    pytester.makepyfile(HEAD + code)
    own = ("-W", "error", "-p", "no:cacheprovider", "-p", "no:Faker", "--strict-markers")
    return pytester.runpytest(*own, *options)


def text_of(result: pytest.RunResult) -> str:
    return "\n".join(result.outlines)


MOCK = """
{mark}
async def test_chat(mock_engine, ktor_client_factory):
    mock_engine.on_web_socket("/", echo)
    client = ktor_client_factory(mock_engine, install(WebSockets))
    session = await client.web_socket_session("/")
    await session.send("hello")
    assert await session.receive_text() == "hello"
    # neither is closed here
"""


@pytest.mark.parametrize(
    ("mark", "options"),
    [("", ASYNCIO), ("@pytest.mark.asyncio", STRICT), ("@pytest.mark.anyio", ANYIO)],
    ids=["asyncio-auto", "asyncio-strict", "anyio"],
)
def test_what_a_test_leaves_is_closed_on_its_own_loop(
    pytester: pytest.Pytester, mark: str, options: tuple[str, ...]
) -> None:
    code = MOCK.format(mark=mark) + "\n@pytest.fixture\ndef anyio_backend(): return 'asyncio'\n"
    run(pytester, code, *options).assert_outcomes(passed=1)


def test_the_factory_takes_what_the_client_takes(pytester: pytest.Pytester) -> None:
    code = """
async def test_options(mock_engine, ktor_client_factory):
    mock_engine.on_request("/", respond(status=302, headers={"Location": "/"}))
    client = ktor_client_factory(mock_engine, follow_redirects=False, expect_success=True)
    with pytest.raises(RedirectError, match="gave 302"):
        await client.get("/")
    assert len(mock_engine.request_history) == 1
    with pytest.raises(TypeError, match="HttpClient has no option 'folow_redirects'; it has"):
        ktor_client_factory(folow_redirects=False)
"""
    run(pytester, code, *ASYNCIO).assert_outcomes(passed=1)


def test_without_any_asyncio_plugin(pytester: pytest.Pytester) -> None:
    code = """
    def test_chat(mock_engine, ktor_client_factory, echo_server):
        mock_engine.on_web_socket("/", echo)
        async def main():
            async with ktor_client_factory(mock_engine, install(WebSockets)) as client:
                async with client.web_socket("/") as session:
                    await session.send("hello")
                    assert await session.receive_text() == "hello"
            async with ktor_client_factory("aiohttp", install(WebSockets)) as client:
                async with client.web_socket(echo_server.url + "/echo") as session:
                    await session.send("hello")
                    assert await session.receive_text() == "hello"
        asyncio.run(main())
    """
    run(pytester, "\n".join(line[4:] for line in code.splitlines()), *NOTHING).assert_outcomes(
        passed=1
    )


def test_the_default_engine_of_the_factory(pytester: pytest.Pytester) -> None:
    code = """
async def test_mock(ktor_client_factory, mock_engine):
    assert ktor_client_factory().engine is mock_engine
async def test_parametrised(ktor_client_factory, ktor_engine):
    assert isinstance(ktor_client_factory(None, install(WebSockets)).engine, ktor_engine)
"""
    run(pytester, code, *ASYNCIO).assert_outcomes(passed=4)


def test_an_expectation_that_is_not_met_fails_the_test(pytester: pytest.Pytester) -> None:
    """Even where the application swallows what its session raises."""
    code = """
async def test_chat(mock_engine, ktor_client_factory):
    async def peer(session):
        await session.expect("hello")
        await session.send("welcome")
        await session.expect("how are you this morning?")
    mock_engine.on_web_socket("/chat", peer)
    async with ktor_client_factory(mock_engine, install(WebSockets)) as client:
        async with client.web_socket("/chat") as session:
            await session.send("hello")
            await session.receive_text()
            await session.send("how do you do this morning?")
            try:
                await session.receive_text()
            except ConnectionClosedError:
                pass
"""
    result = run(pytester, code, *ASYNCIO)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E *ExpectationError: MockEngine, peer of ws://localhost/chat: "
            "expected Frame.Text('how are you this morning?'), but the client sent "
            "Frame.Text('how do you do this morning?')",
            "E       Conversation, as the peer saw it:",
            "E           client  Frame.Text('hello')",
            "E           peer    Frame.Text('welcome')",
            "E           client  Frame.Text('how do you do this morning?')",
            "E       Difference (- expected, + received):",
            "E           - how are you this morning?",
        ],
        consecutive=False,
    )


def test_calls_that_did_not_come_fail_the_test(pytester: pytest.Pytester) -> None:
    code = """
async def test_nothing(mock_engine):
    mock_engine.on_request("/", "x", times=1)
def test_plain(mock_engine):
    mock_engine.on_web_socket("/", echo, times=2)
"""
    result = run(pytester, code, *ASYNCIO)
    result.assert_outcomes(failed=1, passed=1, errors=1)
    assert "MockEngine: / was to be called 1 times; it was called 0 times" in text_of(result)
    assert "MockEngine: /chat" not in text_of(result)


def test_the_tests_own_failure_comes_first(pytester: pytest.Pytester) -> None:
    code = """
async def test_chat(mock_engine, ktor_client_factory):
    mock_engine.on_request("/", "x", times=1)
    client = ktor_client_factory()
    assert 1 == 2, "the test's own"
"""
    result = run(pytester, code, *ASYNCIO)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["E * AssertionError: the test's own", "E *MockEngine: / was to be called 1 times*"]
    )


def test_a_failure_that_the_test_has_seen_is_told_once(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CI", raising=False)  # where pytest's summary tells all once more
    code = """
async def test_chat(mock_engine, ktor_client_factory):
    async def peer(session):
        await session.expect("hello")
    mock_engine.on_web_socket("/chat", peer)
    session = await ktor_client_factory(None, install(WebSockets)).web_socket_session("/chat")
    await session.send("hallo")
    await session.receive_text()
"""
    result = run(pytester, code, *ASYNCIO)
    result.assert_outcomes(failed=1)
    # In the session's error and in its cause; no note says it again.
    assert text_of(result).count("Conversation, as the peer saw it:") == 2


def test_a_plain_test_that_leaves_a_client_open_is_named(pytester: pytest.Pytester) -> None:
    code = """
def test_leaky(ktor_client_factory):
    async def main():
        engine = MockEngine(lambda request: "ok")
        client = ktor_client_factory(engine)
        await client.get("/")
    asyncio.run(main())
"""
    result = run(pytester, code, *NOTHING)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        [
            "*::test_leaky left open:",
            "    <HttpClient open on MockEngine()>",
            "Use `async with HttpClient(...) as client`, or `await client.close()`.",
        ]
    )


def test_leaks_of_any_client_are_named(pytester: pytest.Pytester) -> None:
    code = """
pytestmark = pytest.mark.usefixtures("ktor_no_leaks")
async def test_leaky():
    engine = MockEngine()
    engine.on_web_socket("/", echo)
    client = HttpClient(engine, install(WebSockets))
    session = await client.web_socket_session("/")
    session.cancel()
    await client.web_socket_session("/")
async def test_tidy():
    async with HttpClient(MockEngine(lambda request: "ok")) as client:
        await client.get("/")
async def test_unused():
    HttpClient(MockEngine())
"""
    result = run(pytester, code, *ASYNCIO)
    result.assert_outcomes(passed=3, errors=1)
    result.stdout.fnmatch_lines(
        [
            "*::test_leaky left open:",
            "    <HttpClient open on MockEngine()>",
            "        <DefaultClientWebSocketSession open>",
        ]
    )


def test_one_test_on_several_engines(pytester: pytest.Pytester) -> None:
    code = """
async def app(scope, receive, send):
    pass

async def test_installed(ktor_engine):
    assert HttpClient(ktor_engine).engine.name in ("cio", "aiohttp", "httpx")

def in_process():
    return TestEngine(app)

@pytest.mark.ktor_engines("aiohttp", MockEngine, in_process, TestEngine(app))
def test_chosen(ktor_engine):
    HttpClient(ktor_engine)
"""
    result = run(pytester, code, "-v", *ASYNCIO)
    result.assert_outcomes(passed=7)
    for name in (
        "test_installed[aiohttp]",
        "test_installed[httpx]",
        "test_chosen[aiohttp]",
        "test_chosen[mock]",
        "test_chosen[in_process]",
        "test_chosen[test]",
    ):
        assert f"::{name} PASSED" in text_of(result)


def test_engines_that_are_not_there_are_skipped_and_say_why(pytester: pytest.Pytester) -> None:
    code = """
@pytest.mark.ktor_engines("aiohttp", "nonsense")
def test_chosen(ktor_engine):
    pytest.fail("never run")
"""
    pytester.makeconftest("import sys; sys.modules['aiohttp'] = None")
    pytester.makepyfile(HEAD + code)
    result = pytester.runpytest_subprocess("-rs", *NOTHING)
    result.assert_outcomes(skipped=2)
    assert "engine 'aiohttp' cannot be used: " in text_of(result)
    assert "pip install aiohttp" in text_of(result)
    assert "engine 'nonsense' cannot be used: there is no engine 'nonsense'" in text_of(result)


def test_tests_in_classes(pytester: pytest.Pytester) -> None:
    code = """
class TestChat:
    async def test_chat(self, mock_engine, ktor_client_factory):
        mock_engine.on_request("/", "ok")
        assert (await ktor_client_factory().get("/")).status == 200
        assert self
"""
    run(pytester, code, *ASYNCIO).assert_outcomes(passed=1)


def test_the_marker_is_explained(pytester: pytest.Pytester) -> None:
    assert "@pytest.mark.ktor_engines(*engines): run a test" in text_of(
        pytester.runpytest("--markers", *NOTHING)
    )


def test_it_costs_nothing_until_it_is_used() -> None:
    code = (
        "import sys, pytest\n"
        "before = set(sys.modules)\n"
        "import ktor_client.testing.pytest_plugin\n"
        "print(sorted(set(sys.modules) - before))\n"
        "assert 'asyncio' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded = eval(done.stdout)
    assert [name for name in loaded if name.startswith("ktor_client")] == [
        "ktor_client",
        "ktor_client.testing",
        "ktor_client.testing.pytest_plugin",
    ]
