"""h11 beside ours: alike, or explained by a row of the table; the rows say what h11 does."""

from __future__ import annotations

import re

import pytest

from ktor_client.http1 import bodies, heads
from ktor_client.http1.rules import RULES, Rule
from tests.http1.oracle import DIFFERENCES, Unexplained, by_h11, compare, explain


@pytest.mark.parametrize("seed", range(4))
def test_alike_or_explained(seed: int) -> None:
    compare(seed, 1500)


@pytest.mark.exhaustive
@pytest.mark.hours
@pytest.mark.parametrize("seed", range(100, 150))
def test_alike_or_explained_at_length(seed: int) -> None:
    compare(seed, 20_000)


LIMITS = ("a head of", "more than")
"""How rows of limits begin: h11 has limits of its own."""


@pytest.mark.parametrize(
    "rule", [rule for rule in RULES if not rule.what.startswith(LIMITS)], ids=lambda rule: rule.what
)
def test_what_h11_makes_of_a_row(rule: Rule) -> None:
    theirs = by_h11(rule.answer)
    refused = (rule.by_h11 or rule.outcome) == "refused"
    assert (theirs.refusal is not None) is refused
    if not refused and rule.outcome != "refused":
        assert (theirs.status, theirs.content) == (rule.status, rule.body)


def test_each_explanation_is_a_row_and_does_differ() -> None:
    assert {rule.what for rule in RULES if rule.by_h11} == DIFFERENCES


@pytest.mark.parametrize("fault", ["length", "chunk", "name"])
def test_a_fault_of_ours_is_found(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if fault == "length":
        monkeypatch.setattr(heads, "_is_length", re.compile(rb" *[+-]?[0-9]{1,18}").fullmatch)
    elif fault == "chunk":
        lax = re.compile(rb"0?x?([0-9A-Fa-f]{1,16})[^\n]*").fullmatch
        monkeypatch.setattr(bodies, "_chunk_line", lax)
    else:
        monkeypatch.setattr(heads, "_TOKEN", heads._TOKEN + b" ")
    with pytest.raises(Unexplained):
        compare(1, 20_000)


def test_a_message_alone_explains_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads, "_find_fields", lambda rest: [])  # each line is looked at
    monkeypatch.setattr(heads, "_find_control", re.compile(rb"[\x80-\xff]").search)
    with pytest.raises(Unexplained):
        explain(b"HTTP/1.1 200 OK\r\nX: gr\xfcn\r\nContent-Length: 0\r\n\r\n")
