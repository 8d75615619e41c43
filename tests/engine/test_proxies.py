"""Which proxy a URL goes through."""

from __future__ import annotations

import re

import pytest

from ktor_client.causes import causes
from ktor_client.engine import proxies
from ktor_client.engine.proxies import Proxy, environment_proxy
from ktor_client.engine.tunnel import Conversation, Send
from ktor_client.http import Url


@pytest.mark.parametrize(
    ("text", "scheme", "host", "port", "user", "password"),
    [
        ("http://proxy", "http", "proxy", 80, None, None),
        ("proxy:3128", "http", "proxy", 3128, None, None),
        ("https://proxy/", "https", "proxy", 443, None, None),
        ("socks5://u:p@proxy", "socks5", "proxy", 1080, "u", "p"),
        ("socks5h://[::1]:9", "socks5h", "::1", 9, None, None),
        ("http://a%40b:c%3Ad@proxy:1", "http", "proxy", 1, "a@b", "c:d"),
        ("HTTP://user@Proxy:1", "http", "proxy", 1, "user", None),
    ],
)
def test_parsing(
    text: str, scheme: str, host: str, port: int, user: str | None, password: str | None
) -> None:
    proxy = Proxy(text)
    assert (proxy.scheme, proxy.host, proxy.port) == (scheme, host, port)
    assert (proxy.user, proxy.password) == (user, password)
    assert proxy.forwards != scheme.startswith("socks")
    assert proxy.has_tls == (scheme == "https")


def test_credentials_are_not_shown() -> None:
    proxy = Proxy("http://name:s3cret@[::1]:3128")
    assert str(proxy) == "http://[::1]:3128"
    assert repr(proxy) == "Proxy('http://[::1]:3128')"
    assert proxy.credentials() == "Basic bmFtZTpzM2NyZXQ="
    assert proxy.key() != Proxy("http://name:other@[::1]:3128").key()


def test_hosts_are_those_of_urls() -> None:
    assert Proxy("http://faß.de:1").host == "xn--fa-hia.de"
    assert Proxy("http://[fe80::1%eth0]:1").host == "fe80::1%eth0"
    assert Proxy("http://Proxy.example.").host == "proxy.example."


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "part of it is empty"),
        ("http://", "part of it is empty"),
        ("not a url", "no name has ' ' in it"),
        ("http://not a url", "no name has ' ' in it"),
        ("ftp://u:s3cret@h", "its scheme is http, https or socks5"),
        ("s3cret://u@h", "its scheme is"),
        ("u:s3cret://@h", "its scheme is"),
        ("http:/u:s3cret@h", "percent-encoded"),
        ("http://u:s3cret@h:99999", "no port"),
        ("http://u:s3cret@h:0", "no port"),
        ("http://u:s3cret@h:８０", "no port"),
        ("http://u:p@h:s3cret", "no port"),
        ("http://u:s3cret", "no port"),
        ("u:s3cret", "no port"),
        ("http://u:p@[::1]s3cret", "no port"),
        ("http://u:p@[s3cret]", "is not an IPv6 address"),
        ("http://u:s3cret@h/x?y", "no name has '/' in it"),
        ("http://u:s3cret@h/x", "no name has '/' in it"),
        ("http://u:s3cret/x@h:3128", "percent-encoded: %2F %3F %23"),
        ("http://u:s3cret?x@h", "percent-encoded"),
        ("http://u:#s3cret@h", "percent-encoded"),
        ("http://u:x@s3cret/x@h", "percent-encoded"),
        ("http://u:x/s3cret", "no port"),
        ("http://u:s3cret@h＠x", "no name has '@' in it"),
        ("http://u:s3cret\ud800@h", "lone surrogate"),
        ("http://u:s3cret@\ud800", "no name has '\\\\ud800' in it"),
    ],
)
def test_what_is_no_proxy(text: str, why: str) -> None:
    with pytest.raises(ValueError, match="a proxy is a URL such as") as caught:
        Proxy(text)
    assert re.search(why, str(caught.value))
    assert not any("s3cret" in repr(error) for error in causes(caught.value))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        if text:
            with pytest.raises(ValueError, match=f"variable {name} does not hold") as caught:
                environment_proxy(Url.parse("ws://h/"), {name: text})
            assert not any("s3cret" in repr(error) for error in causes(caught.value))


def test_one_table_says_all_about_a_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scheme that is new needs no other place to be known in."""

    def converse(host: str, port: int, user: str | None, password: str | None) -> Conversation:
        yield Send(f"{host}:{port} for {user}:{password}".encode())
        return b""

    monkeypatch.setitem(proxies._KINDS, "carrier", proxies._Kind(7, True, False, converse))
    proxy = Proxy("carrier://me:s3cret@pigeon")
    assert (proxy.port, proxy.has_tls, proxy.forwards) == (7, True, False)
    step = next(proxy.converse("example.org", 80))
    assert isinstance(step, Send)
    assert step.data == b"example.org:80 for me:s3cret"


@pytest.mark.parametrize(
    ("environment", "url", "proxy"),
    [
        ({}, "ws://h/", None),
        ({"HTTP_PROXY": "http://p:1"}, "ws://h/", "http://p:1"),
        ({"HTTP_PROXY": "http://p:1"}, "http://h/", "http://p:1"),
        ({"HTTP_PROXY": "http://p:1"}, "wss://h/", None),
        ({"HTTPS_PROXY": "http://p:1"}, "wss://h/", "http://p:1"),
        ({"https_proxy": "p:1"}, "https://h/", "http://p:1"),
        ({"ALL_PROXY": "socks5://p:1"}, "ws://h/", "socks5://p:1"),
        ({"all_proxy": "socks5://p:1", "http_proxy": "q:2"}, "ws://h/", "http://q:2"),
        ({"HTTP_PROXY": "http://p:1", "http_proxy": "http://q:2"}, "ws://h/", "http://q:2"),
        ({"HTTP_PROXY": "http://p:1", "REQUEST_METHOD": "GET"}, "ws://h/", None),
        ({"http_proxy": "http://p:1", "REQUEST_METHOD": "GET"}, "ws://h/", "http://p:1"),
        ({"HTTP_PROXY": "  "}, "ws://h/", None),
    ],
)
def test_the_environment(environment: dict[str, str], url: str, proxy: str | None) -> None:
    found = environment_proxy(Url.parse(url), environment)
    assert (None if found is None else str(found)) == proxy


@pytest.mark.parametrize(
    ("no_proxy", "url", "direct"),
    [
        ("*", "ws://h/", True),
        ("h", "ws://h/", True),
        ("H", "ws://h/", True),
        ("h", "ws://i.h/", True),
        (".h", "ws://i.h/", True),
        ("*.h", "ws://i.h/", True),
        ("h", "ws://hh/", False),
        ("i.h", "ws://h/", False),
        ("a, ,h", "ws://h/", True),
        ("h:81", "ws://h:81/", True),
        ("h:81", "ws://h:82/", False),
        ("10.1.2.3", "ws://10.1.2.3/", True),
        ("10.0.0.0/8", "ws://10.1.2.3/", True),
        ("10.0.0.0/8", "ws://11.1.2.3/", False),
        ("10.0.0.0/8", "ws://ten/", False),
        ("::1", "ws://[::1]/", True),
        ("[::1]", "ws://[::1]/", True),
        ("[::1]:81", "ws://[::1]:81/", True),
        ("[::1]:81", "ws://[::1]:82/", False),
        ("fe80::/10", "ws://[fe80::1]/", True),
        ("fe80::/10", "ws://10.1.2.3/", False),
        ("", "ws://h/", False),
        ("faß.de", "ws://faß.de/", True),
        ("FAẞ.de", "ws://www.xn--fa-hia.de/", True),
        ("xn--fa-hia.de", "ws://faß.de/", True),
        ("fass.de", "ws://faß.de/", False),
        ("h.", "ws://h/", True),
        ("h", "ws://h./", True),
        (".h.", "ws://i.h./", True),
        ("a＠b, h", "ws://h/", True),
        ("a＠b, .", "ws://h/", False),
        ("fe80::1%eth0", "ws://[fe80::1%25eth0]/", True),
        ("fe80::/10", "ws://[fe80::1%eth0]/", True),
    ],
)
def test_no_proxy(no_proxy: str, url: str, direct: bool) -> None:
    environment = {"http_proxy": "http://p:1", "no_proxy": no_proxy}
    assert (environment_proxy(Url.parse(url), environment) is None) == direct
