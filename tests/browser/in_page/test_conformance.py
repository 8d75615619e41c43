"""The conformance battery, whose echo server the page came from."""

import os

import pytest

from ktor_client.engines import BrowserEngine
from ktor_client.testing.conformance import CHECKS, Check, run_check


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
async def test_battery(check: Check) -> None:
    base = os.environ["SITE"].replace("http", "ws", 1)
    result = await run_check(check, BrowserEngine, base)
    if result.outcome == "skipped":
        assert result.detail.partition(" ")[0] in ("with", "without"), result.detail
        pytest.skip(result.detail)
    assert result.outcome == "passed", f"{check.statement}\n{result.detail}"
