"""CONNECT and SOCKS5 as conversations: what is written, and what an answer leads to."""

from __future__ import annotations

import pytest

from ktor_client.protocol.tunnel import (
    Conversation,
    Exactly,
    Send,
    TunnelRefusedError,
    Until,
    http_connect,
    socks5,
)


def talk(conversation: Conversation, answers: bytes) -> bytes:
    """Hold a conversation with a proxy that says `answers`; return what was written."""
    written = b""
    try:
        step = next(conversation)
        while True:
            if isinstance(step, Send):
                written += step.data
                answer = b""
            elif isinstance(step, Exactly):
                answer, answers = answers[: step.size], answers[step.size :]
                assert len(answer) == step.size, "the proxy's answer is too short"
            else:
                assert isinstance(step, Until)
                head, mark, answers = answers.partition(step.mark)
                assert len(head + mark) <= step.limit
                answer = head + mark
            step = conversation.send(answer)
    except StopIteration:
        assert answers == b"", "bytes of the proxy were not read"
        return written


OK = b"HTTP/1.1 200 OK\r\n\r\n"


def test_connect() -> None:
    assert talk(http_connect("example.org", 443, None, None), OK) == (
        b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n"
    )


def test_connect_to_ipv6_with_credentials() -> None:
    assert talk(http_connect("::1", 80, "Aladdin", "open sesame"), OK) == (
        b"CONNECT [::1]:80 HTTP/1.1\r\nHost: [::1]:80\r\n"
        b"Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n"
    )
    assert b"Basic YTo=" in talk(http_connect("h", 80, "a", None), OK)


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.0 200\r\n\r\n", b"HTTP/1.1 299 Fine\r\nContent-Length: 5\r\n\r\n"],
)
def test_any_2xx_is_a_tunnel(answer: bytes) -> None:
    talk(http_connect("h", 80, None, None), answer)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (b"HTTP/1.1 199 x\r\n\r\n", "199 x"),
        (b"HTTP/1.1 301 Away\r\n\r\n", "301 Away"),
        (b"HTTP/1.1 407 \r\n\r\n", "407; it wants a user"),
        (b"HTTP/2 200\r\n\r\n", "does not speak HTTP"),
        (b"\r\n\r\n", "does not speak HTTP"),
    ],
)
def test_any_other_answer_is_none(answer: bytes, text: str) -> None:
    with pytest.raises(TunnelRefusedError, match=text):
        talk(http_connect("h", 80, None, None), answer)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("example.org", b"\x03\x0bexample.org"),
        ("127.0.0.1", b"\x01\x7f\x00\x00\x01"),
        ("::1", b"\x04" + bytes(15) + b"\x01"),
    ],
)
@pytest.mark.parametrize("bound", [b"\x01" + bytes(6), b"\x04" + bytes(18), b"\x03\x02hi\x00\x50"])
def test_socks(host: str, address: bytes, bound: bytes) -> None:
    answers = b"\x05\x00" + b"\x05\x00\x00" + bound
    assert talk(socks5(host, 443, None, None), answers) == (
        b"\x05\x01\x00" + b"\x05\x01\x00" + address + b"\x01\xbb"
    )


def test_socks_with_a_password() -> None:
    answers = b"\x05\x02" + b"\x01\x00" + b"\x05\x00\x00\x01" + bytes(6)
    assert talk(socks5("h", 80, "ü", "pw"), answers) == (
        b"\x05\x02\x00\x02" + b"\x01\x02\xc3\xbc\x02pw" + b"\x05\x01\x00\x03\x01h\x00\x50"
    )


def test_socks_does_not_insist_on_the_password() -> None:
    answers = b"\x05\x00" + b"\x05\x00\x00\x01" + bytes(6)
    assert b"pw" not in talk(socks5("h", 80, "user", "pw"), answers)


@pytest.mark.parametrize(
    ("user", "password", "answers", "text"),
    [
        (None, None, b"\x04\x00", "does not speak SOCKS5"),
        (None, None, b"\x05\xff", "wants a user and a password"),
        (None, None, b"\x05\x01", "wants another login"),
        ("u", "p", b"\x05\x02\x01\x05", "refused the user or the password"),
        ("", "p", b"\x05\x02", "at most 255 bytes"),
        ("u", "p" * 256, b"\x05\x02", "at most 255 bytes"),
        (None, None, b"\x05\x00\x00\x00\x00\x01", "does not speak SOCKS5"),
        (None, None, b"\x05\x00\x05\x01\x00\x01", "general failure"),
        (None, None, b"\x05\x00\x05\x04\x00\x01", "host unreachable"),
        (None, None, b"\x05\x00\x05\x09\x00\x01", "SOCKS5 reply 9"),
    ],
)
def test_socks_refused(user: str | None, password: str | None, answers: bytes, text: str) -> None:
    with pytest.raises(TunnelRefusedError, match=text):
        talk(socks5("h", 80, user, password), answers)


def test_socks_and_a_name_that_is_too_long() -> None:
    with pytest.raises(TunnelRefusedError, match="host names"):
        talk(socks5("a" * 256, 80, None, None), b"\x05\x00")
