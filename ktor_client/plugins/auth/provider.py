"""What every way of authentication has in common. None of them lives here, nor the layer."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from ktor_client.engine import HttpClientEngine
from ktor_client.errors import ConnectError, KtorClientError
from ktor_client.functions import check_plain
from ktor_client.http import HttpRequest, HttpResponse, ResponseBody
from ktor_client.http.body import WrappedBody
from ktor_client.plugins.auth.challenge import Challenge

if TYPE_CHECKING:
    from ktor_client.client import HttpClient

__all__ = ["AuthProvider", "Refusal", "SendWithoutRequest", "check_credentials"]

MAX_KEPT = 1 << 20
"""Bytes of a 401's body that are kept where its connection may be needed."""
KEEP_TIMEOUT = 5.0
"""Seconds that such a body is waited for."""

SendWithoutRequest: TypeAlias = bool | Callable[[HttpRequest], bool]
"""Whether credentials go along unasked, or a function that says so of a request."""


@dataclass(slots=True)
class Refusal:
    """A 401 and its circumstances."""

    request: HttpRequest
    """The request as it was sent."""
    response: HttpResponse
    """The answer; `release` frees its connection."""
    challenge: Challenge | None
    """What the provider can answer; None where the server asked for nothing."""
    was_sent: bool
    """Whether the request had credentials of this provider."""
    unasked: bool
    """Whether these were sent before this call had seen any challenge."""
    repeats: int
    """How often the provider has answered in this call."""
    was_refreshed: bool
    """Whether `refresh` was called in this call before."""
    make_client: Callable[[], HttpClient]
    """Returns the client without `Auth`."""

    async def release(self) -> None:
        """Free the connection of the response, and keep its body for the caller."""
        if self.response._read is None and not self.response._streamed:
            made: list[_Kept] = []

            def keep(body: ResponseBody) -> ResponseBody:
                made.append(_Kept(body))
                return made[0]

            self.response = self.response.copy(body=keep)
            await made[0].fill()


class AuthProvider(ABC):
    """A way to authenticate (Ktor's `AuthProvider`); `Auth` tries its providers in order."""

    scheme: ClassVar[str]
    """What challenges call it, in lower case."""

    def __init__(
        self, *, realm: str | None = None, send_without_request: SendWithoutRequest = False
    ) -> None:
        """Check the options that all providers share.

        Args:
            realm: answer only challenges of this realm; None answers those of any realm.
            send_without_request: whether to send credentials before the server asks; a function of
                the request decides for each request.

        Raises:
            TypeError: an option of the wrong type.
        """
        if realm is not None and not isinstance(realm, str):
            raise TypeError(f"realm is a str or None, not {type(realm).__name__}")
        if not isinstance(send_without_request, bool) and not callable(send_without_request):
            raise TypeError(
                "send_without_request is True, False or a function of the HttpRequest, "
                f"not {send_without_request!r}"
            )
        check_plain(send_without_request, "send_without_request")
        self.realm = realm
        self._send_without_request = send_without_request

    def install(self, engine: HttpClientEngine) -> None:  # noqa: B027  # most need no clock
        """Called with the engine of each client that uses this provider."""

    def sends_unasked(self, request: HttpRequest) -> bool:
        """Whether to send credentials with a request that has had no challenge."""
        choice = self._send_without_request
        return choice if isinstance(choice, bool) else bool(choice(request))

    def can_answer(self, challenge: Challenge) -> bool:
        """Whether a challenge has this provider's scheme and realm."""
        return challenge.scheme == self.scheme and self.realm in (None, challenge.realm)

    def keeps_out(self, request: HttpRequest) -> bool:
        """Whether to leave a request alone, because it already has such credentials."""
        return "authorization" in request.headers

    @abstractmethod
    async def authorize(
        self, request: HttpRequest, challenge: Challenge | None
    ) -> HttpRequest | None:
        """Return the request with credentials, or None if there are none.

        Args:
            request: the request to send, perhaps with credentials that were refused.
            challenge: what the server asked for; None if it has not asked.
        """

    async def refresh(self, refusal: Refusal) -> bool:
        """Whether better credentials are available after some were refused.

        Also called if `authorize` had none. If true, `authorize` is called again.
        """
        return False

    def accepted(self, request: HttpRequest, response: HttpResponse) -> None:  # noqa: B027  # most need not
        """Called when the server has accepted the credentials of `request`."""

    def clear(self) -> None:  # noqa: B027  # most keep nothing
        """Forget tokens and challenges."""

    async def close(self) -> None:  # noqa: B027  # most have nothing to end
        """End anything that is running; called when a client that used this provider closes."""


class _Kept(WrappedBody):
    """A body of which the beginning was read ahead, so that its connection is free."""

    def __init__(self, inner: ResponseBody) -> None:
        super().__init__(inner)
        self._data = bytearray()
        self._error: KtorClientError | None = None

    async def fill(self) -> None:
        try:
            async with asyncio.timeout(KEEP_TIMEOUT), self.source() as chunks:
                async for chunk in chunks:
                    self._data += chunk
                    if len(self._data) > MAX_KEPT:
                        self._give_up(f"{MAX_KEPT} bytes")
                        break
        except KtorClientError as error:
            self._error = error
        except TimeoutError:
            self._give_up(f"{KEEP_TIMEOUT:g} s")
        finally:
            await self.inner.close()

    def _give_up(self, limit: str) -> None:
        self._error = ConnectError(
            f"the body of this 401 was given up after {limit}: its connection was needed to "
            "refresh tokens"
        )

    async def chunks(self) -> AsyncIterator[bytes]:
        yield bytes(self._data)
        if self._error is not None:
            raise self._error


def check_credentials(user: str, password: str) -> None:
    """Check what basic and digest authentication need of user and password.

    Raises:
        TypeError: one of them is no str.
        ValueError: a colon in the user, which would begin the password; a control character
            (RFC 7617 2); a lone surrogate.
    """
    for name, value in (("user", user), ("password", password)):
        if not isinstance(value, str):
            raise TypeError(f"{name} is a str, not {type(value).__name__}")
        if any(character < " " or character == "\x7f" for character in value):
            raise ValueError(f"the {name} has a control character (RFC 7617 2)")
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise ValueError(f"the {name} has a lone surrogate, which cannot be encoded")
    if ":" in user:
        raise ValueError("a user has no colon: it would begin the password (RFC 7617 2)")
