"""Every plugin of a real program at once, on every engine: the scenario of the example."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from examples.login_and_listen import Service, log_in_and_listen
from ktor_client.engine.registry import EngineFactory
from ktor_client.engines import HttpClientEngine
from ktor_client.testing import EchoServer, echo_server
from ktor_client.testing.echo_app import echo_app
from ktor_client.testing.echo_mock import echo_mock

SESSIONS = 10


def check(service: Service, told: list[str], log: str) -> None:
    assert told == ["welcome, ada", *["good morning"] * SESSIONS]
    assert len(service.logins) == 1
    assert service.refreshes == 1
    assert 1 <= service.refused <= SESSIONS
    [login] = service.logins
    secrets = [login, *service.access_tokens, service.refresh_token]
    for secret in [*secrets, "old access token", "refresh token 1", "correct horse"]:
        assert secret not in log
        assert secret.replace(" ", "+") not in log
    assert "user=ada&password=***" in log
    assert log.count('{"text": "good morning", "token": "***"}') == SESSIONS
    assert log.count("thank you") == SESSIONS


async def test_on_sockets(engine: EngineFactory, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with echo_server() as server:
        service = Service(server)
        told = await log_in_and_listen(engine, server.http_url, SESSIONS)
    check(service, told, caplog.text)


@pytest.mark.parametrize("make", [echo_mock, echo_app])
async def test_in_memory(
    make: Callable[[EchoServer], HttpClientEngine], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    server = EchoServer()
    service = Service(server)
    told = await log_in_and_listen(make(server), "http://localhost", SESSIONS)
    check(service, told, caplog.text)
