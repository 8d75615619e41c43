"""A script that is not followed fails with the words that the documentation shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]
OPTIONS = ("-W", "error", "-p", "no:cacheprovider", "-p", "no:Faker", "--strict-markers")


def test_the_failure_that_the_recipe_shows(pytester: pytest.Pytester) -> None:
    text = (ROOT / "docs/how-to/test-without-a-network.md").read_text()
    shown = re.search(r"^```text\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert shown is not None
    files = dict(
        re.findall(r'^```\w+ title="([\w.]+)"\n(.*?)^```$', text, re.MULTILINE | re.DOTALL)
    )
    wrong = files["test_script.py"].replace('["hello", "fine"]', '["hello", "good"]')
    for name, code in {**files, "test_script.py": wrong}.items():
        (pytester.path / name).write_text(code)
    result = pytester.runpytest_subprocess(*OPTIONS, "test_script.py::test_chat")
    result.assert_outcomes(failed=1)
    seen = "\n".join(result.outlines)
    for line in shown[1].strip().splitlines():
        assert line in seen
