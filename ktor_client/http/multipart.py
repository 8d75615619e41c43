"""`multipart/form-data` (RFC 7578): fields and files in one body, streamed, as in browsers."""

from __future__ import annotations

import os
from binascii import hexlify
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import IO, Any, TypeAlias, cast

from ktor_client.http.body import (
    Body,
    OnceBody,
    checked_chunk,
    encoded_text,
    length_of,
    once_only,
)
from ktor_client.http.files import file_body, filename_of, path_body
from ktor_client.http.headers import HeadersBuilder, HeadersLike
from ktor_client.http.parameters import pairs_of
from ktor_client.unset import UNSET

__all__ = ["FileContent", "FilePart", "FilesLike", "multipart"]

FileContent: TypeAlias = str | bytes | bytearray | memoryview | os.PathLike[Any] | IO[bytes] | Body
"""What a part may hold: text, bytes, a path, an open binary file, or a `Body`."""


class FilePart:
    """A file of a form whose name, type or headers you choose."""

    __slots__ = ("_body", "_fields", "_filename")

    def __init__(
        self,
        content: FileContent,
        filename: str | None = UNSET,
        content_type: str | None = None,
        headers: HeadersLike = (),
    ) -> None:
        """Take the parts.

        Args:
            content: text, bytes, a path, an open binary file, or a `Body`.
            filename: the name sent to the server. By default the name of the file, or else of the
                field. None makes this a plain field without a filename.
            content_type: by default that of the `Body`, or the one that the filename suggests.
            headers: further headers of the part.

        Raises:
            TypeError: the content is something else.
            OSError: there is no such file.
            UnsafeHeaderError: a header that cannot be sent.
        """
        self._body = _content(content)
        self._filename = filename_of(content) if filename is UNSET else (filename,)
        self._fields = HeadersBuilder(headers)
        if content_type is None and isinstance(self._body, Body):
            content_type = self._body.content_type
        if content_type is not None:
            self._fields.set("Content-Type", content_type)

    def _part(self, name: str) -> tuple[bytes, bytes | Body]:
        """Return the part's head and its content."""
        filename = name if self._filename is None else self._filename[0]
        disposition = f'form-data; name="{_escaped(name)}"'
        if filename is not None:
            disposition += f'; filename="{_escaped(filename)}"'
            if "content-type" not in self._fields:
                self._fields.set("Content-Type", type_of(filename) or "application/octet-stream")
        fields = [("Content-Disposition", disposition), *self._fields.fields()]
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
        return _encoded(lines + "\r\n"), self._body


FilesLike: TypeAlias = Mapping[str, object] | Iterable[tuple[str, object]]
"""Files by the names of their fields, as a mapping or as pairs: each a `FileContent`, a `FilePart`,
or what that takes as a tuple (filename, content[, content type[, headers]]). (Wider for type
checkers, since a dict of mixed values is a `dict[str, object]` to them; checked at run time.)"""


def multipart(fields: Iterable[tuple[str, str]], files: FilesLike) -> tuple[bytes | Body, str]:
    """Return the body of a form, and its content type; bytes where all of it is in memory.

    It has a length where every part has one, and can be sent again if every part can.

    Raises:
        TypeError: something that is no file.
        OSError: a file that is not there.
    """
    parts = [FilePart(value, None)._part(name) for name, value in fields]
    named = pairs_of(files, "files", "{'photo': Path('me.png')}")
    parts += [_file_part(file)._part(name) for name, file in named]
    boundary = hexlify(os.urandom(16)).decode()
    content_type = f"multipart/form-data; boundary={boundary}"
    begin, end = f"--{boundary}\r\n".encode(), f"--{boundary}--\r\n".encode()
    if all(isinstance(content, bytes) for _, content in parts):
        whole = [begin + head + cast("bytes", content) + b"\r\n" for head, content in parts]
        return b"".join([*whole, end]), content_type

    async def chunks() -> AsyncGenerator[bytes]:
        for head, content in parts:
            yield begin + head
            if isinstance(content, bytes):
                yield content
            else:
                async with aclosing(aiter(content)) as pieces:
                    async for piece in pieces:
                        yield piece
            yield b"\r\n"
        yield end

    length: int | None = len(end)
    for head, content in parts:
        size = length_of(content)
        length = None if length is None or size is None else length + len(begin + head) + size + 2
    once = next((kind for _, content in parts if (kind := once_only(content))), None)
    if once is not None:
        return OnceBody(chunks(), length, content_type, kind=once), content_type
    return Body(chunks, length, content_type), content_type


def type_of(filename: str) -> str | None:
    """Return the content type that a filename suggests, or None."""
    import mimetypes  # which reads the system's tables

    return mimetypes.guess_type(filename)[0]


def _file_part(file: Any) -> FilePart:
    if isinstance(file, FilePart):
        return file
    if type(file) is tuple:
        values = cast("Sequence[Any]", file)
        if not 2 <= len(values) <= 4:
            raise TypeError(
                f"a file is (filename, content[, content type[, headers]]), "
                f"not {len(values)} values; or a FilePart"
            )
        filename, content, *more = values
        return FilePart(content, filename, *more)
    return FilePart(file)


def _content(content: Any) -> bytes | Body:
    if isinstance(content, str):
        return encoded_text(content, "a file of the form")
    if isinstance(content, bytes | Body):
        return content
    if isinstance(content, bytearray | memoryview):
        return checked_chunk(content)
    if isinstance(content, os.PathLike):
        return path_body(content)  # pyright: ignore[reportUnknownArgumentType]  # text or bytes
    if hasattr(content, "read"):
        return file_body(content)
    raise TypeError(
        f"a file of a form is text, bytes, a path, an open binary file or a Body, "
        f"not {type(content).__name__}"
    )


def _escaped(text: str) -> str:
    """Escape what would end a name, as browsers do (HTML, "multipart/form-data encoding")."""
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def _encoded(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")  # a filename that is not UTF-8 on the disk
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")
