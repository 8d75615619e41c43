"""Close codes and close reasons (Ktor's `CloseReason`): values, and the rules about one."""

from __future__ import annotations

import enum
from collections.abc import Generator
from typing import ClassVar, Literal, TypeAlias

from ktor_client.mistakes import Taught, TaughtEnum, answering

__all__ = ["CloseReason", "Initiator", "may_be_sent"]

MAX_REASON_BYTES = 123
"""UTF-8 bytes that the message of a Close frame may have: a control payload less the code."""

Initiator: TypeAlias = Literal["local", "peer"]


class _Codes(enum.IntEnum, metaclass=TaughtEnum):
    """Close codes of the IANA registry "WebSocket Close Code Number" (RFC 6455 7.4)."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    CANNOT_ACCEPT = 1003
    RESERVED = 1004
    NO_STATUS = 1005
    CLOSED_ABNORMALLY = 1006
    NOT_CONSISTENT = 1007
    VIOLATED_POLICY = 1008
    TOO_BIG = 1009
    NO_EXTENSION = 1010
    INTERNAL_ERROR = 1011
    UNEXPECTED_CONDITION = 1011
    SERVICE_RESTART = 1012
    TRY_AGAIN_LATER = 1013
    BAD_GATEWAY = 1014
    TLS_HANDSHAKE_FAILED = 1015
    UNAUTHORIZED = 3000
    FORBIDDEN = 3003
    TIMEOUT = 3008


_NEVER_SENT = frozenset({1004, 1005, 1006, 1015})


def may_be_sent(code: int) -> bool:
    """Whether a Close frame may carry this code (RFC 6455 7.4.1 and 7.4.2)."""
    return 3000 <= code <= 4999 or (1000 <= code <= 1014 and code not in _NEVER_SENT)


class CloseReason(metaclass=Taught):
    """Why a session ended: a code, a message, and how it came to that (Ktor's `CloseReason`).

    Two reasons are equal if code and message are equal. A reason is true once it has a code. The
    reason of an open session has `code is None`, is false, and can be awaited for the final one.
    """

    Codes: ClassVar[type[_Codes]] = _Codes

    __match_args__ = ("code", "message")
    __slots__ = ("clean", "code", "initiator", "message", "received", "sent", "unsent")

    code: int | None
    message: str
    initiator: Initiator | None
    """Who began: "local" for us, "peer" for the other side or the network."""
    clean: bool
    """Whether Close frames went both ways, and before ours all that `send` had accepted."""
    sent: CloseReason | None
    """What our Close frame said; None while none has left."""
    received: CloseReason | None
    """What the peer's Close frame said; None while none came."""
    unsent: int
    """Messages that `send` had accepted and that did not leave."""

    @answering("CloseReason")
    def __init__(
        self,
        code: int,
        message: str = "",
        *,
        initiator: Initiator | None = None,
        clean: bool = False,
        sent: CloseReason | None = None,
        received: CloseReason | None = None,
        unsent: int = 0,
    ) -> None:
        """Check and keep the values.

        Raises:
            ValueError: code outside 0..65535, or more than 123 UTF-8 bytes of message.
            TypeError: code is not an int, or message not a str.
        """
        if type(code) is not int:
            if isinstance(code, bool) or not isinstance(code, int):
                raise TypeError(f"a close code is an int, such as 1000, not {type(code).__name__}")
            code = int(code)
        if not isinstance(message, str):
            raise TypeError(f"a close message is a str, not {type(message).__name__}")
        if not 0 <= code <= 0xFFFF:
            raise ValueError(f"a close code is within 0..65535, not {code}")
        size = len(message.encode())
        if size > MAX_REASON_BYTES:
            raise ValueError(
                f"a close message has at most {MAX_REASON_BYTES} UTF-8 bytes, not {size}"
            )
        self.code = code
        self.message = message
        self.initiator = initiator
        self.clean = clean
        self.sent = sent
        self.received = received
        self.unsent = unsent

    @property
    def known_reason(self) -> _Codes | None:
        """The named code, or None where the registry has no name."""
        try:
            return _Codes(self.code) if self.code is not None else None
        except ValueError:
            return None

    @property
    def is_normal(self) -> bool:
        """Whether the code is 1000, 1001 or 1005 (none given): an end, not a failure."""
        return self.code in (1000, 1001, 1005)

    def __bool__(self) -> bool:
        return self.code is not None

    def __await__(self) -> Generator[object, None, CloseReason]:
        return self
        yield  # a generator that never yields: a final reason is there at once

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CloseReason):
            return NotImplemented
        return self.code == other.code and self.message == other.message

    def __hash__(self) -> int:
        return hash((self.code, self.message))

    def __repr__(self) -> str:
        if self.code is None:
            return "CloseReason(<still open>)"
        known = self.known_reason
        code = known.name if known is not None else self.code
        return f"CloseReason({code}, {self.message!r})" if self.message else f"CloseReason({code})"

    def __str__(self) -> str:
        if self.code is None:
            return "still open"
        known = self.known_reason
        text = f"{self.code} {known.name}" if known is not None else str(self.code)
        return f"{text}: {self.message}" if self.message else text
