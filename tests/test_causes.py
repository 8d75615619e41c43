"""Walking back along an exception's causes, also where somebody has bent them into a ring."""

from __future__ import annotations

import socket
from itertools import pairwise

import httpx
import pytest

from ktor_client.causes import causes
from ktor_client.engines._asgi.failures import is_about_disconnect
from ktor_client.engines._httpx.errors import ERRORS
from ktor_client.errors import ConnectError, DnsError


def chained(*errors: BaseException, by: str) -> BaseException:
    """Return the first, which came from the second, and so on."""
    for error, cause in pairwise(errors):
        setattr(error, by, cause)
    return errors[0]


@pytest.mark.parametrize("by", ["__cause__", "__context__"])
def test_each_comes_once(by: str) -> None:
    one, two, three = ValueError(1), ValueError(2), ValueError(3)
    assert list(causes(chained(one, two, three, by=by))) == [one, two, three]
    three.__cause__ = two
    assert list(causes(one)) == [one, two, three]
    one.__cause__ = one
    assert list(causes(one)) == [one]


def test_contexts_may_be_left_out() -> None:
    one, two, three = ValueError(1), ValueError(2), ValueError(3)
    one.__cause__, two.__context__ = two, three
    assert list(causes(one, contexts=False)) == [one, two]


def test_equal_is_not_the_same() -> None:
    class Alike(Exception):
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = Exception.__hash__

    one, two = Alike(), Alike()
    one.__cause__ = two
    assert [id(error) for error in causes(one)] == [id(one), id(two)]


@pytest.mark.parametrize("by", ["__cause__", "__context__"])
def test_rings_are_translated(by: str) -> None:
    wrapped = httpx.ConnectError("all attempts failed")
    chained(wrapped, httpx.ConnectError("one"), wrapped, by=by)
    assert type(ERRORS.translate(wrapped, "host:80")) is ConnectError
    chained(wrapped, socket.gaierror(-2, "no"), wrapped, by=by)
    assert type(ERRORS.translate(wrapped, "host:80")) is DnsError


def test_a_ring_of_an_app() -> None:
    error = LookupError("no such room")
    chained(error, KeyError("room"), error, by="__context__")
    assert not is_about_disconnect(error)
    chained(error, ConnectionResetError(), error, by="__context__")
    assert is_about_disconnect(error)
