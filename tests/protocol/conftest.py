"""The codec is sans-IO: its tests need no event loop, so the watch over tasks stays out of here."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def no_stray_tasks() -> None:
    """Nothing here can leave a task."""
