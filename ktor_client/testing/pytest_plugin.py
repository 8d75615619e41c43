"""The pytest plugin, loaded by pytest's entry point: fixtures for tests of applications.

All fixtures are plain functions, so they work with pytest-asyncio, pytest-aiohttp, anyio's plugin,
or a test that calls `asyncio.run`. A test that is a coroutine function is wrapped so that what its
fixtures hold is closed on its own loop. Nothing but pytest is imported before a test asks for it.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ktor_client import HttpClient
    from ktor_client.engines import MockEngine
    from ktor_client.testing.background import BackgroundEchoServer
    from ktor_client.testing.client_factory import ClientFactory

MARKER = "ktor_engines"
FIXTURE = "ktor_engine"
CLIENTS, LEAKS, ENGINES = range(3)
"""Turns at the end of a test."""


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers",
        f"{MARKER}(*engines): run a test that takes the fixture {FIXTURE} once for each of these "
        "engines: names, classes or functions that make one (ktor-client)",
    )


# --- fixtures ---


@pytest.fixture
def mock_engine(request: pytest.FixtureRequest) -> Iterator[MockEngine]:
    """A `MockEngine` to script; closed and verified when the test has ended."""
    from ktor_client.engines import MockEngine

    engine = MockEngine()
    ending = _ending(request)
    ending.then(ENGINES, engine.close)
    yield engine
    if not ending.has_run and not ending.has_failed:
        engine.verify()


@pytest.fixture
def ktor_client_factory(request: pytest.FixtureRequest) -> Iterator[ClientFactory]:
    """Makes clients as `HttpClient(...)` does, and closes them when the test has ended.

    Without an engine they get the test's `ktor_engine`, else its `mock_engine`, else the default.
    """
    from ktor_client.testing.client_factory import ClientFactory

    default: Any = None
    for name in (FIXTURE, "mock_engine"):
        if default is None and name in request.fixturenames:
            default = request.getfixturevalue(name)
    ending = _ending(request)
    factory = ClientFactory(default)
    ending.then(CLIENTS, factory.close)
    yield factory
    if not ending.has_run:
        _fail_for(request, _leaks(factory.clients))


@pytest.fixture
def ktor_engine(request: pytest.FixtureRequest) -> Any:
    """What `HttpClient` takes first: each installed network engine, or those of `ktor_engines`."""
    chosen: Any = request.param
    if not isinstance(chosen, str):
        return chosen
    from ktor_client import EngineUnavailableError
    from ktor_client.engines import engine_class

    try:
        return engine_class(chosen)
    except EngineUnavailableError as error:
        pytest.skip(f"engine {chosen!r} cannot be used: {error}")


@pytest.fixture(scope="session")
def echo_server() -> Iterator[BackgroundEchoServer]:
    """An echo server in a thread of its own: `echo_server.url`, routes at `GET /`."""
    from ktor_client.testing.background import BackgroundEchoServer

    with BackgroundEchoServer() as server:
        yield server


@pytest.fixture
def ktor_no_leaks(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Fail a test that leaves a client open: `pytestmark = pytest.mark.usefixtures(...)`."""
    from ktor_client import HttpClient

    made: list[HttpClient] = []
    set_up = HttpClient._set_up  # pyright: ignore[reportPrivateUsage]  # our own

    def noted(self: HttpClient, *args: Any) -> None:
        set_up(self, *args)
        made.append(self)

    async def look() -> None:
        found.append(_leaks(made))

    found: list[str] = []
    _ending(request).then(LEAKS, look)
    with monkeypatch.context() as patch:
        patch.setattr(HttpClient, "_set_up", noted)
        yield
    _fail_for(request, found[0] if found else _leaks(made))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run tests that take `ktor_engine` once for each engine."""
    if FIXTURE not in metafunc.fixturenames:
        return
    marker = metafunc.definition.get_closest_marker(MARKER)
    engines: tuple[Any, ...] = ("cio", "aiohttp", "httpx") if marker is None else marker.args
    metafunc.parametrize(FIXTURE, engines, indirect=True, ids=[_id_of(e) for e in engines])


def _id_of(engine: Any) -> str:
    if isinstance(engine, str):
        return engine
    name: object = getattr(engine, "name", None) or getattr(engine, "__name__", None)
    return str(name or type(engine).__name__)


# --- the end of a test ---

_ENDING = pytest.StashKey["_Ending"]()


class _Ending:
    """What is to be closed at the end of one test, in its own loop."""

    def __init__(self, item: pytest.Function) -> None:
        self._closers: list[tuple[int, Callable[[], Awaitable[None]]]] = []
        self.has_run = False
        self.has_failed = False
        test: Any = item.obj
        if inspect.iscoroutinefunction(test):
            item.obj = self._around(test)

    def then(self, turn: int, close: Callable[[], Awaitable[None]]) -> None:
        """Await `close` in its turn."""
        self._closers.append((turn, close))

    def _around(self, test: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        @functools.wraps(test)
        async def wrapped(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            try:
                result = await test(*args, **kwargs)
            except Exception as error:
                self.has_failed = True
                try:
                    await self._close()
                except AssertionError as later:
                    if str(later) not in str(error):
                        error.add_note(f"\n{later}")
                raise
            await self._close()
            return result

        return wrapped

    async def _close(self) -> None:
        __tracebackhide__ = True
        self.has_run = True
        failure: BaseException | None = None
        for _, close in sorted(self._closers, key=lambda closer: closer[0]):
            try:
                await close()
            except Exception as error:
                failure = failure or error
        if failure is not None:
            raise failure


def _ending(request: pytest.FixtureRequest) -> _Ending:
    item: Any = request.node
    ending: _Ending | None = item.stash.get(_ENDING, None)
    if ending is None:
        test = item.obj
        ending = item.stash[_ENDING] = _Ending(item)

        def restore() -> None:
            item.obj = test
            del item.stash[_ENDING]

        request.addfinalizer(restore)
    return ending


def _leaks(clients: list[HttpClient]) -> str:
    from ktor_client.testing.client_factory import describe_leaks

    return describe_leaks(clients)


def _fail_for(request: pytest.FixtureRequest, leaks: str) -> None:
    if leaks:
        pytest.fail(
            f"{request.node.nodeid} left open:\n{leaks}\n"
            "Use `async with HttpClient(...) as client`, or `await client.close()`.",
            pytrace=False,
        )
