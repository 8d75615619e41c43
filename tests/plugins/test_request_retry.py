"""Requests that are sent again: which, how often, after how long, and what the caller sees."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from itertools import pairwise
from typing import Any

import pytest

from ktor_client import (
    Backoff,
    Body,
    ConnectError,
    ConnectTimeoutError,
    DnsError,
    Failure,
    HttpClient,
    HttpRequest,
    HttpResponse,
    RequestTimeoutError,
    Retry,
    RetryPolicy,
    ServerResponseError,
    Stop,
    UnsafeHeaderError,
    WebSocketHandshakeError,
    expect_success,
    header,
    install,
)
from ktor_client.engine.registry import EngineFactory
from ktor_client.engines import MockEngine
from ktor_client.plugins import (
    HttpRequestRetry,
    HttpTimeout,
    PluginScope,
    RequestRetried,
    Send,
    WebSockets,
    client_plugin,
)
from ktor_client.testing import MockPeerSession, respond
from tests.support.raw_server import Peer, raw_server

EVENLY = RetryPolicy(Backoff(first=1, longest=60, jitter="none"))
"""Waits 1, 2, 4 ... seconds, as Ktor's defaults do without their jitter."""


class Answers:
    """Gives one answer after the other, and notes when and for what."""

    def __init__(self, *answers: Any) -> None:
        self.engine = MockEngine(self)
        self.requests: list[HttpRequest] = []
        self.times: list[float] = []
        self._answers = list(answers)

    def __call__(self, request: HttpRequest) -> Any:
        self.requests.append(request)
        self.times.append(self.engine.clock.time())
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return answer

    def client(self, **options: Any) -> HttpClient:
        options.setdefault("policy", EVENLY)
        return HttpClient(self.engine, install(HttpRequestRetry, **options))


def failing(status: int = 500, **headers: str) -> Any:
    return respond("no", status, {name.replace("_", "-"): text for name, text in headers.items()})


# --- how often, after how long


async def test_three_repeats_by_default() -> None:
    answers = Answers(failing(), failing(), failing(), "ok")
    async with answers.client() as client:
        assert (await client.get("/")).status == 200
    assert answers.times == [0, 1, 3, 7]


async def test_the_fourth_failure_is_the_callers() -> None:
    answers = Answers(failing(), failing(), failing(), failing(503))
    async with answers.client() as client:
        response = await client.get("/")
        assert (response.status, await response.body_as_text()) == (503, "no")
    assert len(answers.times) == 4


async def test_the_defaults_of_the_policy() -> None:
    answers = Answers(failing())
    async with HttpClient(answers.engine, install(HttpRequestRetry)) as client:
        await client.get("/")
    waits = [after - before for before, after in pairwise(answers.times)]
    assert [wait <= cap for wait, cap in zip(waits, (0.25, 0.5, 1), strict=True)] == [True] * 3


@pytest.mark.parametrize("retries", [0, 1, 50])
async def test_max_retries(retries: int) -> None:
    answers = Answers(failing())
    policy = RetryPolicy(Backoff(first=1, longest=1, factor=1, jitter="none"))
    async with answers.client(policy=policy, max_retries=retries) as client:
        assert (await client.get("/")).status == 500
    assert answers.times == list(range(retries + 1))


async def test_no_limit_but_time() -> None:
    answers = Answers(failing())
    policy = RetryPolicy(Backoff(first=1, longest=1, factor=1, jitter="none"), max_elapsed=60)
    async with answers.client(policy=policy, max_retries=None) as client:
        await client.get("/")
    assert answers.times == list(range(61))


@pytest.mark.parametrize(
    "backoff",
    [
        (Backoff(first=0.2, longest=60, jitter="none"), [0.2, 0.4, 0.8]),
        (Backoff(first=1, longest=60, factor=1.1, jitter="none"), [1, 1.1, 1.21]),
        (Backoff(first=0.123, longest=0.123, factor=1, jitter="none"), [0.123] * 3),
    ],
)
async def test_delays_are_the_backoffs(backoff: tuple[Backoff, list[float]]) -> None:
    answers = Answers(failing())
    async with answers.client(policy=RetryPolicy(backoff[0])) as client:
        await client.get("/")
    waits = [after - before for before, after in pairwise(answers.times)]
    assert waits == pytest.approx(backoff[1])


async def test_retry_after_is_a_floor() -> None:
    answers = Answers(failing(429, Retry_After="5"), failing(503, Retry_After="1"), "ok")
    async with answers.client() as client:
        assert (await client.get("/")).status == 200
    assert answers.times == [0, 5, 7]


async def test_the_policys_decide_is_asked_first() -> None:
    seen: list[Failure] = []

    async def decide(failure: Failure) -> Retry | Stop | None:
        seen.append(failure)
        if failure.response is not None:
            text = await failure.response.body_as_text()
            return Stop("it said never") if text == "never" else Retry(10)
        return None

    answers = Answers(respond("gone", 410), ConnectError("lost"), respond("never", 500))
    policy = RetryPolicy(EVENLY.backoff, decide=decide)
    async with answers.client(policy=policy) as client:
        response = await client.get("/")
        assert await response.body_as_text() == "never"
    assert answers.times == [0, 10, 12]
    assert [failure.attempt for failure in seen] == [1, 2, 3]
    assert [failure.delay for failure in seen] == [1, 2, 4]


# --- which


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
async def test_statuses_that_pass(status: int) -> None:
    answers = Answers(failing(status), "ok")
    async with answers.client() as client:
        assert (await client.get("/")).status == 200


@pytest.mark.parametrize("status", [200, 204, 304, 400, 401, 403, 404, 410, 422])
async def test_statuses_that_stay(status: int) -> None:
    answers = Answers(failing(status))
    async with answers.client() as client:
        assert (await client.get("/")).status == status
    assert len(answers.times) == 1


@pytest.mark.parametrize("error", [ConnectError("lost"), DnsError("no name")], ids=repr)
async def test_errors_that_pass(error: Exception) -> None:
    answers = Answers(error, failing(), error, "ok")
    async with answers.client() as client:
        assert (await client.get("/")).status == 200
    assert answers.times == [0, 1, 3, 7]


@pytest.mark.parametrize("error", [UnsafeHeaderError("bad"), LookupError("a mistake")], ids=repr)
async def test_errors_that_stay(error: Exception) -> None:
    answers = Answers(error)
    async with answers.client() as client:
        with pytest.raises(type(error)) as caught:
            await client.get("/")
    assert caught.value is error
    assert len(answers.times) == 1


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"])
async def test_idempotent_methods_are_repeated(method: str) -> None:
    answers = Answers(failing(), ConnectError("lost"), "ok")
    async with answers.client() as client:
        assert (await client.request(method, "/")).status == 200


@pytest.mark.parametrize("method", ["POST", "PATCH", "LOCK"])
@pytest.mark.parametrize("answer", [failing(503), ConnectError("lost")], ids=["503", "lost"])
async def test_other_methods_are_not(method: str, answer: Any) -> None:
    answers = Answers(answer)
    async with answers.client(retry_if=lambda _, response: response.status == 503) as client:
        with pytest.raises((ServerResponseError, ConnectError)) as caught:
            await client.request(method, "/", expect_success())
    assert len(answers.times) == 1
    notes = getattr(caught.value, "__notes__", [])
    assert any(f"{method} is not repeated" in note for note in notes)
    assert any("Idempotency-Key" in note for note in notes)


async def test_any_method_is_repeated_while_nothing_was_sent() -> None:
    unsent = ConnectError("refused")
    unsent.nothing_sent = True
    answers = Answers(unsent, DnsError("no name"), "ok")
    async with answers.client() as client:
        assert (await client.post("/", body="data")).status == 200
    assert [request.body for request in answers.requests] == [b"data"] * 3


async def test_a_key_makes_a_post_idempotent() -> None:
    answers = Answers(failing(503), "ok")
    async with answers.client() as client:
        assert (await client.post("/", header("Idempotency-Key", "7"))).status == 200


async def test_a_streamed_body_is_refused_by_name() -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"x"

    answers = Answers(failing(503), "ok")
    async with answers.client() as client:
        with pytest.raises(ServerResponseError) as caught:
            await client.put("/", expect_success(), body=body())
    assert len(answers.times) == 1
    assert "the body (async_generator) can be sent only once" in caught.value.__notes__[-1]


async def test_a_body_that_can_be_opened_again_is() -> None:
    opened: list[int] = []

    async def content() -> AsyncIterator[bytes]:
        opened.append(1)
        yield b"da"
        yield b"ta"

    answers = Answers(failing(503), ConnectError("lost"), "ok")
    async with answers.client() as client:
        assert (await client.put("/", body=Body(content, 4))).status == 200
    assert len(opened) == 3
    assert [request.body for request in answers.requests] == [b"data"] * 3


async def test_retry_if_takes_the_tables_place() -> None:
    async def pending(request: HttpRequest, response: HttpResponse) -> bool:
        assert request.url.path == "/job"
        return await response.body_as_text() == "pending"

    answers = Answers("pending", "pending", failing(503))
    async with answers.client(retry_if=pending) as client:
        assert (await client.get("/job")).status == 503
    assert len(answers.times) == 3


async def test_retry_on_takes_the_tables_place() -> None:
    def passes(request: HttpRequest, error: Exception) -> bool:
        return isinstance(error, LookupError)

    answers = Answers(LookupError("busy"), failing(500), ConnectError("lost"))
    async with answers.client(retry_on=passes) as client:
        with pytest.raises(ConnectError, match="lost"):
            await client.get("/")
    assert len(answers.times) == 3


async def test_what_the_users_functions_raise_ends_it() -> None:
    def fails(request: HttpRequest, answer: object) -> bool:
        raise ZeroDivisionError("a mistake")

    for options, answer in (({"retry_if": fails}, "ok"), ({"retry_on": fails}, ConnectError(""))):
        answers = Answers(answer)
        async with answers.client(**options) as client:
            with pytest.raises(ZeroDivisionError):
                await client.get("/")
        assert len(answers.times) == 1


async def test_timeouts_are_the_callers_unless_asked_for() -> None:
    async def slow(request: HttpRequest) -> str:
        await engine.clock.sleep(5)
        return "late"

    engine = MockEngine()
    engine.on_request("/", slow, times=1)
    limits = install(HttpTimeout, request_timeout=1)
    async with HttpClient(engine, install(HttpRequestRetry, policy=EVENLY), limits) as client:
        with pytest.raises(RequestTimeoutError) as caught:
            await client.get("/")
    assert "retry_on_timeout" in caught.value.__notes__[-1]

    engine = MockEngine()
    engine.on_request("/", slow, times=2)
    engine.on_request("/", "in time")
    retry = install(HttpRequestRetry, policy=EVENLY, retry_on_timeout=True)
    async with HttpClient(engine, limits, retry) as client:
        assert await (await client.get("/")).body_as_text() == "in time"
    assert engine.clock.time() == 1 + 1 + 1 + 2  # each attempt has a limit of its own


@pytest.mark.parametrize("kind", [RequestTimeoutError, ConnectTimeoutError])
async def test_all_kinds_of_timeouts(kind: type[RequestTimeoutError]) -> None:
    answers = Answers(kind("late"))
    async with answers.client() as client:
        with pytest.raises(kind):
            await client.get("/")
    assert len(answers.times) == 1


# --- what is sent, and what is seen of it


async def test_a_modified_request_is_made_of_the_callers() -> None:
    def count(request: HttpRequest, failure: Failure) -> HttpRequest:
        assert "x-retry" not in request.headers
        return request.with_header("X-Retry", str(failure.attempt))

    async def count_later(request: HttpRequest, failure: Failure) -> HttpRequest:
        await asyncio.sleep(0)
        return count(request, failure)

    for modify in (count, count_later):
        answers = Answers(failing(), ConnectError("lost"), failing(), "ok")
        async with answers.client(modify_request=modify) as client:
            await client.get("/")
        sent = [request.headers.get("x-retry") for request in answers.requests]
        assert sent == [None, "1", "2", "3"]


async def test_a_function_that_modifies_returns_the_request() -> None:
    answers = Answers(failing())
    async with answers.client(modify_request=lambda *_: None) as client:
        with pytest.raises(TypeError, match="modify_request returns the request to send"):
            await client.get("/")


async def test_errors_tell_how_often_it_was_tried() -> None:
    answers = Answers(ConnectError("lost"))
    async with answers.client() as client:
        with pytest.raises(ConnectError) as caught:
            await client.get("/")
    assert caught.value.__notes__ == [
        "HttpRequestRetry: 4 attempts in 7 s; max_attempts=4 is reached"
    ]
    answers = Answers(failing(503))
    async with answers.client() as client:
        with pytest.raises(ServerResponseError) as refused:
            await client.get("/", expect_success())
    assert "4 attempts in 7 s" in refused.value.__notes__[-1]


async def test_an_answer_that_is_no_failure_carries_no_note() -> None:
    answers = Answers(failing(503), failing(404))
    async with answers.client() as client:
        with pytest.raises(Exception, match="404") as caught:
            await client.get("/", expect_success())
    assert "2 attempts" in caught.value.__notes__[-1]
    answers = Answers(respond("", 302))
    async with answers.client() as client:
        with pytest.raises(Exception, match="302") as caught:
            await client.get("/", expect_success())
    assert not hasattr(caught.value, "__notes__")


async def test_a_body_that_breaks_off_is_not_repeated_and_the_error_says_so() -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"half"
        raise ConnectError("lost")

    answers = Answers(respond(body()))
    async with answers.client() as client:
        with pytest.raises(ConnectError) as caught:
            await client.get("/")
    assert len(answers.times) == 1
    assert "the answer had begun" in caught.value.__notes__[-1]


async def test_an_event_before_each_repetition() -> None:
    answers = Answers(ConnectError("lost"), failing(503), "ok")
    seen: list[Failure] = []
    async with answers.client() as client:
        client.events.subscribe(RequestRetried, seen.append)
        await client.get("/")
    assert [failure.attempt for failure in seen] == [1, 2]
    assert str(seen[0].error) == "lost"
    assert seen[1].response is not None
    assert seen[1].response.status == 503


async def test_repetitions_pass_layers_of_the_users_own_and_no_limit_of_sends() -> None:
    sent: list[str] = []

    @client_plugin
    def watching(scope: PluginScope) -> None:
        async def watch(request: HttpRequest, send: Send) -> HttpResponse:
            sent.append(request.url.path)
            return await send(request)

        scope.on_send(watch)

    answers = Answers(*[failing()] * 30, "ok")
    retry = install(HttpRequestRetry, policy=EVENLY, max_retries=40)
    async with HttpClient(answers.engine, install(watching), retry) as client:
        assert (await client.get("/")).status == 200
    assert len(sent) == 31


# --- handshakes


async def test_a_handshake_is_repeated() -> None:
    async def peer(session: MockPeerSession) -> None:
        await session.send("open")

    engine = MockEngine()
    engine.on_web_socket("/", respond("busy", 503, {"Retry-After": "4"}), times=1)
    engine.on_web_socket("/", ConnectError, times=1)
    engine.on_web_socket("/", peer)
    retry = install(HttpRequestRetry, policy=EVENLY)
    async with HttpClient(engine, install(WebSockets), retry) as client:
        async with client.web_socket("/") as session:
            assert await session.receive_text() == "open"
    assert engine.clock.time() == 6


async def test_each_handshake_has_its_own_time_to_open() -> None:
    engine = MockEngine()
    engine.on_web_socket("/", respond("busy", 503, {"Retry-After": "30"}), times=2)
    engine.on_web_socket("/", lambda session: session.send("open"), delay=8)
    retry = install(HttpRequestRetry, policy=EVENLY)
    async with HttpClient(engine, install(WebSockets, open_timeout=10), retry) as client:
        async with client.web_socket("/") as session:
            assert await session.receive_text() == "open"
    assert engine.clock.time() == 68


async def test_the_last_refusal_of_a_handshake_tells_how_often_it_was_tried() -> None:
    engine = MockEngine()
    engine.on_web_socket("/", respond("busy", 503))
    retry = install(HttpRequestRetry, policy=EVENLY)
    async with HttpClient(engine, install(WebSockets), retry) as client:
        with pytest.raises(WebSocketHandshakeError, match="503") as caught:
            await client.web_socket_session("/")
    assert "4 attempts in 7 s" in caught.value.__notes__[-1]
    assert await caught.value.response.body_as_text() == "busy"


# --- ends


async def test_cancelling_ends_a_wait_at_once() -> None:
    answers = Answers(failing(503, Retry_After="3600"))
    waiting = asyncio.Event()
    async with answers.client() as client:
        client.events.subscribe(RequestRetried, lambda _: waiting.set())
        call = asyncio.create_task(client.get("/"))
        await waiting.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    assert answers.engine.clock.time() == 0


@pytest.mark.parametrize("size", [0, 10, 200_000])
async def test_answers_in_between_keep_no_connection(engine: EngineFactory, size: int) -> None:
    seen: list[int] = []

    async def script(peer: Peer) -> None:
        while True:
            try:
                await peer.read_request()
            except (asyncio.IncompleteReadError, OSError):
                return
            seen.append(id(peer))
            status = b"503 Busy" if len(seen) % 3 else b"200 OK"
            head = b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n" % (status, size)
            try:
                await peer.send(head + b"x" * size)
            except OSError:
                return

    policy = RetryPolicy(Backoff(first=0.001, longest=0.001, factor=1))
    async with raw_server(script) as server:
        retry = install(HttpRequestRetry, policy=policy)
        async with HttpClient(partial(engine, limit=1), retry) as client:
            for _ in range(2):
                response = await client.get(server.url.replace("ws", "http"))
                assert (response.status, len(await response.body_as_bytes())) == (200, size)
    assert len(seen) == 6
    assert len(set(seen)) == (1 if size < 65_536 else len(set(seen)))


async def test_a_post_to_nobody_is_repeated_on_the_wire(engine: EngineFactory) -> None:
    failures: list[Failure] = []

    def note(failure: Failure) -> None:
        failures.append(failure)

    policy = RetryPolicy(Backoff(first=0.001, longest=0.001, factor=1), decide=note)
    async with HttpClient(engine, install(HttpRequestRetry, policy=policy)) as client:
        with pytest.raises(ConnectError, match="could not connect") as caught:
            await client.post("http://127.0.0.1:9/", body="data")
    assert len(failures) == 4
    assert "4 attempts" in caught.value.__notes__[-1]


async def test_a_post_that_may_have_arrived_is_not(engine: EngineFactory) -> None:
    requests: list[bytes] = []

    async def script(peer: Peer) -> None:
        await peer.read_request()
        requests.append(peer.request)

    async with raw_server(script) as server:
        async with HttpClient(engine, install(HttpRequestRetry)) as client:
            with pytest.raises(ConnectError) as caught:
                await client.post(server.url.replace("ws", "http"), body="data")
    assert len(requests) == 1
    assert "POST is not repeated" in caught.value.__notes__[-1]


async def test_a_handshake_on_the_wire(engine: EngineFactory) -> None:
    count = 0

    async def script(peer: Peer) -> None:
        nonlocal count
        count += 1
        if count < 3:
            await peer.read_request()
            await peer.send(b"HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\nno")
            return
        await peer.upgrade()
        assert await peer.read_close() == (1000, "")

    policy = RetryPolicy(Backoff(first=0.001, longest=0.001, factor=1))
    blocks = (install(WebSockets), install(HttpRequestRetry, policy=policy))
    async with raw_server(script) as server:
        async with HttpClient(partial(engine, limit=1), *blocks) as client:
            async with client.web_socket(server.url):
                pass
    assert count == 3


# --- options


@pytest.mark.parametrize(
    ("options", "kind", "text"),
    [
        ({"policy": {"max_attempts": 3}}, TypeError, r"policy takes RetryPolicy\(\.\.\.\), not"),
        ({"policy": None}, TypeError, "policy takes RetryPolicy"),
        ({"max_retries": -1}, ValueError, "max_retries must be 0 or more, not -1"),
        ({"max_retries": 1.5}, TypeError, "max_retries takes an int or None, not 1.5"),
        ({"max_retries": True}, TypeError, "max_retries takes an int"),
        ({"retry_if": 503}, TypeError, "retry_if takes a function, not 503"),
        ({"retry_on": ConnectError("")}, TypeError, "retry_on takes a function"),
        ({"modify_request": "x"}, TypeError, "modify_request takes a function"),
        ({"retry_on_timeout": 1}, TypeError, "retry_on_timeout is True or False, not 1"),
        (
            {"max_retries": 3, "policy": RetryPolicy(max_attempts=4)},
            TypeError,
            "max_retries=3 and policy.max_attempts=4 set the same limit: give one of them",
        ),
        ({"max_retrys": 3}, TypeError, "did you mean 'max_retries'"),
    ],
)
def test_nonsense_is_refused(options: dict[str, Any], kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=text):
        HttpClient(MockEngine(), install(HttpRequestRetry, **options))


def test_attempts_may_be_the_policys() -> None:
    make: Callable[..., HttpRequestRetry] = HttpRequestRetry
    assert make(policy=RetryPolicy(max_attempts=2))._policy.max_attempts == 2
    assert make(max_retries=None)._policy.max_attempts is None
    assert make()._policy.max_attempts == 4
