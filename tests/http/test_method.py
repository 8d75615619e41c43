"""Methods: their spelling, and which of them may be sent twice."""

from __future__ import annotations

import pytest

from ktor_client import HttpMethod


@pytest.mark.parametrize("name", ["GET", "head", "OPTIONS", "put", "DELETE", "TRACE", "QUERY"])
def test_twice_is_once(name: str) -> None:
    assert HttpMethod(name).is_idempotent


@pytest.mark.parametrize("name", ["POST", "PATCH", "LOCK", "CONNECT", "X-MINE"])
def test_twice_is_twice(name: str) -> None:
    assert not HttpMethod(name).is_idempotent
