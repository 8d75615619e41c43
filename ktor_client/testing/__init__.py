"""For tests of applications and of engines: an echo server, and the battery each engine must pass.

Standard library only. Nothing in the rest of the package imports this.
"""

from ktor_client.testing.exchange import Exchange, Refusal, Response
from ktor_client.testing.server import EchoServer, echo_server

__all__ = ["EchoServer", "Exchange", "Refusal", "Response", "echo_server"]
