"""Answers that other parsers are tried on, and what ours makes of each; by the kinds of llhttp.

Written anew after the subjects of llhttp's public tests for responses (release 9.4). What llhttp,
as it comes, makes of a case otherwise stands beside it, with the section that decides it for us.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["CASES", "Case"]


class Case(NamedTuple):
    """An answer, and what it is: refused, or a status with a body."""

    kind: str
    what: str
    answer: bytes
    status: int = 0
    """0 where it is refused."""
    body: bytes = b""
    keeps: bool = False
    """Whether the connection may be used again, were there no surplus."""
    surplus: bytes = b""
    section: str = ""
    """What decides it for us, where llhttp does the other thing."""
    method: str = "GET"


OK = b"HTTP/1.1 200 OK\r\n"
EVIL = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL"
LENGTH = b"Content-Length: 2\r\n"
TWO = LENGTH + b"\r\nhi"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
ENDED = b"2\r\nhi\r\n0\r\n\r\n"
HUGE = b"F" * 16

LINE, FIELDS, SIZES, CODINGS, CHUNKS, KEPT = (
    "status lines", "fields", "lengths", "transfer codings", "chunks", "kept connections",
)  # fmt: skip


def _chunked(what: str, body: bytes, content: bytes | None = None, section: str = "") -> Case:
    """Return a case of chunks; refused without `content`."""
    answer = OK + CHUNKED + b"\r\n" + body
    if content is None:
        return Case(CHUNKS, what, answer, section=section)
    return Case(CHUNKS, what, answer, 200, content, keeps=True, section=section)


def _coding(what: str, value: bytes, section: str = "") -> Case:
    """Return a case of a transfer coding that is refused."""
    answer = OK + b"Transfer-Encoding: " + value + b"\r\n\r\n" + ENDED
    return Case(CODINGS, what, answer, section=section)


def _length(what: str, value: bytes, section: str = "") -> Case:
    """Return a case of a length that is refused."""
    return Case(SIZES, what, OK + b"Content-Length:" + value + b"\r\n\r\nhi", section=section)


CASES: tuple[Case, ...] = (
    Case(LINE, "a plain answer", OK + b"A: b\r\nC:\t d\r\n" + TWO, 200, b"hi", keeps=True),
    Case(LINE, "a letter is missing", b"HTP/1.1 200 OK\r\n" + TWO),
    Case(LINE, "another protocol that begins alike", b"HTTPER/1.1 200 OK\r\n" + TWO),
    Case(LINE, "RTSP", b"RTSP/1.1 200 OK\r\n" + TWO, section="RFC 9112 2.3"),
    Case(LINE, "ICE", b"ICE/1.1 200 OK\r\n" + TWO, section="RFC 9112 2.3"),
    Case(LINE, "small letters", b"http/1.1 200 OK\r\n" + TWO),
    Case(LINE, "a zero before the major version", b"HTTP/01.1 200 OK\r\n" + TWO),
    Case(LINE, "two digits of the major version", b"HTTP/11.1 200 OK\r\n" + TWO),
    Case(LINE, "two digits of the minor version", b"HTTP/1.01 200 OK\r\n" + TWO),
    Case(LINE, "a version that never was", b"HTTP/5.6 200 OK\r\n" + TWO),
    Case(LINE, "HTTP/0.9", b"HTTP/0.9 200 OK\r\n" + TWO, section="RFC 9112 2.3"),
    Case(LINE, "a body without a head, as in HTTP/0.9", b"<html>hi</html>"),
    Case(LINE, "a minor version of the future", b"HTTP/1.9 200 OK\r\n" + TWO, 200, b"hi",
         keeps=True, section="RFC 9110 2.5"),
    Case(LINE, "a tab behind the version", b"HTTP/1.1\t200 OK\r\n" + TWO),
    Case(LINE, "two blanks behind the version", b"HTTP/1.1  200 OK\r\n" + TWO),
    Case(LINE, "two blanks behind the status", b"HTTP/1.1 200  OK\r\n" + TWO, 200, b"hi",
         keeps=True),
    Case(LINE, "one digit of a status", b"HTTP/1.1 2 OK\r\n" + TWO),
    Case(LINE, "four digits of a status", b"HTTP/1.1 2000 OK\r\n" + TWO),
    Case(LINE, "a status beyond 599", b"HTTP/1.1 999 OK\r\n" + TWO, 999, b"hi", keeps=True),
    Case(LINE, "a letter in the status", b"HTTP/1.1 2O0 OK\r\n" + TWO),
    Case(LINE, "no reason", b"HTTP/1.1 200\r\n" + TWO, 200, b"hi", keeps=True),
    Case(LINE, "no reason behind a blank", b"HTTP/1.1 200 \r\n" + TWO, 200, b"hi", keeps=True),
    Case(LINE, "a reason beyond ASCII", "HTTP/1.1 200 Größe\r\n".encode() + TWO, 200, b"hi",
         keeps=True),
    Case(LINE, "NUL in the reason", b"HTTP/1.1 200 O\x00K\r\n" + TWO, section="RFC 9112 4"),
    Case(LINE, "DEL in the reason", b"HTTP/1.1 200 O\x7fK\r\n" + TWO, section="RFC 9112 4"),
    Case(LINE, "an empty line before it", b"\r\n" + OK + TWO, section="RFC 9112 2.2"),
    Case(LINE, "CR before it", b"\r" + OK + TWO, section="RFC 9112 2.2"),
    Case(LINE, "a blank before it", b" " + OK + TWO),
    Case(LINE, "CR alone behind it", b"HTTP/1.1 200 OK\r" + TWO),
    Case(LINE, "two CR behind it", b"HTTP/1.1 200 OK\r\r\n" + TWO),
    Case(LINE, "LF alone behind it", b"HTTP/1.1 200 OK\n" + TWO, 200, b"hi", keeps=True,
         section="RFC 9112 2.2"),
    Case(LINE, "LF alone everywhere", b"HTTP/1.1 200 OK\nA: b\nContent-Length: 2\n\nhi", 200,
         b"hi", keeps=True, section="RFC 9112 2.2"),
    Case(LINE, "no field at all", OK + b"\r\nhi", 200, b"hi"),
    Case(LINE, "nothing behind it", OK),
    Case(FIELDS, "signs of a token in a name", OK + b"X-$a_b.c: d\r\n" + TWO, 200, b"hi",
         keeps=True),
    Case(FIELDS, "no value, and another field behind it", OK + b"A:\r\nB: c\r\n" + TWO, 200,
         b"hi", keeps=True),
    Case(FIELDS, "a blank in a name", OK + b"en-US A: b\r\n" + TWO),
    Case(FIELDS, "a blank behind a name", OK + b"A : b\r\n" + TWO),
    Case(FIELDS, "no name", OK + b": b\r\n" + TWO),
    Case(FIELDS, "no colon", OK + b"A\r\n" + TWO),
    Case(FIELDS, "beyond ASCII in a name", OK + b"gr\xc3\xbcn: b\r\n" + TWO),
    Case(FIELDS, "NUL in a name", OK + b"A\x00: b\r\n" + TWO),
    Case(FIELDS, "NUL in a value", OK + b"A: \x00b\r\n" + TWO),
    Case(FIELDS, "a control character in a value", OK + b"A: \x01b\r\n" + TWO),
    Case(FIELDS, "DEL in a value", OK + b"A: \x7fb\r\n" + TWO),
    Case(FIELDS, "beyond ASCII in a value", OK + b"A: gr\xfcn\r\n" + TWO, 200, b"hi", keeps=True),
    Case(FIELDS, "CR between two fields", OK + b"A: 1\rB: 2\r\n" + TWO),
    Case(FIELDS, "CR before CR LF", OK + b"A: 1\r\r\n" + TWO),
    Case(FIELDS, "a blank before the first", OK + b" A: b\r\n" + TWO),
    Case(FIELDS, "a fold", OK + b"A: b\r\n c\r\n\td\r\n" + TWO, 200, b"hi", keeps=True,
         section="RFC 9112 5.2"),
    Case(FIELDS, "a fold of blanks alone", OK + b"A: b\r\n \r\n" + TWO, 200, b"hi", keeps=True,
         section="RFC 9112 5.2"),
    Case(SIZES, "tabs around it", OK + b"Content-Length:\t2\t\r\n\r\nhi", 200, b"hi", keeps=True),
    Case(SIZES, "blanks around it", OK + b"Content-Length:  2  \r\n\r\nhi", 200, b"hi",
         keeps=True),
    Case(SIZES, "a name that begins alike", OK + b"Content-Length-X: 0\r\n" + TWO, 200, b"hi",
         keeps=True),
    Case(SIZES, "none, with Connection: close", OK + b"Connection: close\r\n\r\nhi", 200, b"hi"),
    Case(SIZES, "two that are equal", OK + LENGTH + TWO, 200, b"hi", keeps=True,
         section="RFC 9110 8.6"),
    Case(SIZES, "two that differ", OK + b"Content-Length: 3\r\n" + TWO),
    Case(SIZES, "two in one field", OK + b"Content-Length: 2, 2\r\n\r\nhi", 200, b"hi",
         keeps=True, section="RFC 9110 8.6"),
    Case(SIZES, "two in one field that differ", OK + b"Content-Length: 2, 3\r\n\r\nhi"),
    Case(SIZES, "zero, and one that is not", OK + b"Content-Length: 0\r\n" + TWO),
    _length("a plus", b" +2"),
    _length("a minus", b" -2"),
    _length("hexadecimal", b" 0x2"),
    _length("a blank within", b" 2 2"),
    _length("a letter behind", b" 2a"),
    _length("a comma behind", b" 2,"),
    _length("an underscore within", b" 0_2"),
    _length("a fraction", b" 2.0"),
    _length("a digit beyond ASCII", b" \xd9\xa2"),
    _length("nothing", b""),
    _length("a fold within", b" 2\r\n 2"),
    _length("more than 64 bits", b" 18446744073709551618"),
    _length("many digits", b" " + b"1" * 5000),
    Case(SIZES, "too little", OK + b"Content-Length: 3\r\n\r\nhi"),
    Case(SIZES, "a length of an interim answer", b"HTTP/1.1 103 E\r\nContent-Length: 5\r\n\r\n"
         + OK + TWO, 200, b"hi", keeps=True),
    Case(CODINGS, "chunked, in capitals", OK + b"Transfer-Encoding: CHUNKED\r\n\r\n" + ENDED, 200,
         b"hi", keeps=True),
    Case(CODINGS, "chunked, and a fold of blanks", OK + b"Transfer-Encoding: chunked\r\n  \r\n\r\n"
         + ENDED, 200, b"hi", keeps=True, section="RFC 9112 5.2"),
    _coding("chunked before another", b"chunked, deflate", section="RFC 9112 6.1"),
    _coding("another before chunked", b"gzip, chunked", section="RFC 9112 6.1"),
    _coding("chunked, and then identity", b"chunked\r\nTransfer-Encoding: identity",
            section="RFC 9112 6.1"),
    _coding("identity, and then chunked", b"identity\r\nTransfer-Encoding: chunked",
            section="RFC 9112 6.1"),
    _coding("chunked twice in one word", b"chunkedchunked", section="RFC 9112 6.1"),
    _coding("chunked twice in a list", b"chunked, chunked", section="RFC 9112 6.1"),
    _coding("chunked twice in two fields", b"chunked\r\nTransfer-Encoding: chunked",
            section="RFC 9112 6.1"),
    _coding("identity alone", b"identity", section="RFC 9112 6.1"),
    _coding("a word behind it in a fold", b"chunked\r\n  abc"),
    _coding("an empty item before it", b", chunked", section="RFC 9112 6.1"),
    _coding("a parameter", b"chunked;q=1", section="RFC 9112 6.1"),
    _coding("a letter before it", b"xchunked", section="RFC 9112 6.1"),
    _coding("quotes", b'"chunked"', section="RFC 9112 6.1"),
    _coding("a control character", b"\x0bchunked"),
    _coding("nothing", b"", section="RFC 9112 6.1"),
    Case(CODINGS, "a length behind it", OK + CHUNKED + LENGTH + b"\r\n" + ENDED),
    Case(CODINGS, "a length before it", OK + LENGTH + CHUNKED + b"\r\n" + ENDED),
    Case(CODINGS, "a length of zero behind it", OK + CHUNKED + b"Content-Length: 0\r\n\r\n"
         + ENDED),
    Case(CODINGS, "in HTTP/1.0", b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n" + CHUNKED
         + b"\r\n" + ENDED, 200, b"hi"),
    _chunked("one byte, which is LF", b"1\r\n\n\r\n0\r\n\r\n", b"\n"),
    _chunked("several", b"2\r\nhi\r\n3\r\n, u\r\n0\r\n\r\n", b"hi, u"),
    _chunked("none", b"0\r\n\r\n", b""),
    _chunked("zeros before a size", b"00002\r\nhi\r\n000\r\n\r\n", b"hi"),
    _chunked("small and capital letters", b"a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n",
             b"0123456789" * 2),
    _chunked("blanks behind a size", b"2  \r\nhi\r\n0  \r\n\r\n", b"hi", section="RFC 9112 7.1.1"),
    _chunked("a blank before a size", b" 2\r\nhi\r\n0\r\n\r\n"),
    _chunked("no size", b"\r\nhi\r\n0\r\n\r\n"),
    _chunked("a plus", b"+2\r\nhi\r\n0\r\n\r\n"),
    _chunked("a minus", b"-2\r\nhi\r\n0\r\n\r\n"),
    _chunked("0x", b"0x2\r\nhi\r\n0\r\n\r\n"),
    _chunked("an underscore", b"0_2\r\nhi\r\n0\r\n\r\n"),
    _chunked("a letter beyond F", b"2g\r\nhi\r\n0\r\n\r\n"),
    _chunked("NUL behind a size", b"2\x00\r\nhi\r\n0\r\n\r\n"),
    _chunked("a size of 64 bits", HUGE + b"\r\nhi\r\n0\r\n\r\n"),
    _chunked("a size of more than 64 bits", b"1" + HUGE + b"\r\nhi\r\n0\r\n\r\n"),
    _chunked("a size that is 2 in 64 bits", b"10000000000000002\r\nhi\r\n0\r\n\r\n"),
    _chunked("extensions", b"2;a;b=c\r\nhi\r\n0;d\r\n\r\n", b"hi"),
    _chunked("extensions in quotes", b'2;a="b; c";d\r\nhi\r\n0\r\n\r\n', b"hi"),
    _chunked("quotes that are left open", b'2;a="b;c\r\nhi\r\n0\r\n\r\n', b"hi",
             section="RFC 9112 7.1.1"),
    _chunked("no extension behind a semicolon", b"2;\r\nhi\r\n0\r\n\r\n", b"hi",
             section="RFC 9112 7.1.1"),
    _chunked("no token as an extension", b"2;\ta(b=[c]\xfc\r\nhi\r\n0\r\n\r\n", b"hi",
             section="RFC 9112 7.1.1"),
    _chunked("no semicolon before an extension", b"2 abc\r\nhi\r\n0 abc\r\n\r\n"),
    _chunked("LF in an extension", b'2;a="\n"\r\nhi\r\n0\r\n\r\n'),
    _chunked("CR in an extension", b"2;a=\rb\r\nhi\r\n0\r\n\r\n"),
    _chunked("NUL in an extension", b"2;\x00\r\nhi\r\n0\r\n\r\n"),
    _chunked("no line end behind a chunk", b"2\r\nhi0\r\n\r\n"),
    _chunked("CR alone behind a chunk", b"2\r\nhi\r0\r\n\r\n"),
    _chunked("LF alone behind a chunk", b"2\r\nhi\n0\r\n\r\n"),
    _chunked("LF alone behind a size", b"2\nhi\r\n0\r\n\r\n"),
    _chunked("LF alone behind an extension", b"2;a\nhi\r\n0\r\n\r\n"),
    _chunked("LF alone behind the last size", b"2\r\nhi\r\n0\n\r\n"),
    _chunked("LF alone at the end", b"2\r\nhi\r\n0\r\n\n"),
    _chunked("two CR behind a size", b"2\r\r\nhi\r\n0\r\n\r\n"),
    _chunked("a chunk that is shorter", b"3\r\nhi\r\n0\r\n\r\n"),
    _chunked("a chunk that is longer", b"1\r\nhi\r\n0\r\n\r\n"),
    _chunked("no last chunk", b"2\r\nhi\r\n"),
    _chunked("no end behind the last chunk", b"2\r\nhi\r\n0\r\n"),
    _chunked("a trailer", b"2\r\nhi\r\n0\r\nA: b\r\nC: d\r\n\r\n", b"hi"),
    _chunked("a trailer that is folded", b"2\r\nhi\r\n0\r\nA: b\r\n c\r\n\r\n", b"hi",
             section="RFC 9112 5.2"),
    _chunked("a length in the trailer", b"2\r\nhi\r\n0\r\nContent-Length: 9\r\n\r\n", b"hi",
             section="RFC 9110 6.5.1"),
    _chunked("a trailer without a colon", b"2\r\nhi\r\n0\r\nA\r\n\r\n"),
    _chunked("a trailer with NUL", b"2\r\nhi\r\n0\r\nA: \x00\r\n\r\n"),
    _chunked("a trailer with CR", b"2\r\nhi\r\n0\r\nA: b\rC: d\r\n\r\n"),
    _chunked("a trailer whose lines end in LF", b"2\r\nhi\r\n0\r\nA: b\nC: d\r\n\r\n"),
    _chunked("a trailer without an end", b"2\r\nhi\r\n0\r\nA: b\r\n"),
    Case(KEPT, "Proxy-Connection", OK + b"Proxy-Connection: close\r\n" + TWO, 200, b"hi",
         keeps=True),
    Case(KEPT, "HTTP/1.0, kept", b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n" + TWO, 200,
         b"hi", keeps=True),
    Case(KEPT, "HTTP/1.0", b"HTTP/1.0 200 OK\r\n" + TWO, 200, b"hi"),
    Case(KEPT, "HTTP/1.0, kept and closed",
         b"HTTP/1.0 200 OK\r\nConnection: close\r\nConnection: keep-alive\r\n" + TWO, 200, b"hi"),
    Case(KEPT, "HTTP/1.0, kept, without a length",
         b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n" + EVIL, 200, EVIL),
    Case(KEPT, "HTTP/1.0, kept, with 204", b"HTTP/1.0 204 No\r\nConnection: keep-alive\r\n\r\n"
         + EVIL, 204, keeps=True, surplus=EVIL),
    Case(KEPT, "without a length", OK + b"\r\n" + EVIL, 200, EVIL),
    Case(KEPT, "an answer behind 204", b"HTTP/1.1 204 No\r\n\r\n" + EVIL, 204, keeps=True,
         surplus=EVIL),
    Case(KEPT, "an answer behind 204 that closes",
         b"HTTP/1.1 204 No\r\nConnection: close\r\n\r\n" + EVIL, 204, surplus=EVIL,
         section="RFC 9112 9.6"),
    Case(KEPT, "bytes behind an answer that closes", OK + b"Connection: close\r\n" + TWO + b"more",
         200, b"hi", surplus=b"more", section="RFC 9112 9.6"),
    Case(KEPT, "a length of 304", b"HTTP/1.1 304 No\r\nContent-Length: 10\r\n\r\n" + EVIL, 304,
         keeps=True, surplus=EVIL),
    Case(KEPT, "chunks of 304", b"HTTP/1.1 304 No\r\n" + CHUNKED + b"\r\n" + EVIL, 304, keeps=True,
         surplus=EVIL),
    Case(KEPT, "a length for HEAD", OK + b"Content-Length: 123\r\n\r\n" + EVIL, 200, keeps=True,
         surplus=EVIL, method="HEAD"),
    Case(KEPT, "three answers", OK + TWO + OK + TWO + OK + TWO, 200, b"hi", keeps=True,
         surplus=OK + TWO + OK + TWO),
    Case(KEPT, "100 and an answer", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 No\r\n" + TWO, 404,
         b"hi", keeps=True),
    Case(KEPT, "103 and an answer", b"HTTP/1.1 103 Early\r\nLink: </a>\r\n\r\n" + OK + TWO, 200,
         b"hi", keeps=True),
    Case(KEPT, "100 and no answer", b"HTTP/1.1 100 Continue\r\n\r\n"),
    Case(KEPT, "Upgrade with 200", OK + b"Connection: upgrade\r\nUpgrade: h2c\r\n\r\nhi", 200,
         b"hi"),
    Case(KEPT, "Upgrade with 200 and a length",
         OK + b"Connection: upgrade\r\nUpgrade: h2c\r\n" + TWO, 200, b"hi", keeps=True),
    Case(KEPT, "Upgrade with 200 and chunks",
         OK + b"Connection: upgrade\r\nUpgrade: h2c\r\n" + CHUNKED + b"\r\n" + ENDED, 200, b"hi",
         keeps=True),
    Case(KEPT, "101 with a length", b"HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: h2c\r\n"
         + TWO, section="RFC 9110 15.2.2"),
    Case(KEPT, "101 with chunks", b"HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: h2c\r\n"
         + CHUNKED + b"\r\n" + ENDED, section="RFC 9110 15.2.2"),
)  # fmt: skip
