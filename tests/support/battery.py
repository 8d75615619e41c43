"""How a test runs one check of the battery: it fails with it, and is skipped with it."""

from __future__ import annotations

import pytest

from ktor_client.engine.registry import EngineFactory
from ktor_client.testing.conformance import Check, run_check


async def passes(check: Check, factory: EngineFactory, url: str) -> None:
    """Run a check. Raises what it failed with; skips where the engine lacks what it needs."""
    result = await run_check(check, factory, url)
    result.raise_if_failed()
    if result.outcome == "skipped":
        pytest.skip(result.detail)
