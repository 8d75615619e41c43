"""What is never shown of URLs and headers."""

from __future__ import annotations

import pytest

from ktor_client import Headers, HttpMethod, HttpRequest, Url, redacted
from ktor_client.http.redaction import is_secret_name


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "Password",
        "user_password",
        "passwd",
        "token",
        "access_token",
        "refreshToken",
        "accesstoken",
        "id-token",
        "api_key",
        "apiKey",
        "x-api-key",
        "X-ApiKey",
        "client_secret",
        "Authorization",
        "Set-Cookie",
        "X-Amz-Signature",
        "X-Amz-Security-Token",
        "X-CSRF-Token",
        "JWT",
        "sessionid",
        "AccessKeyId.AccessKey",
    ],
)
def test_names_of_secrets(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "page",
        "q",
        "tokenizer",
        "token_type",
        "max_tokens",
        "expires_in",
        "keyboard",
        "code",
        "",
        "user",
    ],
)
def test_other_names(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://h/x", "https://h/x"),
        ("https://user:pass@h:8080/x?q=1", "https://***@h:8080/x?q=1"),
        ("https://h/?page=2&token=abc&x", "https://h/?page=2&token=***&x"),
        ("https://h/?api%5Fkey=abc", "https://h/?api%5Fkey=***"),
        ("https://h/?code=abc&state=1", "https://h/?code=***&state=1"),
        ("https://h/?token=", "https://h/?token="),
        (
            "https://h/cb#access_token=abc&token_type=b",
            "https://h/cb#access_token=***&token_type=b",
        ),
        ("/relative?sig=abc", "/relative?sig=***"),
        ("http://a:b@c@h/", "http://***@h/"),
    ],
)
def test_urls(url: str, shown: str) -> None:
    assert redacted(url) == shown


def test_a_url_that_was_parsed() -> None:
    assert redacted(Url.parse("wss://u:p@h/?token=abc&a=1")) == "wss://h/?token=***&a=1"


def test_headers() -> None:
    fields = {
        "Authorization": "Bearer abc",
        "Proxy-Authorization": "abc",
        "Cookie": "a=b",
        "Sec-WebSocket-Protocol": "graphql-ws, base64url.bearer.authorization.k8s.io.abc, abc",
        "Location": "https://h/?token=abc",
        "X-Api-Key": "abc",
        "Accept": "text/html",
    }
    shown = {
        "Authorization": "Bearer ***",
        "Proxy-Authorization": "***",
        "Cookie": "***",
        "Sec-WebSocket-Protocol": "graphql-ws, ***, ***",
        "Location": "https://h/?token=***",
        "X-Api-Key": "***",
        "Accept": "text/html",
    }
    assert dict(redacted(fields)) == shown
    assert dict(redacted(Headers(fields))) == shown
    assert dict(redacted(list(fields.items()))) == shown
    assert "abc" not in repr(Headers(fields))


def test_no_repr_shows_a_query_that_is_secret() -> None:
    request = HttpRequest(HttpMethod.Get, Url.parse("https://u:p@h/x?token=abc&page=2"))
    assert repr(request) == "HttpRequest(GET Url('https://***@h/x?token=***&page=2'))"
