"""Messages that the browser itself puts aside while they come faster than Python takes them.

A call from the browser into Python costs more than all else that happens to a short message, so a
burst is collected by the browser's own functions, and comes over in slices.
"""

from __future__ import annotations

from typing import Any

__all__ = ["IN_A_ROW", "SLICE", "Bursts", "MessageArray"]

IN_A_ROW = 8
"""Messages that arrive while nobody takes them, after which the browser collects what comes."""
SLICE = 128
"""Messages of what the browser has collected that are delivered before others have their turn."""


class Bursts:
    """Makes arrays. An engine's."""

    def __init__(self, js: Any) -> None:
        self._js = js
        self._data: Any = None

    def create_array(self) -> MessageArray:
        """Return an empty one."""
        js = self._js
        if self._data is None:  # a function that takes an event and gives its data
            data = js.Object.getOwnPropertyDescriptor(js.MessageEvent.prototype, "data")
            self._data = js.Function.prototype.call.bind(js.Reflect.get(data, "get"))
        return MessageArray(js.Array.new(), self._data)


class MessageArray:
    """Events of one socket, in JavaScript's hands."""

    def __init__(self, events: Any, data: Any) -> None:
        self._events = events
        self._data = data
        self.push = events.push.bind(events)
        """A function of the browser's that puts one aside."""

    def take(self, count: int | None = None) -> list[Any]:
        """Return the data of the next messages, `count` at most: `str`, or an `ArrayBuffer`."""
        limit = () if count is None else (count,)
        data: list[Any] = self._events.splice(0, *limit).map(self._data).to_py(depth=1)
        return data
