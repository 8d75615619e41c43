"""`ktor-client ws --reconnect`: the chat over a connection that comes back."""

from __future__ import annotations

import asyncio
from collections import Counter, deque

from ktor_client import (
    FeedEvent,
    Lost,
    Opened,
    Receipt,
    ReconnectStoppedError,
    Sent,
    Stopped,
    Waiting,
    WebSocketFeed,
)
from ktor_client.cli.failure import CommandError
from ktor_client.cli.lines import sending_lines
from ktor_client.cli.screen import is_interactive, say, show

__all__ = ["talk"]


async def talk(feed: WebSocketFeed, hello: str, wait: float) -> None:
    """Show what comes and say what happens, until either side ends it or the policy stops.

    Raises:
        ReconnectStoppedError: the policy has stopped.
        CommandError: of some lines it is not sure that they were sent.
    """
    arrived = asyncio.Event()
    outbox = _Sent(feed)
    async with sending_lines(outbox.send, outbox.settled, feed.close, arrived=arrived, wait=wait):
        try:
            async for item in feed.merged():
                if isinstance(item, str | bytes):
                    arrived.set()
                    show(item)
                else:
                    _tell(item, hello)
        except ReconnectStoppedError as error:
            await outbox.settled()
            if outbox.lost:
                error.add_note(outbox.lost)
            raise
    await outbox.settled()
    if outbox.lost:
        raise CommandError(outbox.lost)


def _tell(event: FeedEvent, hello: str) -> None:
    match event:
        case Opened(generation):
            say(f"connected to {hello}" if generation == 1 else "connected again")
        case Lost(failure) if failure.reason is None or failure.reason.code != 1000:
            what = "the connection is gone" if failure.was_open else "no connection"
            say(f"{what}: {failure.error}")
        case Waiting(delay):
            say(f"trying again in {delay:.1f} s")
        case Stopped(failure) if is_interactive():
            say(f"closed by {'you' if failure is None else 'the server'}")
        case _:
            pass


class _Sent:
    """What becomes of the lines."""

    def __init__(self, feed: WebSocketFeed) -> None:
        self._feed = feed
        self._open: deque[Receipt] = deque()
        self._verdicts: Counter[Sent] = Counter()

    async def send(self, line: str) -> None:
        self._open.append(await self._feed.send(line))
        while self._open and (verdict := self._open[0].verdict) is not None:
            self._verdicts[verdict] += 1
            self._open.popleft()

    async def settled(self) -> None:
        """Wait until each line is known to be sent or not."""
        while self._open:
            self._verdicts[await self._open[0]] += 1
            self._open.popleft()

    @property
    def lost(self) -> str:
        """How many lines may be missing at the server; empty if none."""
        how = {Sent.NOT_SENT: "were not sent", Sent.UNKNOWN: "perhaps did not arrive"}
        told = [f"{self._verdicts[one]} {what}" for one, what in how.items() if self._verdicts[one]]
        return f"of {self._verdicts.total()} lines, {' and '.join(told)}" if told else ""
