"""The status of a response: an int that answers who asks it for Ktor's `HttpStatusCode`."""

from __future__ import annotations

from ktor_client.mistakes import Taught

__all__ = ["Status"]


class Status(int, metaclass=Taught):
    """A status code. `http.HTTPStatus` of the standard library names it."""

    __slots__ = ()
