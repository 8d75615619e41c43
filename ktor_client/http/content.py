"""What callers give as a body, and the request body that it is, with its content type."""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, Iterable
from typing import IO, Any, ClassVar, Protocol, TypeAlias, cast

from ktor_client.http.body import Body, OnceBody, RequestBody, encoded_text, once_only
from ktor_client.http.files import file_body, filename_of, path_body
from ktor_client.http.multipart import FilesLike, multipart, type_of
from ktor_client.http.parameters import ParametersLike, encoded_parameters, flat_parameters

__all__ = ["BodyLike", "as_request_body", "form_body", "is_content"]


class DataclassLike(Protocol):
    """An instance of a dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


class StructLike(Protocol):
    """An instance of a `msgspec.Struct`."""

    __struct_fields__: ClassVar[tuple[str, ...]]


class ModelLike(Protocol):
    """An instance of a pydantic model."""

    __pydantic_serializer__: ClassVar[Any]


ObjectLike: TypeAlias = dict[str, Any] | list[Any] | DataclassLike | StructLike | ModelLike
"""What `ContentNegotiation` makes a body of, as far as type checkers can tell."""

BodyLike: TypeAlias = (
    ObjectLike
    | str
    | bytes
    | bytearray
    | memoryview
    | os.PathLike[Any]
    | IO[bytes]
    | AsyncIterable[bytes]
    | Body
    | None
)
"""Text, bytes, a path, an open binary file, an async iterable of bytes, or a `Body`; with
`ContentNegotiation` objects too."""


def is_content(value: object) -> bool:
    """Whether `as_request_body` takes a value; anything else is an object for a converter."""
    return isinstance(
        value, str | bytes | bytearray | memoryview | os.PathLike | AsyncIterable
    ) or hasattr(value, "read")


def as_request_body(value: BodyLike) -> tuple[RequestBody | None, str | None]:
    """Return what is sent, and its content type where that is known.

    Raises:
        TypeError: it is no body.
        ValueError: a text with a lone surrogate, which no encoding can send.
        OSError: the file is not there.
    """
    content_type: str | None = None
    if value is None or isinstance(value, bytes):
        return value, None
    if isinstance(value, str):
        return encoded_text(value), "text/plain; charset=UTF-8"
    if isinstance(value, bytearray | memoryview):
        return bytes(value), None
    if isinstance(value, Body):
        return value, value.content_type
    if isinstance(value, os.PathLike) or hasattr(value, "read"):
        name = filename_of(value)
        content_type = None if name is None else type_of(name[0])
    if isinstance(value, os.PathLike):
        return path_body(value), content_type
    if isinstance(value, AsyncIterable):
        if once_only(value) is not None:
            return OnceBody(value), content_type
        return Body(lambda: value), content_type
    if hasattr(value, "read"):
        return file_body(cast("IO[bytes]", value)), content_type
    hint = "; json= takes objects, as body= does with install(ContentNegotiation)"
    if isinstance(value, Iterable) and not isinstance(value, dict | list | tuple | set):
        hint = "; what is iterated without `await` would hold up everybody else"
    raise TypeError(
        "body is text, bytes, a path, an open binary file, an async iterable of bytes or a Body, "
        f"not {type(value).__name__}{hint}"
    )


def form_body(form: ParametersLike | None, files: FilesLike | None) -> tuple[bytes | Body, str]:
    """Return the body of a form, and its content type: multipart where there are files.

    Raises:
        TypeError: something that is no field or no file.
        OSError: a file that is not there.
    """
    if files is None:
        assert form is not None
        return encoded_parameters(form, "form").encode(), "application/x-www-form-urlencoded"
    return multipart([] if form is None else flat_parameters(form, "form"), files)
