"""Which proxy a URL goes through."""

from __future__ import annotations

import pytest

from ktor_client.engine.proxies import Proxy, environment_proxy
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
    assert proxy.is_socks == scheme.startswith("socks")


def test_credentials_are_not_shown() -> None:
    proxy = Proxy("http://name:s3cret@[::1]:3128")
    assert str(proxy) == "http://[::1]:3128"
    assert repr(proxy) == "Proxy('http://[::1]:3128')"
    assert proxy.credentials() == "Basic bmFtZTpzM2NyZXQ="
    assert proxy.key() != Proxy("http://name:other@[::1]:3128").key()


@pytest.mark.parametrize(
    "text", ["", "http://", "ftp://u:s3cret@h", "http://u:s3cret@h:99999", "http://u:s3cret@h/x?y"]
)
def test_what_is_no_proxy(text: str) -> None:
    with pytest.raises(ValueError, match="prox") as caught:
        Proxy(text)
    assert "s3cret" not in str(caught.value)


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
    ],
)
def test_no_proxy(no_proxy: str, url: str, direct: bool) -> None:
    environment = {"http_proxy": "http://p:1", "no_proxy": no_proxy}
    assert (environment_proxy(Url.parse(url), environment) is None) == direct
