"""The marker of arguments that nobody gave, where that is not the same as giving some value."""

from __future__ import annotations

from typing import Any

__all__ = ["UNSET", "Unset", "known"]


class Unset:
    """Stands for an argument that nobody gave; `default` is what holds then, if it is known."""

    __slots__ = ("default",)

    def __init__(self, default: object = ...) -> None:
        self.default = default

    def __repr__(self) -> str:
        return "<default>" if self.default is ... else repr(self.default)


UNSET: Any = Unset()
"""The marker itself, typed so that it may stand for any argument."""


def known(option: Any) -> Any:
    """Return an option's value: what was given, or the default that its marker has."""
    return option.default if isinstance(option, Unset) else option
