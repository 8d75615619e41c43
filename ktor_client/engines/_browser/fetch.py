"""One `js.fetch`: what a page may ask for, the response, its streamed body, and the abort."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

from ktor_client.engine.capabilities import StreamingUploadCapability
from ktor_client.engine.error_table import place
from ktor_client.engine.received import ReceivedHeaders
from ktor_client.engines._browser.platform import Platform
from ktor_client.errors import ClientClosedError, ConnectError, UnsupportedCapabilityError
from ktor_client.http import HttpRequest, HttpResponse, ResponseBody, Url

__all__ = ["Exchange", "check"]

_SET_BY_BROWSER = frozenset(
    {"accept-charset", "accept-encoding", "connection", "content-length", "host", "user-agent"}
)
"""The browser puts its own; nothing is lost where a plugin's default is left out."""

_FORBIDDEN = frozenset(
    {
        "access-control-request-headers",
        "access-control-request-method",
        "cookie",
        "cookie2",
        "date",
        "dnt",
        "expect",
        "keep-alive",
        "origin",
        "referer",
        "set-cookie",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
    }
)
"""Forbidden request headers (Fetch standard 2.2.2): a browser drops them without a word."""

_FORBIDDEN_METHODS = frozenset({"CONNECT", "TRACE", "TRACK"})


def check(request: HttpRequest) -> None:
    """Refuse what a browser would drop in silence or answer with a riddle.

    Raises:
        UnsupportedCapabilityError: a forbidden header or method, a body with GET or HEAD, or a
            streamed body.
    """
    for name in request.headers:
        key = name.lower()
        if key in _FORBIDDEN or key.startswith(("proxy-", "sec-")):
            hint = (
                "; cookies are the browser's, see BrowserEngine(credentials=...)"
                if key == "cookie"
                else ""
            )
            raise _refused(f"the request header {name!r}: browsers set it themselves{hint}")
    if request.method in _FORBIDDEN_METHODS:
        raise _refused(f"the method {request.method}: browsers forbid it")
    if request.body is not None:
        if request.method in ("GET", "HEAD"):
            raise _refused(f"a body with {request.method}: browsers forbid it")
        if not isinstance(request.body, bytes):
            raise _refused(f"{StreamingUploadCapability}: give the body as bytes")


def _refused(what: str) -> UnsupportedCapabilityError:
    return UnsupportedCapabilityError(f"Engine BrowserEngine doesn't support {what}")


class Exchange(ResponseBody):
    """A request on its way and then the body of its response. Closing aborts what is left."""

    is_decoded = True

    def __init__(self, platform: Platform, on_closed: Callable[[Exchange], None]) -> None:
        self._platform = platform
        self._on_closed = on_closed
        self._controller: Any = platform.js.AbortController.new()
        self._body: Any = None
        self._is_closed = False
        self._request: HttpRequest

    async def send(self, request: HttpRequest, credentials: str) -> HttpResponse:
        """Return the response as soon as its head is here.

        Raises:
            ConnectError: there is none.
            ClientClosedError: the engine was closed meanwhile.
        """
        platform = self._platform
        self._request = request
        options: dict[str, Any] = {
            "method": str(request.method),
            "headers": [
                [name, value.encode().decode("latin-1")]  # whose characters leave as bytes
                for name, value in request.headers.fields()
                if name.lower() not in _SET_BY_BROWSER
            ],
            "credentials": credentials,
            "signal": self._controller.signal,
        }
        if request.body is not None:
            options["body"] = request.body
        try:
            response = await platform.js.fetch(str(request.url), platform.plain_object(options))
        except platform.ffi.JsException as error:
            if self._is_closed:
                raise ClientClosedError("BrowserEngine was closed during the request") from error
            await self.close()
            raise platform.error(request.url, error) from error
        except BaseException:
            await self.close()
            raise
        self._body = response.body
        if response.redirected:
            request = request.copy(url=Url.parse(str(response.url).partition("#")[0]))
        return HttpResponse(
            request,
            int(response.status),
            ReceivedHeaders(
                (str(name).encode("latin-1"), str(value).encode("latin-1"))
                for name, value in response.headers
            ),
            self,
            reason=str(response.statusText),
            http_version="",
        )

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives. Raises `ConnectError` where it breaks off."""
        if self._is_closed:
            raise self._cut_short()
        if self._body is None:
            return
        reader = self._body.getReader()
        while True:
            try:
                part = await reader.read()
            except self._platform.ffi.JsException as error:
                if self._is_closed:
                    raise self._cut_short() from error
                raise self._platform.error(self._request.url, error) from error
            if part.done:
                return
            yield part.value.to_bytes()

    def _cut_short(self) -> ConnectError:
        where = place(self._request)
        return ConnectError(
            f"BrowserEngine did not get the whole body from {where}: the response was closed"
        )

    async def close(self) -> None:
        """Abort the request if it is not over. Idempotent."""
        self.abort()

    def abort(self) -> None:
        """Tell the browser to stop; without effect on a response that is complete."""
        self._is_closed = True
        self._controller.abort()
        self._body = None
        self._on_closed(self)
