"""What every contender can do. The loops live in the contenders: each writes its library's own."""

from __future__ import annotations

import ssl
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar

Message: TypeAlias = str | bytes
Session = TypeVar("Session")
HTTP_SCENARIOS = frozenset({"get", "get50", "get_tls", "post1m", "download100m"})
"""What clients for WebSockets alone skip."""


class WrongMessageError(Exception):
    """The library handed out something else than the message that the scenario expects."""


class Contender(ABC, Generic[Session]):
    """One client library, used as its documentation says, with keepalive off unless asked for.

    Methods that receive return the length of the last message, so that a run can check it.
    """

    packages: ClassVar[tuple[str, ...]]
    """Distributions whose versions the report names."""

    skips: ClassVar[frozenset[str]] = frozenset()
    """Scenarios that the library cannot run, or that would only repeat another contender."""

    environment: ClassVar[Mapping[str, str]] = {}
    """Variables of the environment that its process needs."""

    def __init__(
        self,
        *,
        deflate: bool = False,
        keepalive: float | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.deflate = deflate
        self.keepalive = keepalive
        self.tls = tls

    async def start(self) -> None:
        """Create the client."""

    async def stop(self) -> None:
        """Close the client."""

    @abstractmethod
    async def open(self, url: str) -> Session: ...

    @abstractmethod
    async def close(self, session: Session) -> None:
        """Close with 1000 and wait for the end of the close handshake."""

    @abstractmethod
    async def round_trips(self, session: Session, message: Message, count: int) -> int:
        """Send `message` and wait for the reply, `count` times in sequence."""

    @abstractmethod
    async def receive(self, session: Session, count: int) -> int:
        """Receive `count` messages, one at a time."""

    @abstractmethod
    async def send(self, session: Session, message: Message, count: int) -> None:
        """Send `count` messages, one at a time, honouring backpressure."""

    async def get(self, url: str, count: int) -> int:
        """GET `url` `count` times in sequence, reading each body."""
        raise NotImplementedError(f"{type(self).__name__} has no HTTP client")

    async def post(self, url: str, body: bytes, count: int) -> int:
        """POST `body` `count` times in sequence, reading each answer."""
        raise NotImplementedError(f"{type(self).__name__} has no HTTP client")

    async def download(self, url: str) -> int:
        """GET `url`, piece by piece; return how many bytes came."""
        raise NotImplementedError(f"{type(self).__name__} has no HTTP client")


AnyContender: TypeAlias = Contender[Any]
