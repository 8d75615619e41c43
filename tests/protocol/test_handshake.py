"""The opening handshake (RFC 6455 4): what is asked, and which answers open a WebSocket."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest

from ktor_client.http.headers import Headers
from ktor_client.protocol.acceptance import accept
from ktor_client.protocol.deflate import WebSocketDeflate
from ktor_client.protocol.extensions import WebSocketExtension
from ktor_client.protocol.handshake import (
    Negotiated,
    accept_for,
    check_choices,
    check_subprotocols,
    describe_choices,
    make_key,
    request_headers,
    verify,
)
from tests.protocol.test_extensions import Reverse, Upper

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
GOOD = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", ACCEPT)]


def changed(name: str, *values: str) -> Headers:
    """Return good headers, but with these values for `name`."""
    kept = [field for field in GOOD if field[0] != name]
    return Headers([*kept, *((name, value) for value in values)])


def test_the_example_of_the_rfc() -> None:
    assert accept_for(KEY) == ACCEPT


def test_keys_are_16_random_bytes() -> None:
    keys = {make_key() for _ in range(50)}
    assert len(keys) == 50
    assert {len(base64.b64decode(key, validate=True)) for key in keys} == {16}
    key = keys.pop()
    digest = hashlib.sha1(key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    assert accept_for(key) == base64.b64encode(digest).decode()


# --- asking ---


def test_request_headers() -> None:
    plain = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", KEY),
        ("Sec-WebSocket-Version", "13"),
    ]
    assert request_headers(KEY, (), ()) == plain
    assert request_headers(KEY, ("b", "a"), [WebSocketDeflate(), Upper()]) == [
        *plain,
        ("Sec-WebSocket-Protocol", "b, a"),
        (
            "Sec-WebSocket-Extensions",
            "permessage-deflate; client_max_window_bits, x-upper; speed=fast; plain, x-upper",
        ),
    ]


def test_subprotocols_that_can_be_offered() -> None:
    for offer in ((), ("graphql-ws",), ["v1.chat", "v2.chat!"]):
        check_subprotocols(offer)


@pytest.mark.parametrize(
    ("offer", "message"),
    [
        (("a b",), "'a b' is not a subprotocol name"),
        (("",), "'' is not a subprotocol name"),
        (("ok", "a,b"), "'a,b' is not"),
        (("a\r\nX: y",), "is not a subprotocol name"),
        (("chät",), "is not a subprotocol name"),
        (("a", "b", "a"), "offered twice: a, b, a"),
        ((5,), "5 is not a subprotocol name"),
    ],
)
def test_subprotocols_that_cannot(offer: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_subprotocols(offer)


def test_one_string_is_no_sequence() -> None:
    with pytest.raises(TypeError, match=r'subprotocols=\("chat",\)'):
        check_subprotocols("chat")
    wrong: Any = 5
    with pytest.raises(TypeError, match="a sequence of names, not int"):
        check_subprotocols(wrong)


# --- the answer ---


def test_a_good_answer() -> None:
    agreed = verify(Headers(GOOD), KEY, (), ())
    assert (agreed.subprotocol, agreed.extensions, agreed.codecs, agreed.descriptions) == (
        None,
        (),
        (),
        (),
    )


@pytest.mark.parametrize("value", ["websocket", "WebSocket", "WEBSOCKET", " websocket "])
def test_upgrade_values_that_are_taken(value: str) -> None:
    verify(changed("Upgrade", value), KEY, (), ())


@pytest.mark.parametrize(
    "values", [(), ("",), ("h2c",), ("websocket/13",), ("websocket, h2c",), ("websocket",) * 2]
)
def test_upgrade_values_that_are_not(values: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="Upgrade header"):
        verify(changed("Upgrade", *values), KEY, (), ())


@pytest.mark.parametrize(
    "values",
    [
        ("Upgrade",),
        ("upgrade",),
        ("keep-alive, Upgrade",),
        ("UPGRADE ,\tclose",),
        ("keep-alive", "Upgrade"),
        (",,upgrade,",),
    ],
)
def test_connection_is_a_list_of_tokens(values: tuple[str, ...]) -> None:
    verify(changed("Connection", *values), KEY, (), ())


@pytest.mark.parametrize("values", [(), ("",), ("close",), ("upgrades",), ("keep-alive upgrade",)])
def test_connection_values_that_are_not_taken(values: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"Connection header is .*, without 'Upgrade'"):
        verify(changed("Connection", *values), KEY, (), ())


@pytest.mark.parametrize(
    "values",
    [
        (),
        ("",),
        (ACCEPT.lower(),),
        (KEY,),
        (accept_for("x"),),
        (f"{ACCEPT}, {ACCEPT}",),
        (ACCEPT,) * 2,
    ],
)
def test_accept_values_that_are_not_taken(values: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="Sec-WebSocket-Accept"):
        verify(changed("Sec-WebSocket-Accept", *values), KEY, (), ())


def test_white_space_around_accept_is_none_of_it() -> None:
    verify(changed("Sec-WebSocket-Accept", f" {ACCEPT}\t"), KEY, (), ())


def test_the_subprotocol_is_one_of_those_asked_for() -> None:
    headers = changed("Sec-WebSocket-Protocol", "b")
    assert verify(headers, KEY, ("a", "b"), ()).subprotocol == "b"
    assert verify(Headers(GOOD), KEY, ("a", "b"), ()).subprotocol is None


@pytest.mark.parametrize(
    ("values", "offered", "message"),
    [
        (("a",), (), "chose subprotocol 'a'; offered: none"),
        (("c",), ("a", "b"), "chose subprotocol 'c'; offered: a, b"),
        (("A",), ("a",), "chose subprotocol 'A'"),
        (("a, b",), ("a", "b"), "chose subprotocol 'a, b'"),
        (("",), ("a",), "chose subprotocol ''"),
        (("a", "b"), ("a", "b"), "there are 2 "),
        (("a", "a"), ("a",), "there are 2 "),
    ],
)
def test_subprotocols_that_are_refused(
    values: tuple[str, ...], offered: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        verify(changed("Sec-WebSocket-Protocol", *values), KEY, offered, ())


def test_extensions_of_several_fields_are_one_list() -> None:
    installed: list[WebSocketExtension] = [WebSocketDeflate(), Upper(), Reverse()]
    headers = changed(
        "Sec-WebSocket-Extensions", "x-upper", 'permessage-deflate; client_max_window_bits="10"'
    )
    agreed = verify(headers, KEY, (), installed)
    assert agreed.extensions == (installed[1], installed[0])
    assert agreed.descriptions == ("x-upper", "permessage-deflate; client_max_window_bits=10")
    assert len(agreed.codecs) == 2


@pytest.mark.parametrize(
    "values",
    [
        ("permessage-deflate",),
        ("x-upper", "x-upper"),
        ("x-upper; slow",),
        ("x-upper;;",),
    ],
)
def test_extensions_that_are_refused(values: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"extension|x-upper|expected a token"):
        verify(changed("Sec-WebSocket-Extensions", *values), KEY, (), [Upper()])


def test_choices_alone() -> None:
    headers = Headers([("sec-websocket-protocol", "a")])
    assert check_choices(headers, ("a",), ()).subprotocol == "a"


def test_choices_that_a_platform_made() -> None:
    headers = Headers(
        [
            ("Sec-WebSocket-Protocol", "chat"),
            ("Sec-WebSocket-Extensions", "permessage-deflate;client_max_window_bits"),
        ]
    )
    agreed = describe_choices(headers, ("chat",))
    assert agreed.subprotocol == "chat"
    assert agreed.descriptions == ("permessage-deflate; client_max_window_bits",)
    assert not agreed.codecs
    assert not agreed.extensions
    with pytest.raises(ValueError, match="'chat'"):
        describe_choices(headers, ("soap",))
    nothing = describe_choices(Headers([("X", "")]), ("chat",))
    assert nothing.subprotocol is None
    assert nothing.descriptions == ()
    assert isinstance(nothing, Negotiated)


# --- the server's half ---


def answered(
    subprotocols: tuple[str, ...] = (),
    extensions: tuple[WebSocketExtension, ...] = (),
    *,
    speaks: tuple[str, ...] = (),
    has: tuple[WebSocketExtension, ...] = (),
) -> tuple[Negotiated, Negotiated]:
    """Return what the client and the server take the handshake for."""
    key = make_key()
    offer = Headers(request_headers(key, subprotocols, extensions))
    fields, server = accept(offer, speaks, has)
    return verify(Headers(fields), key, subprotocols, extensions), server


def test_both_halves_agree() -> None:
    client, server = answered()
    assert client.subprotocol is server.subprotocol is None
    client, server = answered(("a", "b", "c"), speaks=("c", "b"))
    assert client.subprotocol == server.subprotocol == "b"
    client, server = answered(("a",), speaks=("z",))
    assert client.subprotocol is server.subprotocol is None


def test_both_halves_agree_on_extensions() -> None:
    mine, theirs = WebSocketDeflate(), WebSocketDeflate(server_no_context_takeover=True)
    client, server = answered(extensions=(mine, Upper()), has=(Reverse(), theirs))
    assert client.descriptions == server.descriptions
    assert client.descriptions == ("permessage-deflate; server_no_context_takeover",)
    assert client.extensions == (mine,)
    assert server.extensions == (theirs,)
    smallest, _ = answered(
        extensions=(WebSocketDeflate(server_max_window_bits=8),), has=(WebSocketDeflate(),)
    )
    assert smallest.descriptions == ("permessage-deflate; server_max_window_bits=8",)


def test_only_the_first_good_offer_is_taken() -> None:
    offer = Headers(
        [
            *request_headers(KEY, (), ()),
            (
                "Sec-WebSocket-Extensions",
                "permessage-deflate; unknown, permessage-deflate; server_max_window_bits=10, "
                "permessage-deflate",
            ),
        ]
    )
    fields, server = accept(offer, (), [WebSocketDeflate()])
    assert server.descriptions == ("permessage-deflate; server_max_window_bits=10",)
    assert dict(fields)["Sec-WebSocket-Extensions"] == server.descriptions[0]


@pytest.mark.parametrize("missing", ["Upgrade", "Sec-WebSocket-Key"])
def test_what_is_no_handshake(missing: str) -> None:
    fields = [field for field in request_headers(KEY, (), ()) if field[0] != missing]
    with pytest.raises(ValueError, match="not an opening handshake"):
        accept(Headers(fields))
