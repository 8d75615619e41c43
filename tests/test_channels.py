"""Channels' limits as values; what they do is in `session/test_incoming_channel.py`."""

from __future__ import annotations

from typing import Any

import pytest

from ktor_client.channels import ChannelOverflow, Channels, bounded, unlimited

CLOSE = ChannelOverflow.CLOSE


def test_limits() -> None:
    assert repr(bounded(5)) == (
        "bounded(5, on_overflow=ChannelOverflow.SUSPEND, max_bytes=4194304)"
    )
    assert repr(unlimited()) == "unlimited()"
    assert bounded(5) == bounded(5)
    assert hash(bounded(5)) == hash(bounded(5))
    assert bounded(5) != bounded(6)
    assert bounded(5) != bounded(5, on_overflow=CLOSE)
    assert bounded(5) != bounded(5, max_bytes=1)
    assert unlimited() == unlimited()
    for capacity, size in ((0, 1), (1, 0), (-1, 1)):
        with pytest.raises(ValueError, match="at least 1 message and 1 byte"):
            bounded(capacity, max_bytes=size)


@pytest.mark.parametrize("wrong", [5, "unlimited", unlimited])
def test_limits_are_made_by_their_functions(wrong: Any) -> None:
    for name in ("incoming", "outgoing"):
        with pytest.raises(TypeError, match=r"limit is bounded\(64\) or unlimited\(\), not"):
            Channels(**{name: wrong})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"capacity": 1.5}, "are numbers of messages and bytes"),
        ({"capacity": None}, "see unlimited"),
        ({"capacity": 1, "max_bytes": None}, "are numbers of messages and bytes"),
        ({"capacity": 1, "on_overflow": "close"}, "takes a ChannelOverflow, not 'close'"),
    ],
)
def test_limits_of_another_type_are_told(options: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        bounded(**options)


def test_both_directions_have_64_messages() -> None:
    channels = Channels()
    assert channels.incoming == channels.outgoing == bounded(64, max_bytes=4 * 1024 * 1024)
    chosen = Channels(incoming=bounded(1), outgoing=unlimited())
    assert repr(chosen) == f"Channels(incoming={bounded(1)!r}, outgoing=unlimited())"
