"""The request method (Ktor's `HttpMethod`)."""

from __future__ import annotations

from ktor_client.http.headers import is_token
from ktor_client.mistakes import Taught

__all__ = ["HttpMethod"]

_IDEMPOTENT: frozenset[str] = frozenset(
    "DELETE GET HEAD OPTIONS PROPFIND PUT QUERY REPORT SEARCH TRACE".split()
)


class HttpMethod(str, metaclass=Taught):
    """An HTTP method in upper case: `HttpMethod.Get`, or `HttpMethod("PROPFIND")` for others."""

    __slots__ = ()

    Get: HttpMethod
    Post: HttpMethod
    Put: HttpMethod
    Patch: HttpMethod
    Delete: HttpMethod
    Head: HttpMethod
    Options: HttpMethod

    def __new__(cls, name: str) -> HttpMethod:
        """Check the name.

        Raises:
            ValueError: `name` is not a token (RFC 9110 9.1).
        """
        if not is_token(name):
            hint = '; the method comes first: client.request("GET", url)' if "/" in name else ""
            raise ValueError(f"{name!r} is not an HTTP method{hint}")
        return super().__new__(cls, name.upper())

    @property
    def is_idempotent(self) -> bool:
        """Whether sending it twice has the same effect as sending it once (RFC 9110 9.2.2)."""
        return str(self) in _IDEMPOTENT

    def __repr__(self) -> str:
        return f"HttpMethod({str(self)!r})"


HttpMethod.Get = HttpMethod("GET")
HttpMethod.Post = HttpMethod("POST")
HttpMethod.Put = HttpMethod("PUT")
HttpMethod.Patch = HttpMethod("PATCH")
HttpMethod.Delete = HttpMethod("DELETE")
HttpMethod.Head = HttpMethod("HEAD")
HttpMethod.Options = HttpMethod("OPTIONS")
