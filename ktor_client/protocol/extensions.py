"""Extension negotiation (RFC 6455 9.1) and the interface that extensions implement.

Parsing and formatting `Sec-WebSocket-Extensions`, matching answers with offers, and conflicts of
RSV bits live here; permessage-deflate is in `deflate.py`, others may come from anywhere.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from typing import TypeAlias

from ktor_client.frames import Frame
from ktor_client.http.headers import is_token, token_begin

__all__ = [
    "ExtensionCodec",
    "ExtensionParameters",
    "WebSocketExtension",
    "check_conflicts",
    "close_codecs",
    "format_offer",
    "negotiate",
    "parse_extensions",
]

_quoted = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL).match
_escaped = re.compile(r"\\(.)", re.DOTALL).sub

ExtensionParameters: TypeAlias = list[tuple[str, str | None]]
"""Parameters in order; a value is None where the parameter stands alone."""


class ExtensionCodec(ABC):
    """One negotiated extension on one connection: it transforms payloads, message by message.

    Payloads of a message pass in order, each fragment once; control frames never come here.
    """

    @abstractmethod
    def encode(self, payload: bytes, *, first: bool, fin: bool) -> bytes:
        """Transform what is sent. Called only when `wants` said yes for the message."""

    @abstractmethod
    def decode(self, payload: bytes, *, first: bool, fin: bool, limit: int) -> bytes:
        """Transform what came. Called only for messages whose first frame has our RSV bit.

        An extension without RSV bits is called for every message.

        Raises:
            Violation: the payload is illegal, or its result would exceed `limit` bytes. Any other
                exception ends the session with 1011, and is the cause of its error.
        """

    def wants(self, frame: Frame) -> bool:
        """Whether to transform this outgoing message; with fragments, by the first one."""
        return True

    def unsent(self) -> None:  # noqa: B027  # most extensions keep nothing in mind
        """Take note that what `encode` made last was not sent: something has failed meanwhile."""

    def close(self) -> None:  # noqa: B027  # most extensions hold nothing
        """Free what is held. Nothing is called afterwards."""


class WebSocketExtension(ABC):
    """An extension that a user installs: it offers itself and makes an `ExtensionCodec` per
    connection.

    An instance holds options only, so that it can serve many connections.
    """

    name: str
    """Registered extension token."""
    rsv: int = 0
    """RSV bits that are ours, as in the first byte of a frame: 0x40, 0x20, 0x10."""

    @abstractmethod
    def offers(self) -> Sequence[ExtensionParameters]:
        """Return the parameter lists to offer, best first."""

    @abstractmethod
    def accept(self, parameters: ExtensionParameters) -> ExtensionCodec:
        """Take the server's answer.

        Raises:
            ValueError: the answer does not fit what was offered.
        """

    def agree(
        self, parameters: ExtensionParameters
    ) -> tuple[ExtensionParameters, ExtensionCodec] | None:
        """Answer an offer on the server's side; None declines it, which is the default."""
        return None


def check_conflicts(extensions: Sequence[WebSocketExtension]) -> None:
    """Refuse extensions that cannot work together.

    Raises:
        ValueError: two claim the same RSV bit or have the same name, or a name is no token.
    """
    claimed: dict[int, str] = {}
    names: set[str] = set()
    for extension in extensions:
        name = extension.name
        if not is_token(name):
            raise ValueError(f"{name!r} is not an extension name (RFC 6455 9.1)")
        if name in names:
            raise ValueError(f"extension {name} is installed twice")
        names.add(name)
        if extension.rsv & ~0x70:
            raise ValueError(f"extension {name} claims bits {extension.rsv:#x} outside RSV1..RSV3")
        for bit in (0x40, 0x20, 0x10):
            if extension.rsv & bit:
                if bit in claimed:
                    number = {0x40: 1, 0x20: 2, 0x10: 3}[bit]
                    raise ValueError(f"extensions {claimed[bit]} and {name} both claim RSV{number}")
                claimed[bit] = name


def format_offer(extensions: Sequence[WebSocketExtension]) -> str:
    """Return the value of `Sec-WebSocket-Extensions` that offers all of them; "" for none."""
    return ", ".join(
        format_extension(extension.name, parameters)
        for extension in extensions
        for parameters in extension.offers()
    )


def format_extension(name: str, parameters: ExtensionParameters) -> str:
    """Return one element of the header.

    Raises:
        ValueError: a name or a value is no token (RFC 6455 9.1).
    """
    parts = [name]
    for key, value in parameters:
        if not is_token(key) or not (value is None or is_token(value)):
            raise ValueError(f"extension {name}: {key}={value!r} cannot be a parameter")
        parts.append(key if value is None else f"{key}={value}")
    return "; ".join(parts)


def negotiate(
    header: str, installed: Sequence[WebSocketExtension]
) -> list[tuple[WebSocketExtension, ExtensionCodec, str]]:
    """Match the server's answer with what was offered, in the order of the answer.

    Raises:
        ValueError: an extension that nobody offered, one twice, illegal parameters, or a header
            that cannot be parsed (RFC 6455 4.1 item 5, 9.1).
    """
    result: list[tuple[WebSocketExtension, ExtensionCodec, str]] = []
    try:
        for name, parameters in parse_extensions(header):
            matching = [extension for extension in installed if extension.name == name]
            if not matching:
                raise ValueError(f"the server chose extension {name!r}, which was not offered")
            if any(extension is matching[0] for extension, _, _ in result):
                raise ValueError(f"the server chose extension {name!r} twice")
            shown = format_extension(name, parameters)
            result.append((matching[0], matching[0].accept(parameters), shown))
    except BaseException:
        close_codecs(codec for _, codec, _ in result)
        raise
    return result


def close_codecs(codecs: Iterable[ExtensionCodec]) -> None:
    """Free what codecs hold: each one, whatever another raises."""
    with ExitStack() as stack:
        for codec in codecs:
            stack.callback(codec.close)


def parse_extensions(header: str) -> list[tuple[str, ExtensionParameters]]:
    """Parse `Sec-WebSocket-Extensions`, quoted strings included.

    Raises:
        ValueError: the header does not follow the grammar of RFC 6455 9.1.
    """
    parser = _Parser(header)
    result: list[tuple[str, ExtensionParameters]] = []
    while True:
        while parser.take(","):
            pass
        if parser.at_end():
            return result
        name = parser.token()
        parameters: ExtensionParameters = []
        while parser.take(";"):
            key = parser.token()
            parameters.append((key, parser.value() if parser.take("=") else None))
        result.append((name, parameters))
        if not parser.at_end() and not parser.take(","):
            raise ValueError(f"expected ',' in Sec-WebSocket-Extensions at {parser.rest()!r}")


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._skip()

    def _skip(self, size: int = 0) -> None:
        self._at += size
        while self._text[self._at : self._at + 1] in (" ", "\t"):
            self._at += 1

    def at_end(self) -> bool:
        return self._at == len(self._text)

    def rest(self) -> str:
        return self._text[self._at :][:40]

    def take(self, mark: str) -> bool:
        is_there = self._text.startswith(mark, self._at)
        if is_there:
            self._skip(len(mark))
        return is_there

    def token(self) -> str:
        found = token_begin(self._text, self._at)
        if found is None:
            raise ValueError(f"expected a token in Sec-WebSocket-Extensions at {self.rest()!r}")
        self._skip(len(found[0]))
        return found[0]

    def value(self) -> str:
        if not self._text.startswith('"', self._at):
            return self.token()
        found = _quoted(self._text, self._at)
        if found is None:
            raise ValueError("unterminated quoted string in Sec-WebSocket-Extensions")
        self._skip(len(found[0]))
        value = _escaped(r"\1", found[1])
        if not is_token(value):
            raise ValueError(f"quoted value {value!r} is not a token once unquoted")
        return value
