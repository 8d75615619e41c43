"""What whole messages hold, for whoever receives them: text, bytes, or an object by a converter."""

from __future__ import annotations

from typing import Any

from ktor_client.channels import ReceiveChannel
from ktor_client.errors import ConverterNotFoundError, DeserializationError
from ktor_client.frames import BinaryFrame, Frame, TextFrame
from ktor_client.session.converter import WebSocketContentConverter

__all__ = ["as_bytes", "as_text", "receive_object", "serialized"]


def as_text(frame: Frame) -> str:
    """Return the text of a message. Raises `DeserializationError` for a binary one."""
    if not isinstance(frame, TextFrame):
        raise DeserializationError(
            "expected a text message, got a binary one; receive_bytes() takes those", frame
        )
    return frame.text


def as_bytes(frame: Frame) -> bytes:
    """Return the bytes of a message. Raises `DeserializationError` for a text."""
    if not isinstance(frame, BinaryFrame):
        raise DeserializationError(
            "expected a binary message, got a text one; receive_text() takes those", frame
        )
    return frame.data


def serialized(converter: WebSocketContentConverter | None, value: object) -> Frame:
    """Return the message that holds `value`. Raises `ConverterNotFoundError` without converter."""
    if converter is None:
        raise ConverterNotFoundError
    return converter.serialize(value)


async def receive_object(
    incoming: ReceiveChannel[Frame], converter: WebSocketContentConverter | None, type_: Any
) -> Any:
    """Receive one message as an object.

    Raises:
        ConverterNotFoundError: there is no converter; nothing was consumed.
        DeserializationError: the message does not hold the type; `frame` has it.
    """
    if converter is None:
        raise ConverterNotFoundError
    frame = await incoming.receive()
    if not converter.is_applicable(frame):
        raise DeserializationError(
            f"Converter doesn't support frame type {frame.frame_type.name}", frame
        )
    try:
        return converter.deserialize(frame, type_)
    except DeserializationError as error:
        error.frame = frame
        raise
