"""Which content codings are asked for, and in which one bodies are sent (Ktor's `ContentEncoding`).

Responses are decoded without it too, see `http/codings.py`.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Sequence
from typing import Literal, get_args

from ktor_client.http import HttpRequestBuilder
from ktor_client.http.body import Body, OnceBody, once_only, opened
from ktor_client.http.codings import max_decoded_size as MAX_DECODED_SIZE
from ktor_client.http.codings import remedy
from ktor_client.http.content import as_request_body
from ktor_client.plugin import HttpClientPlugin, PluginScope, RequestPhase
from ktor_client.unset import UNSET

__all__ = ["ContentEncoding"]

Coding = Literal["gzip", "deflate"]

_WINDOW_BITS: dict[str, int] = {"gzip": 31, "deflate": 15}


class ContentEncoding(HttpClientPlugin):
    """Choose the codings: `install(ContentEncoding, accept=("gzip",), compress="gzip")`."""

    def __init__(
        self,
        *,
        accept: Sequence[str] = UNSET,
        compress: Coding | None = None,
        max_decoded_size: int = UNSET,
    ) -> None:
        """Check and keep the options.

        Args:
            accept: codings to ask for, the best first: "gzip", "deflate", "br", "zstd"; by default
                all that can be decoded here. An empty list asks for uncompressed bodies. A coding
                may have a weight: "br;q=0.5".
            compress: the coding of request bodies. A body whose `Content-Encoding` the caller set
                is sent unchanged.
            max_decoded_size: bytes that the decoded body of a response may have, also when
                streamed; by default 1 GiB for bodies that are read whole. Does not apply to event
                streams.

        Raises:
            ValueError: a coding cannot be decoded here, or a size is out of range.
            TypeError: an option of the wrong type.
        """
        self._accept: str | None = None
        if accept is not UNSET:
            if isinstance(accept, str) or not isinstance(accept, Iterable):
                raise TypeError(f'accept takes a sequence: accept=("{accept}",)')
            codings = tuple(accept)
            for coding in codings:
                name = coding.partition(";")[0].strip().lower()
                if (missing := remedy(name)) is not None:
                    raise ValueError(f"accept: {missing}")
            self._accept = ", ".join(codings) or "identity"
        if compress is not None and compress not in get_args(Coding):
            raise ValueError(f"compress is 'gzip', 'deflate' or None, not {compress!r}")
        if max_decoded_size is not UNSET:
            if isinstance(max_decoded_size, bool) or not isinstance(max_decoded_size, int):
                raise TypeError(
                    f"max_decoded_size is a number of bytes, not {type(max_decoded_size).__name__}"
                )
            if max_decoded_size < 1:
                raise ValueError(f"max_decoded_size must be at least 1, not {max_decoded_size}")
        self._compress: Coding | None = compress
        self._max_size = max_decoded_size

    def install(self, scope: PluginScope) -> None:
        """Register what the options need."""
        if not (self._accept is self._compress is None and self._max_size is UNSET):
            scope.on_request(self._prepare, phase=RequestPhase.RENDER)

    def _prepare(self, request: HttpRequestBuilder) -> None:
        is_part = "range" in request.headers  # of which no coding can be undone
        if self._accept is not None and not (is_part or request.is_handshake):
            request.headers.add_if_absent("Accept-Encoding", self._accept)
        if self._max_size is not UNSET:
            request.attributes[MAX_DECODED_SIZE] = self._max_size
        if self._compress is None or request.body is None:
            return
        if "content-encoding" in request.headers:
            return
        body, content_type = as_request_body(request.body)
        if not body:  # there is nothing to compress
            return
        if content_type is not None and "content-type" not in request.headers:
            request.headers.set("Content-Type", content_type)
        coding = self._compress
        if isinstance(body, bytes):
            request.body = compressed(body, coding)
        elif (kind := once_only(body)) is not None:
            request.body = OnceBody(compressing(body, coding), kind=kind)
        else:
            again = body
            request.body = Body(lambda: compressing(again, coding))
        request.headers.set("Content-Encoding", coding)
        request.headers.remove("Content-Length")


def compressed(data: bytes, coding: Coding) -> bytes:
    """Return bytes in a coding."""
    packer = zlib.compressobj(wbits=_WINDOW_BITS[coding])
    return packer.compress(data) + packer.flush()


async def compressing(chunks: AsyncIterable[bytes], coding: Coding) -> AsyncGenerator[bytes]:
    """Yield chunks in a coding, as they come."""
    packer = zlib.compressobj(wbits=_WINDOW_BITS[coding])
    async with opened(chunks) as pieces:
        async for piece in pieces:
            if packed := packer.compress(piece):
                yield packed
    yield packer.flush()
