"""Starts the browser once for the run, and makes each test of `in_page/` a test per lane here."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .harness import Harness
from .lane import HERE, absence, lane_is_required

LANES = ("page", "worker")
AT_ECHO_SERVER = frozenset({"test_conformance.py"})
"""Files whose page comes from the package's echo server."""

_HARNESS = pytest.StashKey[Harness]()
_RESULTS = pytest.StashKey[dict[tuple[str, str], dict[str, Any]]]()


def harness_of(config: pytest.Config) -> Harness:
    """The one harness of this run, started by whoever asks first."""
    line = absence()
    if line is not None:
        if lane_is_required():
            pytest.fail(line, pytrace=False)
        pytest.skip(line)
    harness = config.stash.get(_HARNESS, None)
    if harness is None:
        harness = Harness()
        harness.start()
        config.stash[_HARNESS] = harness
        config.add_cleanup(harness.close)
    return harness


@pytest.fixture(scope="session")
def harness(request: pytest.FixtureRequest) -> Harness:
    return harness_of(request.config)


class InPageModule(pytest.Module):
    """A file of `in_page/`: imported here only to know the names of its tests."""

    def collect(self) -> Iterator[pytest.Item | pytest.Collector]:
        functions = list(super().collect())
        for lane in LANES:
            for function in functions:
                item = InPageTest.from_parent(
                    self, name=f"{lane}/{function.name}", lane=lane, in_page_name=function.name
                )
                item.own_markers.extend(function.own_markers)
                item.add_marker(pytest.mark.timeout(180))
                yield item


class InPageTest(pytest.Item):
    """A test that ran in the browser. All chosen tests of a file and lane run in one go."""

    def __init__(self, *, lane: str, in_page_name: str, **given: Any) -> None:
        super().__init__(**given)
        self.lane = lane
        self.in_page_name = in_page_name

    def runtest(self) -> None:
        harness = harness_of(self.config)
        results = self.config.stash.setdefault(_RESULTS, {})
        key = (self.path.name, self.lane)
        if key not in results:
            results[key] = harness.run_tests(
                self.path.name,
                self._chosen(),
                self.lane,
                at_echo_server=self.path.name in AT_ECHO_SERVER,
            )
        answer = results[key]
        if answer["broken"]:
            raise InBrowserError("\n".join(answer["broken"]))
        if answer["page_errors"]:
            raise InBrowserError(f"errors of the page: {answer['page_errors']}")
        result = answer["results"].get(self.in_page_name)
        if result is None:
            raise InBrowserError(f"no result; there are {sorted(answer['results'])}")
        if result["outcome"] == "skipped":
            pytest.skip(result["text"])
        if result["outcome"] != "passed":
            raise InBrowserError(result["text"])

    def _chosen(self) -> list[str]:
        return [
            item.in_page_name
            for item in self.session.items
            if isinstance(item, InPageTest) and item.lane == self.lane and item.path == self.path
        ]

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if excinfo.errisinstance(InBrowserError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        return self.path, None, f"{self.path.stem}::{self.name}"


class InBrowserError(Exception):
    """A test failed in the browser; the message is what pytest wrote there."""


def pytest_pycollect_makemodule(
    module_path: Path, parent: pytest.Collector
) -> pytest.Module | None:
    if module_path.parent != HERE / "in_page":
        return None
    module: pytest.Module = InPageModule.from_parent(parent, path=module_path)
    return module
