"""The cases of others' tests, however their bytes are cut."""

from __future__ import annotations

import pytest

from ktor_client.http1 import AnswerError
from tests.http1.cases import CASES, Case
from tests.http1.reading import pieces, read_answer


def check(case: Case, parts: list[bytes]) -> None:
    if not case.status:
        with pytest.raises((AnswerError, EOFError)):
            read_answer(parts, case.method)
        return
    head, content, surplus = read_answer(parts, case.method)
    assert (head.status, content, head.keeps) == (case.status, case.body, case.keeps)
    assert surplus == case.surplus


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.kind}: {case.what}")
def test_a_case_in_pieces_of_any_size(case: Case) -> None:
    for size in range(1, min(len(case.answer), 200) + 1):
        check(case, pieces(case.answer, size))


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.kind}: {case.what}")
def test_a_case_wherever_it_is_cut(case: Case) -> None:
    for cut in range(min(len(case.answer), 400)):
        check(case, [case.answer[:cut], case.answer[cut:]])


def test_each_case_is_named_once() -> None:
    names = [(case.kind, case.what) for case in CASES]
    assert len(set(names)) == len(names)
