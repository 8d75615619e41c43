"""The outgoing channel, as its users see it. When a frame is written is decided in `sending.py`."""

from __future__ import annotations

from ktor_client.channels import SendChannel
from ktor_client.frames import Frame
from ktor_client.session.sending import Sending

__all__ = ["Outgoing"]


class Outgoing(SendChannel[Frame]):
    """`session.outgoing`. Its limit counts only frames that wait."""

    __slots__ = ("_sending",)

    def __init__(self, sending: Sending) -> None:
        self._sending = sending

    async def send(self, item: Frame) -> None:
        """Send a frame; see `WebSocketSession.send`."""
        await self._sending.send(_checked(item))

    def send_nowait(self, item: Frame) -> None:
        """Send a frame, or queue it while the transport is busy.

        Raises:
            ConnectionClosedError: the session has ended.
            asyncio.QueueFull: as many frames as the limit allows are waiting; a Ping or Pong is
                never queued, and raises it while the transport is busy.
            ChannelOverflowError: likewise, with `ChannelOverflow.CLOSE`; the session ends.
            ValueError, WrongLoopError: as `WebSocketSession.send`.
        """
        self._sending.send_nowait(_checked(item))

    def __len__(self) -> int:
        """Frames that wait."""
        return len(self._sending)

    @property
    def is_closed(self) -> bool:
        """Whether sending is over."""
        return self._sending.is_closed

    def __repr__(self) -> str:
        state = "closed" if self.is_closed else "open"
        return f"<SendChannel {state}, {len(self)} waiting>"


def _checked(item: object) -> Frame:
    if isinstance(item, Frame):
        return item
    raise TypeError(
        f"outgoing takes frames such as Frame.Text(...), not {type(item).__name__}; "
        "session.send takes str and bytes too"
    )
