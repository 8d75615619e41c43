"""The policy as users write it."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from datetime import timedelta
from typing import Any

import pytest

from ktor_client import Backoff, Retry, RetryPolicy, Stop


def test_the_defaults_are_the_documented_ones() -> None:
    policy = RetryPolicy()
    assert policy.backoff == Backoff(first=0.25, longest=30, factor=2, jitter="full")
    assert (policy.max_attempts, policy.max_elapsed, policy.decide) == (None, None, None)
    assert policy.stable_after == 10


def test_it_is_a_value() -> None:
    policy = RetryPolicy(Backoff(first=1), max_attempts=3, max_elapsed=timedelta(minutes=1))
    assert policy == RetryPolicy(Backoff(first=1), max_attempts=3, max_elapsed=60)
    assert hash(policy) == hash(RetryPolicy(Backoff(first=1), max_attempts=3, max_elapsed=60))
    assert policy != RetryPolicy()
    with pytest.raises(FrozenInstanceError):
        policy.max_attempts = 4  # type: ignore[misc]  # pyright: ignore  # what is tested


@pytest.mark.parametrize(
    ("options", "kind", "text"),
    [
        ({"backoff": 0.5}, TypeError, r"backoff takes Backoff\(first=0.25, longest=30\), not 0.5"),
        ({"backoff": Backoff}, TypeError, "backoff takes Backoff"),
        ({"max_attempts": 0}, ValueError, "counts the first attempt too, so it is 1 or more"),
        ({"max_attempts": 2.5}, TypeError, "max_attempts takes an int or None, not 2.5"),
        ({"max_attempts": True}, TypeError, "max_attempts takes an int or None, not True"),
        ({"max_elapsed": 0}, ValueError, "max_elapsed must be a positive"),
        ({"max_elapsed": "1"}, TypeError, "max_elapsed takes seconds"),
        ({"stable_after": -1}, ValueError, "stable_after must be zero or a positive"),
        ({"stable_after": None}, TypeError, "stable_after takes seconds"),
        ({"decide": Stop()}, TypeError, "decide takes a function of the Failure, not Stop"),
        ({"max_retries": 3}, TypeError, "max_retries"),
    ],
)
def test_nonsense_is_refused_where_it_is_written(
    options: dict[str, Any], kind: type[Exception], text: str
) -> None:
    with pytest.raises(kind, match=text):
        RetryPolicy(**options)


def test_success_is_a_message_and_a_while() -> None:
    policy = RetryPolicy(stable_after=10)
    assert policy.is_stable(10, True)
    assert not policy.is_stable(9.9, True)
    assert not policy.is_stable(1000, False)
    assert RetryPolicy(stable_after=0).is_stable(0, True)


def test_the_words_of_decide_are_values() -> None:
    assert Retry() == Retry(None) != Retry(0)
    assert Retry(timedelta(seconds=2)) == Retry(2.0)
    assert Stop("enough").why == "enough"
    with pytest.raises(ValueError, match="delay must be zero or a positive"):
        Retry(-1)
    with pytest.raises(TypeError, match="delay takes seconds"):
        Retry("soon")  # type: ignore[arg-type]  # pyright: ignore  # what is tested
