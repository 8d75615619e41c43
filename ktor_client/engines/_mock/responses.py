"""What HTTP handlers of a `MockEngine` return (Ktor's `respond`), and the response made of it."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from typing import Any, TypeAlias

from ktor_client.errors import ConnectError
from ktor_client.http import Headers, HeadersBuilder, HttpRequest, HttpResponse, ResponseBody
from ktor_client.http.body import checked_chunk
from ktor_client.http.headers import HeadersLike
from ktor_client.http.interruptible import Interruptible
from ktor_client.http.typed_json import to_json
from ktor_client.http1 import is_bodiless
from ktor_client.unset import UNSET

__all__ = ["Answer", "Handler", "MockResponse", "answer_of", "raisable", "respond", "response_to"]

Content: TypeAlias = str | bytes | AsyncIterable[bytes]


class MockResponse:
    """A response in the making; `respond(...)` makes it."""

    __slots__ = ("content", "headers", "status")

    def __init__(self, status: int, headers: Headers, content: bytes | AsyncIterable[bytes]):
        self.status = status
        self.headers = headers
        self.content = content

    def __repr__(self) -> str:
        return f"respond(status={self.status})"


Answer: TypeAlias = MockResponse | str | bytes | Exception | type[Exception]
"""What a handler may return; str and bytes are a body with status 200."""

Handler: TypeAlias = Callable[[HttpRequest], Answer | Awaitable[Answer]]


def respond(
    content: Content = b"",
    status: int = 200,
    headers: HeadersLike = (),
    *,
    json: Any = UNSET,
) -> MockResponse:
    """Return a response for a handler to return, or for `on_request`, `on_web_socket`, `enqueue`.

    Args:
        content: the body; an async iterable streams it.
        status: any three digits.
        headers: as a mapping, or as pairs where names repeat.
        json: an object for the body instead of `content`; dataclasses too.

    Raises:
        ValueError: an impossible status; both `content` and `json`.
        UnsafeHeaderError: a header that cannot be sent.
    """
    if not 100 <= status <= 999:
        raise ValueError(f"a status has three digits, not {status}")
    fields = HeadersBuilder(headers)
    if json is not UNSET:
        if content:
            raise ValueError("give respond either content or json=, not both")
        content = to_json(json)
        if "content-type" not in fields:
            fields.set("Content-Type", "application/json")
    if isinstance(content, str):
        content = content.encode()
        if "content-type" not in fields:
            fields.set("Content-Type", "text/plain; charset=UTF-8")
    if isinstance(content, bytes):
        if "content-length" not in fields and "transfer-encoding" not in fields:
            fields.set("Content-Length", str(len(content)))
    elif not hasattr(content, "__aiter__"):
        raise TypeError(
            f"content is str, bytes or an async iterable of bytes, not {type(content).__name__}; "
            "json= takes objects"
        )
    return MockResponse(status, fields.build(), content)


def raisable(value: object) -> Any:
    """Return an instance for an exception class, as `raise` makes one; all else as it is.

    Raises:
        TypeError: an exception that cannot be made without arguments; give an instance.
    """
    made: Any = value
    return made() if isinstance(value, type) and issubclass(value, Exception) else made


def answer_of(value: object, handler: object) -> MockResponse:
    """Return the response that a handler means; raise the exception that it returned.

    Raises:
        TypeError: the handler returned something else.
    """
    value = raisable(value)
    if isinstance(value, MockResponse):
        return value
    if isinstance(value, str | bytes):
        return respond(value)
    if isinstance(value, Exception):
        raise value
    name = getattr(handler, "__name__", repr(handler))
    raise TypeError(
        f"handler {name} returned {value!r}; return respond(...), or str or bytes for a body"
    )


def response_to(request: HttpRequest, answer: MockResponse) -> HttpResponse:
    """Return the answer as the response to a request."""
    try:
        reason = HTTPStatus(answer.status).phrase
    except ValueError:
        reason = ""
    body: ResponseBody | bytes
    if is_bodiless(request.method, answer.status):
        body = b""
    elif isinstance(answer.content, bytes):
        body = answer.content
    else:
        body = _Stream(answer.content)
    return HttpResponse(request, answer.status, answer.headers, body, reason=reason)


class _Stream(ResponseBody):
    """A body that the handler streams."""

    def __init__(self, source: AsyncIterable[bytes]) -> None:
        self._source = aiter(source)
        self._wait = Interruptible()

    async def chunks(self) -> AsyncIterator[bytes]:
        try:
            while True:
                with self._wait:
                    chunk = await anext(self._source)
                yield checked_chunk(chunk)
        except StopAsyncIteration:
            return
        finally:
            await self.close()

    async def close(self) -> None:
        """Close the handler's generator, if it is one; the task that waits in it does so itself."""
        closed = "MockEngine did not get the whole body: the response was closed"
        self._wait.interrupt(ConnectError(closed))
        close = getattr(self._source, "aclose", None)
        if close is not None and not getattr(self._source, "ag_running", False):
            await close()
