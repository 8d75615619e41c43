"""An engine as clients hold it: shared by derived clients, counted, owned or not, on one loop."""

from __future__ import annotations

from collections.abc import Mapping

from ktor_client.engine.capabilities import Capability, HandshakeHeadersCapability
from ktor_client.engine.contract import HttpClientEngine
from ktor_client.engine.registry import engines_with
from ktor_client.errors import UnsupportedCapabilityError
from ktor_client.http import Headers
from ktor_client.link.home_loop import HomeLoop

__all__ = ["SharedEngine", "refuse_options", "require", "require_handshake_headers"]

_BROWSERS_OWN = frozenset({"accept", "accept-encoding", "accept-language", "user-agent"})
"""Headers that mean nothing to a handshake and that a browser puts itself: defaults that plugins
set on every request do not keep a client out of browsers."""
_OF_THE_HANDSHAKE = frozenset({"connection", "upgrade"})


class SharedEngine:
    """Counts the clients of an engine; closes it with the last one, if they own it."""

    def __init__(self, engine: HttpClientEngine, *, owned: bool) -> None:
        self.engine = engine
        self.owned = owned
        engine._clients += 1
        self.loop: HomeLoop | None = None
        """Where these clients use it; None before their first call."""

    def share(self) -> SharedEngine:
        """Take note of one more client."""
        self.engine._clients += 1
        return self

    async def release(self) -> None:
        """Take note that a client is done."""
        self.engine._clients -= 1
        if self.engine._clients == 0:
            await (self.engine.close() if self.owned else self.engine.idle())

    def bind(self) -> None:
        """Bind to the running loop on first use.

        Raises:
            WrongLoopError: the engine was first used on another loop.
        """
        if self.loop is not None:
            self.loop.check()
            return
        home = self.engine._home
        if home is None:
            what = f"{type(self.engine).__name__} is bound to the event loop of its first use"
            advice = "make an HttpClient per loop, each with an engine of its own"
            home = self.engine._home = HomeLoop(what, advice)
        home.check()
        self.loop = home


def require(engine: HttpClientEngine, capability: Capability, what: str = "") -> None:
    """Check that an engine has a capability, before any I/O.

    Args:
        engine: the engine in question.
        capability: what is needed.
        what: the option or call that needs it, for the message.

    Raises:
        UnsupportedCapabilityError: it does not.
    """
    if capability not in engine.capabilities:
        cause = f" ({what} needs {capability.meaning})" if what else ""
        raise UnsupportedCapabilityError(
            f"Engine {type(engine).__name__} doesn't support {capability}{cause}; "
            f"engines that do: {engines_with(capability)}"
        )


def require_handshake_headers(engine: HttpClientEngine, headers: Headers) -> None:
    """Check that an engine can send the headers of a WebSocket handshake, before any I/O.

    Raises:
        UnsupportedCapabilityError: it cannot, and one of them is neither the handshake's own nor
            one that a browser sends anyway.
    """
    for name in headers:
        key = name.lower()
        if key not in _BROWSERS_OWN | _OF_THE_HANDSHAKE and not key.startswith("sec-websocket-"):
            require(engine, HandshakeHeadersCapability, f"header {name}")


def refuse_options(
    engine: str,
    given: Mapping[str, object],
    lacking: Mapping[str, tuple[object, str]],
    *,
    has: str = "",
) -> None:
    """Refuse by name what an engine was given of options that it has not.

    Args:
        engine: its class.
        given: by option; what is false asks for nothing.
        lacking: options of other engines, with what this one would have to support, and why it
            does not.
        has: what it has instead, for the message.

    Raises:
        UnsupportedCapabilityError: an option of other engines was given a value.
        TypeError: an option that no engine has.
    """
    for option, value in given.items():
        if option not in lacking:
            raise TypeError(f"{engine} has no option {option!r}{has}")
        if value:
            what, why = lacking[option]
            raise UnsupportedCapabilityError(
                f"Engine {engine} doesn't support {what} ({option}=...){why}"
            )
