"""The grammar of event streams (WHATWG HTML 9.2.6), sans-IO: bytes in any pieces, events out.

What a stream does when it ends, and what users see of it, is the session's business.
"""

from __future__ import annotations

from codecs import getincrementaldecoder
from collections.abc import Sequence
from typing import Any

from ktor_client.plugins.sse.event import ServerSentEvent

__all__ = ["EventParser", "EventTooLargeError"]

_decoder = getincrementaldecoder("utf-8")
_new: Any = getattr(tuple, "__new__")  # noqa: B009  # whose type no checker can tell
"""Makes an event in a fraction of the time that its own constructor takes."""


class EventTooLargeError(ValueError):
    """An event has more characters than it may; `events` came whole before it."""

    def __init__(self, events: list[ServerSentEvent[str]]) -> None:
        super().__init__()
        self.events = events


class EventParser:
    """Reads one stream. `last_id` goes on with that of the stream before."""

    __slots__ = (
        "_after_cr",
        "_begun",
        "_decode",
        "_is_first",
        "_max_size",
        "_shows_comments",
        "_shows_retry",
        "_size",
        "last_id",
        "retry",
    )

    def __init__(
        self,
        *,
        max_size: int,
        shows_comments: bool = False,
        shows_retry: bool = False,
        last_id: str | None = None,
    ) -> None:
        """Begin a stream.

        Args:
            max_size: characters of an event, field names and line ends included.
            shows_comments: whether comments without data are events too.
            shows_retry: whether `retry:` without data is an event too.
            last_id: of the stream before.
        """
        self._max_size = max_size
        self._shows_comments = shows_comments
        self._shows_retry = shows_retry
        self.last_id = last_id
        self.retry: float | None = None
        """Seconds that the server told last."""
        self._decode = _decoder("replace").decode
        self._is_first = True
        self._after_cr = False
        self._begun: list[str] = []  # of an event whose blank line has not come
        self._size = 0

    def feed(self, data: bytes) -> list[ServerSentEvent[str]]:
        """Take bytes; return the events that are whole with them.

        Raises:
            EventTooLargeError: an event is larger than `max_size`.
        """
        text = self._decode(data)
        if not text:
            return []
        if self._is_first:
            self._is_first = False
            text = text.removeprefix("\ufeff")
        if self._after_cr or "\r" in text:
            text = self._with_line_feeds(text)
        begun = self._begun
        if "\n\n" not in text and not (begun and begun[-1][-1:] == "\n" and text[:1] == "\n"):
            if text:
                begun.append(text)
                self._size += len(text)
                if self._size > self._max_size:
                    self._shrink()
            return []
        if begun:
            text = "".join((*begun, text))
            begun.clear()
        *blocks, rest = text.split("\n\n")
        self._size = len(rest)
        if rest:
            begun.append(rest)
        events: list[ServerSentEvent[str]] = []
        last_id, is_long = self.last_id, len(text) > self._max_size
        for block in blocks:
            if is_long and len(block) > self._max_size:
                block = self._without_comments(block)
                if len(block) > self._max_size:
                    raise EventTooLargeError(events)
            if block[:6] == "data: " and "\n" not in block:  # what most streams are made of
                events.append(_new(ServerSentEvent, (block[6:], "message", last_id, None, None)))
            elif block:
                event = self._event(block)
                last_id = self.last_id
                if event is not None:
                    events.append(event)
        if self._size > self._max_size:
            self._shrink(events)
        return events

    def end(self) -> None:
        """Take the end of the stream: what has no blank line is no event, but `retry` counts."""
        *lines, _ = "".join(self._begun).split("\n")
        for line in lines:
            name, _, value = line.partition(":")
            if name == "retry":
                self._take_retry(value.removeprefix(" "))

    def _shrink(self, events: Sequence[ServerSentEvent[str]] = ()) -> None:
        """Keep less of an event that is not whole.

        Raises:
            EventTooLargeError: it is too large all the same.
        """
        text = self._without_comments("".join(self._begun))
        self._begun = [text] if text else []
        self._size = len(text)
        if len(text.removesuffix("\n")) > self._max_size:
            raise EventTooLargeError(list(events))

    def _without_comments(self, text: str) -> str:
        """Forget comments that nobody is shown: servers send them to be heard, some for days."""
        if self._shows_comments:
            return text
        *lines, last = text.split("\n")
        return "\n".join([*(line for line in lines if line[:1] != ":"), last])

    def _take_retry(self, value: str) -> float | None:
        if not (value.isascii() and value.isdigit()):
            return None
        self.retry = int(value[:15]) / 1000
        return self.retry

    def _with_line_feeds(self, text: str) -> str:
        """End each line in LF; of CR LF the LF may come with the next bytes."""
        if self._after_cr and text[:1] == "\n":
            text = text[1:]
        self._after_cr = text[-1:] == "\r"
        return text.replace("\r\n", "\n").replace("\r", "\n")

    def _event(self, block: str) -> ServerSentEvent[str] | None:
        """Return the event that lines are; None where they hold none to be shown."""
        data: str | None = None
        comments: str | None = None
        kind = "message"
        retry: float | None = None
        for line in block.split("\n"):
            if line[:6] == "data: ":
                data = line[6:] if data is None else f"{data}\n{line[6:]}"
            elif line[:7] == "event: ":
                kind = line[7:] or "message"
            elif line[:4] == "id: ":
                if "\0" not in line:
                    self.last_id = line[4:]
            elif line:  # a rarer field, or one without the blank behind its colon
                name, _, value = line.partition(":")
                if value[:1] == " ":
                    value = value[1:]
                if name == "data":
                    data = value if data is None else f"{data}\n{value}"
                elif name == "event":
                    kind = value or "message"
                elif name == "id":
                    if "\0" not in value:
                        self.last_id = value
                elif name == "retry":
                    taken = self._take_retry(value)
                    retry = retry if taken is None else taken
                elif not name:
                    comments = value if comments is None else f"{comments}\n{value}"
        if data is None:
            shown = (comments is not None and self._shows_comments) or (
                retry is not None and self._shows_retry
            )
            if not shown:
                return None
            data = ""
        event: ServerSentEvent[str] = _new(
            ServerSentEvent, (data, kind, self.last_id, retry, comments)
        )
        return event
