"""Credentials that are the same each time: `BasicAuth` (RFC 7617) and `ApiKeyAuth`."""

from __future__ import annotations

from typing import ClassVar
from urllib.parse import parse_qsl, quote

from ktor_client.http import HttpRequest, Url
from ktor_client.http.headers import HeadersBuilder
from ktor_client.http.redaction import keep_secret
from ktor_client.http.request import basic_credentials
from ktor_client.plugins.auth.challenge import Challenge
from ktor_client.plugins.auth.provider import AuthProvider, SendWithoutRequest, check_credentials
from ktor_client.unset import UNSET

__all__ = ["ApiKeyAuth", "BasicAuth"]


class BasicAuth(AuthProvider):
    """User and password in UTF-8, sent once the server has asked for them (RFC 7617)."""

    scheme: ClassVar[str] = "basic"

    def __init__(
        self,
        user: str,
        password: str,
        realm: str | None = None,
        *,
        send_without_request: SendWithoutRequest = False,
    ) -> None:
        """Check the credentials; the options are those of `AuthProvider`.

        Raises:
            ValueError: the user has a colon, or there is a control character.
            TypeError: an option of the wrong type.
        """
        super().__init__(realm=realm, send_without_request=send_without_request)
        check_credentials(user, password)
        self.user = user
        self._header = basic_credentials(user, password)

    async def authorize(
        self, request: HttpRequest, challenge: Challenge | None
    ) -> HttpRequest | None:
        """Set the header."""
        return request.with_header("Authorization", self._header)

    def __repr__(self) -> str:
        return f"BasicAuth(user={self.user!r}, password=***, realm={self.realm!r})"


class ApiKeyAuth(AuthProvider):
    """A key in its own header or in the query, sent without being asked for.

    From then on, logs, errors and `repr` hide the values of that name.
    """

    scheme: ClassVar[str] = "apikey"

    def __init__(
        self,
        key: str,
        *,
        header: str = UNSET,
        parameter: str | None = None,
        realm: str | None = None,
        send_without_request: SendWithoutRequest = True,
    ) -> None:
        """Check the key.

        Args:
            key: the whole value of the header, including a scheme if the server wants one.
            header: its name; "X-Api-Key" by default.
            parameter: a query parameter that carries the key instead of a header.
            realm: see `AuthProvider`; challenges are those of the scheme "ApiKey".
            send_without_request: see `AuthProvider`.

        Raises:
            UnsafeHeaderError: the key or the header cannot be sent.
            ValueError: the key is empty, or both a header and a parameter are given.
            TypeError: an option of the wrong type.
        """
        super().__init__(realm=realm, send_without_request=send_without_request)
        if not isinstance(key, str):
            raise TypeError(f"key is a str, not {type(key).__name__}")
        if not key:
            raise ValueError("the key is empty")
        if parameter is not None and not isinstance(parameter, str):
            raise TypeError(f"parameter is a str or None, not {type(parameter).__name__}")
        if parameter is not None and header is not UNSET:
            raise ValueError("a key goes in a header or in a query parameter, not in both")
        self.header: str | None = None
        self.parameter = parameter
        if parameter is None:
            self.header = "X-Api-Key" if header is UNSET else header
            HeadersBuilder([(self.header, key)])
        keep_secret(self.header or parameter or "")
        self._key = key

    def keeps_out(self, request: HttpRequest) -> bool:
        """Whether the request already has a value under that name."""
        if self.header is not None:
            return self.header in request.headers
        names = [name for name, _ in parse_qsl(request.url.query, keep_blank_values=True)]
        return self.parameter in names

    async def authorize(
        self, request: HttpRequest, challenge: Challenge | None
    ) -> HttpRequest | None:
        """Set the header or the parameter."""
        if self.header is not None:
            return request.with_header(self.header, self._key)
        assert self.parameter is not None
        url = request.url
        pair = f"{quote(self.parameter, safe='')}={quote(self._key, safe='')}"
        query = f"{url.query}&{pair}" if url.query else pair
        with_key = Url(url.scheme, url.host, url.port, url.path, query, url.user, url.password)
        return request.copy(url=with_key)

    def __repr__(self) -> str:
        place = f"header={self.header!r}" if self.header else f"parameter={self.parameter!r}"
        return f"ApiKeyAuth(***, {place})"
