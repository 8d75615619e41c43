"""Every row of the table, however its bytes are cut."""

from __future__ import annotations

import pytest

from ktor_client.http1 import AnswerError
from ktor_client.http1.rules import MAX_HEAD, RULES, Rule
from tests.http1.reading import pieces, read_answer

SIZES = (1, 2, 3, 7, 1000, MAX_HEAD * 4)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.what)
def test_a_rule_holds_in_pieces_of_any_size(rule: Rule, size: int) -> None:
    parts = pieces(rule.answer, size)
    if rule.outcome == "refused":
        with pytest.raises(AnswerError):
            read_answer(parts)
    else:
        head, content, _ = read_answer(parts)
        assert (head.status, content) == (rule.status, rule.body)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.what)
def test_a_rule_holds_wherever_its_bytes_are_cut(rule: Rule) -> None:
    answer = rule.answer
    for cut in range(1, min(len(answer), 400)):
        parts = (answer[:cut], answer[cut:])
        if rule.outcome == "refused":
            with pytest.raises(AnswerError):
                read_answer(parts)
        else:
            assert read_answer(parts)[1] == rule.body
