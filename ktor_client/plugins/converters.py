"""Content converters for typed messages: JSON by the standard library, msgspec, pydantic.

Only the first needs nothing installed; the others import their library when they are made.
"""

from __future__ import annotations

from typing import Any

from ktor_client.errors import DeserializationError
from ktor_client.frames import BinaryFrame, Frame, TextFrame
from ktor_client.http.conversion import ContentConverter
from ktor_client.http.typed_json import from_json, to_json
from ktor_client.session.converter import WebSocketContentConverter

__all__ = ["JsonConverter", "MsgspecConverter", "PydanticConverter"]


class JsonConverter(WebSocketContentConverter, ContentConverter):
    """JSON in text frames: JSON types, dataclasses, typed dicts, enums, and collections of them."""

    media_types = ("application/json",)

    def to_bytes(self, value: object) -> bytes:
        """Return a body. Raises `TypeError` for objects that JSON cannot express."""
        return to_json(value).encode()

    def from_bytes(self, data: bytes, type_: Any) -> Any:
        """Return the object."""
        return from_json(data, type_)

    def serialize(self, value: object) -> Frame:
        """Return a text frame. Raises `TypeError` for objects that JSON cannot express."""
        return TextFrame(to_json(value))

    def deserialize(self, frame: Frame, type_: Any) -> Any:
        """Return the object; also reads JSON in a binary frame."""
        return from_json(frame.data, type_)

    def is_applicable(self, frame: Frame) -> bool:
        """Text and binary frames."""
        return isinstance(frame, TextFrame | BinaryFrame)


class MsgspecConverter(WebSocketContentConverter, ContentConverter):
    """JSON by msgspec, fast and checked; `format="msgpack"` speaks MessagePack in binary frames."""

    def __init__(self, *, format: str = "json") -> None:
        if format not in ("json", "msgpack"):
            raise ValueError(f"format is 'json' or 'msgpack', not {format!r}")
        self._binary = format == "msgpack"
        self._error: Any = _library_of(self, "msgspec").MsgspecError
        self._codec: Any = _library_of(self, f"msgspec.{format}")
        self.media_types = (f"application/{format}",)

    def to_bytes(self, value: object) -> bytes:
        """Return a body."""
        data: bytes = self._codec.encode(value)
        return data

    def from_bytes(self, data: bytes, type_: Any) -> Any:
        """Return the object, validated by msgspec."""
        try:
            return self._codec.decode(data, type=type_)
        except (self._error, RecursionError) as error:
            raise DeserializationError(str(error)) from error

    def serialize(self, value: object) -> Frame:
        """Return a text frame for JSON, a binary one for MessagePack."""
        data = self.to_bytes(value)
        return BinaryFrame(data) if self._binary else TextFrame(data)

    def deserialize(self, frame: Frame, type_: Any) -> Any:
        """Return the object, validated by msgspec."""
        return self.from_bytes(frame.data, type_)

    def is_applicable(self, frame: Frame) -> bool:
        """JSON in text and binary frames, MessagePack in binary ones."""
        return isinstance(frame, BinaryFrame) or (isinstance(frame, TextFrame) and not self._binary)


class PydanticConverter(WebSocketContentConverter, ContentConverter):
    """JSON by pydantic 2: models, dataclasses, and everything that `TypeAdapter` takes.

    A field that has an alias is written, as it is read, under that name.
    """

    media_types = ("application/json",)

    def __init__(self) -> None:
        pydantic = _library_of(self, "pydantic")
        self._adapter: Any = pydantic.TypeAdapter
        self._error: Any = pydantic.ValidationError
        self._adapters: dict[Any, Any] = {}

    def to_bytes(self, value: object) -> bytes:
        """Return a body."""
        data: bytes = self._adapter_for(type(value)).dump_json(value, by_alias=True)
        return data

    def from_bytes(self, data: bytes, type_: Any) -> Any:
        """Return the object, validated by pydantic."""
        try:
            return self._adapter_for(type_).validate_json(data)
        except self._error as error:
            raise DeserializationError(str(error)) from error

    def serialize(self, value: object) -> Frame:
        """Return a text frame."""
        return TextFrame(self.to_bytes(value))

    def deserialize(self, frame: Frame, type_: Any) -> Any:
        """Return the object, validated by pydantic."""
        return self.from_bytes(frame.data, type_)

    def is_applicable(self, frame: Frame) -> bool:
        """Text and binary frames."""
        return isinstance(frame, TextFrame | BinaryFrame)

    def _adapter_for(self, type_: Any) -> Any:
        adapter = self._adapters.get(type_)
        if adapter is None:
            adapter = self._adapters[type_] = self._adapter(type_)
        return adapter


def _library_of(converter: object, module: str) -> Any:
    from importlib import import_module

    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise ModuleNotFoundError(
            f"{type(converter).__name__} needs {module}; try: pip install {module}", name=module
        ) from error
