"""A feed through a network that cuts each of its connections: every message is accounted for.

The short form of `make chaos`.
"""

from __future__ import annotations

import pytest

from ktor_client import Sent
from ktor_client.engine.registry import EngineFactory
from tests.chaos.feeds import KINDS, run
from tests.support.leaks import Held


@pytest.mark.parametrize(("sequence", "mode"), KINDS)
async def test_the_report_agrees_with_the_servers_log(
    engine: EngineFactory, sequence: bool, mode: str
) -> None:
    before = Held()
    report = await run(engine, sequence=sequence, mode=mode, messages=1500, faults=25)
    assert report.cuts >= 3
    assert sum(report.verdicts.values()) == 1500
    assert report.verdicts[Sent.NOT_SENT] == 0  # there was always another connection
    await before.again()


@pytest.mark.exhaustive
@pytest.mark.hours
@pytest.mark.timeout(170)
@pytest.mark.parametrize(("sequence", "mode"), KINDS)
async def test_for_long(engine: EngineFactory, sequence: bool, mode: str) -> None:
    report = await run(engine, sequence=sequence, mode=mode, messages=10_000, faults=200)
    assert report.cuts >= 100
