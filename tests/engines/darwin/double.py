"""The double of Apple's frameworks: built by the system's compiler, loaded, and its switches."""

from __future__ import annotations

import atexit
import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from unittest import mock

from ktor_client.engines._darwin import bridge as bridge_module
from ktor_client.engines._darwin.bridge import Bridge
from ktor_client.engines._darwin.functions import Frameworks
from tests.speedups.build import compiler

SOURCES = Path(__file__).with_name("c")
WARNINGS = ("-Wall", "-Wextra", "-Werror")
WITHOUT = os.environ.get("KTOR_CLIENT_DOUBLE_WITHOUT")
"""A switch that is left out, so that its tests must fail: see `removed.py`."""


@cache
def built() -> Path:
    """Build the double into a folder that goes with this process; return the library."""
    found = compiler()
    if found is None:
        raise FileNotFoundError("there is no C compiler here (Debian, Ubuntu: apt install gcc)")
    folder = Path(tempfile.mkdtemp(prefix="ktor-client-double-"))
    atexit.register(_remove, folder, os.getpid())
    library = folder / "double.so"
    command = [found, "-shared", "-fPIC", "-g", "-O1", "-pthread", "-Wl,-Bsymbolic", *WARNINGS]
    if WITHOUT is not None:
        command.append(f"-DREMOVED={WITHOUT}")
    sources = map(str, sorted(SOURCES.glob("*.c")))
    subprocess.run([*command, *sources, "-o", str(library), "-ldl"], check=True)
    return library


def _remove(folder: Path, owner: int) -> None:
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)


class Double:
    """The library as tests see it."""

    def __init__(self, library: Path) -> None:
        self.library = ctypes.CDLL(str(library))
        for name in ("double_switch", "double_kind"):
            getattr(self.library, name).restype = ctypes.c_char_p
        for name in ("double_uses", "double_alive"):
            getattr(self.library, name).restype = ctypes.c_long
        self.library.double_seed.argtypes = (ctypes.c_ulonglong,)
        self.library.double_trust.argtypes = (ctypes.c_char_p, ctypes.c_size_t)
        self.library.tls_exists.restype = ctypes.c_bool

    def _names(self, function: str) -> list[str]:
        names: list[str] = []
        while (name := getattr(self.library, function)(len(names))) is not None:
            names.append(name.decode())
        return names

    @property
    def switches(self) -> list[str]:
        return self._names("double_switch")

    def alive(self) -> dict[str, int]:
        """Return how many objects there are of each kind that has any."""
        counts = {
            kind: self.library.double_alive(kind.encode()) for kind in self._names("double_kind")
        }
        return {kind: count for kind, count in counts.items() if count}

    def uses(self, switch: str) -> int:
        """Return how often a switch did something since it was set."""
        count: int = self.library.double_uses(switch.encode())
        return count

    @contextmanager
    def doing(self, *switches: str, seed: int = 1, chance: int = 1) -> Generator[None]:
        """Do, for a `with` block, what the switches say: once in `chance` times."""
        self.library.double_seed(seed)
        for switch in switches:
            assert self.library.double_set(switch.encode(), chance) >= 0, switch
        try:
            yield
        finally:
            for switch in switches:
                self.library.double_set(switch.encode(), 0)

    @property
    def has_tls(self) -> bool:
        """Whether OpenSSL's library was found."""
        found: bool = self.library.tls_exists()
        return found

    @contextmanager
    def trusting(self, *certificates: bytes) -> Generator[None]:
        """Let the system trust certificates (DER), for a `with` block."""
        for one in certificates:
            self.library.double_trust(one, len(one))
        try:
            yield
        finally:
            self.library.double_trust(None, 0)

    def bridge(self) -> Bridge:
        """Return a new bridge to it."""
        library = ctypes.CDLL(self.library._name)
        return TracedBridge(Frameworks(library, library, library, library))


class TracedBridge(Bridge):
    """Lets coverage see what runs on the queue's thread, which Python has not started."""

    def _told(self, block: int, value: int) -> None:
        see_this_thread()
        super()._told(block, value)

    def _state_changed(self, block: int, state: int, error: int | None) -> None:
        see_this_thread()
        super()._state_changed(block, state, error)

    def _asked(self, block: int, metadata: int, trust: int, answer: int) -> None:
        see_this_thread(_questions)
        super()._asked(block, metadata, trust, answer)

    def _received(
        self, block: int, content: int | None, context: int, is_complete: bool, error: int | None
    ) -> None:
        see_this_thread()
        super()._received(block, content, context, is_complete, error)


_events, _questions = iter(range(2000)), iter(range(500))
"""So many times, since each of them costs memory."""


def see_this_thread(times: Iterator[int] = _events) -> None:
    """Trace the thread of a callback as those are traced that Python starts."""
    trace = threading.gettrace()
    if trace is not None and next(times, None) is not None:
        sys.settrace(trace)


@cache
def the_double() -> Double:
    """Return the double of this process."""
    return Double(built())


def install(library: str) -> Double:
    """Let a program of its own take a double that was built for it."""
    double = Double(Path(library))
    shared = ctypes.CDLL(library)
    found = Frameworks(shared, shared, shared, shared)
    mock.patch.object(bridge_module, "frameworks", return_value=found).start()
    return double


if __name__ == "__main__":
    sys.exit(f"{built()}")
