"""The echo server in a thread of its own."""

from __future__ import annotations

import os
import threading
from urllib.request import urlopen

import pytest

from ktor_client.testing import BackgroundEchoServer


def test_it_serves_where_there_is_no_loop() -> None:
    before = set(threading.enumerate())
    with BackgroundEchoServer() as server:
        assert repr(server) == f"BackgroundEchoServer('{server.url}')"
        assert server.url.startswith("ws://127.0.0.1:")
        with urlopen(f"{server.http_url}/hello") as response:
            assert response.read() == b"hello from the echo server"
    assert set(threading.enumerate()) <= before


def test_it_says_so_when_it_cannot_listen() -> None:
    """With descriptors for the thread's event loop, and none for a socket to listen on."""
    resource = pytest.importorskip("resource", reason="no limit of descriptors on this platform")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = [os.dup(1) for _ in range(4)]
    for descriptor in free:
        os.close(descriptor)
    # The loop takes three: its selector and a pair of sockets to wake it up.
    resource.setrlimit(resource.RLIMIT_NOFILE, (free[3], hard))
    try:
        # Some versions of asyncio only log that there is no socket, and give a server without one.
        with pytest.raises((OSError, IndexError)), BackgroundEchoServer():
            pytest.fail("it listens")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
