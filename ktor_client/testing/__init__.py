"""For tests of applications and of engines: an echo server, and the battery each engine must pass.

Standard library only. Nothing in the rest of the package imports this. The server is imported when
it is named: a browser runs the battery in `conformance` and has no sockets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ktor_client.testing.exchange import Exchange, Refusal, Response
    from ktor_client.testing.server import EchoServer, echo_server

__all__ = ["EchoServer", "Exchange", "Refusal", "Response", "echo_server"]

_ROOMS = {"EchoServer": "server", "echo_server": "server"}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'ktor_client.testing' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"ktor_client.testing.{_ROOMS.get(name, 'exchange')}"), name)
