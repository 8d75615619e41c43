"""What turns objects into frames and back (Ktor's `WebsocketContentConverter`)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from ktor_client.frames import Frame

__all__ = ["WebSocketContentConverter"]


class WebSocketContentConverter(ABC):
    """Implement this to speak another format; see `plugins` for JSON."""

    @abstractmethod
    def serialize(self, value: object) -> Frame:
        """Return a whole message that holds `value`. The converter's own errors pass through."""

    @abstractmethod
    def deserialize(self, frame: Frame, type_: Any) -> Any:
        """Return the object of type `type_` that the message holds.

        Raises:
            DeserializationError: the message is not of that type.
        """

    @abstractmethod
    def is_applicable(self, frame: Frame) -> bool:
        """Whether this kind of frame can hold an object at all."""
