"""Bodies and messages as they are shown: without secrets, cut, and nothing that forges a log."""

from __future__ import annotations

import json
import random

import pytest

from ktor_client import Headers, Url
from ktor_client.http.redaction import with_more_secrets
from ktor_client.http.shown_text import Redactor, redacted_text, visible

FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('{"user":"a","password":"s3cret","n":1}', '{"user":"a","password":"***","n":1}'),
        ('{"password" : "s3\\"cr\\\\", "n":1}', '{"password" : "***", "n":1}'),
        ('{"a":{"b":[{"access_token":"s3cret"}]}}', '{"a":{"b":[{"access_token":"***"}]}}'),
        ('{"apiKey":["s3","cret"],"n":1}', '{"apiKey":***,"n":1}'),
        ('{"client-secret":{"x":["}","s3"]},"n":1}', '{"client-secret":***,"n":1}'),
        ('{"Refresh_Token":12345,"n":1}', '{"Refresh_Token":***,"n":1}'),
        ('{"PASSWORD":null,"token":true}', '{"PASSWORD":null,"token":true}'),
        ('{"passw\\u006frd":"s3cret"}', '{"passw\\u006frd":"***"}'),
        ('{"token":"s3cret', '{"token":"***'),
        ('{"token":"s3cr\\', '{"token":"***'),
        ("\\n[token=s3cret] [[x]] a[token]=s3cret", "\\n[token=***] [[x]] a[token]=***"),
        ('{"token":["s3', '{"token":***'),
        ('{"token":s3', '{"token":***'),
        ("{'token': 's3cret', 'n': 1}", "{'token': '***', 'n': 1}"),
        ('{"max_tokens": 5, "token_type": "bearer"}', '{"max_tokens": 5, "token_type": "bearer"}'),
        ('{"body":"password=s3cret&n=1"}', '{"body":"password=***&n=1"}'),
        ("login?password=s3cret&n=1", "login?password=***&n=1"),
        ("see https://u:s3@h/p?code=s3&n=1 now", "see https://***@h/p?code=***&n=1 now"),
        ("see wss://h/feed?ticket=s3cret", "see wss://h/feed?ticket=***"),
        ("Authorization: Bearer s3cret\nHost: h", "Authorization: ***\nHost: h"),
        ("passcode:s3cret\n\n", "passcode:***\n\n"),
        ("got a Bearer s3cret-token there", "got a Bearer *** there"),
        ("Basic authentication, Bearer tokens", "Basic authentication, Bearer tokens"),
        ("nothing to hide: 1 + 1 = 2", "nothing to hide: 1 + 1 = 2"),
        ("", ""),
    ],
)
def test_secrets_in_any_text(text: str, shown: str) -> None:
    assert redacted_text(text) == shown


def test_json_within_json_within_json() -> None:
    inner = json.dumps({"token": 's3"cret\\', "n": 1})
    middle = json.dumps({"password": 's3"', "body": inner})
    outer = json.dumps({"data": middle, "secret": "s3"})
    shown = redacted_text(outer)
    assert "s3" not in shown
    whole = json.loads(json.loads(json.loads(shown)["data"])["body"])
    assert whole == {"token": "***", "n": 1}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("user=a&password=s3cret&n=1", "user=a&password=***&n=1"),
        ("user%5BPassword%5D=s3+cret&n=", "user%5BPassword%5D=***&n="),
        ("api-key=s3, cret; and more&b=1", "api-key=***&b=1"),
        ("password=s3", "password=***"),
        ("password=", "password="),
        ("password", "password"),
        ('{"user":"a","password":"s3=c&ret"}', '{"user":"a","password":"***"}'),  # no form
        ("user=a; password=s3cret", "user=a; password=***"),
    ],
)
def test_secrets_in_forms(text: str, shown: str) -> None:
    assert redacted_text(text, f"{FORM}; charset=utf-8") == shown


def test_secrets_in_parts() -> None:
    def part(head: str, content: str) -> str:
        return f"--B\r\nContent-Disposition: form-data; {head}\r\n\r\n{content}\r\n"

    text = (
        part('name="user"', "a")
        + part('name="password"', "s3\r\ncret")
        + part("name=token", "s3cret")
        + part('name="file"; filename="x.json"', '{"api_key": "s3cret", "n": 1}')
        + "--B--\r\n"
    )
    shown = redacted_text(text, 'multipart/form-data; boundary="B"')
    assert "s3" not in shown
    assert "cret" not in shown
    assert "\r\n\r\na\r\n--B" in shown
    assert '"n": 1' in shown
    assert redacted_text(text, "multipart/mixed; boundary=B") == shown
    cut_off = text[: text.index("cret") + 2]
    assert "s3" not in redacted_text(cut_off, "multipart/form-data; boundary=B")


def test_a_beginning_shows_no_more_than_the_whole() -> None:
    """Wherever a text is cut, what is secret in it stays so."""
    document = json.dumps(
        {
            "user": "a",
            "password": "s3cret-one",
            "deep": [{"token": ["s3cret-two", {"x": "s3cret-three"}]}],
            "text": json.dumps({"api_key": "s3cret-four"}),
            "form": "password=s3cret-five&n=1",
            "url": "https://u:s3cret-six@h/?code=s3cret-seven",
        }
    )
    for end in range(len(document)):
        shown = Redactor(1000).text(document[:end], is_cut=True)
        assert "s3cret" not in shown, document[:end]
        assert shown.endswith("…")


def test_random_documents_keep_their_secrets() -> None:
    chance = random.Random(4)

    def value(depth: int) -> object:
        kind = chance.randrange(7 if depth else 4)
        if kind < 2:
            return "".join(chance.choice("ab\"\\{}[]:,= \n'é") for _ in range(chance.randrange(9)))
        if kind == 2:
            return chance.choice([1, 2.5, None, True])
        if kind in (3, 4):
            return [value(depth - 1) for _ in range(chance.randrange(3))] if depth else []
        return {
            chance.choice(["a", "b", "token", "userPassword", "x-api-key"]): hidden(depth)
            for _ in range(chance.randrange(4))
        }

    def hidden(depth: int) -> object:
        return value(depth - 1)

    def marked(thing: object, secret: bool) -> object:
        if isinstance(thing, dict):
            return {
                name: marked(inner, secret or name not in ("a", "b"))
                for name, inner in thing.items()
            }
        if isinstance(thing, list):
            return [marked(inner, secret) for inner in thing]
        return f"s3cret {thing}" if secret else thing

    for _ in range(3000):
        text = json.dumps(marked(value(4), False), ensure_ascii=chance.random() < 0.5)
        shown = redacted_text(text)
        assert "s3cret" not in shown, text


@pytest.mark.parametrize(
    "text",
    [
        "\\" * 20_000,
        '"' * 20_000,
        '\\"' * 9000,
        '"a":' * 5000,
        "a=" * 9000,
        "{" * 20_000,
        '"token":' + '["' * 9000,
        "https://" * 3000,
        '"token":"' + "\\\\" * 9000,
        " " * 20_000,
        "[" * 500_000,
        "]a" * 200_000,
        "\\n[" * 9000,
    ],
    ids=lambda text: text[:9],
)
def test_hostile_texts_take_no_time(text: str) -> None:
    redacted_text(text)  # the suite's time limit is the judge: all of it is linear


def test_a_limit_of_characters() -> None:
    shown = Redactor(10)
    assert shown.text("1234567890") == "1234567890"
    assert shown.text("12345678901") == "1234567890…"
    assert shown.text("é" * 11) == "é" * 10 + "…"
    assert shown.text("x" * 1_000_000) == "x" * 10 + "…"
    assert shown.text('{"token":"' + "s" * 5000 + '", "n": 1}') == '{"token":"…'
    assert Redactor(0).text("x") == "…"
    assert Redactor(0).text("") == ""


@pytest.mark.parametrize(
    ("data", "media_type", "shown"),
    [
        (b"text", "", "text"),
        ("é".encode(), "text/plain", "é"),
        ("é".encode()[:1], "text/plain", ""),  # cut off within a character
        ("é".encode("latin-1"), "text/plain; charset=latin-1", "é"),
        ("hé".encode("utf-16"), "text/plain; charset=utf-16", "hé"),
        (b"text", "text/plain; charset=nonsense", None),
        (b"text", "text/plain; charset=base64", None),
        (b"text", "text/plain; charset=zlib", None),
        (b"text", "text/plain; charset=rot13", None),
        (b"\x89PNG\r\n\x1a\n", "image/png", None),
        (b"GIF89a", "image/gif", None),
        (b"\x00\x01\x02", "application/octet-stream", None),
        (b"text with a \x00", "text/plain", None),
        (b"\xff\xfe\xfd", "text/plain", None),
        (b"", "", ""),
    ],
)
def test_bodies(data: bytes, media_type: str, shown: str | None) -> None:
    assert Redactor(100).body(data, media_type) == shown


def test_no_line_is_forged() -> None:
    forged = "a\r\n#2 --> GET https://evil/\n\x1b[2Jred\u2028line\x85next\x00"
    assert visible(forged) == (
        "a\n    #2 --> GET https://evil/\n    \\x1b[2Jred\\u2028line\\x85next\\x00"
    )


def test_urls_and_headers() -> None:
    shown = Redactor(100, with_more_secrets(["X-My-Id"]))
    assert shown.url(Url.parse("https://u:p@h/x?token=s3&xMyId=s3&n=1")) == (
        "https://h/x?token=***&xMyId=***&n=1"
    )
    headers = Headers([("Cookie", "a=s3"), ("x_my_id", "s3"), ("X-Other", "n")])
    assert shown.headers(headers) == "\n    Cookie: ***\n    x_my_id: ***\n    X-Other: n"


@pytest.mark.parametrize(
    "names", [["X-My-Key"], {"x_my_key": 1}, lambda name: "my" in name.lower()]
)
def test_more_names_of_secrets(names: object) -> None:
    is_secret = with_more_secrets(names)  # type: ignore[arg-type]
    for spelling in ("x-my-key", "xMyKey", "X_MY_KEY"):
        assert is_secret(spelling)
    assert is_secret("password")
    assert not is_secret("other")


@pytest.mark.parametrize("names", ["X-My-Key", b"x", 7, [b"x"]])
def test_names_that_are_none(names: object) -> None:
    with pytest.raises(TypeError, match="secret"):
        with_more_secrets(names)  # type: ignore[arg-type]
