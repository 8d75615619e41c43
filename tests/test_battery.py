"""The battery itself: that it is complete and fails where it should, and what it then says."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from ktor_client.engine import (
    Capability,
    HttpClientEngine,
    WebSocketOptions,
    WebSocketUpgrade,
    capabilities,
)
from ktor_client.engines import AiohttpEngine
from ktor_client.errors import ConnectError
from ktor_client.http import HttpRequest, HttpResponse
from ktor_client.link import FrameLink
from ktor_client.testing import echo_server
from ktor_client.testing.conformance import (
    CHECKS,
    Check,
    CheckFailure,
    Lab,
    SkippedCheck,
    check_engine,
    run_check,
)
from ktor_client.testing.conformance.check import equal, expect, raises

ROOT = Path(__file__).parent.parent
BY_NAME = {check.name: check for check in CHECKS}
LAB_URL = "ws://127.0.0.1:9"


def a_check(run: object, *needs: Capability) -> Check:
    return Check("a_check", "It holds.", "RFC 0000", needs, run, "room")  # type: ignore[arg-type]


def test_checks_have_names_statements_and_sources() -> None:
    assert len(BY_NAME) == len(CHECKS)
    for check in CHECKS:
        assert check.name.isidentifier()
        assert check.statement.endswith((".", "..."))
        assert "\n" not in check.statement
        for source in check.source.replace(",", ";").split(";")[:1]:
            assert source.strip().startswith(("RFC ", "Ktor: ", "ktor-client: ")), check


def test_the_table_of_the_rules_is_current() -> None:
    done = subprocess.run(
        [sys.executable, "tools/conformance_table.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


# --- outcomes


class UnableEngine(HttpClientEngine):
    """Claims WebSockets, and connects to nothing."""

    name = "unable"

    @property
    def capabilities(self) -> frozenset[Capability]:
        return frozenset({capabilities.WebSocketCapability})

    async def execute(self, request: HttpRequest) -> HttpResponse:
        raise ConnectError("this engine connects to nothing")

    async def open_web_socket(
        self, request: HttpRequest, options: WebSocketOptions
    ) -> WebSocketUpgrade:
        raise ConnectError("this engine connects to nothing")

    async def close(self) -> None:
        pass


class SocketlessEngine(UnableEngine):
    """Does HTTP only."""

    @property
    def capabilities(self) -> frozenset[Capability]:
        return frozenset()


async def test_a_report_tells_what_failed_and_what_was_skipped() -> None:
    names = ("text_goes_there_and_back", "plugin_is_missing", "ping_measures_the_round_trip")
    checks = [BY_NAME[name] for name in names]
    report = await check_engine(UnableEngine, LAB_URL, checks=checks)
    assert not report.passed
    assert [result.check.name for result in report.failures] == ["text_goes_there_and_back"]
    text = str(report)
    assert text.startswith("Conformance of UnableEngine\n")
    assert "FAILED messages: text_goes_there_and_back (Ktor: testWebsocketSession)" in text
    assert "A text message comes back as a final Text frame." in text
    assert "ConnectError: this engine connects to nothing" in text
    assert "skipped, without PingCapability: ping_measures_the_round_trip" in text
    assert text.endswith("1 passed, 1 failed, 1 skipped")
    assert repr(report) == "<Report of UnableEngine: 1 of 3 failed>"
    with pytest.raises(ConnectError):
        report.failures[0].raise_if_failed()


async def test_an_engine_without_web_sockets_only_has_to_say_so() -> None:
    checks = [check for check in CHECKS if check.room not in ("http", "connections", "values")]
    report = await check_engine(SocketlessEngine, LAB_URL, checks=checks)
    passed = [result.check.name for result in report.with_outcome("passed")]
    assert passed == ["without_WebSocketCapability"]
    assert not report.failures
    assert report.passed


class PlainEngine(AiohttpEngine):
    """A good engine that claims no more than a browser does."""

    @property
    def capabilities(self) -> frozenset[Capability]:
        return frozenset({capabilities.WebSocketCapability})


async def test_an_engine_that_can_little_is_asked_for_little() -> None:
    report = await check_engine(PlainEngine)
    assert report.passed, str(report)
    skipped = {result.check.name: result.detail for result in report.with_outcome("skipped")}
    assert skipped["own_headers_go_along"] == "without HandshakeHeadersCapability"
    assert skipped["stream_goes_in_fragments"] == (
        "without FragmentationCapability, RawFramesCapability"
    )
    passed = {result.check.name for result in report.with_outcome("passed")}
    assert {f"without_{name}Capability" for name in ("RawFrames", "Ping", "Extensions")} <= passed
    assert "session_refuses_what_is_absent" in passed


@pytest.mark.parametrize("name", ["PingCapability", "FragmentationCapability"])
async def test_an_engine_that_lacks_one_thing_does_the_other(name: str) -> None:
    class HalfEngine(AiohttpEngine):
        @property
        def capabilities(self) -> frozenset[Capability]:
            return frozenset({capabilities.WebSocketCapability, getattr(capabilities, name)})

    check = BY_NAME["session_refuses_what_is_absent"]
    async with echo_server() as server:
        result = await run_check(check, HalfEngine, server.url)
        result.raise_if_failed()
        assert result.outcome == "passed"


async def test_a_report_of_nothing_has_not_passed() -> None:
    report = await check_engine(
        SocketlessEngine, LAB_URL, checks=[BY_NAME["text_goes_there_and_back"]]
    )
    assert not report.failures
    assert not report.passed


async def test_an_engine_by_name_with_a_server_of_the_battery() -> None:
    report = await check_engine("aiohttp", checks=[BY_NAME["text_goes_there_and_back"]])
    assert report.passed, str(report)
    assert report.engine == "AiohttpEngine"


async def test_a_check_that_never_ends() -> None:
    async def run(lab: Lab) -> None:
        await asyncio.Event().wait()

    result = await run_check(a_check(run), UnableEngine, LAB_URL, watchdog=0.01)
    assert result.outcome == "failed"
    assert result.detail.startswith("it did not end within 0.01 s")


async def test_a_check_that_never_ends_says_where() -> None:
    async with echo_server() as server:
        check = BY_NAME["silent_peer_cannot_hold_close"]
        result = await run_check(check, AiohttpEngine, server.url, watchdog=0.001)
        assert result.outcome == "failed"
        assert "it did not end within 0.001 s, waiting in " in result.detail


async def test_a_timeout_of_the_checks_own_is_a_failure_like_others() -> None:
    async def run(lab: Lab) -> None:
        raise TimeoutError("the engine's")

    result = await run_check(a_check(run), UnableEngine, LAB_URL)
    assert (result.outcome, str(result.error)) == ("failed", "the engine's")


async def test_expectations_fail_with_their_text() -> None:
    async def run(lab: Lab) -> None:
        expect(lab.id == "", "there is an id")

    result = await run_check(a_check(run), UnableEngine, LAB_URL)
    assert result.detail == "there is an id"
    with pytest.raises(CheckFailure, match="there is an id"):
        result.raise_if_failed()


def test_expectations() -> None:
    expect(1, "never")
    equal("a", "a", "it")
    with pytest.raises(CheckFailure, match=r"^it is 'a', expected 'b'$"):
        equal("a", "b", "it")
    with pytest.raises(CheckFailure, match=r"\(502 characters\), expected 0$"):
        equal("x" * 500, 0, "it")
    with raises(LookupError, OSError) as caught:
        raise KeyError("k")
    assert isinstance(caught.error, KeyError)
    with pytest.raises(CheckFailure, match="LookupError or OSError was not raised"):
        with raises(LookupError, OSError):
            pass
    with pytest.raises(ZeroDivisionError), raises(LookupError):
        raise ZeroDivisionError


async def test_a_check_may_skip_itself() -> None:
    async def run(lab: Lab) -> None:
        raise SkippedCheck("not here")

    result = await run_check(a_check(run), UnableEngine, LAB_URL)
    assert (result.outcome, result.detail) == ("skipped", "not here")


async def test_cancelling_the_battery_ends_it() -> None:
    started = asyncio.Event()

    async def run(lab: Lab) -> None:
        started.set()
        await asyncio.Event().wait()

    running = asyncio.ensure_future(run_check(a_check(run), UnableEngine, LAB_URL))
    await started.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


@pytest.mark.parametrize(
    ("url", "other", "expected"),
    [
        ("ws://127.0.0.1:80", None, "ws://localhost:80"),
        ("wss://localhost/", None, "wss://127.0.0.1"),
        ("ws://mock/", "ws://mirror/", "ws://mirror"),
    ],
)
async def test_the_second_origin(url: str, other: str | None, expected: str) -> None:
    lab = Lab(UnableEngine, url, other)
    assert lab.other_url == expected
    await lab.close()


async def test_without_a_second_origin_its_check_is_skipped() -> None:
    lab = Lab(UnableEngine, "ws://example.org")
    with pytest.raises(SkippedCheck, match="other_url"):
        _ = lab.other_url
    await lab.close()


# --- sabotage: engines that break a rule each


class TrustingEngine(AiohttpEngine):
    """Says that the server's answer was verified, which nobody did."""

    async def open_web_socket(
        self, request: HttpRequest, options: WebSocketOptions
    ) -> WebSocketUpgrade:
        upgrade = await super().open_web_socket(request, options)
        return WebSocketUpgrade(upgrade.response, upgrade.link, verified=True)


class BentEngine(AiohttpEngine):
    """Hands out links of which one method is another one."""

    def __init__(self, method: str, replacement: object) -> None:
        super().__init__()
        self._bend = (method, replacement)

    async def open_web_socket(
        self, request: HttpRequest, options: WebSocketOptions
    ) -> WebSocketUpgrade:
        upgrade = await super().open_web_socket(request, options)
        if upgrade.link is not None:
            method, replacement = self._bend
            bent = type("BentLink", (type(upgrade.link),), {method: replacement})
            upgrade.link.__class__ = bent
        return upgrade


def deaf(link: FrameLink, *args: object) -> None:
    """Do nothing."""


@pytest.mark.parametrize(
    ("method", "names"),
    [
        ("pause", ["flood_is_held_back"]),
        ("flush", ["silent_peer_times_out"]),
        ("set_max_frame_size", ["message_limit_is_live"]),
        ("send_text", ["text_goes_there_and_back", "order_between_tasks"]),
    ],
)
async def test_a_link_that_does_not_do_it_fails(method: str, names: list[str]) -> None:
    engine = partial(BentEngine, method, deaf)
    async with echo_server() as server:
        for name in names:
            result = await run_check(BY_NAME[name], engine, server.url, watchdog=1)
            assert result.outcome == "failed", name


@pytest.mark.parametrize("name", ["wrong_accept", "no_upgrade"])
async def test_an_engine_that_trusts_fails(name: str) -> None:
    async with echo_server() as server:
        result = await run_check(BY_NAME[name], TrustingEngine, server.url)
        assert result.outcome == "failed"
        assert isinstance(result.error, CheckFailure)


async def test_what_the_server_chose_is_checked_whatever_the_engine_has_verified() -> None:
    async with echo_server() as server:
        result = await run_check(BY_NAME["other_subprotocol"], TrustingEngine, server.url)
        assert result.outcome == "passed"
