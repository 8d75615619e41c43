"""For tests of applications and of engines: an echo server, and the battery each engine must pass.

Standard library only. Nothing in the rest of the package imports this. The server is imported when
it is named: a browser runs the battery in `conformance` and has no sockets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ktor_client.engines._mock import (
        Conversation,
        Entry,
        ExpectationError,
        MockAcceptance,
        MockPeerSession,
        MockResponse,
        accept,
        respond,
    )
    from ktor_client.memory.faults import Faults
    from ktor_client.memory.virtual_clock import VirtualClock
    from ktor_client.testing.background import BackgroundEchoServer
    from ktor_client.testing.client_factory import ClientFactory
    from ktor_client.testing.exchange import Exchange, Refusal, Response
    from ktor_client.testing.server import EchoServer, echo_server

__all__ = [
    "BackgroundEchoServer",
    "ClientFactory",
    "Conversation",
    "EchoServer",
    "Entry",
    "Exchange",
    "ExpectationError",
    "Faults",
    "MockAcceptance",
    "MockPeerSession",
    "MockResponse",
    "Refusal",
    "Response",
    "VirtualClock",
    "accept",
    "echo_server",
    "respond",
]

_ROOMS = {
    "BackgroundEchoServer": "testing.background",
    "ClientFactory": "testing.client_factory",
    "EchoServer": "testing.server",
    "Exchange": "testing.exchange",
    "Faults": "memory.faults",
    "Refusal": "testing.exchange",
    "Response": "testing.exchange",
    "VirtualClock": "memory.virtual_clock",
    "echo_server": "testing.server",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        from ktor_client.mistakes import absent

        raise absent(__name__, name)
    from importlib import import_module

    return getattr(import_module(f"ktor_client.{_ROOMS.get(name, 'engines._mock')}"), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "conformance"])
