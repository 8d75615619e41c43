"""Objects as bodies (Ktor's `ContentNegotiation`): `body=obj` and `response.body(Type)`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ktor_client.errors import ConverterNotFoundError
from ktor_client.functions import check_plain
from ktor_client.http import HttpRequestBuilder
from ktor_client.http.content import is_content
from ktor_client.http.conversion import CONVERTERS, ContentConverter, converter_for
from ktor_client.plugin import HttpClientPlugin, PluginScope, RequestPhase
from ktor_client.plugins.converters import JsonConverter

__all__ = ["ContentNegotiation"]


class ContentNegotiation(HttpClientPlugin):
    """Objects as bodies, in the formats of the converters: `install(ContentNegotiation)`.

    A request body that is an object, rather than text, bytes or a file, goes through the converter
    for its `Content-Type`, or the first one. `response.body(Type)` uses the one for the response's.
    """

    def __init__(self, *, converters: Sequence[ContentConverter] = ()) -> None:
        """Check and keep the options.

        Args:
            converters: the best first; `[JsonConverter()]` by default.

        Raises:
            TypeError: something is not a converter, or one without media types or with coroutines.
        """
        if isinstance(converters, ContentConverter) or not isinstance(converters, Iterable):
            raise TypeError(f"converters takes a sequence: converters=[{converters!r}]")
        self._converters: tuple[ContentConverter, ...] = tuple(converters) or (JsonConverter(),)
        for converter in self._converters:
            if not isinstance(converter, ContentConverter):
                raise TypeError(
                    f"converters takes instances such as JsonConverter(), not {converter!r}"
                )
            name = type(converter).__name__
            if not converter.media_types:
                raise TypeError(f'{name} has no media_types, such as ("application/json",)')
            check_plain(converter.to_bytes, f"{name}.to_bytes")
            check_plain(converter.from_bytes, f"{name}.from_bytes")
        types = dict.fromkeys(kind for one in self._converters for kind in one.media_types)
        self._accept = ", ".join(types)

    def install(self, scope: PluginScope) -> None:
        """Register the hook."""
        scope.on_request(self._convert, phase=RequestPhase.TRANSFORM)

    def _convert(self, request: HttpRequestBuilder) -> None:
        request.attributes[CONVERTERS] = self._converters
        if not request.is_handshake:
            request.headers.add_if_absent("Accept", self._accept)
        value: object = request.body
        if value is None or is_content(value):
            return
        content_type = request.headers.get("content-type")
        converter = converter_for(self._converters, content_type)
        if converter is None:
            raise ConverterNotFoundError(
                f"no converter writes {type(value).__name__} as {content_type!r}; "
                f"install(ContentNegotiation, converters=...) has: {self._accept}"
            )
        request.body = converter.to_bytes(value)
        if content_type is None:
            request.headers.set("Content-Type", converter.media_types[0])
