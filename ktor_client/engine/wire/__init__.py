"""Our own HTTP/1.1, and WebSockets on the same road up to the 101, for engines without a library.

How a connection is opened is the dialer's; what `http1/` and `link/` make of its bytes is joined
here.
"""

from ktor_client.engine.wire.engine import WireEngine
from ktor_client.engine.wire.errors import WireErrors

__all__ = ["WireEngine", "WireErrors"]
