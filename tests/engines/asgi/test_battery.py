"""The conformance battery on TestEngine, as far as an ASGI app can take the server's part."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from ktor_client.engines import TestEngine
from ktor_client.plugins import WebSocketDeflate
from ktor_client.testing import EchoServer
from ktor_client.testing.conformance import CHECKS, Check, run_check
from tests.support.echo_asgi import EchoApp

LEFT_OUT = {
    "unknown_host_is_a_connect_error": "no names are resolved in process",
    "twenty_megabytes": "the app's side takes 16 MiB, as servers do",
}


def messages(app: EchoApp) -> TestEngine:
    return TestEngine(app, lifespan=False, extensions=[WebSocketDeflate()])


def pipe(app: EchoApp) -> TestEngine:
    engine = messages(app)
    engine.faults.split(1000)
    return engine


@pytest.mark.parametrize("make", [messages, pipe])
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: f"{check.room}-{check.name}")
async def test_in_process(check: Check, make: Callable[[EchoApp], TestEngine]) -> None:
    if check.name in LEFT_OUT:
        pytest.skip(LEFT_OUT[check.name])
    app = EchoApp(EchoServer())
    result = await run_check(
        check, partial(make, app), "ws://127.0.0.1:81", other_url="ws://localhost:81"
    )
    if app.has_refused:
        pytest.skip("an ASGI app cannot take the server's part")
    result.raise_if_failed()
    if result.outcome == "skipped":
        pytest.skip(result.detail)
