"""Delays: their bounds, their spread, and hints of servers."""

from __future__ import annotations

import math
import random
from dataclasses import FrozenInstanceError
from datetime import timedelta
from typing import Any

import pytest

from ktor_client import Backoff


def test_bounds_grow_up_to_the_longest() -> None:
    backoff = Backoff()
    assert [backoff.cap(n) for n in range(9)] == [0.25, 0.5, 1, 2, 4, 8, 16, 30, 30]
    assert backoff.cap(100_000) == 30
    assert Backoff(first=2, longest=2, factor=1).cap(7) == 2


def test_full_jitter_is_uniform_from_zero_to_the_bound() -> None:
    chance = random.Random(1).random
    delays = [Backoff().delay(5, random=chance) for _ in range(4000)]
    assert 0 <= min(delays) < 0.1
    assert 7.9 < max(delays) <= 8
    assert math.isclose(sum(delays) / len(delays), 4, rel_tol=0.05)
    for eighth in range(8):
        assert 350 < sum(eighth <= delay < eighth + 1 for delay in delays) < 650


def test_a_hint_is_a_floor_and_jitter_comes_on_top() -> None:
    backoff = Backoff(first=1, longest=4)
    assert backoff.delay(1, hint=120, random=lambda: 0.0) == 120
    assert backoff.delay(1, hint=120, random=lambda: 0.5) == 121
    assert backoff.delay(1, hint=0, random=lambda: 0.5) == 1


def test_without_jitter_the_delay_is_the_bound_or_the_hint() -> None:
    backoff = Backoff(first=1, longest=4, jitter="none")
    assert [backoff.delay(n) for n in range(4)] == [1, 2, 4, 4]
    assert backoff.delay(0, hint=3) == 3
    assert backoff.delay(2, hint=3) == 4


def test_chance_differs_from_client_to_client() -> None:
    assert len({Backoff().delay(9) for _ in range(100)}) > 90


def test_it_is_a_value() -> None:
    backoff = Backoff(first=timedelta(milliseconds=500), longest=timedelta(minutes=1))
    assert backoff == Backoff(0.5, 60.0)
    assert hash(backoff) == hash(Backoff(0.5, 60.0))
    assert backoff != Backoff(0.5, 60.0, jitter="none")
    assert repr(backoff) == "Backoff(first=0.5, longest=60.0, factor=2.0, jitter='full')"
    with pytest.raises(FrozenInstanceError):
        backoff.first = 1.0  # type: ignore[misc]  # pyright: ignore  # what is tested


@pytest.mark.parametrize(
    ("options", "kind", "text"),
    [
        ({"first": 0}, ValueError, "first must be a positive, finite time in seconds, not 0"),
        ({"first": -1}, ValueError, "first must be"),
        ({"first": "1"}, TypeError, "first takes seconds .* or a timedelta, not str"),
        ({"first": True}, TypeError, "first takes seconds"),
        ({"longest": math.inf}, ValueError, "longest must be"),
        ({"first": 9, "longest": 3}, ValueError, "longest=3 must not be less than first=9"),
        ({"factor": 0.5}, ValueError, "factor must be 1 or more, or the delays shrink; not 0.5"),
        ({"factor": math.nan}, ValueError, "factor must be 1 or more"),
        ({"factor": "2"}, TypeError, "factor takes a number, such as 2, not str"),
        ({"factor": True}, TypeError, "factor takes a number"),
        ({"jitter": "equal"}, ValueError, 'jitter is "full" or "none", not \'equal\''),
        ({"jitter": True}, ValueError, "jitter is"),
    ],
)
def test_nonsense_is_refused_where_it_is_written(
    options: dict[str, Any], kind: type[Exception], text: str
) -> None:
    with pytest.raises(kind, match=text):
        Backoff(**options)
