"""Runs pytest inside the browser: async tests on the page's own loop, results as JSON.

Loaded by Pyodide only. `pytest.main` is called within a coroutine; async tests and fixtures are
waited for by `run_sync`, which suspends the whole Python stack (JavaScript Promise Integration).
"""

import asyncio
import inspect
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from importlib import import_module
from typing import Any

import pytest

SECONDS_PER_TEST = 45.0

run_sync: Callable[[Awaitable[Any]], Any] = import_module("pyodide.ffi").run_sync


class AsyncTests:
    """Lets pytest run coroutine tests and async fixtures; fails tests that leave something."""

    def __init__(self) -> None:
        self.complaints: list[dict[str, Any]] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> bool | None:
        if not inspect.iscoroutinefunction(pyfuncitem.obj):
            return None
        names = pyfuncitem._fixtureinfo.argnames
        arguments = {name: pyfuncitem.funcargs[name] for name in names}
        run_sync(self._run(pyfuncitem.obj(**arguments)))
        return True

    async def _run(self, test: Awaitable[None]) -> None:
        loop = asyncio.get_running_loop()
        before = asyncio.all_tasks()
        loop.set_exception_handler(self._complain)
        try:
            async with asyncio.timeout(SECONDS_PER_TEST):
                await test
            left = [task for task in asyncio.all_tasks() - before if not task.done()]
            assert not left, f"the test left tasks behind: {left}"
            assert not self.complaints, f"the loop complained: {self.complaints}"
        finally:
            self.complaints.clear()
            loop.set_exception_handler(None)

    def _complain(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        # Without a message it is Pyodide's guess that nobody will ask a task for its exception.
        if "message" in context:
            self.complaints.append(context)

    @pytest.hookimpl(tryfirst=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
    ) -> None:
        function = fixturedef.func
        if inspect.isasyncgenfunction(function):
            fixturedef.func = _fixture_from_generator(function)  # type: ignore[misc]
        elif inspect.iscoroutinefunction(function):
            fixturedef.func = lambda **given: run_sync(function(**given))  # type: ignore[misc]


def _fixture_from_generator(
    function: Callable[..., AsyncIterator[Any]],
) -> Callable[..., Iterator[Any]]:
    def fixture(**given: Any) -> Iterator[Any]:
        generator = function(**given)
        yield run_sync(anext(generator))
        with pytest.raises(StopAsyncIteration):
            run_sync(anext(generator))

    return fixture


class Results:
    """Collects what each test reported."""

    def __init__(self) -> None:
        self.by_name: dict[str, dict[str, str]] = {}
        self.broken: list[str] = []

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.broken.append(report.longreprtext)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or not report.passed:
            outcome, text = report.outcome, report.longreprtext
            if hasattr(report, "wasxfail"):
                outcome, text = "failed", f"xfail is not for this lane: {report.wasxfail}"
            elif report.skipped and isinstance(report.longrepr, tuple):
                text = str(report.longrepr[2])
            name = report.nodeid.partition("::")[2]
            if self.by_name.get(name, {}).get("outcome") != "failed":
                self.by_name[name] = {"outcome": outcome, "text": text}


async def run_tests(path: str, names: list[str]) -> str:
    """Run tests of one file; return outcome and text of each, and what broke collecting them."""
    results = Results()
    pytest.main(
        [
            *(f"{path}::{name}" for name in names),
            "-q",
            "-W",
            "error",
            "--rootdir=/",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:faulthandler",
        ],
        plugins=[results, AsyncTests()],
    )
    return json.dumps({"results": results.by_name, "broken": results.broken})
