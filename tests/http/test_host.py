"""Hosts: what is one, what it becomes, and what Python's own codec would make somebody else's."""

from __future__ import annotations

import sys
import unicodedata
from types import ModuleType, SimpleNamespace

import pytest

from ktor_client.errors import InvalidUrlError
from ktor_client.http import Url, domain_names
from ktor_client.http.domain_names import to_ascii
from ktor_client.http.host import checked_host, in_brackets, normal_host, without_zone


@pytest.fixture
def without_idna(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "idna", None)
    normal_host.cache_clear()


NAMES = [
    ("Example.ORG", "example.org"),
    ("example.org.", "example.org."),
    ("a_b.example", "a_b.example"),
    ("xn--fa-hia.de", "xn--fa-hia.de"),
    ("bücher.example", "xn--bcher-kva.example"),
    ("BÜCHER.example", "xn--bcher-kva.example"),
    ("bu\u0308cher.example", "xn--bcher-kva.example"),
    ("пример.испытание", "xn--e1afmkfd.xn--80akhbyknj4f"),
    ("例え.テスト", "xn--r8jz45g.xn--zckzah"),
    ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
    ("ｅｘａｍｐｌｅ．ｏｒｇ", "example.org"),
    ("exam\u00adple.org", "example.org"),
    ("１２７.0.0.1", "127.0.0.1"),
    ("☺.example", "xn--74h.example"),
    ("ΒΌΛΟΣ.com", "xn--nxasmq6b.com"),
]
"""What both editions of IDNA agree on, and browsers too."""

OF_2008 = [
    ("faß.de", "xn--fa-hia.de"),
    ("FAẞ.de", "xn--fa-hia.de"),
    ("straße.example", "xn--strae-oqa.example"),
    ("βόλος.com", "xn--nxasmm1c.com"),
    ("نامه\u200cای.com", "xn--mgba3gch31f060k.com"),
    ("ශ්\u200dරී.com", "xn--10cl1a0b660p.com"),
    ("☕.example", "xn--53h.example"),
    ("Ꭰ.example", "xn--58d.example"),
]
"""What Python's codec would send elsewhere, or would not fold."""


@pytest.mark.parametrize(("name", "expected"), [*NAMES, *OF_2008])
def test_names(name: str, expected: str) -> None:
    assert checked_host(name) == expected
    for url in (Url("ws", name), Url.parse(f"ws://{name}/"), Url.parse(f"ws://{name}:80")):
        assert url.host == expected


@pytest.mark.usefixtures("without_idna")
@pytest.mark.parametrize(("name", "expected"), NAMES)
def test_names_without_idna(name: str, expected: str) -> None:
    assert checked_host(name) == expected


@pytest.mark.usefixtures("without_idna")
@pytest.mark.parametrize(("name", "_"), OF_2008)
def test_names_that_need_idna(name: str, _: str) -> None:
    with pytest.raises(InvalidUrlError, match=r"pip install idna"):
        checked_host(name)


@pytest.mark.exhaustive
@pytest.mark.usefixtures("without_idna")
def test_what_passes_without_idna_is_what_idna_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Characters of IDNA 2003, between two letters: the same name, or none by UTS 46.

    Of the ideographs, which mean themselves alone, and of Hangul every hundredth.
    """
    alone: dict[str, str] = {}
    for number in range(0x80, 0x30000):
        name = f"a{chr(number)}b"
        if unicodedata.ucd_3_2_0.category(chr(number)) in ("Cn", "Co"):
            continue
        if number % 100 and unicodedata.name(name[1], "").startswith(("CJK UNIF", "HANGUL SYLL")):
            continue
        try:
            alone[name] = to_ascii(name).lower()
        except UnicodeError:
            pass
    monkeypatch.undo()
    assert len(alone) > 10_000
    for name, found in alone.items():
        try:
            assert to_ascii(name) == found, ascii(name)
        except UnicodeError:
            pass


def test_the_browser_says_what_it_would_ask_for(monkeypatch: pytest.MonkeyPatch) -> None:
    class JsError(Exception):
        pass

    def new(text: str) -> SimpleNamespace:
        if "☃" in text:
            raise JsError("TypeError: Invalid URL")
        assert text == "http://faß.de/"
        return SimpleNamespace(hostname="xn--fa-hia.de")

    js = ModuleType("js")
    js.URL = SimpleNamespace(new=new)  # type: ignore[attr-defined]  # as Pyodide has it
    monkeypatch.setitem(sys.modules, "js", js)
    monkeypatch.setattr(domain_names, "sys", SimpleNamespace(platform="emscripten"))
    assert to_ascii("faß.de") == "xn--fa-hia.de"
    with pytest.raises(UnicodeError, match="the browser does not take it"):
        to_ascii("☃.de")


COMPATIBLE = {
    character: unicodedata.normalize("NFKC", character) for character in "／？＃＠：％＼［］　｜＜"
}
NO_HOSTS = [
    *(f"trusted.org{character}127.0.0.1" for character in COMPATIBLE),
    "℀.example",  # a/c
    "⒈example.org",  # whose dot would be inside of a label
    "a..b",
    ".a",
    "a。。b",
    "\u00ad.example",
    "a%2eb",
    "b%C3%BCcher.example",
    "[example.org]",
    "[::1",
    "::1]",
    "[::1]x",
    "a]",
    "\ud800.example",
    "a\udfffb",
    "\u0301a.example",  # begins with an accent
    "xn--ü.example",
    "a\u200db.example",  # a joiner that joins nothing
    "\u05d0a.example",  # right to left, and left to right
    "ü" * 80,
    "a b",
    "a\u00a0b",
    "a\u200e\u2028b",
]


@pytest.mark.parametrize("host", NO_HOSTS)
def test_what_is_no_host(host: str) -> None:
    with pytest.raises(InvalidUrlError, match="is not a"):
        checked_host(host)
    with pytest.raises(InvalidUrlError):
        Url.parse(f"ws://{host}/")


@pytest.mark.usefixtures("without_idna")
@pytest.mark.parametrize("host", [host for host in NO_HOSTS if not host.startswith("\u0301")])
def test_what_is_no_host_without_idna_either(host: str) -> None:
    with pytest.raises(InvalidUrlError):
        checked_host(host)


@pytest.mark.parametrize("character", COMPATIBLE)
def test_it_is_said_what_a_character_means(character: str) -> None:
    with pytest.raises(InvalidUrlError) as caught:
        checked_host(f"a{character}b")
    assert f"has {COMPATIBLE[character]!r} in it; it means the same" in str(caught.value)


@pytest.mark.parametrize("host", ["me:hunter2@example.org", "hunter2@", "ws://me:hunter2@h"])
def test_errors_show_no_credentials(host: str) -> None:
    with pytest.raises(InvalidUrlError) as caught:
        checked_host(host)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("host", "expected", "known_elsewhere"),
    [
        ("fe80::1%eth0", "fe80::1%eth0", "fe80::1"),
        ("[FE80:0::1%1]", "fe80::1%1", "fe80::1"),
        ("fe80::1%25", "fe80::1%25", "fe80::1"),
        ("::1", "::1", "::1"),
        ("example.org", "example.org", "example.org"),
    ],
)
def test_addresses_and_their_zones(host: str, expected: str, known_elsewhere: str) -> None:
    assert checked_host(host) == expected
    assert without_zone(expected) == known_elsewhere
    assert in_brackets(expected) == (f"[{expected}]" if ":" in host else expected)
