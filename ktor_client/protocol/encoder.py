"""The sending half of the codec (RFC 6455 5): frames in, bytes out.

Headers, masking, the order of fragments, and the extensions' transforms live here. When bytes are
written is the link's business; `link/sender.py` has its own short cut for plain frames, which gives
the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct

from ktor_client.frames import NOT_FINAL, NOT_UTF8, RSV_MASK, Frame, FrameType
from ktor_client.protocol.extensions import ExtensionCodec
from ktor_client.protocol.masking import Mask, fresh_key, mask_bytes, take_key

__all__ = ["FrameEncoder"]

LONG = 0x10000
"""Bytes from which on the length stands in eight bytes."""

SHORT_HEADERS = [[bytes((first, 0x80 | size)) for size in range(126)] for first in (0x82, 0x81)]
"""The first two bytes of masked final frames of up to 125 bytes: of binary ones, of text ones."""

header_16 = Struct(">BBH").pack
header_64 = Struct(">BBQ").pack


class FrameEncoder:
    """Turns frames into bytes, masked or not, and holds the state of an unfinished message."""

    def __init__(
        self,
        *,
        masked: bool = True,
        extensions: Sequence[tuple[int, ExtensionCodec]] = (),
        raw: bool = False,
        mask: Mask = mask_bytes,
    ) -> None:
        """Start a direction.

        Args:
            masked: True on the client's side.
            extensions: RSV bits and codec of each negotiated extension, in negotiated order.
            raw: whether frames go out as they are, untransformed.
            mask: a faster XOR than ours.
        """
        self.masked = masked
        self._extensions = () if raw else tuple(extensions)
        self._allowed_rsv = 0
        for rsv, _ in extensions:
            self._allowed_rsv |= rsv
        self._raw = raw
        self._mask = mask
        self._type: FrameType | None = None
        self._active: Sequence[tuple[int, ExtensionCodec]] = ()

    @property
    def in_message(self) -> bool:
        """Whether a fragment was sent whose message is not finished."""
        return self._type is not None

    @property
    def transforms(self) -> bool:
        """Whether any extension looks at outgoing messages."""
        return bool(self._extensions)

    def encode(self, frame: Frame) -> bytes:
        """Return the frame's bytes.

        Raises:
            ValueError: the frame does not continue the unfinished message, or has an RSV bit that
                no extension explains.
        """
        kind, bits, payload = frame.frame_type, frame._bits, frame.data
        fin, rsv = not bits & NOT_FINAL, bits & RSV_MASK
        if kind >= 8:
            if rsv:
                raise ValueError("a control frame has no RSV bits here (RFC 6455 5.2)")
            return self.frame(0x80 | kind, payload)
        unfinished = self._type
        first = unfinished is None
        if unfinished is not None and kind is not unfinished:
            raise ValueError(
                f"a {kind.name} frame cannot continue an unfinished {unfinished.name} message"
            )
        if rsv & ~self._allowed_rsv or (rsv and not self._raw):
            raise ValueError("RSV bits are set by negotiated extensions only (RFC 6455 5.2)")
        if bits & NOT_UTF8 and not self._raw:
            raise ValueError("a text that is not UTF-8 can be sent by raw sessions only")
        if self._extensions:
            if first:
                self._active = [pair for pair in self._extensions if pair[1].wants(frame)]
            for own, codec in self._active:
                payload = codec.encode(payload, first=first, fin=fin)
                if first:
                    rsv |= own
        self._type = None if fin else kind
        return self.frame((0x80 if fin else 0) | rsv | (kind if first else 0), payload)

    def frame(self, first: int, payload: bytes) -> bytes:
        """Return a frame with that first byte: header, key and masked payload."""
        head, key = self.head(first, len(payload))
        return head + (self._mask(payload, key) if self.masked else payload)

    def head(self, first: int, size: int) -> tuple[bytes, bytes]:
        """Return what comes before the payload, and the key in it; b"" where nothing is masked."""
        mask_bit = 0x80 if self.masked else 0
        if size < 126:
            header = bytes((first, mask_bit | size))
        elif size < LONG:
            header = header_16(first, mask_bit | 126, size)
        else:
            header = header_64(first, mask_bit | 127, size)
        if not self.masked:
            return header, b""
        try:
            key = take_key()
        except IndexError:
            key = fresh_key()
        return header + key, key
