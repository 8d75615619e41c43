"""The compiled loop over whole frames makes of every stream what its reference makes."""

from __future__ import annotations

import copy
import gc
import pickle
import random
import sys
from collections import deque
from typing import Any

import pytest

from ktor_client import _twin
from ktor_client.frames import Frame
from ktor_client.frames import frame as frame_room
from ktor_client.protocol import payload as payload_room
from tests.protocol.wire import BINARY, CONT, PING, TEXT, frame
from tests.speedups.differential import WRONG, compare, random_stream

STREAM = b"".join(
    [
        *(frame(TEXT, b""), frame(TEXT, b"abc"), frame(BINARY, b"abcd")),
        *(frame(TEXT, "€".encode() * 42), frame(BINARY, bytes(126)), frame(PING, b"ping")),
        *(frame(TEXT, b"in two ", fin=False), frame(CONT, b"pieces"), frame(BINARY, bytes(300))),
        frame(TEXT, "end 𝄞".encode()),
    ]
)


@pytest.mark.parametrize("seed", range(40))
def test_random_streams(core: Any, seed: int) -> None:
    source = random.Random(seed)
    for _ in range(50):
        compare(core, random_stream(source))


def test_every_cut(core: Any) -> None:
    for at in range(len(STREAM)):
        compare(core, (STREAM, 1000, [at]))
        compare(core, (STREAM[:at], 1000, []))


def test_every_limit(core: Any) -> None:
    for limit in range(1, 310):
        compare(core, (STREAM, limit, []))
    compare(core, (frame(BINARY, bytes(65536)), 65535, []))
    compare(core, (frame(BINARY, bytes(65536)), 1 << 64, []))


@pytest.mark.parametrize("wrong", WRONG)
def test_what_comes_before_wrong_utf8_is_delivered(core: Any, wrong: bytes) -> None:
    for before in range(4):
        compare(core, (frame(TEXT, b"good") * before + frame(TEXT, b"x" + wrong), 100, []))


@pytest.mark.parametrize("size", [0, 1, 2, 3, 9])
def test_headers_that_are_not_whole(core: Any, size: int) -> None:
    for head in (b"\x81\x7e\x01\x00", b"\x82\x7f" + (70_000).to_bytes(8, "big"), b"\x81\x05abc"):
        messages: deque[Frame] = deque()
        assert core.take_copied(head[:size], 1 << 30, messages) == 0
        assert not messages


def test_arguments_are_checked(core: Any) -> None:
    messages: deque[Frame] = deque()
    wrong: Any
    for wrong in ((), (b"",), (b"", 1, []), (1, 1, messages), (b"", "1", messages)):
        with pytest.raises(TypeError):
            core.take_copied(*wrong)
    for wrong in ((), (b"", -1, 1, messages), (b"", "0", 1, messages), (b"", 0, 1, None)):
        with pytest.raises(TypeError):
            core.take_plain(*wrong)
    with pytest.raises(OverflowError):
        core.take_plain(b"", 1 << 80, 1, messages)
    assert core.take_plain(memoryview(b"\x82\x00"), 7, 1, messages) == (7, 0)
    with pytest.raises(TypeError):
        core.new_binary()
    for wrong in (int, object(), None):
        with pytest.raises(TypeError):
            core.adopt(wrong)


def test_frames_are_those_of_the_class(core: Any) -> None:
    messages: deque[Frame] = deque()
    data = frame(TEXT, "é".encode()) + frame(BINARY, b"\x00\x01")
    assert core.take_copied(data, 100, messages) == len(data)
    text, binary = messages
    assert (type(text), type(binary)) == (Frame.Text, Frame.Binary)
    assert (text, binary) == (Frame.Text("é"), Frame.Binary(b"\x00\x01"))
    for one in (text, binary):
        assert repr(one) == repr(copy.copy(one)) == repr(pickle.loads(pickle.dumps(one)))
        assert hash(one) == hash(copy.deepcopy(one))
        assert one.fin
        assert sys.getrefcount(one) == sys.getrefcount(Frame.Text("")) + 3
        with pytest.raises(AttributeError):
            one.other = 1  # type: ignore[attr-defined]  # what this is about
    match text:
        case Frame.Text(found):
            assert found == "é"
        case _:
            raise AssertionError(text)
    assert isinstance(text, Frame.Text)
    with pytest.raises(AttributeError):
        text._data  # noqa: B018  # unset, as in every whole text


def test_made_frames_equal_those_of_the_reference(core: Any) -> None:
    text = _twin.references.get("new_text", frame_room.new_text)
    binary = _twin.references.get("new_binary", frame_room.new_binary)
    assert core.new_text("a") == text("a")
    for bits in ((), (0,), (1,), (0x40,)):
        assert repr(core.new_binary(b"a", *bits)) == repr(binary(b"a", *bits))
        assert core.new_binary(b"a", *bits) == binary(b"a", *bits)


def test_room_is_like_that_of_the_reference(core: Any) -> None:
    """Of whatever content, it is as long, and refuses the same sizes."""
    reference = _twin.references.get("new_room", payload_room.new_room)
    for size in (0, 1, 1000, 1 << 20):
        made = core.new_room(size)
        assert (type(made), len(made)) == (bytes, len(reference(size)))
    wrong: Any
    for wrong in (-1, 1 << 62, (1 << 63) - 1, 1 << 63, 1 << 70, "1", 1.0, None):
        with pytest.raises(Exception) as expected:  # noqa: PT011  # whatever the reference raises
            reference(wrong)
        with pytest.raises(expected.type):
            core.new_room(wrong)


def test_the_collector_has_nothing_to_look_at(core: Any) -> None:
    messages: deque[Frame] = deque()
    core.take_copied(frame(TEXT, b"a") * 2000, 100, messages)
    assert not any(map(gc.is_tracked, messages))


def test_nothing_is_left(core: Any) -> None:
    data = frame(TEXT, b"abc") * 3 + frame(BINARY, b"abc") + frame(TEXT, b"\xff")
    messages: deque[Frame] = deque()

    def counts() -> tuple[int, ...]:
        gc.collect()
        return (*map(sys.getrefcount, (Frame.Text, Frame.Binary)), len(gc.get_objects()))

    def rounds() -> tuple[int, ...]:
        for _ in range(2000):
            core.take_copied(data, 100, messages)
            messages.clear()
        return counts()

    rounds()
    assert rounds() == rounds()
