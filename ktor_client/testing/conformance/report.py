"""What came of a battery: one result a check, and the report that prints them."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

from ktor_client.testing.conformance.check import Check, CheckFailure

__all__ = ["Outcome", "Report", "Result"]

Outcome: TypeAlias = Literal["passed", "failed", "skipped"]


class Result(NamedTuple):
    """What came of one check."""

    check: Check
    outcome: Outcome
    detail: str = ""
    """Why it was skipped, or what was wrong."""
    error: BaseException | None = None
    """What the check raised."""

    def raise_if_failed(self) -> None:
        """Raise what the check raised, if it failed."""
        if self.error is not None:
            raise self.error


class Report:
    """The results of one engine; print it."""

    def __init__(self, engine: str, results: Sequence[Result]) -> None:
        self.engine = engine
        self.results = list(results)

    def with_outcome(self, outcome: Outcome) -> list[Result]:
        """Return the results with that outcome."""
        return [result for result in self.results if result.outcome == outcome]

    @property
    def failures(self) -> list[Result]:
        """What failed."""
        return self.with_outcome("failed")

    @property
    def passed(self) -> bool:
        """Whether something was checked and nothing failed."""
        return not self.failures and bool(self.with_outcome("passed"))

    def __str__(self) -> str:
        lines = [f"Conformance of {self.engine}"]
        for room in dict.fromkeys(result.check.room for result in self.results):
            here = [result for result in self.results if result.check.room == room]
            counts = ", ".join(
                f"{count} {outcome}"
                for outcome in ("passed", "failed", "skipped")
                if (count := sum(result.outcome == outcome for result in here))
            )
            lines.append(f"  {room:<14} {counts}")
        lines += self._skipped()
        for result in self.failures:
            check = result.check
            lines += [
                "",
                f"FAILED {check.room}: {check.name} ({check.source})",
                f"  {check.statement}",
                *(f"    {line}" for line in result.detail.splitlines()),
            ]
        passed, failed = len(self.with_outcome("passed")), len(self.failures)
        skipped = len(self.with_outcome("skipped"))
        lines += ["", f"{passed} passed, {failed} failed, {skipped} skipped"]
        return "\n".join(lines)

    def _skipped(self) -> list[str]:
        reasons: dict[str, list[str]] = {}
        for result in self.with_outcome("skipped"):
            reasons.setdefault(result.detail, []).append(result.check.name)
        return [f"  skipped, {reason}: {', '.join(names)}" for reason, names in reasons.items()]

    def __repr__(self) -> str:
        return f"<Report of {self.engine}: {len(self.failures)} of {len(self.results)} failed>"


def describe(error: BaseException) -> str:
    """Return what a check raised, as far as it helps."""
    if isinstance(error, CheckFailure):
        return str(error)
    return "".join(traceback.format_exception(error)).rstrip()
