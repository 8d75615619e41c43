"""What a script may expect of a frame: does it fit, and how are both told to a reader."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from difflib import ndiff
from typing import TypeAlias

from ktor_client.frames import CloseFrame, CloseReason, Frame, FrameType, TextFrame
from ktor_client.functions import check_plain
from ktor_client.http.typed_json import to_json

__all__ = ["Expected", "describe", "difference", "fits", "holds", "show"]

Expected: TypeAlias = (
    "str | bytes | Frame | type[Frame] | re.Pattern[str] | Callable[[Frame], bool]"
)

SHORT = 20
"""Characters up to which two texts need no difference to be compared by eye."""


def fits(frame: Frame, expected: Expected) -> bool:
    """Whether the frame is what was expected."""
    if isinstance(expected, str):
        return isinstance(frame, TextFrame) and frame.text == expected
    if isinstance(expected, bytes):
        return frame == Frame.Binary(expected)
    if isinstance(expected, Frame):
        return frame == expected
    if isinstance(expected, type):
        return isinstance(frame, expected)
    if isinstance(expected, re.Pattern):
        return isinstance(frame, TextFrame) and expected.match(frame.text) is not None
    return bool(expected(frame))


def holds(frame: Frame, value: object) -> bool:
    """Whether the frame is a text that holds `value` as JSON."""
    if not isinstance(frame, TextFrame):
        return False
    try:
        return bool(json.loads(frame.text) == json.loads(to_json(value)))
    except ValueError:
        return False


def describe(expected: Expected) -> str:
    """Return what was expected, in words.

    Raises:
        TypeError: nothing that can be expected.
    """
    if isinstance(expected, str):
        return repr(Frame.Text(expected))
    if isinstance(expected, bytes):
        return repr(Frame.Binary(expected))
    if isinstance(expected, Frame):
        return show(expected)
    if expected is Frame:
        return "a message"
    if isinstance(expected, type) and issubclass(expected, Frame):
        return f"a {FrameType(expected.frame_type).name.title()} frame"
    if isinstance(expected, re.Pattern):
        return f"a text like {expected.pattern!r}"
    return _name(expected)  # pyright: ignore[reportUnknownArgumentType]  # a class at worst


def _name(predicate: object) -> str:
    if callable(predicate) and not isinstance(predicate, type):
        check_plain(predicate, "what expect asks about a message")
        return f"a message that {getattr(predicate, '__name__', repr(predicate))} accepts"
    raise TypeError(
        "expect takes str, bytes, a Frame, a kind of frame, a compiled pattern or a function, "
        f"not {predicate!r}; json= takes objects"
    )


def show(frame: Frame) -> str:
    """Return a frame as a reader wants it: a Close with its reason."""
    if isinstance(frame, CloseFrame):
        try:
            reason = frame.read_reason() or CloseReason(1005)
        except ValueError:
            return repr(frame)
        return f"Frame.Close({reason})"
    return repr(frame)


def difference(expected: str, received: Frame) -> str:
    """Return a line-by-line difference, where it says more than the two values do."""
    if not isinstance(received, TextFrame):
        return ""
    left, right = _lines(expected), _lines(received.text)
    if len(left) == len(right) == 1 and max(len(left[0]), len(right[0])) <= SHORT:
        return ""
    lines = [line.rstrip("\n") for line in ndiff(left, right)]
    return "Difference (- expected, + received):\n" + "\n".join(f"    {line}" for line in lines)


def _lines(text: str) -> list[str]:
    """Return the lines of a text; of JSON objects and arrays, one for each member."""
    if text[:1] in ("{", "["):
        try:
            return json.dumps(json.loads(text), indent=2, sort_keys=True).splitlines()
        except ValueError:
            pass
    return text.splitlines() or [""]
