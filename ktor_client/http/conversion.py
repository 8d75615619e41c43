"""Objects to bodies and back, by media type: what a converter is, and choosing one. No format."""

from __future__ import annotations

import types
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin

from ktor_client.errors import ConverterError, ConverterNotFoundError
from ktor_client.http.attributes import AttributeKey

if TYPE_CHECKING:
    from ktor_client.http.response import HttpResponse

__all__ = ["CONVERTERS", "ContentConverter", "converter_for", "from_body"]


class ContentConverter(ABC):
    """Implement this to speak another format in bodies (Ktor's `ContentConverter`)."""

    media_types: Sequence[str] = ()
    """What it reads, such as ("application/json",); the first is what it writes."""

    @abstractmethod
    def to_bytes(self, value: object) -> bytes:
        """Return a body that holds `value`. The converter's own errors pass through."""

    @abstractmethod
    def from_bytes(self, data: bytes, type_: Any) -> Any:
        """Return the object of type `type_` that a body holds.

        Raises:
            DeserializationError: the body is not of that type.
        """

    def takes(self, media_type: str) -> bool:
        """Whether it reads a media type, given without parameters and in lower case.

        A converter for "application/json" also reads "application/problem+json" (RFC 6839 2).
        """
        if media_type in self.media_types:
            return True
        _, plus, suffix = media_type.rpartition("+")
        return bool(plus) and f"application/{suffix}" in self.media_types


CONVERTERS: AttributeKey[Sequence[ContentConverter]] = AttributeKey("ContentNegotiation")
"""On a request: what its objects, and those of its response, go through."""


def converter_for(
    converters: Sequence[ContentConverter], content_type: str | None
) -> ContentConverter | None:
    """Return the first converter that takes a `Content-Type`; without one, the first of all."""
    if not content_type:
        return converters[0]
    media_type = content_type.partition(";")[0].strip().lower()
    return next((one for one in converters if one.takes(media_type)), None)


def from_body(
    converters: Sequence[ContentConverter], response: HttpResponse, data: bytes, type_: Any
) -> Any:
    """Return a body as an object; None for an empty one, where the type allows that.

    Raises:
        ConverterError: the status says that the server and we have no format in common.
        ConverterNotFoundError: no converter takes the `Content-Type`.
        DeserializationError: the body is not of that type.
    """
    request = response.request
    if response.status == 406:
        raise ConverterError(
            f"{request.url.authority} has nothing to give in a format of ours (406); "
            f"Accept was {request.headers.get('accept')!r}"
        )
    if response.status == 415:
        raise ConverterError(
            f"{request.url.authority} does not take the format of the body (415); "
            f"Content-Type was {request.headers.get('content-type')!r}"
        )
    if not data and allows_none(type_):
        return None
    content_type = response.headers.single("content-type")
    converter = converter_for(converters, content_type)
    if converter is None:
        known = ", ".join(one.media_types[0] for one in converters)
        raise ConverterNotFoundError(
            f"no converter takes the Content-Type {content_type!r} of the {response.status} from "
            f"{request.url.authority}; install(ContentNegotiation, converters=...) has: {known}"
        )
    return converter.from_bytes(data, type_)


def allows_none(type_: Any) -> bool:
    """Whether None is of a type: `X | None`, `Optional[X]`, None."""
    if get_origin(type_) in (Union, types.UnionType):
        return type(None) in get_args(type_)
    return type_ is None or type_ is type(None)
