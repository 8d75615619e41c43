"""Following redirects, of requests and of handshakes alike (Ktor's `HttpRedirect`).

Credentials and custom headers stay with the origin they were meant for; TLS is never given up.
"""

from __future__ import annotations

from ktor_client.errors import InvalidUrlError, RedirectError
from ktor_client.http import Headers, HttpMethod, HttpRequest, HttpResponse, Url
from ktor_client.plugin import HttpClientPlugin, PluginScope, Send

__all__ = ["HttpRedirect"]

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_KEPT_ELSEWHERE = frozenset({"accept", "accept-language", "accept-encoding", "user-agent"})
_ABOUT_BODY = frozenset({"content-type", "content-length", "content-encoding"})


class HttpRedirect(HttpClientPlugin):
    """Part of every client with `follow_redirects`; install it to change its options."""

    def __init__(self, *, max_redirects: int = 20, allow_https_downgrade: bool = False) -> None:
        """Check and keep the options.

        Args:
            max_redirects: more in a row are a `RedirectError`.
            allow_https_downgrade: follow from https to http. Never from wss to ws.

        Raises:
            ValueError: `max_redirects` is negative.
        """
        if max_redirects < 0:
            raise ValueError("max_redirects must not be negative")
        self._max = max_redirects
        self._downgrade = allow_https_downgrade

    def install(self, scope: PluginScope) -> None:
        """Register the layer of the onion."""
        scope.on_send(self._follow)

    async def _follow(self, request: HttpRequest, send: Send) -> HttpResponse:
        followed = 0
        while True:
            response = await send(request)
            if response.status not in _REDIRECTS:
                return response
            location = response.headers.get("location")
            if location is None:
                return response
            if response.status in (307, 308) or request.method in ("GET", "HEAD"):
                method = request.method
            elif response.status == 303 or request.method == "POST":
                method = HttpMethod.Get
            else:
                return response
            if request.body is not None and not isinstance(request.body, bytes):
                if method == request.method:
                    return response  # a streamed body is gone; the caller must decide
            followed += 1
            if followed > self._max:
                await response.close()
                raise RedirectError(
                    f"more than {self._max} redirects, last to {location!r}", response
                )
            url = self._target(request.url, location, response)
            if url is None:
                return response
            await response.close()
            request = _redirected(request, url, method)

    def _target(self, url: Url, location: str, response: HttpResponse) -> Url | None:
        try:
            target = url.join(location)
            if url.scheme in ("ws", "wss"):
                secure = {"http": "ws", "https": "wss"}
                target = target.with_scheme(secure.get(target.scheme, target.scheme))
        except InvalidUrlError as error:
            raise RedirectError(str(error), response) from error
        if url.is_secure and not target.is_secure:
            if url.scheme == "wss" or not self._downgrade:
                return None
        return target


def _redirected(request: HttpRequest, url: Url, method: HttpMethod) -> HttpRequest:
    drop_body = method != request.method
    fields = request.headers.fields()
    if url.origin != request.url.origin:
        fields = [(n, v) for n, v in fields if n.lower() in _KEPT_ELSEWHERE | _ABOUT_BODY]
    if drop_body:
        fields = [(n, v) for n, v in fields if n.lower() not in _ABOUT_BODY]
    return request.copy(method=method, url=url, headers=Headers(fields), drop_body=drop_body)
