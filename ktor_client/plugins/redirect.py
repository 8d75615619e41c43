"""Following redirects, of requests and of handshakes alike (Ktor's `HttpRedirect`).

Credentials and custom headers stay with the origin they were meant for; TLS is never given up.
"""

from __future__ import annotations

import asyncio
from typing import Any

from ktor_client.engine.capabilities import ManualRedirectsCapability
from ktor_client.engine.shared import require
from ktor_client.errors import InvalidUrlError, RedirectError
from ktor_client.http import Headers, HttpMethod, HttpRequest, HttpResponse, Url
from ktor_client.http.body import once_only
from ktor_client.http.origins import fields_for_elsewhere, is_about_body
from ktor_client.http.response import DISCARD_TIMEOUT, MAX_REFUSAL_BODY
from ktor_client.plugin import HttpClientPlugin, LayerKind, PluginScope, Send
from ktor_client.unset import Unset, known

__all__ = ["HttpRedirect"]

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_KEEPING_METHOD = frozenset({307, 308})
DEFAULT_MAX: Any = Unset(20)
DEFAULT_OFF: Any = Unset(False)
_SOCKETS = {"http": "ws", "https": "wss"}


class HttpRedirect(HttpClientPlugin):
    """Part of every client with `follow_redirects`; install it to change its options.

    After 301, 302 and 303 the method becomes GET, or stays HEAD; after 307 and 308 method and body
    are sent again. Browsers and Python's clients do the same; Ktor follows only GET and HEAD, see
    `check_http_method`.
    """

    def __init__(
        self,
        *,
        max_redirects: int = DEFAULT_MAX,
        allow_https_downgrade: bool = DEFAULT_OFF,
        check_http_method: bool = DEFAULT_OFF,
    ) -> None:
        """Check and keep the options.

        Args:
            max_redirects: more than this many in a row raise `RedirectError`.
            allow_https_downgrade: follow from https to http. Never from wss to ws.
            check_http_method: follow only GET and HEAD, as Ktor does; responses to other methods go
                to the caller.

        Raises:
            ValueError: `max_redirects` is negative.
        """
        options: dict[str, Any] = {
            "max_redirects": max_redirects,
            "allow_https_downgrade": allow_https_downgrade,
            "check_http_method": check_http_method,
        }
        self._given = [name for name, value in options.items() if not isinstance(value, Unset)]
        self._max: int = known(max_redirects)
        if self._max < 0:
            raise ValueError("max_redirects must not be negative")
        self._downgrade: bool = known(allow_https_downgrade)
        self._check_method: bool = known(check_http_method)

    def install(self, scope: PluginScope) -> None:
        """Register the layer.

        Raises:
            UnsupportedCapabilityError: an option was given, but the engine follows redirects by
                itself.
        """
        for name in self._given:
            require(scope.engine, ManualRedirectsCapability, name)
        scope.on_send(self._follow, kind=LayerKind.REDIRECT, when=lambda request: _redirects)

    async def _follow(self, request: HttpRequest, send: Send) -> HttpResponse:
        followed = 0
        while True:
            response = await send(request)
            if not _redirects(response):
                return response
            location = response.headers.single("location")
            if location is None or (self._check_method and request.method not in ("GET", "HEAD")):
                return response
            try:
                url = self._target(request.url, location, response)
                if url is None:
                    return response
                followed += 1
                if followed > self._max:
                    raise RedirectError(
                        f"more than {self._max} redirects, last to {url._shown}", response
                    )
                request = _redirected(request, url, response)
            except RedirectError:
                await response.read_up_to(MAX_REFUSAL_BODY, asyncio.timeout(DISCARD_TIMEOUT))
                raise
            await response.discard()

    def _target(self, url: Url, location: str, response: HttpResponse) -> Url | None:
        if len(set(response.headers.get_all("location"))) > 1:
            raise RedirectError(
                f"{url._shown} was redirected by several Location fields that differ", response
            )
        try:
            target = url.join(location)
            if url.scheme in _SOCKETS.values():
                target = target.with_scheme(_SOCKETS.get(target.scheme, target.scheme))
        except InvalidUrlError as error:
            raise RedirectError(str(error), response) from error
        if target.scheme in _SOCKETS.values() and url.scheme not in _SOCKETS.values():
            raise RedirectError(
                f"{response.request.method} {url._shown} was redirected to {target._shown}, and "
                "a request does not become a WebSocket; client.web_socket(...) opens one",
                response,
            )
        if url.is_secure and not target.is_secure:
            if url.scheme == "wss" or not self._downgrade:
                return None
        return target


def _redirects(response: HttpResponse) -> bool:
    return response.status in _REDIRECTS


def _redirected(request: HttpRequest, url: Url, response: HttpResponse) -> HttpRequest:
    method = request.method
    if response.status not in _KEEPING_METHOD and method not in ("GET", "HEAD"):
        method = HttpMethod.Get
    drop_body = method != request.method
    once = None if drop_body else once_only(request.body)
    if once is not None:
        raise RedirectError(
            f"{request.method} {request.url._shown} was redirected to {url._shown} with "
            f"{response.status}, which sends the body again, and this one ({once}) can be sent "
            "only once; give it as bytes, or as a Body, which is opened again",
            response,
        )
    fields = request.headers.fields()
    if url.origin != request.url.origin:
        fields = fields_for_elsewhere(request.headers)
    if drop_body:
        fields = [field for field in fields if not is_about_body(field[0])]
    return request.copy(method=method, url=url, headers=Headers(fields), drop_body=drop_body)
