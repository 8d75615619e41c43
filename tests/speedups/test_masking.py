"""The compiled XOR, by its definition."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

KEY = b"\x37\xfa\x21\x3d"


@pytest.mark.parametrize("size", [*range(33), 125, 126, 1000, 65535, 65536, 65537, 100_001])
def test_each_size(core: Any, size: int) -> None:
    payload = os.urandom(size)
    expected = bytes(byte ^ KEY[at % 4] for at, byte in enumerate(payload))
    assert core.mask_bytes(payload, KEY) == expected
    assert core.mask_bytes(memoryview(bytearray(b"#" + payload))[1:], KEY) == expected


def test_arguments_are_checked(core: Any) -> None:
    for wrong in ((), (b"",), (1, KEY), (b"", 1), (memoryview(b"1234")[::2], KEY)):
        with pytest.raises((TypeError, BufferError)):
            core.mask_bytes(*wrong)
    with pytest.raises(ValueError, match="4 bytes, not 3"):
        core.mask_bytes(b"", b"123")


def test_keys_come_from_the_operating_system_and_a_child_has_its_own(
    run_compiled: Callable[..., str],
) -> None:
    run_compiled(
        """
import asyncio, os
from ktor_client.link.sender import StreamSender
from tests.support.fake_transport import link_on

real, asked = os.urandom, []
os.urandom = lambda size: asked.append(size) or real(size)

async def main():
    link, _, _ = link_on()
    def keys(count):
        link._scheduled = True  # so that all of it is kept here
        for _ in range(count):
            link.send_binary(b"")
        found = [data[2:] for data in link._out]
        link._drop_out()
        return found
    first = keys(3000)
    assert asked == [4096] * 3, asked
    assert len(set(first)) > 2990
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.write(write, b"".join(keys(50)))
        os._exit(0)
    os.waitpid(child, 0)
    data = os.read(read, 200)
    theirs = {data[at : at + 4] for at in range(0, 200, 4)}
    assert len(theirs & set(keys(50))) < 5

asyncio.run(main())
"""
    )
