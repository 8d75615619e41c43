"""Walking back from an exception to what it came from; nothing about what is looked for."""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["causes"]


def causes(error: BaseException, *, contexts: bool = True) -> Iterator[BaseException]:
    """Yield an exception, then what it came from, each once: chains made by hand may be rings.

    `contexts` follows `__context__` too, also where a library has cut it off for tracebacks.
    """
    seen: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and not any(cause is one for one in seen):
        yield cause
        seen.append(cause)
        cause = cause.__cause__ or (cause.__context__ if contexts else None)
