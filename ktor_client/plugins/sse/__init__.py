"""Server-sent events (Ktor's `SSE`): the plugin, the grammar, and a stream that comes back.

`client.sse(url)` is in `client/`; here is all that it does.
"""

from ktor_client.plugins.sse.event import ServerSentEvent
from ktor_client.plugins.sse.plugin import SSE
from ktor_client.plugins.sse.session import SseSession

__all__ = ["SSE", "ServerSentEvent", "SseSession"]
