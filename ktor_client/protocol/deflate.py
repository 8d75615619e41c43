"""permessage-deflate (RFC 7692): options, negotiation, and the codec on zlib.

zlib objects are made when the first message needs them and dropped at once where no context is
kept. Inflating is capped: a bomb costs at most the message limit.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable

from ktor_client.frames import RSV1, Frame
from ktor_client.functions import check_plain
from ktor_client.protocol.extensions import (
    ExtensionCodec,
    ExtensionParameters,
    WebSocketExtension,
)
from ktor_client.protocol.violation import Violation

__all__ = ["WebSocketDeflate"]

_TAIL = b"\x00\x00\xff\xff"
_EMPTY = b"\x00"
_MAX_WINDOW_BITS = 15
_MAX_STREAMS = 64
"""Deflate streams that one fragment may hold: each one more costs a copy of what follows it."""


class WebSocketDeflate(WebSocketExtension):
    """Compress messages: `install(WebSockets, extensions=[WebSocketDeflate()])`."""

    name = "permessage-deflate"
    rsv = RSV1

    def __init__(
        self,
        *,
        client_max_window_bits: int = _MAX_WINDOW_BITS,
        server_max_window_bits: int = _MAX_WINDOW_BITS,
        client_no_context_takeover: bool = False,
        server_no_context_takeover: bool = False,
        level: int = 6,
        mem_level: int = 8,
        threshold: int = 0,
        compress_if: Callable[[Frame], bool] | None = None,
        max_inflated_size: int | None = None,
    ) -> None:
        """Check and keep the options.

        Args:
            client_max_window_bits: log2 of the window that we compress with, 8..15.
            server_max_window_bits: the largest window that the server may use, 8..15; saves memory
                here.
            client_no_context_takeover: forget the window after each message that we send.
            server_no_context_takeover: ask the server to do so.
            level: zlib level 0..9, or -1 for zlib's default.
            mem_level: zlib memory level 1..9.
            threshold: bytes; shorter messages go uncompressed.
            compress_if: called for each message above the threshold (Ktor's `compressIf`).
            max_inflated_size: bytes; the limit for compressed messages if below the session's
                `max_frame_size`.

        Raises:
            ValueError: an option out of its range.
        """
        _within("client_max_window_bits", client_max_window_bits, 8, 15)
        _within("server_max_window_bits", server_max_window_bits, 8, 15)
        _within("level", level, -1, 9)
        _within("mem_level", mem_level, 1, 9)
        check_plain(compress_if, "compress_if")
        if threshold < 0:
            raise ValueError("threshold must not be negative")
        if max_inflated_size is not None and max_inflated_size < 1:
            raise ValueError("max_inflated_size must be at least 1")
        self.client_max_window_bits = client_max_window_bits
        self.server_max_window_bits = server_max_window_bits
        self.client_no_context_takeover = client_no_context_takeover
        self.server_no_context_takeover = server_no_context_takeover
        self.level = level
        self.mem_level = mem_level
        self.threshold = threshold
        self.compress_if = compress_if
        self.max_inflated_size = max_inflated_size

    def offers(self) -> list[ExtensionParameters]:
        """Offer what the options ask for; `client_max_window_bits` always (RFC 7692 7.1.2.2)."""
        parameters: ExtensionParameters = []
        if self.server_no_context_takeover:
            parameters.append(("server_no_context_takeover", None))
        if self.client_no_context_takeover:
            parameters.append(("client_no_context_takeover", None))
        if self.server_max_window_bits < _MAX_WINDOW_BITS:
            parameters.append(("server_max_window_bits", str(self.server_max_window_bits)))
        bits = self.client_max_window_bits
        parameters.append(("client_max_window_bits", str(bits) if bits < 15 else None))
        return [parameters]

    def accept(self, parameters: ExtensionParameters) -> DeflateCodec:
        """Take the server's answer (RFC 7692 7.1)."""
        found = _checked(parameters)
        for name in ("server_max_window_bits", "client_max_window_bits"):
            if name in found and found[name] is None:
                raise ValueError(f"{name} needs a value in the answer")
        server_bits = found.get("server_max_window_bits")
        if server_bits is not None:
            if server_bits > self.server_max_window_bits:
                raise ValueError(
                    f"server_max_window_bits={server_bits} is more than the "
                    f"{self.server_max_window_bits} that was offered"
                )
        elif self.server_max_window_bits < _MAX_WINDOW_BITS:
            raise ValueError("the server ignored server_max_window_bits but accepted the offer")
        if self.server_no_context_takeover and "server_no_context_takeover" not in found:
            raise ValueError("the server ignored server_no_context_takeover but accepted the offer")
        client_bits = found.get("client_max_window_bits") or _MAX_WINDOW_BITS
        mine = min(self.client_max_window_bits, client_bits)
        return DeflateCodec(
            self,
            send_bits=mine,
            receive_bits=server_bits or _MAX_WINDOW_BITS,
            keep_send=not (
                self.client_no_context_takeover or "client_no_context_takeover" in found
            ),
            keep_receive="server_no_context_takeover" not in found,
        )

    def agree(
        self, parameters: ExtensionParameters
    ) -> tuple[ExtensionParameters, DeflateCodec] | None:
        """Answer a client's offer, for servers in tests; None where it cannot be honoured."""
        try:
            found = _checked(parameters)
        except ValueError:
            return None
        offered = found.get("server_max_window_bits")
        if "server_max_window_bits" in found and offered is None:
            return None
        send_bits = min(offered or _MAX_WINDOW_BITS, self.server_max_window_bits)
        answer: ExtensionParameters = []
        keep_send = not (self.server_no_context_takeover or "server_no_context_takeover" in found)
        keep_receive = not (
            self.client_no_context_takeover or "client_no_context_takeover" in found
        )
        if not keep_send:
            answer.append(("server_no_context_takeover", None))
        if not keep_receive:
            answer.append(("client_no_context_takeover", None))
        if "server_max_window_bits" in found or send_bits < _MAX_WINDOW_BITS:
            answer.append(("server_max_window_bits", str(send_bits)))
        receive_bits = _MAX_WINDOW_BITS
        if "client_max_window_bits" in found:
            asked = found["client_max_window_bits"] or _MAX_WINDOW_BITS
            receive_bits = min(asked, self.client_max_window_bits)
            if receive_bits < _MAX_WINDOW_BITS:
                answer.append(("client_max_window_bits", str(receive_bits)))
        codec = DeflateCodec(
            self,
            send_bits=send_bits,
            receive_bits=receive_bits,
            keep_send=keep_send,
            keep_receive=keep_receive,
        )
        return answer, codec

    def __repr__(self) -> str:
        return f"WebSocketDeflate(level={self.level}, threshold={self.threshold})"


class DeflateCodec(ExtensionCodec):
    """The state of permessage-deflate on one connection."""

    def __init__(
        self,
        options: WebSocketDeflate,
        *,
        send_bits: int,
        receive_bits: int,
        keep_send: bool,
        keep_receive: bool,
    ) -> None:
        self._options = options
        self.send_bits = send_bits
        self.receive_bits = receive_bits
        self.keep_send = keep_send
        self.keep_receive = keep_receive
        # zlib is asked for one byte more, to tell what is too long.
        self._own_limit = min(options.max_inflated_size or sys.maxsize, sys.maxsize - 1)
        self._deflater: zlib._Compress | None = None
        self._inflater: zlib._Decompress | None = None
        self._inflated = 0
        self._is_tail_due = False

    def wants(self, frame: Frame) -> bool:
        """Whether the message is long enough and the user's `compress_if` agrees."""
        options = self._options
        if options.threshold and len(frame.data) < options.threshold:
            return False
        return options.compress_if is None or options.compress_if(frame)

    def encode(self, payload: bytes, *, first: bool, fin: bool) -> bytes:
        """Compress one fragment; the last one loses its 00 00 FF FF (RFC 7692 7.2.1)."""
        if fin and first and not payload:
            return _EMPTY
        deflater = self._deflater
        if deflater is None:
            deflater = self._deflater = zlib.compressobj(
                self._options.level,
                zlib.DEFLATED,
                _zlib_bits(self.send_bits),
                self._options.mem_level,
            )
        result = deflater.compress(payload) + deflater.flush(zlib.Z_SYNC_FLUSH)
        if fin:
            result = result.removesuffix(_TAIL) or _EMPTY
            if not self.keep_send:
                self._deflater = None
        return result

    def unsent(self) -> None:
        """Begin a new window: the peer's does not have what was compressed."""
        self._deflater = None

    def decode(self, payload: bytes, *, first: bool, fin: bool, limit: int) -> bytes:
        """Inflate one fragment, never beyond `limit` bytes for the message so far."""
        if first:
            self._inflated = 0
            self._is_tail_due = False
            if fin:
                return self._decode_whole(payload, limit)
        result = self._inflate(payload, limit)
        if fin:
            if self._is_tail_due:
                result += self._inflate(_TAIL, limit)
            if not self.keep_receive:
                self._inflater = None
        return result

    def _decode_whole(self, payload: bytes, limit: int) -> bytes:
        """Inflate a message that is not fragmented, payload and tail in one go: the hot path."""
        if not payload:
            return b""
        inflater = self._inflater
        if inflater is None:
            inflater = self._inflater = zlib.decompressobj(_zlib_bits(self.receive_bits))
        allowed = limit if limit < self._own_limit else self._own_limit
        try:
            result = inflater.decompress(payload + _TAIL, allowed + 1)
        except zlib.error as error:
            raise _damaged(error) from error
        if len(result) > allowed:
            raise self._too_big(limit)
        if inflater.eof:
            self._inflated = len(result)
            rest = self._next_stream(inflater, has_tail=True)
            result += self._inflate(rest, limit, has_tail=True)
        if not self.keep_receive:
            self._inflater = None
        return result

    def _inflate(self, data: bytes, limit: int, *, has_tail: bool = False) -> bytes:
        allowed = min(limit, self._own_limit)
        result = b""
        # A block with BFINAL ends the deflate stream (RFC 7692 7.2.3.4); what stands behind it
        # begins a new one.
        for _ in range(_MAX_STREAMS):
            if not data:
                break
            self._is_tail_due = True
            if self._inflater is None:
                self._inflater = zlib.decompressobj(_zlib_bits(self.receive_bits))
            room = allowed - self._inflated - len(result)
            try:
                result += self._inflater.decompress(data, max(room, 0) + 1)
            except zlib.error as error:
                raise _damaged(error) from error
            if self._inflated + len(result) > allowed:
                raise self._too_big(limit)
            if not self._inflater.eof:
                break
            data = self._next_stream(self._inflater, has_tail=has_tail)
        else:
            raise _damaged("it ends again and again")
        self._inflated += len(result)
        return result

    def _next_stream(self, ended: zlib._Decompress, *, has_tail: bool) -> bytes:
        """Return what stands behind a deflate stream that has ended."""
        self._inflater = None
        self._is_tail_due = False
        data = ended.unused_data
        # Our tail is not due where nobody sent a stream that it ends.
        return b"" if has_tail and data == _TAIL else data

    def _too_big(self, limit: int) -> Violation:
        own = self._own_limit
        option = "max_inflated_size" if own < limit else "max_frame_size"
        return Violation.too_big(None, min(own, limit), option)

    def close(self) -> None:
        """Free the windows."""
        self._deflater = None
        self._inflater = None


def _zlib_bits(bits: int) -> int:
    """Return what zlib is asked for: raw deflate, with 9 for 8, which it does not have.

    Compressing with a window of 512 bytes it never looks back further than 250 (its `MAX_DIST`), so
    whoever has 256 can follow.
    """
    return -max(bits, 9)


def _damaged(why: object) -> Violation:
    return Violation.protocol(f"Compressed data is damaged: {why}")


def _within(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name} must be within {low}..{high}, not {value}")


def _checked(parameters: ExtensionParameters) -> dict[str, int | None]:
    """Check names, repetitions and values (RFC 7692 7.1); window bits come back as numbers."""
    found: dict[str, int | None] = {}
    for name, value in parameters:
        if name in found:
            raise ValueError(f"parameter {name} is given twice")
        if name in ("server_no_context_takeover", "client_no_context_takeover"):
            if value is not None:
                raise ValueError(f"parameter {name} takes no value")
            found[name] = None
        elif name in ("server_max_window_bits", "client_max_window_bits"):
            if value is None:
                found[name] = None
            elif value in {"8", "9", "10", "11", "12", "13", "14", "15"}:
                found[name] = int(value)
            else:
                raise ValueError(f"parameter {name}={value} is not within 8..15")
        else:
            raise ValueError(f"parameter {name} is not one of permessage-deflate")
    return found
