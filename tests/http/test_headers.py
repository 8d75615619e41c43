"""Header fields: case, order, repetition, and what may not stand in one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ktor_client.errors import UnsafeHeaderError
from ktor_client.http import Headers, HeadersBuilder, HttpMethod
from ktor_client.http.headers import is_token

FIELDS = [("Accept", "a"), ("X-Id", "1"), ("accept", "b"), ("Cookie", "k=v"), ("COOKIE", "l=w")]


def test_names_have_no_case() -> None:
    headers = Headers(FIELDS)
    assert headers["ACCEPT"] == "a, b"
    assert headers["cookie"] == "k=v; l=w"
    assert headers.get("x-id") == "1"
    assert headers.get("other") is None
    assert headers.get("other", "default") == "default"
    assert headers.get_all("Accept") == ["a", "b"]
    assert headers.get_all("other") == []
    assert "aCCept" in headers
    assert "other" not in headers
    anything: object = 5
    assert anything not in list(headers)
    assert not headers.__contains__(anything)
    with pytest.raises(KeyError, match="other"):
        headers["other"]


def test_order_and_repetition() -> None:
    headers = Headers(FIELDS)
    assert list(headers) == ["Accept", "X-Id", "Cookie"]
    assert len(headers) == 3
    assert headers.fields() == FIELDS
    assert dict(headers) == {"Accept": "a, b", "X-Id": "1", "Cookie": "k=v; l=w"}
    headers.fields().clear()
    assert headers.fields() == FIELDS


def test_sources() -> None:
    assert Headers({"a": "1"}) == Headers([("A", "1")])
    assert Headers(Headers(FIELDS)).fields() == FIELDS
    assert Headers(iter(FIELDS)).fields() == FIELDS
    assert Headers() == Headers([])


def test_headers_are_values() -> None:
    assert Headers([("A", "1")]) == Headers([("a", "1")])
    assert hash(Headers([("A", "1")])) == hash(Headers([("a", "1")]))
    assert Headers([("A", "1")]) != Headers([("A", "2")])
    assert Headers([("A", "1"), ("A", "2")]) != Headers([("A", "2"), ("A", "1")])
    assert Headers([("A", "1")]) == {"A": "1"}
    assert Headers([("A", "1")]) != {"A": "2"}
    assert Headers([("A", "1")]) != "A"


@pytest.mark.parametrize(
    "name", ["Authorization", "PROXY-AUTHORIZATION", "cookie", "Set-Cookie", "x-api-key"]
)
def test_repr_shows_no_secrets(name: str) -> None:
    shown = repr(Headers([(name, "hunter2"), ("X-Id", "1")]))
    assert shown == f"Headers({name}: ***, X-Id: 1)"


# --- building ---


def test_building() -> None:
    builder = HeadersBuilder(FIELDS)
    builder.add("X-New", " padded\t")
    builder.set("ACCEPT", "c")
    builder["X-Id"] = "2"
    builder.remove("cookie")
    builder.remove("never there")
    built = builder.build()
    assert built.fields() == [("X-New", "padded"), ("ACCEPT", "c"), ("X-Id", "2")]
    builder.add_all({"X-More": "3"})
    assert "x-more" not in built
    assert type(built) is Headers
    with pytest.raises(TypeError):
        hash(builder)


@pytest.mark.parametrize("name", ["", "a b", "a:", "ä", "a\r\nb", "a\x00", "(a)"])
def test_names_are_tokens(name: str) -> None:
    with pytest.raises(UnsafeHeaderError, match="is not a header name"):
        HeadersBuilder().add(name, "x")
    with pytest.raises(UnsafeHeaderError):
        HeadersBuilder({name: "x"})


@pytest.mark.parametrize("value", [*"\x00\x01\n\r\x0b\x1f\x7f", "a\r\nX-Evil: 1", "a\n b"])
def test_values_have_no_control_characters(value: str) -> None:
    builder = HeadersBuilder({"A": "old"})
    for change in (builder.add, builder.set, builder.__setitem__):
        with pytest.raises(UnsafeHeaderError, match="the value of header 'B' has a control"):
            change("B", value)
    assert builder.fields() == [("A", "old")]


@pytest.mark.parametrize("value", ["\ud800", "a\udfff", "caf\udce9"])
def test_values_have_no_lone_surrogates(value: str) -> None:
    with pytest.raises(UnsafeHeaderError, match=r"'B' has a lone surrogate \('\\ud.*encoded"):
        HeadersBuilder().add("B", value)


def test_errors_do_not_show_values() -> None:
    with pytest.raises(UnsafeHeaderError) as caught:
        HeadersBuilder().add("Authorization", "hunter2\n")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("value", ["", "a\tb", "ü", "ж🐍", 'a, b; c="d"'])
def test_values_that_are_taken(value: str) -> None:
    assert HeadersBuilder({"A": value})["A"] == value


@pytest.mark.parametrize(("name", "value"), [("A", 1), (b"A", "x"), ("A", b"x"), ("A", None)])
def test_names_and_values_are_text(name: Any, value: Any) -> None:
    with pytest.raises(TypeError, match="header names and values are str"):
        HeadersBuilder().add(name, value)


@pytest.mark.parametrize("wrong", ["X-Id: 1", b"X-Id: 1", 5])
def test_what_has_no_fields(wrong: Any) -> None:
    with pytest.raises(TypeError, match=f"mapping or pairs, .* not {type(wrong).__name__}"):
        HeadersBuilder().add_all(wrong)


TOKEN = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


@given(st.text(max_size=5))
def test_tokens(text: str) -> None:
    assert is_token(text) == (text != "" and all(character in TOKEN for character in text))


# --- methods ---


def test_methods() -> None:
    assert HttpMethod("get") == HttpMethod.Get == "GET"
    assert repr(HttpMethod.Get) == "HttpMethod('GET')"
    assert f"{HttpMethod('PropFind')}" == "PROPFIND"
    names = ["Get", "Post", "Put", "Patch", "Delete", "Head", "Options"]
    assert [getattr(HttpMethod, name) for name in names] == [name.upper() for name in names]
    for wrong in ("", "A B", "GET\r\n", "gét"):
        with pytest.raises(ValueError, match="is not an HTTP method"):
            HttpMethod(wrong)


def test_a_name_that_is_no_str_is_told_each_time() -> None:
    """And does not leave behind an index of those before it."""
    headers = Headers([("a", "1"), (2, "2"), ("b", "3")])  # type: ignore[list-item]
    for _ in range(2):
        with pytest.raises(AttributeError, match="lower"):
            headers.get("b")


def test_a_field_that_is_no_list() -> None:
    headers = Headers([("Age", "1"), ("age", "1"), ("X", "a"), ("x", "b"), ("Y", "")])
    assert headers.single("AGE") == "1"
    assert headers.single("X") == "a, b"
    assert headers.single("Y") == ""
    assert headers.single("Z") is None
