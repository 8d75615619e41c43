"""`ktor-client ws`: on pipes and on a terminal."""

from __future__ import annotations

import asyncio
import json
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from ktor_client import CloseReason, ConnectionClosedError
from ktor_client.testing import EchoServer, Exchange, Response, echo_server
from tests.cli.command import outcome, run, start, terminal
from tests.support.certificates import server_context


async def closed_with(server: EchoServer, session_id: str) -> tuple[int | None, str | None]:
    """Wait for the end of a session; return code and reason that its client sent."""
    record = server.sessions.get(session_id)
    assert record is not None
    await record.ended.wait()
    seen = record.as_json()
    return seen["code"], seen["reason"]


# --- pipes ---


@pytest.mark.parametrize("name", ["aiohttp", "httpx", "ktor_client.engines:HttpxEngine"])
async def test_a_pipe_is_sent_and_the_answers_come(server: EchoServer, name: str) -> None:
    lines = "".join(f"{i} жук\n" for i in range(5000))
    url = f"{server.url}/echo-until-end"
    done = await run("ws", url, "--engine", name, "--wait", "60", stdin=f"{lines}end\n".encode())
    assert (done.status, done.err) == (0, "")
    assert done.out == f"{lines}end\n"


async def test_the_end_of_a_pipe_closes_when_nothing_more_comes(server: EchoServer) -> None:
    done = await run("ws", f"{server.url}/record?id=a", "--wait", "0.01", stdin=b"one\ntwo\n")
    assert done == (0, "", "")
    assert await closed_with(server, "a") == (1000, "")
    record = server.sessions.get("a")
    assert record is not None
    assert [frame.data for frame in record.frames] == [b"one", b"two"]


async def test_nothing_to_send(server: EchoServer) -> None:
    assert await run("ws", f"{server.url}/count?n=3") == (0, "0\n1\n2\n", "")


async def test_answers_are_waited_for(server: EchoServer) -> None:
    async def slow(exchange: Exchange) -> Response | None:
        async with exchange.accept() as session:
            while await session.receive_text() != "last":
                pass
            for i in range(3):
                await session.ping()
                await session.send(str(i))
        return None

    server.routes["/slow"] = slow
    done = await run("ws", f"{server.url}/slow", "--wait", "60", stdin=b"first\nlast\n")
    assert done == (0, "0\n1\n2\n", "")


async def test_a_file(server: EchoServer, tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_text("one\n\nend")  # the last line has no end
    with path.open() as file:
        url = f"{server.url}/echo-until-end"
        process = await start("ws", url, "--wait", "60", stdin=file.fileno())
        out, err = await process.communicate()
    assert (process.returncode, out, err) == (0, b"one\n\nend\n", b"")


async def test_the_server_ends_it_while_we_would_send(server: EchoServer) -> None:
    process = await start("ws", f"{server.url}/count?n=1")
    assert process.stdout is not None
    assert await process.stdout.read() == b"0\n"  # stdin is still open
    assert await process.wait() == 0
    _, err = await process.communicate()
    assert err == b""


async def test_headers_and_subprotocols(server: EchoServer) -> None:
    options = ("-H", "X-One: 1: 2", "--header", "X-Two:3", "--subprotocol", "a.b")
    done = await run("ws", f"{server.url}/headers", *options)
    seen = json.loads(done.out)
    assert (seen["X-One"], seen["X-Two"]) == (["1: 2"], ["3"])
    assert seen["Sec-WebSocket-Protocol"] == ["a.b"]


async def test_binary_messages_are_shown(server: EchoServer) -> None:
    done = await run("ws", f"{server.url}/wire?hex=82020aff8800")
    assert (done.status, done.out) == (0, "[2 bytes: 0a ff]\n")
    done = await run("ws", f"{server.url}/send?type=binary&size=33&code=1000")
    assert done.out == f"[33 bytes: {' '.join(['78'] * 32)} ...]\n"


# --- failures: one line, a status ---


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["nonsense"], "'nonsense' is not a ws:// or wss:// URL; write ws://host/path"),
        ([""], "is not a ws:// or wss:// URL"),
        (["127.0.0.1:8080/echo"], "is not a ws:// or wss:// URL"),
        (["--engine", "mock", "ws://127.0.0.1/"], "'mock' is an engine for tests, which reaches"),
        (["--engine", "test", "ws://127.0.0.1/"], "there are: cio, aiohttp, httpx"),
        (["ftp://127.0.0.1/"], "scheme 'ftp'"),
        (["ws://127.0.0.1:99999/"], "is not a URL"),
        (["ws:///path"], "host"),
        (["ws://127.0.0.1/#x"], "fragment"),
        (["ws://127.0.0.1/", "-H", "Upgrade: x"], "Upgrade"),
        (["ws://127.0.0.1/", "-H", "a b: x"], "not a header name"),
        (["ws://127.0.0.1/", "--subprotocol", "a b"], "'a b'"),
    ],
    ids=str,
)
def test_wrong_urls_and_options_are_usage(
    arguments: list[str], part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome("ws", *arguments, capsys=capsys).fails(2, part)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("aiohtp", "did you mean 'aiohttp'?"),
        ("curl", "did you mean 'cio'?"),
        ("no_such_module:Engine", "no_such_module"),
        ("ktor_client.engines:NoEngine", "NoEngine"),
        ("ktor_client:__version__", "is not an engine"),
        (":x", "cannot load engine ':x'"),
        ("browser", "browser"),
    ],
)
@pytest.mark.parametrize("command", [["ws", "ws://127.0.0.1/", "--engine"], ["conform"]], ids=str)
def test_engines_that_are_not_there(
    command: list[str], name: str, part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome(*command, name, capsys=capsys).fails(1, part)


async def test_nobody_listens() -> None:
    async with echo_server() as server:
        url = f"{server.url}/echo"
    (await run("ws", url, stdin=b"hello\n")).fails(1, "could not connect")


async def test_refusals(server: EchoServer) -> None:
    (await run("ws", f"{server.url}/status/403")).fails(1, "but was 403")
    done = await run("ws", f"{server.url.replace('://', '://me:hidden@')}/missing?key=hidden")
    done.fails(1, f"asked {server.url}/missing?...; the answer begins 'there is no /missing here")
    assert "hidden" not in done.err
    (await run("ws", f"{server.url}/garbage")).fails(1)


async def test_a_session_that_ends_badly(server: EchoServer) -> None:
    done = await run("ws", f"{server.url}/close?code=4001&reason=bye")
    done.fails(1, "4001", "bye")
    (await run("ws", f"{server.url}/wire?hex=8300")).fails(1)
    (await run("ws", f"{server.url}/drop?how=reset")).fails(1, "lost")


async def test_input_that_is_no_text(server: EchoServer) -> None:
    done = await run("ws", f"{server.url}/echo?id=a", stdin=b"\xff\n")
    done.fails(1, "not UTF-8")
    assert await closed_with(server, "a") == (1000, "")


async def test_certificates() -> None:
    async with echo_server(ssl_context=server_context()) as server:
        url = f"{server.url}/text?size=5"
        (await run("ws", url)).fails(1, "certificate", "--insecure goes on without that check")
        done = await run("ws", url, "--insecure", "--wait", "60")
        assert (done.status, done.out) == (0, "xxxxx\n")
        assert done.err == "warning: the server's certificate is not checked\n"


async def test_no_tls_on_that_port(server: EchoServer) -> None:
    done = await run("ws", server.url.replace("ws:", "wss:"))
    done.fails(1, "no TLS is spoken there")
    assert "--insecure" not in done.err


async def test_an_engine_that_is_none() -> None:
    done = await run("ws", "ws://h/", "--engine", "builtins:dict")
    done.fails(1, "TypeError", "made {}, which is not an HttpClientEngine")


async def test_insecure_on_an_engine_without_tls() -> None:
    done = await run("ws", "wss://h/", "--insecure", "--engine", "ktor_client.engines:MockEngine")
    assert done.status == 2
    *_, last = done.err.splitlines()
    assert last.startswith("ktor-client: --insecure is for engines with TLS: MockEngine has no ")


async def test_ctrl_c_on_a_pipe(server: EchoServer) -> None:
    process = await start("ws", f"{server.url}/echo?id=a")
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"hello\n")
    assert await process.stdout.readline() == b"hello\n"
    process.send_signal(signal.SIGINT)
    assert await process.wait() == 130
    assert await process.communicate() == (b"", b"")
    assert await closed_with(server, "a") == (1001, "")


# --- a terminal ---


async def test_a_chat(server: EchoServer) -> None:
    url = f"{server.url}/echo?id=a"
    async with terminal("ws", url, "--subprotocol", "chat") as screen:
        await screen.sees(f"connecting to {url} ...\r\n")
        await screen.sees(f"connected to {url} through cio, subprotocol chat; Ctrl-D ends\r\n")
        for text in ("hello", "жук"):
            screen.type(f"{text}\n")
            await screen.sees(f"{text}\r\n")  # what was typed
            await screen.sees(f"< {text}\r\n> ")  # and its echo, above a new prompt
        screen.type("\x04")
        await screen.sees("closed by you: 1000 NORMAL")
        assert await screen.process.wait() == 0
    assert await closed_with(server, "a") == (1000, "")


async def test_lines_can_be_edited_and_come_again(server: EchoServer) -> None:
    async with terminal("ws", f"{server.url}/echo", NO_COLOR="") as screen:
        await screen.sees("\x1b[32m>\x1b[0m ")
        screen.type("hallo\x1b[D\x1b[D\x1b[D\x7fe\n")  # three to the left, and another letter
        await screen.sees("\x1b[36m<\x1b[0m hello\r\n")
        screen.type("\x1b[A!\n")  # the line before
        await screen.sees("\x1b[36m<\x1b[0m hello!\r\n\x1b[32m>\x1b[0m ")
        screen.type("\x04")
        await screen.sees("closing ...")
        assert await screen.process.wait() == 0


async def test_a_terminal_that_cannot_redraw(server: EchoServer) -> None:
    async with terminal("ws", f"{server.url}/echo", TERM="dumb", NO_COLOR="") as screen:
        await screen.sees("Ctrl-D ends\r\n")
        screen.type("hello\n")
        await screen.sees("hello\r\n< hello\r\n")
        screen.type("\x04")
        assert await screen.process.wait() == 0
        assert "\x1b" not in screen.screen


async def test_what_was_begun_stands_below_what_comes(server: EchoServer) -> None:
    told = asyncio.Event()

    async def news(exchange: Exchange) -> Response | None:
        async with exchange.accept() as session:
            await told.wait()
            await session.send("news")
            assert await session.receive_text() == "half a line"
        return None

    server.routes["/news"] = news
    async with terminal("ws", f"{server.url}/news") as screen:
        await screen.sees("> ")
        screen.type("half a ")
        await screen.sees("> half a ")
        told.set()
        await screen.sees("\r\x1b[J< news\r\n> half a ")
        screen.type("line\n")
        await screen.sees("closed by the server: 1000 NORMAL")
        assert await screen.process.wait() == 0


async def test_messages_come_while_nobody_types(server: EchoServer) -> None:
    told = asyncio.Event()

    async def news(exchange: Exchange) -> Response | None:
        async with exchange.accept() as session:
            await session.send("first")
            await told.wait()
            await session.send("second")
            await session.receive_text()
            await session.send("third")
        return None

    server.routes["/news"] = news
    async with terminal("ws", f"{server.url}/news") as screen:
        await screen.sees("first\r\n")
        screen.type("half a ")
        told.set()
        await screen.sees("second")
        screen.type("line\n")
        await screen.sees("third")
        await screen.sees("closed by the server: 1000 NORMAL")
        assert await screen.process.wait() == 0


async def test_pings_are_answered_while_nobody_types(server: EchoServer) -> None:
    async with terminal("ws", f"{server.url}/ping?n=20") as screen:
        await screen.sees("pong: are you there")
        screen.type("\x04")
        assert await screen.process.wait() == 0


async def test_ctrl_c_on_a_terminal(server: EchoServer) -> None:
    async with terminal("ws", f"{server.url}/echo?id=a") as screen:
        await screen.sees("Ctrl-D ends\r\n")
        screen.type("\x03")
        assert await screen.process.wait() == 130
        assert "Traceback" not in screen.screen
    assert await closed_with(server, "a") == (1001, "")


async def test_a_server_cannot_steer_the_terminal(server: EchoServer) -> None:
    text = "\x1b[2Jred\x07 \x9b\ttab жук".encode()
    wire = (bytes([0x81, len(text)]) + text).hex()
    async with terminal("ws", f"{server.url}/wire?hex={wire}8800") as screen:
        await screen.sees("\\x1b[2Jred\\x07 \\x9b\ttab жук")
        assert await screen.process.wait() == 0


async def test_a_terminal_that_is_gone_ends_the_chat(server: EchoServer) -> None:
    async with terminal("ws", f"{server.url}/echo?id=a") as screen:
        await screen.sees("Ctrl-D ends\r\n")
    record = server.sessions.get("a")
    assert record is not None
    await record.ended.wait()


# --- --reconnect ---


class Restless:
    """A server that goes away after each message but the last."""

    def __init__(self, connections: int, code: int = 1012) -> None:
        self.heard: list[str] = []
        self.count = 0
        self._connections = connections
        self._code = code

    async def __call__(self, exchange: Exchange) -> Response | None:
        async with exchange.accept() as session:
            self.count += 1
            await session.send(f"hello {self.count}")
            if self.count < self._connections:
                await session.close(CloseReason(self._code))
                return None
            with suppress(ConnectionClosedError):
                async for line in session:
                    assert isinstance(line, str)
                    self.heard.append(line)
                    await session.send(f"{line}!")
                    if line == "end":
                        break
        return None


async def test_a_pipe_over_a_connection_that_comes_back(server: EchoServer) -> None:
    server.routes["/feed"] = restless = Restless(3)
    process = await start("ws", f"{server.url}/feed", "--reconnect", "--wait", "60")
    assert process.stdin is not None
    assert process.stdout is not None
    for number in (1, 2, 3):
        assert await process.stdout.readline() == f"hello {number}\n".encode()
    out, err = await process.communicate(b"one\ntwo\nend\n")
    assert (process.returncode, out) == (0, b"one!\ntwo!\nend!\n")
    assert restless.heard == ["one", "two", "end"]
    told = err.decode().splitlines()
    assert told[0].startswith(f"connected to {server.url}/feed through ")
    assert sum(line == "connected again" for line in told) == 2
    assert sum(line.startswith("the connection is gone: ") for line in told) == 2


async def test_lines_wait_for_a_server_that_is_not_there_yet() -> None:
    async with echo_server() as server:
        port, url = server.port, server.url
    process = await start("ws", f"{url}/feed", "--reconnect", "--wait", "60")
    assert process.stdin is not None
    assert process.stderr is not None
    process.stdin.write(b"one\nend\n")
    assert (await process.stderr.readline()).startswith(b"no connection: ")
    async with echo_server(port=port) as server:
        server.routes["/feed"] = Restless(1)
        out, err = await process.communicate()
    assert (process.returncode, out) == (0, b"hello 1\none!\nend!\n")
    assert b"connected to " in err


async def test_it_stops_where_no_attempt_would_help(server: EchoServer) -> None:
    done = await run("ws", f"{server.url}/status/403", "--reconnect", stdin=b"one\ntwo\n")
    assert (done.status, done.out) == (1, "")
    *_, last = done.err.splitlines()
    assert "gave up after 1 attempt" in last
    assert "but was 403" in last
    done = await run("ws", f"{server.url}/close?code=4001&reason=bye", "--reconnect")
    assert done.status == 1
    assert "4001" in done.err.splitlines()[-1]


async def test_wrong_options_are_usage_with_it_too() -> None:
    done = await run("ws", "ws://127.0.0.1/", "--reconnect", "-H", "Upgrade: x")
    done.fails(2, "Upgrade")


async def test_a_certificate_is_no_matter_of_another_attempt() -> None:
    async with echo_server(ssl_context=server_context()) as server:
        done = await run("ws", f"{server.url}/text?size=5", "--reconnect")
        assert done.status == 1
        assert "--insecure goes on without that check" in done.err.splitlines()[-1]


async def test_a_terminal_sees_what_happens(server: EchoServer) -> None:
    server.routes["/feed"] = Restless(2)
    async with terminal("ws", f"{server.url}/feed", "--reconnect") as screen:
        await screen.sees("Ctrl-D ends\r\n")
        await screen.sees("< hello 1\r\n")
        await screen.sees("the connection is gone: ")
        await screen.sees("connected again\r\n")
        await screen.sees("< hello 2\r\n> ")
        screen.type("hi\n")
        await screen.sees("hi!\r\n> ")
        screen.type("\x04")
        await screen.sees("closed by you")
        assert await screen.process.wait() == 0


async def test_ctrl_c_while_it_waits() -> None:
    async with echo_server() as server:
        url = server.url
    process = await start("ws", f"{url}/echo", "--reconnect")
    assert process.stderr is not None
    assert (await process.stderr.readline()).startswith(b"no connection: ")
    assert (await process.stderr.readline()).startswith(b"trying again in ")
    process.send_signal(signal.SIGINT)
    assert await process.wait() == 130
    out, err = await process.communicate()
    assert b"Traceback" not in out + err
