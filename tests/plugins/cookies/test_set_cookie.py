"""What a Set-Cookie field sets, and what it may not (RFC 6265bis 5.6, 5.7)."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ktor_client import Url
from ktor_client.plugins import Cookie
from ktor_client.plugins.cookies import public_suffixes
from ktor_client.plugins.cookies.set_cookie import CookieRefused, parse_set_cookie

NOW = 1_800_000_000.0
SITE = Url.parse("https://www.example.com/shop/cart?x=1")


def read(field: str, url: str = str(SITE)) -> Cookie:
    return parse_set_cookie(field, Url.parse(url), NOW)


def test_the_simplest_cookie() -> None:
    cookie = read("sid=31d4d96e407aad42")
    assert cookie == Cookie("sid", "31d4d96e407aad42", "www.example.com", "/shop")
    assert (cookie.host_only, cookie.expires, cookie.created) == (True, None, NOW)


def test_every_attribute() -> None:
    cookie = read(
        "sid=x; Path=/; Domain=example.com; Max-Age=60; Secure; HttpOnly; SameSite=lAx; Foo=bar"
    )
    assert cookie == Cookie(
        "sid", "x", "example.com", "/", False, True, True, "Lax", expires=NOW + 60
    )


@pytest.mark.parametrize(
    ("field", "name", "value"),
    [
        ("a=b=c", "a", "b=c"),
        (" a \t=\t b ", "a", "b"),
        ("a=", "a", ""),
        ("=b", "", "b"),
        ("b", "", "b"),
        ("==b", "", "=b"),
        ('a="b c, d"', "a", '"b c, d"'),
        ("fir,st=first, cookie", "fir,st", "first, cookie"),
        ("a=ü; Path=/", "a", "ü"),
        ("___utm=kDu\txSkE", "___utm", "kDu\txSkE"),
        ("a=b;;;;Path=/;=;", "a", "b"),
    ],
)
def test_name_and_value(field: str, name: str, value: str) -> None:
    cookie = read(field)
    assert (cookie.name, cookie.value) == (name, value)


@pytest.mark.parametrize(
    "field",
    [
        "",
        "=",
        " = ; Path=/",
        "; Path=/",
        "a=\x00b",
        "a=b\x1f",
        "a=b; Path=/\x7f",
        "a=b; Pa\x01th=/",
        "a=" + "b" * 4096,
        "a" * 4097,
        "a=" + "ü" * 2048,
        "a=\udcff",
        "\udcff=a",
    ],
)
def test_what_is_no_cookie(field: str) -> None:
    with pytest.raises(CookieRefused):
        read(field)


def test_4096_bytes_are_a_cookie() -> None:
    assert len(read("a=" + "b" * 4095).value) == 4095
    assert len(read("a=" + "ü" * 2047).value) == 2047


@pytest.mark.parametrize(
    ("attribute", "expires"),
    [
        ("Max-Age=60", NOW + 60),
        ("max-age=1", NOW + 1),
        ("Max-Age=0", 0.0),
        ("Max-Age=-1", 0.0),
        ("Max-Age=-0", 0.0),
        ("Max-Age=99999999999999999999", NOW + 400 * 86400),
        ("Max-Age=" + "9" * 900, NOW + 400 * 86400),
        ("Max-Age=-" + "9" * 900, 0.0),
        ("Max-Age=" + "0" * 30, 0.0),
        ("Max-Age=" + "0" * 30 + "5", NOW + 5),
        ("Max-Age=", None),
        ("Max-Age", None),
        ("Max-Age=+5", None),
        ("Max-Age=1.5", None),
        ("Max-Age=٣", None),
        ("Max-Age=1; Max-Age=2", NOW + 2),
        ("Max-Age=1; Max-Age=x", NOW + 1),
        ("Expires=Sun, 06 Nov 1994 08:49:37 GMT", 784111777.0),
        ("Expires=Sun, 06 Nov 1994 08:49:37 GMT; Max-Age=7", NOW + 7),
        ("Max-Age=7; Expires=Sun, 06 Nov 1994 08:49:37 GMT", NOW + 7),
        ("Expires=never", None),
        ("Expires=Sun, 06 Nov 1994 08:49:37 GMT; Expires=never", 784111777.0),
        ("Expires=Sun, 06 Nov 9999 08:49:37 GMT", NOW + 400 * 86400),
        ("Expires=Mon, 01 Jan 1601 00:00:00 GMT", -11644473600.0),
    ],
)
def test_expiry(attribute: str, expires: float | None) -> None:
    assert read(f"a=b; {attribute}").expires == expires


@pytest.mark.parametrize(
    ("url", "attribute", "path"),
    [
        ("https://h.test/a/b/c", "", "/a/b"),
        ("https://h.test/a/", "", "/a"),
        ("https://h.test/a", "", "/"),
        ("https://h.test/", "", "/"),
        ("https://h.test", "", "/"),
        ("https://h.test/a/b", "Path=/", "/"),
        ("https://h.test/a/b", "Path=/x/y/", "/x/y/"),
        ("https://h.test/a/b", "Path=x", "/a"),
        ("https://h.test/a/b", "Path=", "/a"),
        ("https://h.test/a/b", 'Path="/"', "/a"),
        ("https://h.test/a/b", "Path=/x; Path=/y", "/y"),
        ("https://h.test/a/b", "Path=/x; Path", "/a"),
        ("https://h.test/a/b", "Path=/" + "x" * 1024, "/a"),
        ("https://h.test/a/b", "Path=/x; Path=/" + "x" * 1024, "/x"),
    ],
)
def test_path(url: str, attribute: str, path: str) -> None:
    assert read(f"n=v; {attribute}", url).path == path


@pytest.mark.parametrize(
    ("host", "attribute", "domain", "host_only"),
    [
        ("www.example.com", "", "www.example.com", True),
        ("www.example.com", "Domain=", "www.example.com", True),
        ("www.example.com", "Domain", "www.example.com", True),
        ("www.example.com", "Domain=example.com", "example.com", False),
        ("www.example.com", "Domain=.example.com", "example.com", False),
        ("www.example.com", "Domain=EXAMPLE.com", "example.com", False),
        ("www.example.com", "Domain=www.example.com", "www.example.com", False),
        ("www.example.com", "Domain=other.com; Domain=example.com", "example.com", False),
        ("www.example.com", "Domain=example.com; Domain=", "www.example.com", True),
        ("www.example.com", "Domain=" + "x" * 1025, "www.example.com", True),
        ("127.0.0.1", "Domain=127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "", "127.0.0.1", True),
        ("[::1]", "", "::1", True),
        ("[::1]", "Domain=[::1]", "::1", True),
        ("localhost", "Domain=localhost", "localhost", True),
        ("github.io", "Domain=github.io", "github.io", True),
        ("xn--bcher-kva.example", "Domain=xn--bcher-kva.example", "xn--bcher-kva.example", False),
    ],
)
def test_domain(host: str, attribute: str, domain: str, host_only: bool) -> None:
    cookie = read(f"n=v; {attribute}", f"https://{host}/")
    assert (cookie.domain, cookie.host_only) == (domain, host_only)


@pytest.mark.parametrize(
    ("host", "domain"),
    [
        ("www.example.com", "other.com"),
        ("www.example.com", "ample.com"),
        ("www.example.com", "a.www.example.com"),
        ("www.example.com", "..example.com"),
        ("www.example.com", "com"),
        ("www.example.com", ".com"),
        ("www.example.com", "exämple.com"),
        ("127.0.0.1", "0.0.1"),
        ("127.0.0.1", "1"),
        ("a.localhost", "localhost"),
        ("bbc.co.uk", "co.uk"),
        ("me.github.io", "github.io"),
        ("me.github.io.", "github.io."),
        ("xn--85x722f.xn--55qx5d.cn", "xn--55qx5d.cn"),
    ],
)
def test_a_domain_of_somebody_else(host: str, domain: str) -> None:
    with pytest.raises(CookieRefused, match="Domain"):
        read(f"n=v; Domain={domain}", f"https://{host}/")


def test_without_a_list_of_public_suffixes(monkeypatch: pytest.MonkeyPatch) -> None:
    public_suffixes._known.cache_clear()
    monkeypatch.setitem(sys.modules, "publicsuffixlist", None)
    try:
        assert read("n=v; Domain=co.uk", "https://bbc.co.uk/").domain == "co.uk"
        with pytest.raises(CookieRefused, match="public suffix"):
            read("n=v; Domain=uk", "https://bbc.co.uk/")
        with pytest.raises(CookieRefused, match="public suffix"):
            read("n=v; Domain=uk.", "https://bbc.co.uk./")
    finally:
        public_suffixes._known.cache_clear()


@pytest.mark.parametrize(
    ("url", "field", "is_set"),
    [
        ("https://h.test/", "a=b; Secure", True),
        ("wss://h.test/", "a=b; Secure", True),
        ("http://h.test/", "a=b; Secure", False),
        ("ws://h.test/", "a=b; Secure", False),
        ("http://localhost/", "a=b; Secure", False),
        ("https://h.test/", "__Secure-a=b; Secure", True),
        ("https://h.test/", "__Secure-a=b; Secure; Domain=h.test; Path=/x", True),
        ("https://h.test/", "__Secure-a=b", False),
        ("https://h.test/", "__SECURE-a=b", False),
        ("http://h.test/", "__Secure-a=b; Secure", False),
        ("https://h.test/", "__Host-a=b; Secure; Path=/", True),
        ("wss://h.test/", "__host-a=b; Secure; Path=/", True),
        ("https://h.test/", "__Host-a=b; Path=/", False),
        ("https://h.test/", "__Host-a=b; Secure", False),
        ("https://h.test/", "__Host-a=b; Secure; Path=/x", False),
        ("https://h.test/", "__hOST-a=b; Secure; Path=/; Domain=h.test", False),
        ("https://h.test/", "__Host-a=b; Secure; Path=/; Domain=", True),
        ("https://h.test/", "=__Secure-a=b; Secure", False),
        ("https://h.test/", "__host-a; Secure; Path=/", False),
        ("https://h.test/", "a=__Secure-x", True),
    ],
)
def test_secure_and_prefixes(url: str, field: str, is_set: bool) -> None:
    if is_set:
        assert read(field, url).secure == ("Secure;" in field or field.endswith("Secure"))
    else:
        with pytest.raises(CookieRefused):
            read(field, url)


@pytest.mark.parametrize(
    ("text", "value"),
    [("Strict", "Strict"), ("lax", "Lax"), ("NONE", "None"), ("", None), ("Whatever", None)],
)
def test_same_site_is_kept(text: str, value: str | None) -> None:
    assert read(f"a=b; SameSite={text}").same_site == value


def test_a_refusal_shows_no_value() -> None:
    with pytest.raises(CookieRefused) as caught:
        read("sid=TOPSECRET; Domain=other.com")
    assert "TOPSECRET" not in str(caught.value)


@given(
    st.text(), st.sampled_from(["https://a.example.com/x/y", "http://127.0.0.1/", "ws://[::1]/"])
)
def test_no_text_is_another_error(text: str, url: str) -> None:
    try:
        cookie = read(text, url)
    except CookieRefused:
        return
    assert cookie.matches(Url.parse(url), NOW) or cookie.path != "/" or cookie.is_expired(NOW)
