"""From the arguments of a call to a checked request. No I/O, no engine call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias

from ktor_client.client.content import NOTHING, Content
from ktor_client.client.scope import ClientScope, Preparation
from ktor_client.config import plugin_name
from ktor_client.engine.capabilities import StreamingUploadCapability
from ktor_client.engine.settings import check_settings
from ktor_client.engine.shared import require, require_handshake_headers
from ktor_client.errors import ConnectError, InvalidUrlError, PluginNotInstalledError
from ktor_client.http import (
    AttributeKey,
    HttpMethod,
    HttpRequest,
    HttpRequestBuilder,
    RequestBlock,
    Url,
)
from ktor_client.http.headers import HeadersLike
from ktor_client.http.parameters import ParametersLike
from ktor_client.http.request import AnyBlock, apply_blocks, apply_late_blocks
from ktor_client.http.url import absolute_url
from ktor_client.http.url_parts import begins_like_a_host
from ktor_client.protocol.handshake import check_subprotocols

__all__ = [
    "Draft",
    "UrlLike",
    "http_draft",
    "tell_of_missing_scheme",
    "web_socket_draft",
]

UrlLike: TypeAlias = str | Url | RequestBlock | None

_WEB_SOCKET_SCHEMES = {None: "ws", "http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}

_TAKEN_AS_PATH = AttributeKey[str]("a URL without scheme and host, which begins like a host")


class Draft:
    """A request in the making: made at the call but for what async hooks have yet to do."""

    __slots__ = ("_builder", "_finish", "_rest", "_scope", "request", "subprotocols")

    request: HttpRequest | None
    subprotocols: tuple[str, ...]
    """Those to offer; known with the request."""

    def __init__(
        self,
        scope: ClientScope,
        builder: HttpRequestBuilder,
        finish: Callable[[ClientScope, HttpRequestBuilder], HttpRequest],
        late_blocks: tuple[AnyBlock, ...] = (),
    ) -> None:
        """Run the request hooks; `finish` makes the request when the last of them has run.

        Where there are `late_blocks`, which may be coroutine functions, all that is for `finished`.
        """
        self._scope = scope
        self._builder = builder
        self._finish = finish
        self._rest = (
            partial(self._prepare_late, late_blocks)
            if late_blocks
            else scope.prepare(builder)
            if scope.request_hooks
            else None
        )
        self.request = None
        if self._rest is None:
            self._make()

    @classmethod
    def of(cls, request: HttpRequest, subprotocols: tuple[str, ...] = ()) -> Draft:
        """Return the draft of a request to which nothing is to be added."""
        draft = cls.__new__(cls)
        draft.request = request
        draft.subprotocols = subprotocols
        return draft

    def _make(self) -> None:
        self.request = self._finish(self._scope, self._builder)
        self.subprotocols = tuple(self._builder.subprotocols)

    async def _prepare_late(self, blocks: tuple[AnyBlock, ...]) -> None:
        await apply_late_blocks(self._builder, blocks)
        rest = self._scope.prepare(self._builder)
        if rest is not None:
            await rest()

    async def finished(self) -> HttpRequest:
        """Return the request, and wait for the async hooks before."""
        rest, self._rest = self._rest, None
        if rest is not None:
            hooks = Preparation()
            self._scope.preparing.add(hooks)
            try:
                with hooks:
                    await rest()
                with hooks:  # which raises if a hook has closed the client
                    self._make()
            finally:
                self._scope.preparing.discard(hooks)
        assert self.request is not None
        return self.request


def http_draft(
    scope: ClientScope,
    method: HttpMethod | str,
    url: UrlLike,
    blocks: tuple[RequestBlock, ...],
    params: ParametersLike | None,
    headers: HeadersLike | None,
    content: Content,
) -> Draft:
    """Draft the request of `get`, `post` and the like.

    Raises:
        InvalidUrlError: not an http or https URL.
        UnsafeHeaderError: a header that cannot be sent.
        UnsupportedCapabilityError: the engine cannot do what is asked.
        PluginNotInstalledError: a block does nothing without one.
        TypeError: something that is no body, no form or no file.
        OSError: a file that is not there.
    """
    if not isinstance(method, HttpMethod):
        method = HttpMethod(method)
    if params is headers is None and content is NOTHING and not (blocks or scope.request_hooks):
        whole = _whole(url, ("http", "https"))
        if whole is not None:
            return Draft.of(HttpRequest(method, whole)._checked(web_socket=False))
    builder = HttpRequestBuilder()
    builder.method = method
    blocks = _take_url(builder, url, blocks)
    if params is not None or headers is not None:
        _add(builder, params, headers)
    if content is not NOTHING:
        content.put_into(builder)
    if blocks:
        apply_blocks(builder, blocks)
    _remember_path(builder, url)
    return Draft(scope, builder, _finished_request)


def _whole(url: UrlLike, schemes: tuple[str, str]) -> Url | None:
    """Return a URL of these schemes that a request can go to as it is."""
    whole = absolute_url(url) if isinstance(url, str) else url
    if not isinstance(whole, Url) or whole.user is not None:
        return None
    return whole if whole.scheme in schemes else None


def _finished_request(scope: ClientScope, builder: HttpRequestBuilder) -> HttpRequest:
    scheme = _scheme(scope, builder)
    if scheme in ("ws", "wss"):
        raise InvalidUrlError(
            f"{builder.method} needs an http or https URL; client.web_socket(...) opens "
            f"{scheme}:// ones"
        )
    request = builder.build()
    if request.body is not None and not isinstance(request.body, bytes):
        require(scope.engine, StreamingUploadCapability, "a streamed body")
    if request._settings or builder._needs:
        _check_what_it_needs(scope, builder, request)
    return request


def web_socket_draft(
    scope: ClientScope,
    url: UrlLike,
    blocks: tuple[RequestBlock, ...],
    *,
    method: str,
    host: str | None,
    port: int | None,
    path: str | None,
    params: ParametersLike | None,
    headers: HeadersLike | None,
    subprotocols: Sequence[str],
    late_blocks: tuple[AnyBlock, ...] = (),
) -> Draft:
    """Draft the request of a handshake; `late_blocks` run when it is sent.

    Raises:
        ValueError: a method other than GET; an illegal or repeated subprotocol.
        InvalidUrlError: not a URL that a WebSocket can have.
        UnsafeHeaderError: a header that cannot be sent, or that is the handshake's own.

    And what `http_draft` raises.
    """
    if method.upper() != "GET":
        raise ValueError(f"a WebSocket opens with GET, not {method} (RFC 6455 4.1)")
    check_subprotocols(subprotocols)
    is_whole = port is None and path is None and params is None and headers is None
    if is_whole and not (host or blocks or late_blocks or scope.request_hooks):
        whole = _whole(url, ("ws", "wss"))
        if whole is not None:
            request = HttpRequest(HttpMethod.Get, whole)._checked(web_socket=True)
            return Draft.of(request, tuple(subprotocols))
    builder = HttpRequestBuilder(is_handshake=True)
    builder.subprotocols = list(subprotocols)
    blocks = _take_url(builder, url, blocks)
    if host:
        builder.url.host = host
    if port is not None:
        builder.url.port = port
    if path is not None:
        builder.url.set_path(path)
    _add(builder, params, headers)
    apply_blocks(builder, blocks)
    _remember_path(builder, url)
    return Draft(scope, builder, _finished_handshake, late_blocks)


def _finished_handshake(scope: ClientScope, builder: HttpRequestBuilder) -> HttpRequest:
    if builder.method != "GET":
        raise ValueError(f"a WebSocket opens with GET, not {builder.method} (RFC 6455 4.1)")
    scheme = _scheme(scope, builder)
    if scheme not in _WEB_SOCKET_SCHEMES:
        raise InvalidUrlError(f"scheme {scheme!r} is not supported; use ws or wss")
    if scheme != _WEB_SOCKET_SCHEMES[scheme]:
        builder.url.scheme = _WEB_SOCKET_SCHEMES[scheme]
    check_subprotocols(builder.subprotocols)
    request = builder.build()
    require_handshake_headers(scope.engine, request.headers)
    _check_what_it_needs(scope, builder, request)
    return request


def _check_what_it_needs(
    scope: ClientScope, builder: HttpRequestBuilder, request: HttpRequest
) -> None:
    """Check that engine and plugins are there for what the request's blocks ask."""
    if request._settings:
        check_settings(scope.engine, request._settings)
    if builder._needs:
        installed = set(map(plugin_name, scope.plugins))
        for name, what in builder._needs.items():
            if name not in installed:
                raise PluginNotInstalledError(
                    f"{what} needs the plugin {name}, which is not installed; "
                    f"add install({name}) to HttpClient(...)"
                )


def tell_of_missing_scheme(error: ConnectError, request: HttpRequest) -> None:
    """Add a note to the error of a request whose path may have been meant as a host."""
    path = request.attributes.get(_TAKEN_AS_PATH)
    if path is not None:
        error.add_note(
            f"the URL {path!r} has no scheme, so it was taken as a path on {request.url.host}; "
            f"if it starts with the host, write {request.url.scheme}://{path}"
        )


def _remember_path(builder: HttpRequestBuilder, url: UrlLike) -> None:
    if builder._whole is None and isinstance(url, str) and not builder.url.host:
        if begins_like_a_host(url):
            builder.attributes[_TAKEN_AS_PATH] = url.partition("?")[0]


def _take_url(
    builder: HttpRequestBuilder, url: UrlLike, blocks: tuple[RequestBlock, ...]
) -> tuple[RequestBlock, ...]:
    if url is None:
        return blocks
    if callable(url):
        return (url, *blocks)
    builder._whole = url if isinstance(url, Url) else absolute_url(url)
    if builder._whole is None:
        builder.url.take_from(url)
    return blocks


def _add(
    builder: HttpRequestBuilder, params: ParametersLike | None, headers: HeadersLike | None
) -> None:
    if params is not None:
        builder.url.add_parameters(params)
    if headers is not None:
        builder.headers.add_all(headers)


def _scheme(scope: ClientScope, builder: HttpRequestBuilder) -> str | None:
    """Return the URL's scheme; where it has no host, it gets the engine's default one."""
    if builder._whole is not None:
        return builder._whole.scheme
    url = builder.url
    if not url.host:
        default = Url.parse(scope.engine.default_url)
        url.host = default.host
        url.scheme = url.scheme or default.scheme
        if url.port is None and default.port != Url(default.scheme, default.host).port:
            url.port = default.port
    return url.scheme
