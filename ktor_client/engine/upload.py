"""A streamed request body on its way through a library that would wrap what its iterator raises."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator
from typing import Any

from ktor_client.http import RequestBody
from ktor_client.http.body import checked_chunk, length_of

__all__ = ["Upload", "is_cancelled"]


class Upload:
    """Passes chunks on, and keeps an exception of the user's iterator for the engine to raise."""

    def __init__(self, chunks: AsyncIterable[bytes]) -> None:
        self._chunks = chunks
        self.length = length_of(chunks)
        """Bytes in all; None where that is not known."""
        self.error: BaseException | None = None

    @staticmethod
    def of(body: RequestBody | None) -> Upload | None:
        """Return the upload of a streamed body; None for bytes, or no body."""
        return None if body is None or isinstance(body, bytes) else Upload(body)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        chunks: Any = None
        try:
            chunks = aiter(self._chunks)
            async for chunk in chunks:
                if chunk:  # an empty chunk would end a chunked body
                    yield checked_chunk(chunk)
        except GeneratorExit:
            raise
        except BaseException as error:
            if not (isinstance(error, asyncio.CancelledError) and is_cancelled()):
                self.error = error
            raise
        finally:
            if hasattr(chunks, "aclose"):
                await chunks.aclose()


def is_cancelled() -> bool:
    """Whether who sends is cancelled, and not what the iterator waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
