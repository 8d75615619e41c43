"""The memory that an event loop's links share, and what becomes of memory that is freed."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

PROGRAM = """
import asyncio
import resource
from ktor_client.link.read_buffer import read_buffer

async def faults():
    assert read_buffer(asyncio.get_running_loop()) is read_buffer(asyncio.get_running_loop())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(100):
        first, second = b"x" * 1_000_000, b"y" * 1_000_000
        del first, second
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(asyncio.run(faults()))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators have other rules")
def test_long_messages_get_memory_that_is_there() -> None:
    """New memory would be 488 pages in each round."""
    environment = os.environ | {"KTOR_CLIENT_PURE": "1"}
    environment.pop("LD_PRELOAD", None)  # a sanitizer's allocator
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, check=True
    )
    assert int(found.stdout) < 5 * 488
