"""permessage-deflate (RFC 7692): options, offers, answers, and the server's side."""

from __future__ import annotations

from typing import Any

import pytest

from ktor_client.protocol.deflate import DeflateCodec, WebSocketDeflate
from ktor_client.protocol.extensions import (
    ExtensionParameters,
    format_extension,
    format_offer,
    negotiate,
    parse_extensions,
)

NAME = "permessage-deflate"


def parameters(text: str) -> ExtensionParameters:
    """Parse "a; b=1"."""
    return parse_extensions(f"{NAME}; {text}")[0][1] if text else []


def accept(options: WebSocketDeflate, answer: str) -> DeflateCodec:
    return options.accept(parameters(answer))


def facts(codec: DeflateCodec) -> tuple[int, int, bool, bool]:
    return (codec.send_bits, codec.receive_bits, codec.keep_send, codec.keep_receive)


# --- options ---


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"client_max_window_bits": 7}, "client_max_window_bits must be within 8..15, not 7"),
        ({"client_max_window_bits": 16}, "client_max_window_bits must be within 8..15, not 16"),
        ({"server_max_window_bits": 7}, "server_max_window_bits must be within 8..15, not 7"),
        ({"server_max_window_bits": 16}, "server_max_window_bits must be within 8..15, not 16"),
        ({"level": -2}, "level must be within -1..9, not -2"),
        ({"level": 10}, "level must be within -1..9, not 10"),
        ({"mem_level": 0}, "mem_level must be within 1..9, not 0"),
        ({"mem_level": 10}, "mem_level must be within 1..9, not 10"),
        ({"threshold": -1}, "threshold must not be negative"),
        ({"max_inflated_size": 0}, "max_inflated_size must be at least 1"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        WebSocketDeflate(**options)


def test_options_have_zlibs_defaults() -> None:
    options = WebSocketDeflate()
    assert (options.level, options.mem_level, options.threshold) == (6, 8, 0)
    assert (options.client_max_window_bits, options.server_max_window_bits) == (15, 15)
    assert not options.client_no_context_takeover
    assert not options.server_no_context_takeover
    assert options.compress_if is None
    assert options.max_inflated_size is None


def test_options_at_their_ends() -> None:
    for bits in (8, 15):
        WebSocketDeflate(client_max_window_bits=bits, mem_level=1, level=-1, threshold=0)
        WebSocketDeflate(server_max_window_bits=bits, mem_level=9, level=9, max_inflated_size=1)
    assert repr(WebSocketDeflate(level=3, threshold=5)) == "WebSocketDeflate(level=3, threshold=5)"


# --- offers ---


@pytest.mark.parametrize(
    ("options", "offer"),
    [
        ({}, "client_max_window_bits"),
        ({"client_max_window_bits": 9}, "client_max_window_bits=9"),
        ({"client_max_window_bits": 8}, "client_max_window_bits=8"),
        ({"server_max_window_bits": 8}, "server_max_window_bits=8; client_max_window_bits"),
        (
            {"client_no_context_takeover": True},
            "client_no_context_takeover; client_max_window_bits",
        ),
        (
            {"server_no_context_takeover": True},
            "server_no_context_takeover; client_max_window_bits",
        ),
        (
            {
                "client_max_window_bits": 10,
                "server_max_window_bits": 11,
                "client_no_context_takeover": True,
                "server_no_context_takeover": True,
            },
            "server_no_context_takeover; client_no_context_takeover; "
            "server_max_window_bits=11; client_max_window_bits=10",
        ),
    ],
)
def test_offers(options: dict[str, Any], offer: str) -> None:
    assert format_offer([WebSocketDeflate(**options)]) == f"{NAME}; {offer}"


# --- answers ---


@pytest.mark.parametrize(
    ("options", "answer", "expected"),
    [
        ({}, "", (15, 15, True, True)),
        ({}, "client_no_context_takeover", (15, 15, False, True)),
        ({}, "server_no_context_takeover", (15, 15, True, False)),
        ({}, "client_max_window_bits=9", (9, 15, True, True)),
        ({}, "client_max_window_bits=8", (8, 15, True, True)),
        ({}, 'client_max_window_bits="8"', (8, 15, True, True)),
        ({}, "client_max_window_bits=8; client_no_context_takeover", (8, 15, False, True)),
        ({"client_max_window_bits": 8}, "", (8, 15, True, True)),
        ({"client_max_window_bits": 8}, "client_max_window_bits=8", (8, 15, True, True)),
        ({"client_max_window_bits": 8}, "client_max_window_bits=12", (8, 15, True, True)),
        ({"server_max_window_bits": 8}, "server_max_window_bits=8", (15, 8, True, True)),
        ({}, "client_max_window_bits=8; server_max_window_bits=8", (8, 8, True, True)),
        ({}, "client_max_window_bits=15", (15, 15, True, True)),
        ({"client_max_window_bits": 12}, "client_max_window_bits=10", (10, 15, True, True)),
        ({"client_max_window_bits": 12}, "client_max_window_bits=14", (12, 15, True, True)),
        ({"client_max_window_bits": 12}, "", (12, 15, True, True)),
        ({}, "server_max_window_bits=8", (15, 8, True, True)),
        ({"server_max_window_bits": 12}, "server_max_window_bits=12", (15, 12, True, True)),
        ({"server_max_window_bits": 12}, "server_max_window_bits=9", (15, 9, True, True)),
        ({"client_no_context_takeover": True}, "", (15, 15, False, True)),
        ({"client_no_context_takeover": True}, "client_no_context_takeover", (15, 15, False, True)),
        ({"server_no_context_takeover": True}, "server_no_context_takeover", (15, 15, True, False)),
        (
            {},
            "server_no_context_takeover; client_no_context_takeover; "
            "server_max_window_bits=10; client_max_window_bits=11",
            (11, 10, False, False),
        ),
        ({}, 'client_max_window_bits="10"; server_max_window_bits="9"', (10, 9, True, True)),
    ],
)
def test_answers_that_fit(
    options: dict[str, Any], answer: str, expected: tuple[int, int, bool, bool]
) -> None:
    assert facts(accept(WebSocketDeflate(**options), answer)) == expected


@pytest.mark.parametrize(
    ("options", "answer", "message"),
    [
        ({}, "unknown", "parameter unknown is not one of permessage-deflate"),
        ({}, "Server_No_Context_Takeover", "is not one of permessage-deflate"),
        ({}, "server_no_context_takeover; server_no_context_takeover", "is given twice"),
        ({}, "client_max_window_bits=9; client_max_window_bits=10", "is given twice"),
        ({}, "server_no_context_takeover=1", "takes no value"),
        ({}, "client_no_context_takeover=true", "takes no value"),
        ({}, "client_max_window_bits", "client_max_window_bits needs a value"),
        ({}, "server_max_window_bits", "server_max_window_bits needs a value"),
        ({}, "client_max_window_bits=08", "is not within 8..15"),
        ({}, "server_max_window_bits=08", "is not within 8..15"),
        ({"server_max_window_bits": 8}, "server_max_window_bits=9", "more than the 8"),
        ({}, "client_max_window_bits=7", "is not within 8..15"),
        ({}, "client_max_window_bits=16", "is not within 8..15"),
        ({}, "client_max_window_bits=010", "is not within 8..15"),
        ({}, "client_max_window_bits=09", "is not within 8..15"),
        ({}, "client_max_window_bits=+9", "is not within 8..15"),
        ({}, "client_max_window_bits=x", "is not within 8..15"),
        ({}, "server_max_window_bits=0", "is not within 8..15"),
        ({}, "server_max_window_bits=16", "is not within 8..15"),
        ({"server_max_window_bits": 10}, "server_max_window_bits=11", "more than the 10"),
        ({"server_max_window_bits": 10}, "", "ignored server_max_window_bits"),
        ({"server_no_context_takeover": True}, "", "ignored server_no_context_takeover"),
    ],
)
def test_answers_that_do_not(options: dict[str, Any], answer: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        accept(WebSocketDeflate(**options), answer)


def test_one_object_serves_many_connections() -> None:
    options = WebSocketDeflate()
    first, second = (negotiate(NAME, [options])[0][1] for _ in range(2))
    assert first is not second


# --- the server's side ---


@pytest.mark.parametrize(
    ("options", "offer", "answer", "expected"),
    [
        ({}, "", "", (15, 15, True, True)),
        ({}, "client_max_window_bits", "", (15, 15, True, True)),
        ({}, "client_max_window_bits=10", "client_max_window_bits=10", (15, 10, True, True)),
        (
            {"client_max_window_bits": 9},
            "client_max_window_bits",
            "client_max_window_bits=9",
            (15, 9, True, True),
        ),
        ({"client_max_window_bits": 9}, "", "", (15, 15, True, True)),
        ({}, "server_max_window_bits=10", "server_max_window_bits=10", (10, 15, True, True)),
        ({"server_max_window_bits": 9}, "", "server_max_window_bits=9", (9, 15, True, True)),
        ({}, "server_max_window_bits=8", "server_max_window_bits=8", (8, 15, True, True)),
        ({"server_max_window_bits": 8}, "", "server_max_window_bits=8", (8, 15, True, True)),
        ({}, "client_max_window_bits=8", "client_max_window_bits=8", (15, 8, True, True)),
        (
            {"client_max_window_bits": 8},
            "server_max_window_bits=8; client_max_window_bits",
            "server_max_window_bits=8; client_max_window_bits=8",
            (8, 8, True, True),
        ),
        ({}, "server_no_context_takeover", "server_no_context_takeover", (15, 15, False, True)),
        ({}, "client_no_context_takeover", "client_no_context_takeover", (15, 15, True, False)),
        (
            {"server_no_context_takeover": True, "client_no_context_takeover": True},
            "",
            "server_no_context_takeover; client_no_context_takeover",
            (15, 15, False, False),
        ),
    ],
)
def test_agreeing(
    options: dict[str, Any], offer: str, answer: str, expected: tuple[int, int, bool, bool]
) -> None:
    agreed = WebSocketDeflate(**options).agree(parameters(offer))
    assert agreed is not None
    assert format_extension(NAME, agreed[0]) == "; ".join(filter(None, [NAME, answer]))
    assert facts(agreed[1]) == expected


@pytest.mark.parametrize(
    ("options", "offer"),
    [
        ({}, "unknown"),
        ({}, "server_max_window_bits"),
        ({}, "server_max_window_bits=16"),
    ],
)
def test_declining(options: dict[str, Any], offer: str) -> None:
    assert WebSocketDeflate(**options).agree(parameters(offer)) is None


OPTIONS: list[dict[str, Any]] = [
    {},
    {"client_max_window_bits": 9, "server_max_window_bits": 10},
    {"client_max_window_bits": 8, "server_max_window_bits": 8},
    {"client_no_context_takeover": True},
    {"server_no_context_takeover": True, "server_max_window_bits": 12},
]


@pytest.mark.parametrize("server_options", OPTIONS)
@pytest.mark.parametrize("client_options", OPTIONS)
def test_both_sides_mean_the_same(
    client_options: dict[str, Any], server_options: dict[str, Any]
) -> None:
    client = WebSocketDeflate(**client_options)
    agreed = WebSocketDeflate(**server_options).agree(client.offers()[0])
    assert agreed is not None
    answer, server = agreed
    mine = client.accept(answer)
    assert mine.keep_receive == server.keep_send
    assert mine.keep_send <= server.keep_receive
    assert mine.send_bits <= server.receive_bits
    assert server.send_bits <= mine.receive_bits
    for data in (b"a" * 1000, b"a" * 1000, b"", bytes(range(256)) * 200):
        packed = mine.encode(data, first=True, fin=True)
        assert server.decode(packed, first=True, fin=True, limit=1 << 20) == data
        packed = server.encode(data, first=True, fin=True)
        assert mine.decode(packed, first=True, fin=True, limit=1 << 20) == data
