"""The HTTP calls of a client: one method a verb, read or streamed. Sending is not done here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from ktor_client.client.content import NOTHING, Content, content_of
from ktor_client.client.preparing import Draft, UrlLike
from ktor_client.client.statements import HttpStatement
from ktor_client.http import HttpMethod, HttpResponse, RequestBlock
from ktor_client.http.content import BodyLike
from ktor_client.http.headers import HeadersLike
from ktor_client.http.multipart import FilesLike
from ktor_client.http.parameters import ParametersLike
from ktor_client.mistakes import answering
from ktor_client.unset import UNSET

__all__ = ["HttpCalls"]


class HttpCalls(ABC):
    """Mixed into `HttpClient`."""

    @abstractmethod
    def _draft(
        self,
        method: HttpMethod | str,
        url: UrlLike,
        blocks: tuple[RequestBlock, ...],
        params: ParametersLike | None,
        headers: HeadersLike | None,
        content: Content = NOTHING,
    ) -> Draft:
        """Build a request and check that the engine can send it."""

    @abstractmethod
    async def _send(self, draft: Draft, *, read: bool) -> HttpResponse:
        """Send it and return its response, open or read to the end."""

    @answering("request")
    def prepare_request(
        self,
        method: HttpMethod | str,
        url: UrlLike = None,
        *blocks: RequestBlock,
        params: ParametersLike | None = None,
        headers: HeadersLike | None = None,
        body: BodyLike = None,
        json: Any = UNSET,
        form: ParametersLike | None = None,
        files: FilesLike | None = None,
    ) -> HttpStatement:
        """Prepare a request whose response streams: `async with client.prepare_request(...)`.

        Raises:
            InvalidUrlError, UnsafeHeaderError: the request is not legal.
            UnsupportedCapabilityError: the engine cannot do what is asked.
            ClientClosedError: the client is closed.
        """
        content = content_of(body, json, form, files)
        draft = self._draft(method, url, blocks, params, headers, content)
        return HttpStatement(lambda: self._send(draft, read=False))

    @answering("request")
    async def request(
        self,
        method: HttpMethod | str,
        url: UrlLike = None,
        *blocks: RequestBlock,
        params: ParametersLike | None = None,
        headers: HeadersLike | None = None,
        body: BodyLike = None,
        json: Any = UNSET,
        form: ParametersLike | None = None,
        files: FilesLike | None = None,
    ) -> HttpResponse:
        """Send a request and return its response, read to the end.

        Args:
            method: any method, `HttpMethod.Get` or a string.
            url: absolute, or relative to the URL of `DefaultRequest`, or else to http://localhost.
                A block may stand in its place. "example.org/x" has no scheme and is therefore
                relative, as in Ktor.
            blocks: functions of the `HttpRequestBuilder`, such as `header(...)`.
            params: query parameters.
            headers: request headers.
            body: text, bytes, a path, an open binary file, an async iterable of bytes, or a
                `Body`. Redirects, auth and retries send it again if it can be opened again.
            json: an object for a JSON body; dataclasses too. None is sent as `null`.
            form: fields of a form, given as `params` are; encoded as a browser does.
            files: files of a form, by field name. Each is a content, a `FilePart`, or a tuple
                (filename, content[, content type]). Together with the fields of `form` they are
                streamed as `multipart/form-data`.

        Raises:
            ConnectError: no connection could be made, or it broke.
            RequestTimeoutError: a time limit expired.
            TypeError, OSError: the body is of an unsupported type, or a file does not exist.
            ClientRequestError, ServerResponseError, RedirectError: with `expect_success`.

        And what `prepare_request` raises.
        """
        content = content_of(body, json, form, files)
        draft = self._draft(method, url, blocks, params, headers, content)
        return await self._send(draft, read=True)

    @answering("request")
    async def get(
        self,
        url: UrlLike = None,
        *blocks: RequestBlock,
        params: ParametersLike | None = None,
        headers: HeadersLike | None = None,
    ) -> HttpResponse:
        """Send a GET; see `request`."""
        return await self._send(
            self._draft(HttpMethod.Get, url, blocks, params, headers), read=True
        )

    @answering("request")
    async def head(
        self,
        url: UrlLike = None,
        *blocks: RequestBlock,
        params: ParametersLike | None = None,
        headers: HeadersLike | None = None,
    ) -> HttpResponse:
        """Send a HEAD; see `request`."""
        return await self._send(
            self._draft(HttpMethod.Head, url, blocks, params, headers), read=True
        )

    @answering("request")
    async def options(
        self,
        url: UrlLike = None,
        *blocks: RequestBlock,
        params: ParametersLike | None = None,
        headers: HeadersLike | None = None,
    ) -> HttpResponse:
        """Send an OPTIONS; see `request`."""
        return await self._send(
            self._draft(HttpMethod.Options, url, blocks, params, headers), read=True
        )

    @answering("request")
    async def delete(
        self,
        url: UrlLike = None,
        *blocks: RequestBlock,
        params: ParametersLike | None = None,
        headers: HeadersLike | None = None,
        body: BodyLike = None,
        json: Any = UNSET,
        form: ParametersLike | None = None,
        files: FilesLike | None = None,
    ) -> HttpResponse:
        """Send a DELETE; see `request`."""
        content = content_of(body, json, form, files)
        draft = self._draft(HttpMethod.Delete, url, blocks, params, headers, content)
        return await self._send(draft, read=True)

    @answering("request")
    async def post(
        self,
        url: UrlLike = None,
        *blocks: RequestBlock,
        params: ParametersLike | None = None,
        headers: HeadersLike | None = None,
        body: BodyLike = None,
        json: Any = UNSET,
        form: ParametersLike | None = None,
        files: FilesLike | None = None,
    ) -> HttpResponse:
        """Send a POST; see `request`."""
        content = content_of(body, json, form, files)
        draft = self._draft(HttpMethod.Post, url, blocks, params, headers, content)
        return await self._send(draft, read=True)

    @answering("request")
    async def put(
        self,
        url: UrlLike = None,
        *blocks: RequestBlock,
        params: ParametersLike | None = None,
        headers: HeadersLike | None = None,
        body: BodyLike = None,
        json: Any = UNSET,
        form: ParametersLike | None = None,
        files: FilesLike | None = None,
    ) -> HttpResponse:
        """Send a PUT; see `request`."""
        content = content_of(body, json, form, files)
        draft = self._draft(HttpMethod.Put, url, blocks, params, headers, content)
        return await self._send(draft, read=True)

    @answering("request")
    async def patch(
        self,
        url: UrlLike = None,
        *blocks: RequestBlock,
        params: ParametersLike | None = None,
        headers: HeadersLike | None = None,
        body: BodyLike = None,
        json: Any = UNSET,
        form: ParametersLike | None = None,
        files: FilesLike | None = None,
    ) -> HttpResponse:
        """Send a PATCH; see `request`."""
        content = content_of(body, json, form, files)
        draft = self._draft(HttpMethod.Patch, url, blocks, params, headers, content)
        return await self._send(draft, read=True)

    @answering("request")
    def prepare_get(
        self,
        url: UrlLike = None,
        *blocks: RequestBlock,
        params: ParametersLike | None = None,
        headers: HeadersLike | None = None,
    ) -> HttpStatement:
        """Prepare a GET whose response streams; see `prepare_request`."""
        draft = self._draft(HttpMethod.Get, url, blocks, params, headers)
        return HttpStatement(lambda: self._send(draft, read=False))

    @answering("request")
    def prepare_post(
        self,
        url: UrlLike = None,
        *blocks: RequestBlock,
        params: ParametersLike | None = None,
        headers: HeadersLike | None = None,
        body: BodyLike = None,
        json: Any = UNSET,
        form: ParametersLike | None = None,
        files: FilesLike | None = None,
    ) -> HttpStatement:
        """Prepare a POST whose response streams; see `prepare_request`."""
        content = content_of(body, json, form, files)
        draft = self._draft(HttpMethod.Post, url, blocks, params, headers, content)
        return HttpStatement(lambda: self._send(draft, read=False))
