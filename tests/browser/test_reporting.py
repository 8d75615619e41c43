"""The lane tells the truth: what fails in the browser fails here, and the text says why."""

from collections.abc import Mapping

import pytest

from .harness import Harness, PythonError

OUTCOMES: Mapping[str, tuple[str, str]] = {
    "test_passes": ("passed", ""),
    "test_fails": ("failed", "assert 41 == 42"),
    "test_raises": ("failed", "KtorClientError: on purpose"),
    "test_skips": ("skipped", "not here"),
    "test_warns": ("failed", "UserWarning: on purpose"),
    "test_leaves_a_task": ("failed", "left tasks behind"),
    "test_upsets_the_loop": ("failed", "the loop complained"),
    "test_has_a_broken_fixture": ("failed", "KtorClientError: on purpose"),
}


@pytest.mark.timeout(180)
def test_each_outcome(harness: Harness) -> None:
    answer = harness.run_tests("reporting.py", list(OUTCOMES), "page")
    assert answer["broken"] == []
    results = answer["results"]
    assert {name: result["outcome"] for name, result in results.items()} == {
        name: outcome for name, (outcome, _) in OUTCOMES.items()
    }
    for name, (_, text) in OUTCOMES.items():
        assert text in results[name]["text"]


def test_a_test_that_is_not_there(harness: Harness) -> None:
    answer = harness.run_tests("reporting.py", ["test_nothing"], "page")
    assert answer["results"] == {}


def test_an_exception_of_python_comes_out(harness: Harness) -> None:
    with pytest.raises(PythonError, match="ZeroDivisionError"):
        harness.python("1 / 0")


def test_an_error_of_the_page_is_noticed(harness: Harness) -> None:
    harness.call(harness.page.evaluate("() => void setTimeout(() => { throw Error('oops') })"))
    harness.call(harness.page.wait_for_function("() => pageErrors.length > 0"))
    answer = harness.run_tests("reporting.py", ["test_passes"], "page")
    assert [error for error in answer["page_errors"] if "oops" in error]


def test_the_page_forbids_eval(harness: Harness) -> None:
    with pytest.raises(PythonError, match="EvalError"):
        harness.python("import js; js.eval('1')")
    with pytest.raises(PythonError, match="EvalError"):
        harness.python("from pyodide.code import run_js; run_js('1')")
