"""What may be a request's body: opened again or only once, of a known length or not, and forms."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import AsyncIterable, AsyncIterator, Callable
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest

from ktor_client.errors import UnsafeHeaderError
from ktor_client.http import Body, FilePart, HttpRequestBuilder, RequestBody
from ktor_client.http.body import OnceBody, length_of, once_only, passed_through
from ktor_client.http.content import as_request_body, form_body
from ktor_client.http.multipart import multipart


async def pieces() -> AsyncIterator[bytes]:
    yield b"one "
    yield b""
    yield b"two"


class Again:
    """An async iterable that begins anew each time."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        return pieces()


async def read(body: RequestBody | None) -> bytes:
    if body is None or isinstance(body, bytes):
        return body or b""
    return b"".join([chunk async for chunk in body])


def made(value: Any) -> RequestBody:
    body, _ = as_request_body(value)
    assert body is not None
    return body


# --- what can be one ---


@pytest.mark.parametrize(
    ("value", "content", "content_type"),
    [
        ("grüße", "grüße".encode(), "text/plain; charset=UTF-8"),
        (b"bytes", b"bytes", None),
        (bytearray(b"array"), b"array", None),
        (memoryview(b"xviewx")[1:5], b"view", None),
        (memoryview(b"a.b.c.")[::2], b"abc", None),
        (io.BytesIO(b"in memory"), b"in memory", None),
    ],
)
def test_what_is_in_memory(value: Any, content: bytes, content_type: str | None) -> None:
    assert as_request_body(value) == (content, content_type)


def test_a_text_that_cannot_be_encoded_is_not_shown() -> None:
    secret = "s3cret\ud800"
    gives: list[Callable[[], object]] = [
        lambda: as_request_body(secret),
        lambda: form_body({"a": secret}, None),
        lambda: form_body(None, {"a": secret}),
    ]
    for give in gives:
        with pytest.raises(ValueError, match="a lone surrogate in it") as caught:
            give()
        assert type(caught.value) is ValueError
        assert caught.value.__context__ is None


def test_what_is_in_memory_from_where_it_stands() -> None:
    file = io.BytesIO(b"0123456789")
    file.seek(4)
    assert as_request_body(file) == (b"456789", None)
    assert file.tell() == 4


async def test_a_path(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(b"x" * 600_000)
    body, content_type = as_request_body(path)
    assert content_type == "image/png"
    assert length_of(body) == 600_000
    assert once_only(body) is None
    for _ in range(2):
        assert isinstance(body, Body)
        chunks = [chunk async for chunk in body]
        assert b"".join(chunks) == path.read_bytes()
        assert len(chunks) == 3


async def test_a_file_that_is_left_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "big"
    path.write_bytes(b"x" * 600_000)
    body = made(path)
    assert isinstance(body, Body)
    chunks = aiter(body)
    await anext(chunks)
    await chunks.aclose()  # else the file would warn that it is not


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        as_request_body(tmp_path / "nothing")
    with pytest.raises(IsADirectoryError, match="is a directory; a body is a file"):
        as_request_body(tmp_path)


async def test_a_file_that_grows_or_shrinks_on_the_way(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"12345")
    body = made(path)
    path.write_bytes(b"123456")
    with pytest.raises(UnsafeHeaderError, match="says 5 bytes, but the body has 6 or more"):
        await read(body)
    path.write_bytes(b"123")
    with pytest.raises(UnsafeHeaderError, match="says 5 bytes, but the body has 3;"):
        await read(body)


async def test_an_open_file(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    path.write_bytes(b"0123456789")
    with path.open("rb") as file:
        file.read(3)
        body, content_type = as_request_body(file)
        assert content_type == "application/json"
        assert length_of(body) == 7
        for _ in range(2):
            assert await read(body) == b"3456789"
        assert not file.closed


async def test_a_pipe_is_sent_once() -> None:
    receiving, sending = os.pipe()
    with open(receiving, "rb") as file:
        with open(sending, "wb") as writer:
            writer.write(b"through a pipe")
        body, content_type = as_request_body(file)
        assert (length_of(body), once_only(body)) == (None, "BufferedReader")
        assert content_type is None
        assert await read(body) == b"through a pipe"
        with pytest.raises(RuntimeError, match=r"\(BufferedReader\) was sent already"):
            await read(body)


async def test_files_are_read_in_a_thread(tmp_path: Path) -> None:
    class Watched(io.BytesIO):
        def getbuffer(self) -> Any:
            raise AssertionError

    class OtherFile:
        """A file of no class that we know."""

        def __init__(self) -> None:
            self.threads: list[threading.Thread] = []

        def read(self, size: int) -> bytes:
            self.threads.append(threading.current_thread())
            return b"" if len(self.threads) > 1 else b"content"

    file = OtherFile()
    body = made(file)
    assert once_only(body) == "OtherFile"
    assert await read(body) == b"content"
    assert threading.current_thread() not in file.threads


def test_a_file_that_is_open_for_text() -> None:
    with pytest.raises(TypeError, match=r"open for bytes: open\(path, 'rb'\)"):
        as_request_body(io.StringIO("text"))  # type: ignore[arg-type]


async def test_async_iterables() -> None:
    once = made(pieces())
    assert once_only(once) == "async_generator"
    assert await read(once) == b"one two"
    with pytest.raises(RuntimeError, match=r"\(async_generator\) was sent already"):
        await read(once)
    again = made(Again())
    assert once_only(again) is None
    for _ in range(2):
        assert await read(again) == b"one two"


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (5, "json= takes objects, as body= does with"),
        ({"a": 1}, "json= takes objects"),
        ([b"a"], "json= takes objects"),
        (iter([b"a"]), "without `await` would hold up everybody else"),
    ],
)
def test_what_is_no_body(value: Any, hint: str) -> None:
    with pytest.raises(TypeError, match=f"^body is text, bytes, .* or a Body, not .*{hint}"):
        as_request_body(value)


# --- Body ---


async def test_a_body_of_ones_own() -> None:
    body = Body(pieces, 7, "text/csv")
    assert as_request_body(body) == (body, "text/csv")
    assert repr(body) == "<Body of 7 bytes>"
    assert repr(Body(pieces)) == "<Body>"
    for _ in range(2):
        assert [chunk async for chunk in body] == [b"one ", b"two"]


@pytest.mark.parametrize(("length", "told"), [(6, "has 7 or more"), (8, "has 7;")])
async def test_a_body_that_is_not_of_its_length(length: int, told: str) -> None:
    with pytest.raises(UnsafeHeaderError, match=f"says {length} bytes, but the body {told}"):
        await read(Body(pieces, length))


def test_mistakes_with_a_body() -> None:
    opened: Any = pieces()
    with pytest.raises(TypeError, match=r"takes a function that opens it, not async_generator; "):
        Body(opened)
    wrong: Any = b"content"
    with pytest.raises(TypeError, match=r"takes a function that opens it, not bytes$"):
        Body(wrong)
    wrong = "7"
    with pytest.raises(TypeError, match="length is a number of bytes, not str"):
        Body(pieces, wrong)
    with pytest.raises(ValueError, match="length is a number of bytes, not -1"):
        Body(pieces, -1)


async def test_what_a_body_opens_is_closed() -> None:
    closed: list[str] = []

    async def source() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x"
        finally:
            closed.append("closed")

    chunks = aiter(Body(source))
    await anext(chunks)
    await chunks.aclose()
    assert closed == ["closed"]


@pytest.mark.parametrize("body", [pieces(), Again(), Body(pieces), OnceBody(Again())])
async def test_the_length_of_a_header_keeps_what_a_body_is(body: AsyncIterable[bytes]) -> None:
    builder = HttpRequestBuilder()
    builder.headers.set("Content-Length", "7")
    builder.body = body
    before = once_only(made(body))
    built = builder.build().body
    assert length_of(built) == 7
    assert once_only(built) == before
    assert await read(built) == b"one two"


def test_a_bodys_own_type_and_the_callers() -> None:
    builder = HttpRequestBuilder()
    builder.body = Body(pieces, content_type="text/csv")
    assert builder.build().headers["content-type"] == "text/csv"
    builder = HttpRequestBuilder()
    builder.headers.set("content-type", "text/plain")
    builder.body = Body(pieces, content_type="text/csv")
    assert builder.build().headers.get_all("content-type") == ["text/plain"]


# --- forms ---


def test_a_form() -> None:
    form = {"name": "J ö", "tags": ["a", "b&c"], "n": 1, "yes": True}
    assert form_body(form, None) == (
        b"name=J+%C3%B6&tags=a&tags=b%26c&n=1&yes=true",
        "application/x-www-form-urlencoded",
    )
    assert form_body([("a", "1"), ("a", "2")], None)[0] == b"a=1&a=2"
    assert form_body({}, None)[0] == b""


def test_what_is_no_form() -> None:
    wrong: Any = "a=1"
    with pytest.raises(TypeError, match=r"^form takes a mapping or pairs"):
        form_body(wrong, None)
    two_letters: Any = ["ab"]  # which would be a field and its value
    with pytest.raises(TypeError, match=r"^form takes .*; this list has str in place of a pair"):
        form_body(two_letters, None)
    with pytest.raises(TypeError, match=r"^form's field 'a' takes str, int, float or bool, not"):
        form_body({"a": None}, None)


async def parts_of(body: RequestBody, content_type: str) -> list[tuple[dict[str, str], bytes]]:
    """Read a multipart body with somebody else's parser."""
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    message = message_from_bytes(head + await read(body), policy=policy.HTTP)
    assert not message.defects
    return [
        (dict(part.raw_items()), part.get_payload(decode=True))  # type: ignore[misc]
        for part in message.iter_parts()
    ]


async def test_a_form_with_files(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(bytes(range(256)))
    with path.open("rb") as file:
        body, content_type = form_body(
            {"title": "me"},
            {
                "bytes": b"\x00\r\n--",
                "text": ("notes.txt", "grüße"),
                "typed": ("x", b"1", "application/x-own", {"X-Id": "7"}),
                "path": path,
                "file": file,
                "field": (None, "no file"),
                "part": FilePart(Body(pieces, 7, "text/csv"), "a.bin"),
            },
        )
        assert isinstance(body, Body)
        assert body.length == len(await read(body))
        assert once_only(body) is None
        parts = await parts_of(body, content_type)
    disposition = "Content-Disposition"
    image = {"Content-Type": "image/png"}
    assert parts == [
        ({disposition: 'form-data; name="title"'}, b"me"),
        (
            {
                disposition: 'form-data; name="bytes"; filename="bytes"',
                "Content-Type": "application/octet-stream",
            },
            b"\x00\r\n--",
        ),
        (
            {
                disposition: 'form-data; name="text"; filename="notes.txt"',
                "Content-Type": "text/plain",
            },
            "grüße".encode(),
        ),
        (
            {
                disposition: 'form-data; name="typed"; filename="x"',
                "X-Id": "7",
                "Content-Type": "application/x-own",
            },
            b"1",
        ),
        (
            {disposition: 'form-data; name="path"; filename="photo.png"', **image},
            path.read_bytes(),
        ),
        (
            {disposition: 'form-data; name="file"; filename="photo.png"', **image},
            path.read_bytes(),
        ),
        ({disposition: 'form-data; name="field"'}, b"no file"),
        (
            {disposition: 'form-data; name="part"; filename="a.bin"', "Content-Type": "text/csv"},
            b"one two",
        ),
    ]


def test_a_form_in_memory_is_bytes() -> None:
    body, _ = multipart([("a", "1")], [("f", b"x"), ("f", io.BytesIO(b"y"))])
    assert isinstance(body, bytes)
    assert body.count(b'name="f"; filename="f"') == 2


def test_names_as_browsers_write_them() -> None:
    body, _ = multipart([('a"\r\nb', "1")], {"ö": ('ü "x"\r\n.txt', b"")})
    assert isinstance(body, bytes)
    assert b'name="a%22%0D%0Ab"\r\n' in body
    assert 'name="ö"; filename="ü %22x%22%0D%0A.txt"\r\n'.encode() in body


def test_a_filename_that_is_no_utf8() -> None:
    name = os.fsdecode(b"caf\xe9")
    body, _ = multipart([], {"f": (name, b"")})
    assert isinstance(body, bytes)
    assert b'filename="caf\xe9"' in body
    body, _ = multipart([], {"f": ("\ud800", b"")})
    assert isinstance(body, bytes)
    assert b'filename="?"' in body


async def test_a_form_with_something_that_is_sent_once() -> None:
    body, _ = multipart([], {"f": FilePart(OnceBody(pieces(), kind="a pipe"))})
    assert isinstance(body, Body)
    assert (body.length, once_only(body)) == (None, "a pipe")
    assert b"one two" in await read(body)


@pytest.mark.parametrize(
    ("files", "told"),
    [
        (b"x", "^files takes a mapping or pairs"),
        (["me.png"], "^files takes a mapping or pairs, .*; this list has str in place of a pair"),
        ([("a", "b", "c")], "has tuple in place of a pair"),
        ({"a": 5}, "^a file of a form is text, bytes, a path, .* not int"),
        ({"a": ("x",)}, "not 1 values; or a FilePart"),
    ],
)
def test_what_is_no_file(files: Any, told: str) -> None:
    with pytest.raises(TypeError, match=told):
        multipart([], files)


def test_files_without_names() -> None:
    standard_input = io.BufferedReader(io.BytesIO(b""))
    body, _ = multipart([], {"f": standard_input})
    assert isinstance(body, Body)


async def test_what_a_body_passes_through() -> None:
    async def loud(chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        async for chunk in chunks:
            yield chunk.upper()

    for body, once, length in (
        (b"one two", None, 7),
        (Body(pieces, 7, "text/csv"), None, 7),
        (Again(), None, None),
        (pieces(), "async_generator", None),
        (OnceBody(Again(), 7), "Again", 7),
    ):
        passed = passed_through(body, loud)
        assert (once_only(passed), length_of(passed)) == (once, length)
        for _ in range(1 if once else 2):
            assert await read(passed) == b"ONE TWO"
    assert passed_through(Body(pieces, 7, "text/csv"), loud).content_type == "text/csv"
