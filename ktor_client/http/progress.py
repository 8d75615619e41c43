"""The blocks that ask for the progress of a body; the plugin `BodyProgress` tells it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from ktor_client.http.attributes import AttributeKey
from ktor_client.http.request import HttpRequestBuilder, RequestBlock

__all__ = ["DOWNLOAD_LISTENER", "UPLOAD_LISTENER", "ProgressListener", "on_download", "on_upload"]

ProgressListener: TypeAlias = Callable[[int, "int | None"], "Awaitable[None] | None"]
"""Takes the bytes so far and, where it is known, how many there will be; plain or async."""

UPLOAD_LISTENER: AttributeKey[ProgressListener] = AttributeKey("on_upload")
DOWNLOAD_LISTENER: AttributeKey[ProgressListener] = AttributeKey("on_download")


def on_upload(listener: ProgressListener) -> RequestBlock:
    """Return a block that lets `listener(done, total)` follow the request's body.

    Needs `install(BodyProgress)`. `total` is None if the length is unknown. The listener is called
    at most once every 50 ms, and always at the end. If it raises, the request ends with that
    exception.
    """
    return _listening("on_upload", UPLOAD_LISTENER, listener)


def on_download(listener: ProgressListener) -> RequestBlock:
    """Return a block that lets `listener(done, total)` follow the response's body.

    It counts bytes on the wire, before decompression. Otherwise it works like `on_upload`.
    """
    return _listening("on_download", DOWNLOAD_LISTENER, listener)


def _listening(
    name: str, key: AttributeKey[ProgressListener], listener: ProgressListener
) -> RequestBlock:
    if not callable(listener):
        raise TypeError(f"{name} takes a function of (done, total), not {listener!r}")

    def listen(request: HttpRequestBuilder) -> None:
        request.needs["BodyProgress"] = f"{name}(...)"
        request.attributes[key] = listener

    return listen
