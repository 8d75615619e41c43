"""Asking proxies for a tunnel, without a network: what is said, and which answers open it."""

from __future__ import annotations

import pytest

from ktor_client.engine.tunnel import (
    Conversation,
    Exactly,
    Send,
    Some,
    TunnelRefusedError,
    http_connect,
    socks5,
)


def talk(conversation: Conversation, answers: bytes, piece: int = 1) -> tuple[bytes, bytes]:
    """Play the proxy; return what it was sent, and what was left unread when the tunnel stood."""
    said = b""
    reply = b""
    while True:
        try:
            step = next(conversation) if not reply else conversation.send(reply)
        except StopIteration as end:
            return said, end.value + answers
        reply = b""
        if isinstance(step, Send):
            said += step.data
            continue
        if isinstance(step, Exactly):
            size = step.size
        else:
            assert isinstance(step, Some)
            size = min(piece, len(answers))
            assert size, "the proxy is waited for in vain"
        reply, answers = answers[:size], answers[size:]
        assert len(reply) == size, "the proxy was asked for more than it says"


OK = b"HTTP/1.1 200 Connection established\r\n\r\n"


@pytest.mark.parametrize("piece", [1, 7, 1000])
@pytest.mark.parametrize(
    ("host", "authority"), [("example.org", "example.org:443"), ("::1", "[::1]:443")]
)
def test_connect(host: str, authority: str, piece: int) -> None:
    said, rest = talk(http_connect(host, 443, None, None), OK + b"early", piece)
    assert said == f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode()
    assert rest == b"early"


@pytest.mark.parametrize(
    ("user", "password", "basic"),
    [("me", "secret", "bWU6c2VjcmV0"), ("me", None, "bWU6"), ("mé", "§", "bcOpOsKn")],
)
def test_connect_with_credentials(user: str, password: str | None, basic: str) -> None:
    said, _ = talk(http_connect("h", 80, user, password), OK)
    assert said.endswith(f"\r\nProxy-Authorization: Basic {basic}\r\n\r\n".encode())


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.0 200 OK",
        b"HTTP/1.1 200",
        b"HTTP/1.2 200 OK",
        b"HTTP/1.1 299 \r\nX: y",
        b"HTTP/1.1 204 No Content",
        b"HTTP/1.1 200 OK\nX: y",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: gzip",  # RFC 9110 9.3.6
    ],
)
def test_answers_that_open_the_tunnel(head: bytes) -> None:
    assert talk(http_connect("h", 80, None, None), head + b"\r\n\r\n")[1] == b""


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (b"HTTP/1.1 403 Forbidden", "it answered CONNECT with 403 Forbidden$"),
        (b"HTTP/1.1 502", "it answered CONNECT with 502$"),
        (b"HTTP/1.1 300 Many", "with 300 Many"),
        (b"HTTP/1.1 407 Who?", r"407 Who\?; it wants a user and a password in the proxy URL"),
        (b"HTTP/2 200 OK", "it does not speak HTTP"),
        (b"HTTP/1.1 20 OK", "it does not speak HTTP"),
        (b"HTTP/1.1 2000 OK", "it does not speak HTTP"),
        (b"SSH-2.0-x", "it does not speak HTTP"),
        (b"", "it does not speak HTTP"),
        (b"\x15\x03\x01", "it does not speak HTTP: it starts with"),
        (b"HTTP/1.1 407 \x1b[31m", "it does not speak HTTP: its head has the control character"),
        (b"HTTP/1.1 200 OK\r\nX : y", "it does not speak HTTP"),
        (b"HTTP/1.1 101 Switching", "it does not speak HTTP: it switches protocols"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 17, "more than 16 interim answers"),
    ],
)
def test_answers_that_do_not(head: bytes, message: str) -> None:
    with pytest.raises(TunnelRefusedError, match=message):
        talk(http_connect("h", 80, None, None), head + b"\r\n\r\n")


@pytest.mark.parametrize(
    ("field", "message"),
    [
        (b"", "it refused the user and the password of the proxy URL$"),
        (b'Basic realm="Digest, and more"', "it refused the user and the password"),
        (b'Digest realm="x", nonce="y", BASIC realm=x', "it refused the user and the password"),
        (b"Negotiate\r\nProxy-Authenticate: basic", "it refused the user and the password"),
        (b'Digest realm="Basic", nonce="y"', "it wants a login by Digest, and only Basic is known"),
        (b"Negotiate, NTLM", "it wants a login by Negotiate, and only Basic is known here$"),
        (b"NTLM\r\nProxy-Authenticate: Kerberos abc==", "it wants a login by NTLM, and only"),
    ],
)
def test_a_login_that_is_refused(field: bytes, message: str) -> None:
    head = b"HTTP/1.1 407 No\r\nProxy-Authenticate: %b\r\n\r\n" % field
    with pytest.raises(TunnelRefusedError, match=f"^it answered CONNECT with 407 No; {message}"):
        talk(http_connect("h", 80, "me", "pw"), head)


DONE = b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00"


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("example.org", b"\x03\x0bexample.org"),
        ("127.0.0.1", b"\x01\x7f\x00\x00\x01"),
        ("::1", b"\x04" + bytes(15) + b"\x01"),
        ("a" * 255, b"\x03\xff" + b"a" * 255),
    ],
)
def test_socks(host: str, address: bytes) -> None:
    said, rest = talk(socks5(host, 0x1F90, None, None), b"\x05\x00" + DONE + b"early")
    assert said == b"\x05\x01\x00" + b"\x05\x01\x00" + address + b"\x1f\x90"
    assert rest == b"early"


@pytest.mark.parametrize(
    "bound", [b"\x01" + bytes(6), b"\x04" + bytes(18), b"\x03\x03abc\x00\x00", b"\x03\x00\x00\x00"]
)
def test_socks_tells_an_address_of_any_kind(bound: bytes) -> None:
    assert talk(socks5("h", 1, None, None), b"\x05\x00\x05\x00\x00" + bound + b"x")[1] == b"x"


def test_socks_with_a_password() -> None:
    said, _ = talk(socks5("h", 1, "me", "pw"), b"\x05\x02\x01\x00" + DONE)
    assert said == b"\x05\x02\x00\x02" + b"\x01\x02me\x02pw" + b"\x05\x01\x00\x03\x01h\x00\x01"
    said, _ = talk(socks5("h", 1, "m", None), b"\x05\x02\x01\x00" + DONE)
    assert b"\x01\x01m\x00" in said
    said, _ = talk(socks5("h", 1, "me", "pw"), b"\x05\x00" + DONE)
    assert b"pw" not in said


@pytest.mark.parametrize(
    ("user", "password", "answers", "message"),
    [
        (None, None, b"\x04\x00", "it does not speak SOCKS5"),
        (None, None, b"\x05\xff", "it wants a user and a password in the proxy URL"),
        (None, None, b"\x05\x02", "it wants a user and a password in the proxy URL"),
        (None, None, b"\x05\x01", "it wants another login in the proxy URL"),
        ("me", "pw", b"\x05\xff", "it refused the user and the password of the proxy URL"),
        ("me", "pw", b"\x05\x01", "it wants another login"),
        ("me", "pw", b"\x05\x02\x01\x01", "it refused the user or the password"),
        ("", "pw", b"\x05\x02", "at most 255 bytes"),
        ("u" * 256, "pw", b"\x05\x02", "at most 255 bytes"),
        ("é" * 128, "pw", b"\x05\x02", "at most 255 bytes"),
        ("u", "p" * 256, b"\x05\x02", "at most 255 bytes"),
        (None, None, b"\x05\x00\x04\x00\x00\x01", "it does not speak SOCKS5"),
        (None, None, b"\x05\x00\x05\x00\x00\x02", "it does not speak SOCKS5"),
        (None, None, b"\x05\x00\x05\x01\x00\x01", "general failure"),
        (None, None, b"\x05\x00\x05\x04\x00\x01", "host unreachable"),
        (None, None, b"\x05\x00\x05\x05\x00\x01", "connection refused"),
        (None, None, b"\x05\x00\x05\x63\x00\x01", "SOCKS5 reply 99"),
    ],
)
def test_socks_answers_that_refuse(
    user: str | None, password: str | None, answers: bytes, message: str
) -> None:
    with pytest.raises(TunnelRefusedError, match=message):
        talk(socks5("h", 1, user, password), answers)


def test_a_name_too_long_for_socks() -> None:
    with pytest.raises(TunnelRefusedError, match="host names have at most 255 bytes"):
        talk(socks5("a" * 256, 1, None, None), b"\x05\x00" + DONE)
