"""Links: what carries frames between a session and an engine's connection.

`contract.py` is what a session needs of any link; `stream.py` is RFC 6455 over an asyncio
transport. Sessions, channels and engines do not live here.
"""

from ktor_client.link.contract import Clock, FrameLink, LinkOptions, LinkReceiver, Timer
from ktor_client.link.stream import StreamLink

__all__ = ["Clock", "FrameLink", "LinkOptions", "LinkReceiver", "StreamLink", "Timer"]
