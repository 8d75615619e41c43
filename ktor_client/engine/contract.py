"""What an engine is: the interface behind which every network library stands."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from ktor_client.channels import Channels
from ktor_client.engine.capabilities import Capability
from ktor_client.http import HttpRequest, HttpResponse

if TYPE_CHECKING:
    from ktor_client.link import Clock, FrameLink
    from ktor_client.link.home_loop import HomeLoop

__all__ = ["EngineLike", "HttpClientEngine", "WebSocketOptions", "WebSocketUpgrade"]


class WebSocketOptions:
    """What an engine may need to know to open a WebSocket. The request has the headers already."""

    __slots__ = ("channels", "deadline", "max_frame_size", "raw", "subprotocols")

    def __init__(
        self,
        *,
        subprotocols: Sequence[str] = (),
        max_frame_size: int = 16 * 1024 * 1024,
        raw: bool = False,
        channels: Channels | None = None,
        deadline: float | None = None,
    ) -> None:
        """Hold the options; `deadline` is when `open_timeout` is over, by the engine's clock."""
        self.subprotocols = tuple(subprotocols)
        self.max_frame_size = max_frame_size
        self.raw = raw
        self.channels = Channels() if channels is None else channels
        self.deadline = deadline


class WebSocketUpgrade:
    """The answer to a handshake: the response, and the link if the server switched protocols."""

    __slots__ = ("link", "response", "verified")

    def __init__(
        self, response: HttpResponse, link: FrameLink | None = None, *, verified: bool = False
    ) -> None:
        """Hold the answer.

        Args:
            response: any status; of a refusal also headers and body.
            link: there if and only if the status is 101; not started.
            verified: the platform has checked `Sec-WebSocket-Accept` and hides it, as browsers do.
                What the server chose is checked all the same; extensions that nobody has offered
                are taken for the platform's own, which applies them itself.
        """
        self.response = response
        self.link = link
        self.verified = verified

    def abort(self) -> None:
        """Drop the connection, where there is one."""
        if self.link is not None:
            self.link.abort()


class HttpClientEngine(ABC):
    """Sends requests and opens WebSockets with a network library (Ktor's `HttpClientEngine`).

    An engine does not follow redirects, keep cookies, retry or raise for a status: the client does
    that above it, the same for all engines. It maps every exception of its library to one of
    `ktor_client.errors`, with the original as `__cause__`. It binds to the event loop of its first
    call. A cancelled call leaves no socket, task or timer behind.
    """

    name: ClassVar[str]
    """The word to register under, such as "aiohttp"."""

    default_url: str = "http://localhost"
    """What a request without a host is resolved against."""

    _clients: int = 0
    """How many clients hold the engine; they keep count."""
    _home: HomeLoop | None = None
    """The event loop of its first call, whichever client made that; they see to it."""

    @property
    @abstractmethod
    def capabilities(self) -> frozenset[Capability]:
        """What this engine can do, with the options and the libraries it has."""

    @property
    def clock(self) -> Clock:
        """The clock of `open_timeout`; the running loop unless an engine has time of its own."""
        return asyncio.get_running_loop()

    def on_network_back(self, callback: Callable[[], object]) -> Callable[[], None]:
        """Call back when the platform reports that its network may be back; returns a function that
        stops that.

        Most platforms report nothing.
        """
        return lambda: None

    @abstractmethod
    async def execute(self, request: HttpRequest) -> HttpResponse:
        """Send a request and return the response as soon as its head has arrived.

        The caller closes the response.

        Raises:
            ConnectError: no connection, or it broke; also `DnsError`, `TlsError` and `ProxyError`.
            RequestTimeoutError: a limit of the engine expired, such as `ConnectTimeoutError`.
            InvalidUrlError: this engine cannot request the URL.
        """

    @abstractmethod
    async def open_web_socket(
        self, request: HttpRequest, options: WebSocketOptions
    ) -> WebSocketUpgrade:
        """Send the handshake that `request` is and return the answer, whatever its status.

        `request.url.scheme` is ws or wss, and the request has every header of the handshake. What
        the server answered is checked by the caller. Raises what `execute` raises.
        """

    async def idle(self) -> None:  # noqa: B027  # most engines have nothing to do
        """Called when the last client of an engine that it does not own has closed.

        Nothing of those clients is still open; more clients may follow. Engines for tests report
        here what went wrong unseen by the client.
        """

    @abstractmethod
    async def close(self) -> None:
        """Abort every link and free all sockets. Idempotent."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


EngineLike: TypeAlias = HttpClientEngine | Callable[..., HttpClientEngine] | str | None
"""An engine as `HttpClient` takes it: an instance, a class or factory, a name, or None."""
