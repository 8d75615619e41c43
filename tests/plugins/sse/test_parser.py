"""The grammar of event streams, in pieces of any size, beside a plain reading of the standard."""

from __future__ import annotations

import random

import pytest

from ktor_client.plugins import ServerSentEvent
from ktor_client.plugins.sse.parser import EventParser, EventTooLargeError


def parse(
    *pieces: bytes, shows_comments: bool = False, shows_retry: bool = False
) -> list[ServerSentEvent[str]]:
    parser = EventParser(max_size=1 << 20, shows_comments=shows_comments, shows_retry=shows_retry)
    return [event for piece in pieces for event in parser.feed(piece)]


def message(data: str, **parts: str | float) -> ServerSentEvent[str]:
    return ServerSentEvent(data, **parts)  # type: ignore[arg-type]  # the fields by their names


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: YHOO\ndata: +2\ndata: 10\n\n", [message("YHOO\n+2\n10")]),
        (b": test stream\n\ndata: first event\nid: 1\n\n"
         b"data:second event\nid\n\ndata:  third event\n\n",
         [message("first event", id="1"), message("second event", id=""),
          message(" third event", id="")]),
        (b"data\n\ndata\ndata\n\ndata:", [message(""), message("\n")]),
        (b"data:test\n\ndata: test\n\n", [message("test"), message("test")]),
        (b"event: add\ndata: 73857293\n\nevent: \ndata: x\n\n",
         [message("73857293", event="add"), message("x")]),
        (b"event: lost\n\ndata: a\n\n", [message("a")]),
        (b"data:a\r\rdata:b\r\n\r\ndata:c\n\r\n", [message("a"), message("b"), message("c")]),
        (b"\xef\xbb\xbfdata:a\n\n\xef\xbb\xbfdata:b\n\ndata:c\n\n", [message("a"), message("c")]),
        (b"data:\xff\xc3\n\n", [message("\ufffd\ufffd")]),
        (b"id: a\0b\ndata: x\n\n", [message("x")]),
        (b"retry: 1500\ndata: x\n\nretry: 1s\ndata: y\n\n",
         [message("x", retry=1.5), message("y")]),
        (b"unknown: x\n:\n: a: b\ndata: x\n\n", [message("x", comments="\na: b")]),
        (b"data: a\nid: 1", []),
    ],
)  # fmt: skip
def test_examples(stream: bytes, events: list[ServerSentEvent[str]]) -> None:
    assert parse(stream) == events
    assert parse(*(stream[at : at + 1] for at in range(len(stream)))) == events
    for cut in range(len(stream)):
        assert parse(stream[:cut], stream[cut:]) == events


def test_what_has_no_data_is_shown_where_it_is_wanted() -> None:
    stream = b": hello\n\nretry: 10\n\nevent: x\n\n"
    assert parse(stream) == []
    assert parse(stream, shows_comments=True) == [message("", comments="hello")]
    assert parse(stream, shows_retry=True) == [message("", retry=0.01)]


def test_an_event_is_out_with_the_last_byte_of_its_blank_line() -> None:
    parser = EventParser(max_size=100)
    assert parser.feed(b"data: a\r\n") == []
    assert parser.feed(b"\r") == [message("a")]
    assert parser.feed(b"\ndata: b\r\r") == [message("b")]
    assert parser.feed(b"\n") == []


def test_an_id_that_did_not_become_an_event_is_not_kept() -> None:
    parser = EventParser(max_size=100)
    parser.feed(b"id: 1\ndata: a\n\nid: 2\ndata: b\n")
    assert parser.last_id == "1"
    parser.feed(b"\n")
    assert parser.last_id == "2"


@pytest.mark.parametrize("size", [1, 7, 4096])
@pytest.mark.parametrize("stream", [b"data: " + b"x" * 100, b"data: " + b"x" * 100 + b"\n\n"])
def test_too_large(stream: bytes, size: int) -> None:
    parser = EventParser(max_size=100)
    assert parser.feed(b"data: small\n\n" * 50) == [message("small")] * 50
    with pytest.raises(EventTooLargeError):
        for at in range(0, len(stream), size):
            parser.feed(stream[at : at + size])


@pytest.mark.parametrize("size", [1, 7, 4096])
@pytest.mark.parametrize("length", [94, 95])
def test_what_is_too_large_does_not_depend_on_the_pieces(length: int, size: int) -> None:
    stream = b"data: a\n\ndata: " + b"x" * length + b"\n\ndata: b\n\n"
    parser, events = EventParser(max_size=100), list[ServerSentEvent[str]]()
    is_too_large = length > 94
    try:
        for at in range(0, len(stream), size):
            events += parser.feed(stream[at : at + size])
    except EventTooLargeError as error:
        events += error.events
    else:
        assert not is_too_large
    whole = [message("a"), message("x" * length), message("b")]
    assert events == (whole[:1] if is_too_large else whole)


def test_comments_without_a_blank_line_behind_them_do_not_add_up() -> None:
    parser = EventParser(max_size=100)
    for _ in range(100):
        assert parser.feed(b": still there\n") == []
    assert parser.feed(b"data: a\n:") == []
    for _ in range(100):
        assert parser.feed(b" still there\n:") == []
    assert parser.feed(b"\ndata: b\n\n") == [message("a\nb")]


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_a_retry_counts_without_a_blank_line(end: bytes) -> None:
    parser = EventParser(max_size=100)
    parser.feed(b"id: 1\n\nid: 2\ndata: lost\nretry: 20" + end)
    parser.end()
    assert (parser.retry, parser.last_id) == (0.02, "1")
    parser = EventParser(max_size=100)
    parser.feed(b"retry: 20")
    parser.end()
    assert parser.retry is None


def by_the_letter(stream: bytes) -> list[ServerSentEvent[str]]:
    """Read a stream as WHATWG HTML 9.2.6 puts it, line by line."""
    text = stream.decode("utf-8", "replace").removeprefix("\ufeff")
    *lines, _ = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    events: list[ServerSentEvent[str]] = []
    data, kind, buffer, last_id = "", "", None, None
    retry: float | None = None
    comments: list[str] = []
    for line in lines:
        field, colon, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            last_id = buffer
            if data:
                events.append(
                    ServerSentEvent(
                        data[:-1],
                        kind or "message",
                        last_id,
                        retry,
                        "\n".join(comments) if comments else None,
                    )
                )
            data, kind, retry, comments = "", "", None, []
        elif colon and not field:
            comments.append(value)
        elif field == "data":
            data += value + "\n"
        elif field == "event":
            kind = value
        elif field == "id" and "\0" not in value:
            buffer = value
        elif field == "retry" and value.isascii() and value.isdigit():
            retry = int(value) / 1000
    return events


PIECES = (
    "data", "data:", "data: ", "event:", "id:", "id: ", "retry:", "retry: 5", ":", " ", "x", "é",
    "\ufeff", "\n", "\n\n", "\r", "\r\n", "\r\n\r\n", "\n", "\0", "7", "😀", "\nevent: y\n",
)  # fmt: skip


@pytest.mark.parametrize("seed", range(20))
def test_random_streams_in_random_pieces(seed: int) -> None:
    source = random.Random(seed)
    for _ in range(150):
        stream = "".join(source.choices(PIECES, k=source.randrange(60))).encode()
        if source.random() < 0.2:
            stream = stream.replace(b"\xc3", b"\xff")
        cuts = sorted(source.choices(range(len(stream) + 1), k=source.randrange(6)))
        pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
        assert parse(*pieces) == by_the_letter(stream), (stream, pieces)
