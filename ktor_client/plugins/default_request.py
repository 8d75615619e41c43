"""Defaults for every request: where it goes when it does not say, and headers that it lacks."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote_plus

from ktor_client.errors import InvalidUrlError
from ktor_client.http import HeadersBuilder, HttpRequestBuilder, RequestBlock, UrlBuilder
from ktor_client.http.parameters import ParametersLike, encoded_parameters
from ktor_client.http.redaction import shown
from ktor_client.http.request import apply_blocks
from ktor_client.http.url_parts import begins_like_a_host
from ktor_client.plugin import HttpClientPlugin, PluginScope, RequestPhase

__all__ = ["DefaultRequest"]


class DefaultRequest(HttpClientPlugin):
    """Fill in what a request leaves open (Ktor's `DefaultRequest`).

    `install(DefaultRequest, url="wss://example.org/v1/")` makes `web_socket("feed")` go to
    `wss://example.org/v1/feed`; a path that starts with "/" replaces the default's path.
    """

    def __init__(
        self,
        *,
        url: str | None = None,
        scheme: str | None = None,
        host: str | None = None,
        port: int | None = None,
        path: str | None = None,
        params: ParametersLike | None = None,
        headers: Mapping[str, str] | None = None,
        block: RequestBlock | None = None,
    ) -> None:
        """Check the defaults.

        Args:
            url: scheme, host, port, path and query in one; the parts below override it.
            scheme: http, https, ws or wss; ws is used for WebSockets where http is given.
            host: host name or address.
            port: from 1 to 65535.
            path: prefix for relative paths when it ends with "/".
            params: query parameters, each set if the request has none of that name.
            headers: set if the request has none of that name.
            block: runs last and may change anything.

        Raises:
            InvalidUrlError: `url` is not a URL, or `params` cannot be sent.
            UnsafeHeaderError: a header cannot be sent.
            TypeError: `params` are no query parameters, or `headers` no headers.
        """
        self._url = UrlBuilder()
        if url is not None:
            self._url.take_from(url)
        self._url.scheme = scheme or self._url.scheme
        self._url.host = host or self._url.host
        if url is not None and not self._url.host and begins_like_a_host(url):
            raise InvalidUrlError(
                f"{shown(url)} has no scheme; write https://host/path, or a path that starts with /"
            )
        self._url.port = self._url.port if port is None else port
        if path is not None:
            self._url.set_path(path)
        self._query = "" if params is None else encoded_parameters(params)
        self._headers = HeadersBuilder(headers or ())
        self._block = block

    def install(self, scope: PluginScope) -> None:
        """Register the hook."""
        scope.on_request(self._fill_in, phase=RequestPhase.BEFORE)

    def _fill_in(self, request: HttpRequestBuilder) -> None:
        if request._whole is None:
            request.url.scheme = request.url.scheme or self._url.scheme
        if not request.has_host:
            mine, theirs = self._url, request.url
            theirs.host = mine.host
            theirs.port = mine.port if theirs.port is None else theirs.port
            if theirs.user is None:
                theirs.user, theirs.password = mine.user, mine.password
            theirs.path = _join(mine.path, theirs.path)
            if not (theirs.query or theirs.trailing_query):
                theirs.query, theirs.trailing_query = mine.query, mine.trailing_query
            else:
                _add_missing(theirs, mine.query)
        if self._query:
            _add_missing(request.url, self._query)
        for name, value in self._headers.fields():
            request.headers.add_if_absent(name, value)
        if self._block is not None:
            apply_blocks(request, (self._block,))


def _join(base: str | None, path: str | None) -> str | None:
    if not path or base is None:
        return path or base
    if path.startswith("/"):
        return path
    return base.rpartition("/")[0] + "/" + path


def _add_missing(url: UrlBuilder, query: str) -> None:
    """Add the parameters of a query whose names a URL does not have."""
    names = {_name(pair) for pair in url.query.split("&")}
    missing = [pair for pair in query.split("&") if pair and _name(pair) not in names]
    url.query = "&".join([url.query, *missing] if url.query else missing)


def _name(pair: str) -> str:
    return unquote_plus(pair.partition("=")[0])
