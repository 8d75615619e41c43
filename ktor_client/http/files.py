"""Files and paths as request bodies: read in a thread, so that a slow disk keeps no one waiting."""

from __future__ import annotations

import asyncio
import io
import os
import stat
import sys
from collections.abc import AsyncGenerator, Callable
from typing import IO, TYPE_CHECKING, Any, TypeVar, cast

from ktor_client.http.body import Body, OnceBody

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["file_body", "filename_of", "path_body"]

T = TypeVar("T")

_PIECE = 256 * 1024
"""Bytes of a file that are read at a time."""


def path_body(path: os.PathLike[Any], content_type: str | None = None) -> Body:
    """Return the body that a file is; it is opened for each sending, and closed.

    Raises:
        OSError: there is no such file, or it is a directory.
    """
    from pathlib import Path

    path = Path(path)
    found = path.stat()
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(f"{str(path)!r} is a directory; a body is a file")
    length = found.st_size if stat.S_ISREG(found.st_mode) else None

    async def content() -> AsyncGenerator[bytes]:
        with _open(path) as file:  # with a buffer, whose lock `close` respects
            while piece := await _in_thread(lambda: file.read(_PIECE)):
                yield piece
                if _is_last(piece, file):
                    return

    return Body(content, length, content_type)


def file_body(file: IO[bytes], content_type: str | None = None) -> Body | bytes:
    """Return the body that an open binary file is, from where it stands; it is not closed.

    One that cannot be sought, such as a pipe, can be sent once. What is in memory are bytes.

    Raises:
        TypeError: it is open for text.
        ValueError: it is closed.
    """
    if isinstance(file, io.TextIOBase):
        raise TypeError("a file that is a body is open for bytes: open(path, 'rb')")
    if isinstance(file, io.BytesIO):
        return bytes(file.getbuffer()[file.tell() :])
    if not (hasattr(file, "seekable") and file.seekable()):
        return OnceBody(_pieces(file, None), None, content_type, kind=type(file).__name__)
    start = file.tell()
    length = file.seek(0, io.SEEK_END) - start
    file.seek(start)
    return Body(lambda: _pieces(file, start), max(length, 0), content_type)


def filename_of(content: object) -> tuple[str] | None:
    """Return the name of a path or of an open file, without its folder; None where it has none."""
    name: object = getattr(content, "name", None)
    if isinstance(content, os.PathLike):
        name = content  # pyright: ignore[reportUnknownVariableType]  # of text or of bytes
    if not isinstance(name, str | bytes | os.PathLike):
        return None
    found = os.path.basename(os.fsdecode(cast("str", name)))
    return None if not found or found.startswith("<") else (found,)


def _open(path: Path) -> IO[bytes]:
    return path.open("rb")


async def _pieces(file: IO[bytes], start: int | None) -> AsyncGenerator[bytes]:
    if start is not None:
        file.seek(start)
    while piece := await _in_thread(lambda: file.read(_PIECE)):
        yield piece
        if _is_last(piece, file):
            return


def _is_last(piece: bytes, file: IO[bytes]) -> bool:
    """Whether a file is known to have ended with a piece, so that no thread has to look for more.

    Meanwhile the answer could come, and an upload that has not ended costs the connection.
    """
    is_buffered = isinstance(file, io.BufferedReader | io.BufferedRandom)
    return len(piece) < _PIECE and is_buffered and file.seekable()


async def _in_thread(work: Callable[[], T]) -> T:
    if sys.platform == "emscripten":  # pragma: no cover  # which has no threads
        return work()
    return await asyncio.to_thread(work)
