"""Masking against its definition (RFC 6455 5.3)."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ktor_client.protocol import masking
from ktor_client.protocol.masking import POOL_SIZE, fresh_key, mask_bytes, take_key


def by_definition(payload: bytes, key: bytes) -> bytes:
    return bytes(byte ^ key[at % 4] for at, byte in enumerate(payload))


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 125, 8191, 8192, 8193, 8194, 8195, 8196, 70000])
def test_each_size(size: int) -> None:
    payload = os.urandom(size)
    for key in (b"\x00\x00\x00\x00", b"\xff\xff\xff\xff", b"\x37\xfa\x21\x3d"):
        masked = mask_bytes(payload, key)
        assert masked == by_definition(payload, key)
        assert type(masked) is bytes


@given(
    payload=st.binary(max_size=300), key=st.binary(min_size=4, max_size=4), times=st.integers(1, 99)
)
def test_masking_twice_gives_the_payload_back(payload: bytes, key: bytes, times: int) -> None:
    payload *= times
    masked = mask_bytes(payload, key)
    assert masked == by_definition(payload, key)
    assert mask_bytes(masked, key) == payload


def test_keys_come_from_the_operating_system(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def urandom(size: int) -> bytes:
        asked.append(size)
        return os.urandom(size)

    monkeypatch.setattr(masking, "os", type("os", (), {"urandom": staticmethod(urandom)}))
    masking._keys.clear()
    keys = []
    for _ in range(3 * POOL_SIZE):
        try:
            keys.append(take_key())
        except IndexError:
            keys.append(fresh_key())
    assert asked == [4 * POOL_SIZE] * 3
    assert {len(key) for key in keys} == {4}
    assert len(set(keys)) > len(keys) - 5


def test_a_child_has_keys_of_its_own() -> None:
    program = (
        "import os; from ktor_client.protocol import masking; masking.fresh_key();"
        "child = os.fork(); left = len(masking._keys); child or os._exit(left);"
        "assert (left, os.waitpid(child, 0)[1]) == (127, 0)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
