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

    __slots__ = ("_active", "_allowed_rsv", "_extensions", "_mask", "_raw", "_unfinished", "masked")

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
        self._raw = raw
        self._allowed_rsv = sum(rsv for rsv, _ in extensions) if raw else 0
        self._unfinished: FrameType | None = None
        self._mask = mask
        self._active: Sequence[tuple[int, ExtensionCodec]] = ()

    @property
    def in_message(self) -> bool:
        """Whether a fragment was sent whose message is not finished."""
        return self._unfinished is not None

    @property
    def transforms(self) -> bool:
        """Whether any extension looks at outgoing messages."""
        return bool(self._extensions)

    def encode(self, frame: Frame) -> bytes:
        """Return the frame's bytes.

        Raises:
            ValueError: the frame does not continue the unfinished message, or has an RSV bit that
                no extension explains.

        Should an extension raise, or memory run out, it is as if the frame had never been there.
        """
        kind, bits, payload = frame.frame_type, frame._bits, frame.data
        if kind >= 8:
            if bits & RSV_MASK:
                raise ValueError("a control frame has no RSV bits here (RFC 6455 5.2)")
            return self.frame(0x80 | kind, payload)
        self._check(kind, bits)
        first, fin, rsv = not self.in_message, not bits & NOT_FINAL, bits & RSV_MASK
        if self._extensions and first:
            self._active = [pair for pair in self._extensions if pair[1].wants(frame)]
        try:
            for own, codec in self._active:
                payload = codec.encode(payload, first=first, fin=fin)
                if first:
                    rsv |= own
            data = self.frame((0x80 if fin else 0) | rsv | (kind if first else 0), payload)
        except BaseException:
            for _, codec in self._active:
                codec.unsent()
            raise
        self._unfinished = None if fin else kind
        return data

    def _check(self, kind: FrameType, bits: int) -> None:
        """Check that a data frame may come next (RFC 6455 5.2, 5.4)."""
        if self._unfinished not in (None, kind):
            raise ValueError(
                f"a {kind.name} frame cannot continue an unfinished {self._unfinished.name} message"
            )
        if bits & RSV_MASK & ~self._allowed_rsv:
            raise ValueError("RSV bits are set by negotiated extensions only (RFC 6455 5.2)")
        if bits & NOT_UTF8 and not self._raw:
            raise ValueError("a text that is not UTF-8 can be sent by raw sessions only")

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
