"""What every test has: the `engine` fixture, and the watch over leaks and unseen errors."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Literal

import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer  # type: ignore[import-untyped]  # it has no types
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]  # likewise

from ktor_client._twin import implementation, reason
from ktor_client.engine.registry import EngineFactory, engine_class

try:
    import uvloop
except ImportError:  # no wheel for this platform
    uvloop = None  # type: ignore[assignment]

ENGINES = ["aiohttp", "httpx", "cio"]

# Nothing is said about the clock: a busy machine is no failure.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")


# A shell without job control lets a run in the background, and all that tests start, ignore Ctrl-C.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Say how many processes share the suite: it waits for peers half of its time."""
    return min(8, (os.cpu_count() or 1) + 1)


class Together(LoadScopeScheduling):  # type: ignore[misc]  # likewise
    """Keeps together, where tests run in several processes, those that share a costly server."""

    def _split_scope(self, nodeid: str) -> str:
        room = nodeid.split("/")[1]
        return room if room in ("browser", "interop", "speedups") else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """Distribute tests one by one, but for rooms that stay together."""
    return Together(config, log)


def pytest_report_header() -> str:
    return f"core: {implementation} ({reason})"


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> EngineFactory:
    """The class of each socket engine; its tests run on each event loop."""
    return engine_class(request.param)


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run tests of an engine on the default loop and on uvloop, others on the default one."""
    loops: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
    if uvloop is not None and "engine" in getattr(item, "fixturenames", ()):
        loops["uvloop"] = uvloop.new_event_loop
    return loops


@pytest.hookimpl(tryfirst=True)  # before pytest chooses by marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave HttpxEngine on uvloop to the long matrices: its sockets are those of CioEngine."""
    for item in items:
        name = getattr(getattr(item, "callspec", None), "id", "")
        if name.startswith("uvloop-") and "httpx" in name:
            item.add_marker(pytest.mark.exhaustive)
            item.add_marker(pytest.mark.hours)


@pytest.fixture(autouse=True)
def no_unseen_errors(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail a test behind whose back something went wrong: asyncio only logs it."""
    yield
    phases: tuple[Literal["setup", "call", "teardown"], ...] = ("setup", "call", "teardown")
    seen = [
        record
        for when in phases
        for record in caplog.get_records(when)
        if record.name == "asyncio" and record.levelno >= logging.ERROR
    ]
    if seen:
        pytest.fail(f"asyncio logged: {seen[0].getMessage()}\n{seen[0].exc_text or ''}")


@pytest.fixture(autouse=True)
async def no_stray_tasks() -> AsyncIterator[None]:
    """Fail a test that leaves a task."""
    before = asyncio.all_tasks()
    yield
    stray = asyncio.all_tasks() - before - {asyncio.current_task()}
    if stray:
        pytest.fail(f"tasks were left: {stray}")
