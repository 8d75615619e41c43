"""A link that writes down what passes: between a scripted peer's session and its connection."""

from __future__ import annotations

import asyncio

from ktor_client.engines._mock.conversation import Conversation, Entry, Side
from ktor_client.frames import Frame, PingFrame
from ktor_client.link.tap import TapLink
from ktor_client.memory.pipe import PipedLink

__all__ = ["ConversationTap"]


class ConversationTap(TapLink):
    """Keeps each frame of both directions in a `Conversation`."""

    inner: PipedLink

    def __init__(self, link: PipedLink, conversation: Conversation) -> None:
        super().__init__(link)
        self.pings: asyncio.Queue[PingFrame | None] = asyncio.Queue()
        """Pings of the client's that the script has not asked for yet; None is the end."""
        self._conversation = conversation

    def sent(self, frame: Frame) -> None:
        """Write down what the peer has sent."""
        self._record("peer", frame)

    def received(self, frame: Frame) -> None:
        """Write down what the client has sent."""
        self._record("client", frame)
        if isinstance(frame, PingFrame):
            self.pings.put_nowait(frame)

    def _record(self, sender: Side, frame: Frame) -> None:
        self._conversation.entries.append(Entry(sender, frame, self.inner.clock.time()))
