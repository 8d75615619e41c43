"""URLs: what is taken and how it is normalised, what is refused, and what is never shown."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ktor_client.causes import causes
from ktor_client.errors import InvalidUrlError
from ktor_client.http import Url, UrlBuilder
from ktor_client.http.url import _absolute_url, _known_url, absolute_url
from ktor_client.http.url_parts import known_parts, url_parts

SECRET = "hunter2"


def built(text: str) -> UrlBuilder:
    builder = UrlBuilder()
    builder.take_from(text)
    return builder


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ws://host", "ws://host/"),
        ("WSS://Host/Path", "wss://host/Path"),
        ("http://host:80/", "http://host/"),
        ("https://host:443?x", "https://host/?x"),
        ("ws://host:443/", "ws://host:443/"),
        ("wss://host:80/a;b?c=d&e", "wss://host:80/a;b?c=d&e"),
        ("http://host:/a", "http://host/a"),
        ("http://[::1]:8080/a", "http://[::1]:8080/a"),
        ("http://[0:0:0:0:0:0:0:1]/", "http://[::1]/"),
        ("http://127.0.0.1/", "http://127.0.0.1/"),
        ("http://bücher.example/ü?ä=ß", "http://xn--bcher-kva.example/%C3%BC?%C3%A4=%C3%9F"),
        ("http://host/%7Euser/a%20b?%41", "http://host/%7Euser/a%20b?%41"),
        ("http://host/<>^`{|}", "http://host/%3C%3E%5E%60%7B%7C%7D"),
        ("http://host/a?b?c", "http://host/a?b?c"),
        ("http://user:pass@host/", "http://host/"),
    ],
)
def test_parsing(text: str, expected: str) -> None:
    url = Url.parse(text)
    assert str(url) == expected
    assert Url.parse(str(url)) == Url.parse(expected)


def test_no_url_changes() -> None:
    """They are shared: whoever could change one, such as a hook, would change it for others."""
    url = Url.parse("ws://host/a")
    with pytest.raises(AttributeError, match=r"set request\.url\.path in a request block"):
        url.path = "/mine"
    with pytest.raises(AttributeError, match="its port cannot be deleted"):
        del url.port
    assert str(url) == "ws://host/a"


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda url: url.with_scheme("ws")])
def test_copies_are_equal(copied: Callable[[Url], Url]) -> None:
    url = Url("ws", "host", 8080, "/a", "b=c", "me", "secret")
    assert copied(url) == url
    assert copied(url).password == "secret"


def test_places_are_remembered_without_what_may_be_secret() -> None:
    known_parts.cache_clear()
    _known_url.cache_clear()
    for secret in range(10):
        assert Url.parse(f"ws://host/a?key={secret}").query == f"key={secret}"
        assert Url.parse(f"ws://host/a?key={secret}|").query == f"key={secret}%7C"
        assert Url.parse(f"ws://me:{secret}@host/a").password == f"{secret}"
    for cache in (known_parts, _known_url):
        assert cache.cache_info().currsize == 1  # ws://host/a


@given(
    place=st.sampled_from(["", "/a", "ws://host", "ws://host/a", "ws://me@host", "ws://host:1?"]),
    query=st.text("ab?=&%@:/+#|[] \\é", max_size=5),
)
def test_a_query_is_taken_alike_whether_its_place_is_known_or_not(place: str, query: str) -> None:
    text = f"{place}?{query}"
    known, anew = UrlBuilder(), UrlBuilder()
    known.query = anew.query = "before"
    try:
        scheme, server, path, own_query = url_parts(text)
        anew.scheme, anew.path = scheme, path
        if server is not None:
            anew.host, anew.port, anew.user, anew.password = server
        anew.query = own_query or ""  # behind a question mark there is one, be it empty
        anew.trailing_query = not own_query
    except InvalidUrlError:
        for take in (known.take_from, absolute_url):
            with pytest.raises(InvalidUrlError):
                take(text)
    else:
        assert absolute_url(text) == _absolute_url(text)
        known.take_from(text)
        assert all(getattr(known, name) == getattr(anew, name) for name in UrlBuilder.__slots__)


def test_parts() -> None:
    url = Url.parse("wss://me:s%40cret@Example.org:9000/chat/x?room=1")
    assert (url.scheme, url.host, url.port) == ("wss", "example.org", 9000)
    assert (url.path, url.query, url.target) == ("/chat/x", "room=1", "/chat/x?room=1")
    assert (url.user, url.password) == ("me", "s@cret")
    assert url.is_secure
    assert url.authority == "example.org:9000"
    assert url.origin == (True, "example.org", 9000)
    plain = Url.parse("ws://h")
    assert not plain.is_secure
    assert (plain.port, plain.authority, plain.target) == (80, "h", "/")
    assert (plain.user, plain.password) == (None, None)
    assert Url.parse("http://me@h").password is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ftp://host/", "scheme 'ftp' is not supported"),
        ("host:x/path", "has no host; write ws://host/path"),
        ("host:8080/path", "has no scheme; write http://host/path or ws://host/path"),
        ("127.0.0.1:8080", "has no scheme"),
        ("[::1]:8080?x", "has no scheme"),
        ("user:word@host:80", "'\\*\\*\\*@host:80' has no scheme"),
        ("http:///path", "has no host"),
        ("http://:80/", "has no host"),
        ("//host/path", "is not an absolute URL"),
        ("/path", "is not an absolute URL"),
        ("", "is not an absolute URL"),
        ("http://host/#part", "has a fragment"),
        ("http://host/#", "has a fragment"),
        ("http://host:0/", "port 0 is outside"),
        ("http://host:65536/", "is not a URL"),
        ("http://host:x/", "is not a URL"),
        ("http://[::1/", "is not a URL"),
        ("http://[::g]/", "is not a"),
        ("http://ho st/", "has a space, backslash or control character"),
        ("http://host/a b", "has a space"),
        ("http://host\\@evil/", "has a space, backslash"),
        ("http://host/\r\nX: y", "control character"),
        ("http://host/\x00", "control character"),
        ("http://host/\x7f", "control character"),
        ("http://ho<st/", "is not a host name"),
        ("http://ho%20st/", "is not a host name"),
        ("http://" + "ü" * 80 + "/", "is not a host name"),
    ],
)
def test_what_is_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidUrlError, match=message):
        Url.parse(text)


@pytest.mark.parametrize("wrong", [None, 5, b"http://host/"])
def test_a_url_is_text(wrong: Any) -> None:
    with pytest.raises(InvalidUrlError, match="a URL is a str or a Url, not"):
        UrlBuilder().take_from(wrong)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (("gopher", "h"), "scheme 'gopher'"),
        (("ws", ""), "'' is not a host name"),
        (("ws", "a/b"), "'a/b' is not a host name"),
        (("ws", "a:b"), "is not an IPv6 address"),
        (("ws", "a:80"), "is not a host name: give the port as port="),
        (("ws", "ws://a"), "is not a host name but a URL; give it as the url"),
        (("ws", "::1%\r\nX: y"), "is not an IPv6 address: bad zone"),
        (("ws", "::1%"), "bad zone"),
        (("ws", "h", 0), "port 0"),
        (("ws", "h", 70000), "port 70000"),
        (("ws", "h", None, "/a b"), "the path has a space"),
        (("ws", "h", None, "/", "a\nb"), "the query has a space, backslash or control"),
    ],
)
def test_parts_that_are_refused(parts: Any, message: str) -> None:
    with pytest.raises(InvalidUrlError, match=message):
        Url(*parts)


@pytest.mark.parametrize("wrong", ["80", 80.0, True])
def test_a_port_is_a_number(wrong: Any) -> None:
    with pytest.raises(TypeError, match="port is an int, not"):
        Url("ws", "h", wrong)


@pytest.mark.parametrize("wrong", [5, b"h", None])
def test_a_host_and_a_path_are_text(wrong: Any) -> None:
    with pytest.raises(TypeError, match=f"host is a str, not {type(wrong).__name__}"):
        Url("ws", wrong)
    with pytest.raises(TypeError, match=f"path is a str, not {type(wrong).__name__}"):
        UrlBuilder().set_path(wrong)


def test_a_path_may_hold_a_colon() -> None:
    builder = UrlBuilder()
    builder.take_from("a/b:1")
    assert builder.path == "a/b:1"


def test_parts_that_are_taken() -> None:
    assert str(Url("ws", "h", path="a")) == "ws://h/a"
    assert Url("ws", "[::1]").host == "::1"
    assert Url("ws", "fe80::1%eth0").host == "fe80::1%eth0"
    assert str(Url("ws", "fe80::1%eth0")) == "ws://[fe80::1%eth0]/"
    assert Url("ws", "H.Example.").host == "h.example."


# --- secrets ---


@pytest.mark.parametrize(
    "text",
    [
        f"http://me:{SECRET}@ho st/",
        f"http://me:{SECRET}@/",
        f"http://me:{SECRET}@host/#x",
        f"http://me:{SECRET}@host:x/",
        f"http://me:{SECRET}?@host/",
        f"http://me:{SECRET}@h\u2100st/",
        f"//me:{SECRET}@host/",
        f"ftp://me:{SECRET}@host/",
        f"http:me:{SECRET}@host/",
        f"me:{SECRET}@host/",
    ],
)
def test_errors_show_no_credentials(text: str) -> None:
    with pytest.raises(InvalidUrlError) as caught:
        Url.parse(text)
    assert not any(SECRET in repr(error) for error in causes(caught.value))


@pytest.mark.parametrize(
    "location",
    [
        f"ftp://me:{SECRET}@host/",
        f"//me:{SECRET}@ho st/",
        f"//me:{SECRET}@host:x/",
        f"//me:{SECRET}@h\u2100st/",
        f"http://me:{SECRET}#x@host/",
    ],
)
def test_errors_show_no_credentials_of_a_location(location: str) -> None:
    with pytest.raises(InvalidUrlError) as caught:
        Url.parse("http://h/").join(location)
    assert not any(SECRET in repr(error) for error in causes(caught.value))


def test_repr_shows_no_credentials() -> None:
    url = Url.parse(f"http://me:{SECRET}@host:81/a?b")
    assert repr(url) == "Url('http://***@host:81/a?b')"
    assert SECRET not in str(url)
    assert repr(Url.parse("http://host")) == "Url('http://host/')"


# --- values ---


def test_urls_are_values() -> None:
    one, same = Url.parse("http://h:80/a"), Url.parse("HTTP://H/a")
    assert one == same
    assert hash(one) == hash(same)
    different = [
        "https://h/a",
        "http://g/a",
        "http://h:81/a",
        "http://h/b",
        "http://h/a?q",
        "http://u@h/a",
        "http://u:p@h/a",
    ]
    assert len({one, *map(Url.parse, different)}) == 8
    assert one != "http://h/a"


def test_another_scheme() -> None:
    assert str(Url.parse("http://h/a?b").with_scheme("wss")) == "wss://h/a?b"
    assert Url.parse("http://h").with_scheme("https").port == 443
    with pytest.raises(InvalidUrlError, match="'ftp' is not supported"):
        Url.parse("http://h").with_scheme("ftp")
    assert Url.parse("http://h:8080").with_scheme("https").port == 8080
    assert Url.parse("http://u:p@h").with_scheme("ws").password == "p"


@pytest.mark.parametrize(
    ("base", "location", "expected"),
    [
        ("http://h/a/b", "c", "http://h/a/c"),
        ("http://h/a/b", "/c?d", "http://h/c?d"),
        ("http://h/a/b", "../c", "http://h/c"),
        ("http://h/a?b", "?c", "http://h/a?c"),
        ("http://h/a", "//g/x", "http://g/x"),
        ("http://h/a", "https://g:8443/", "https://g:8443/"),
        ("http://h:81/a", "b", "http://h:81/b"),
        ("ws://h/a", "b", "http://h/b"),
        ("wss://h/a", "b", "https://h/b"),
        ("ws://h/a", "ws://g/b", "ws://g/b"),
        ("http://h/a", "/ü", "http://h/%C3%BC"),
        ("http://[::1]/a", "b", "http://[::1]/b"),
        ("http://h/a?b", "/c?d#part", "http://h/c?d"),
        ("http://h/a", "https://g#", "https://g/"),
        ("http://h/a?b", "#part", "http://h/a?b"),
        ("http://h/a/b", "c//d", "http://h/a/c//d"),
        ("http://h/web/http://g/x", "y?z", "http://h/web/http://g/y?z"),
        ("http://h/a", "to/http://g/x", "http://h/to/http://g/x"),
        ("http://h/a//b/", "../../c", "http://h/a/c"),
        ("http://h/a//b", "..", "http://h/a/"),
        ("http://h/a/b", "./c/./d/.", "http://h/a/c/d/"),
        ("http://h/a", "../../b/../c", "http://h/c"),
        ("http://h/a/", "./b:c", "http://h/a/b:c"),
        ("wss://h/a//b", "c", "https://h/a//c"),
    ],
)
def test_joining(base: str, location: str, expected: str) -> None:
    assert str(Url.parse(base).join(location)) == expected


@pytest.mark.parametrize(
    "location", ["ftp://h/", "http://[", "/a\tb", "/a\r\nb", "http://h:99999/"]
)
def test_joining_what_is_no_url(location: str) -> None:
    with pytest.raises(InvalidUrlError):
        Url.parse("http://h/").join(location)


# --- building ---


def test_a_builder_has_defaults() -> None:
    assert str(UrlBuilder().build()) == "http://localhost/"
    builder = UrlBuilder()
    builder.scheme, builder.host, builder.port, builder.path = "wss", "", 1, "x"
    assert str(builder.build()) == "wss://localhost:1/x"


def test_a_relative_url_keeps_what_it_does_not_say() -> None:
    builder = built("wss://u:p@h:81/a?b")
    builder.take_from("/c")
    assert str(builder.build()) == "wss://h:81/c?b"
    builder.take_from("?d")
    assert str(builder.build()) == "wss://h:81/c?d"
    builder.take_from("")
    assert str(builder.build()) == "wss://h:81/c?d"
    assert builder.password == "p"
    builder.take_from("//g")
    assert str(builder.build()) == "wss://g/"
    assert builder.user is None
    builder.take_from("http://x:82/y")
    assert str(builder.build()) == "http://x:82/y"


def test_a_builder_takes_a_url() -> None:
    url = Url.parse("wss://u:p@h:81/a?b")
    builder = UrlBuilder()
    builder.take_from(url)
    assert builder.build() == url


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/a", "http://h/a?old"),
        ("a", "http://h/a?old"),
        ("", "http://h/?old"),
        ("/a b/ü", "http://h/a%20b/%C3%BC?old"),
        ("/a?b=c d", "http://h/a?b=c%20d"),
        ("/a%2Fb", "http://h/a%2Fb?old"),
    ],
)
def test_setting_the_path(path: str, expected: str) -> None:
    builder = built("http://h/x?old")
    builder.set_path(path)
    assert str(builder.build()) == expected


@pytest.mark.parametrize("path", ["/a#b", "/a\\b", "/a\nb", "/a?b\r", "/a\tb"])
def test_paths_that_are_refused(path: str) -> None:
    with pytest.raises(InvalidUrlError, match="path"):
        UrlBuilder().set_path(path)


@pytest.mark.parametrize(
    ("parameters", "query"),
    [
        ({}, "old"),
        ([], "old"),
        ({"a": 1}, "old&a=1"),
        ({"a": "x y&z", "ü": "="}, "old&a=x+y%26z&%C3%BC=%3D"),
        ({"a": True, "b": False, "c": 1.5}, "old&a=true&b=false&c=1.5"),
        ({"a": [1, "2", True]}, "old&a=1&a=2&a=true"),
        ({"a": ()}, "old"),
        ({"a": (item for item in "xy")}, "old&a=x&a=y"),
        ([("a", 1), ("b", 2), ("a", [3])], "old&a=1&b=2&a=3"),
    ],
)
def test_parameters(parameters: Any, query: str) -> None:
    builder = built("http://h/?old")
    builder.add_parameters(parameters)
    assert builder.query == query


def test_parameters_alone() -> None:
    builder = UrlBuilder()
    builder.add_parameters({"a": 1})
    builder.add_parameters({"b": 2})
    assert str(builder.build()) == "http://localhost/?a=1&b=2"


@pytest.mark.parametrize("value", [None, b"x", {"x": 1}, object(), [None], [["x"]]])
def test_values_that_are_no_parameters(value: object) -> None:
    with pytest.raises(TypeError, match="query parameter 'a' takes str, int, float or bool, not"):
        UrlBuilder().add_parameters({"a": value})


@pytest.mark.parametrize("wrong", ["a=b", b"a=b", 5])
def test_what_has_no_parameters(wrong: Any) -> None:
    with pytest.raises(TypeError, match=f"mapping or pairs, .* not {type(wrong).__name__}"):
        UrlBuilder().add_parameters(wrong)


@given(
    path=st.text(alphabet=st.characters(blacklist_categories=["Cs"]), max_size=20),
    query=st.text(alphabet=st.characters(blacklist_categories=["Cs"]), max_size=20),
)
def test_nothing_is_smuggled(path: str, query: str) -> None:
    try:
        url = Url.parse(f"ws://host/{path}?{query}")
    except InvalidUrlError:
        return
    text = str(url)
    assert text.isascii()
    assert not any(character <= " " or character in "\\#\x7f" for character in text)
    assert Url.parse(text) == url
    assert url.host == "host"


def test_a_query_in_a_path_is_refused() -> None:
    """It would be shown in logs and messages, and `Url.parse(str(url))` be another URL."""
    with pytest.raises(InvalidUrlError, match=r"has a query \(\?\); give it apart") as caught:
        Url("http", "h", 80, "/a?token=secret")
    assert "secret" not in str(caught.value)
    builder = UrlBuilder()
    builder.take_from("http://h/")
    builder.path = "/a?token=secret"
    with pytest.raises(InvalidUrlError, match="has a query"):
        builder.build()
    builder.set_path("/a?b=c")
    assert str(builder.build()) == "http://h/a?b=c"


@pytest.mark.parametrize(("part", "parts"), [("path", ("/a#b", "")), ("query", ("/", "a#b"))])
def test_a_fragment_in_a_part_is_refused(part: str, parts: tuple[str, str]) -> None:
    with pytest.raises(InvalidUrlError, match=rf"the {part} has a fragment \(#\)"):
        Url("ws", "host", None, *parts)


# --- the query that is empty ---


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("ws://h/a?", "/a?"),
        ("ws://h?", "/?"),
        ("ws://h/a", "/a"),
        ("ws://h/a??", "/a??"),
        ("ws://me:word@h/a?", "/a?"),
        ("ws://h:80/ü?", "/%C3%BC?"),
    ],
)
def test_an_empty_query_is_kept(text: str, target: str) -> None:
    """It is another URL than the one without (RFC 3986 6.2.3)."""
    url = Url.parse(text)
    assert url.target == target
    assert str(url).endswith(target)
    assert url.trailing_query == (target.count("?") == 1)
    for other in (copy.copy(url), url.with_scheme("wss").with_scheme("ws"), _absolute_url(text)):
        assert other == url
    builder = built(text)
    assert builder.build() == url
    builder.take_from(url)
    assert builder.build() == url
    bare = Url(url.scheme, url.host, url.port, url.path, url.query, url.user, url.password)
    assert (bare == url) != url.trailing_query


def test_an_empty_query_and_what_is_added() -> None:
    builder = built("http://h/a?")
    builder.add_parameters({})
    assert builder.build().target == "/a?"
    builder.add_parameters({"b": 1})
    assert builder.build().target == "/a?b=1"
    builder.take_from("?")
    assert builder.build().target == "/a?"
    builder.take_from("/c")
    assert builder.build().target == "/c?"
    builder.take_from("http://h/c")
    assert builder.build().target == "/c"
    builder.set_path("/d?")
    assert builder.build().target == "/d?"
    builder.set_path("/e?f")
    assert builder.build().target == "/e?f"
    builder.set_path("/g")
    assert builder.build().target == "/g?f"


@pytest.mark.parametrize(
    ("base", "location", "expected"),
    [
        ("http://h/a", "/x?", "http://h/x?"),
        ("http://h/a", "x?", "http://h/x?"),
        ("http://h/a?b", "?", "http://h/a?"),
        ("http://h/a?", "", "http://h/a?"),
        ("http://h/a?", "#part", "http://h/a?"),
        ("http://h/a?", "b", "http://h/b"),
        ("http://h/a", "ws://g/x?#part", "ws://g/x?"),
        ("http://h/a", "//g?", "http://g/?"),
    ],
)
def test_joining_with_an_empty_query(base: str, location: str, expected: str) -> None:
    assert str(Url.parse(base).join(location)) == expected


def test_a_blank_in_a_location_is_encoded() -> None:
    assert str(Url.parse("http://h/").join(" /a b?c d ")) == "http://h/a%20b?c%20d"


# --- zones of addresses ---


@pytest.mark.parametrize(
    ("text", "host", "again"),
    [
        ("ws://[fe80::1%eth0]/", "fe80::1%eth0", "ws://[fe80::1%eth0]/"),
        ("ws://[fe80::1%25eth0]/", "fe80::1%eth0", "ws://[fe80::1%eth0]/"),
        ("ws://[fe80::1%1]:81/", "fe80::1%1", "ws://[fe80::1%1]:81/"),
        ("ws://[fe80::1%251]/", "fe80::1%1", "ws://[fe80::1%1]/"),
        ("ws://[fe80::1%25]/", "fe80::1%25", "ws://[fe80::1%2525]/"),
        ("ws://[fe80::1%25251]/", "fe80::1%251", "ws://[fe80::1%25251]/"),
    ],
)
def test_a_zone_encoded_or_not(text: str, host: str, again: str) -> None:
    """RFC 6874 2 encodes its sign; many do not."""
    url = Url.parse(text)
    assert url.host == host
    assert url.server_name == "fe80::1"
    assert url.authority in ("[fe80::1]", "[fe80::1]:81")
    assert str(url) == again
    assert Url.parse(again) == url
    assert f"[{host}]" in url.as_http
    assert url.join("/a").host == host
    assert url.origin[1] == host


# --- surrogates ---


@pytest.mark.parametrize("surrogate", ["\ud800", "\udc80\ud800"])
def test_lone_surrogates_are_refused(surrogate: str) -> None:
    for text in ("/{}", "?{}", "//{}/", "ws://h/{}", "ws://{}/", "ws://{}@h/", "ws://h/?a={}"):
        with pytest.raises(InvalidUrlError, match="surrogate"):
            UrlBuilder().take_from(text.format(surrogate))
    wrong: list[Any] = [
        ("ws", surrogate),
        ("ws", "h", None, f"/{surrogate}"),
        ("ws", "h", None, "/", surrogate),
        ("ws", "h", None, "/", "", surrogate),
        ("ws", "h", None, "/", "", "me", surrogate),
    ]
    for parts in wrong:
        with pytest.raises(InvalidUrlError):
            Url(*parts)
    with pytest.raises(InvalidUrlError, match="surrogate"):
        Url.parse("ws://h/").join(surrogate)
    with pytest.raises(InvalidUrlError, match="surrogate"):
        UrlBuilder().set_path(surrogate)
    for parameters in ({surrogate: "a"}, {"a": surrogate}, [("a", ["b", surrogate])]):
        with pytest.raises(InvalidUrlError, match="surrogate") as caught:
            UrlBuilder().add_parameters(parameters)
        assert caught.value.__context__ is None


def test_a_path_of_other_scripts_is_encoded_where_it_was_not() -> None:
    assert Url("ws", "h", path="/ü", query="ä=%C3%BC").target == "/%C3%BC?%C3%A4=%C3%BC"
