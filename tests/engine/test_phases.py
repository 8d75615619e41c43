"""A phase writes itself on a cancellation; other notes are not taken for one."""

from __future__ import annotations

import asyncio

import pytest

from ktor_client.engine.phases import Phase, was_still


def test_among_other_notes_the_phase_is_found() -> None:
    with pytest.raises(asyncio.CancelledError) as caught, Phase("connecting to h:1"):
        cancelled = asyncio.CancelledError()
        cancelled.add_note("an app's own note")
        raise cancelled
    assert was_still(caught.value) == "; it was still connecting to h:1"


def test_other_errors_have_no_phase() -> None:
    error = OSError()
    error.add_note("an app's own note")
    assert was_still(error) == ""
    with pytest.raises(ValueError, match="wrong") as caught, Phase("connecting to h:1"):
        raise ValueError("wrong")
    assert was_still(caught.value) == ""
