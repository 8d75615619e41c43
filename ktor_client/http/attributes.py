"""Typed keys and the maps that they open (Ktor's `AttributeKey`, `Attributes`)."""

from __future__ import annotations

from collections.abc import ItemsView
from typing import Any, Generic, TypeVar

__all__ = ["AttributeKey", "Attributes"]

T = TypeVar("T")


class AttributeKey(Generic[T]):
    """A key for a value of type `T`. Two keys are never the same, whatever their names."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"AttributeKey({self.name!r})"


class Attributes:
    """Values that plugins attach to a client or a request, each under its typed key."""

    __slots__ = ("_values",)

    def __init__(self, other: Attributes | None = None) -> None:
        self._values: dict[AttributeKey[Any], Any] = {} if other is None else dict(other._values)

    def __getitem__(self, key: AttributeKey[T]) -> T:
        value: T = self._values[key]
        return value

    def __setitem__(self, key: AttributeKey[T], value: T) -> None:
        self._values[key] = value

    def __delitem__(self, key: AttributeKey[T]) -> None:
        del self._values[key]
        if not self._values:
            self._values.clear()  # gives back what a dictionary keeps of what was in it

    def __contains__(self, key: object) -> bool:
        return key in self._values

    def items(self) -> ItemsView[AttributeKey[Any], Any]:
        """Return every key with its value."""
        return self._values.items()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: AttributeKey[T], default: T | None = None) -> T | None:
        """Return the value, or `default` where there is none."""
        value: T | None = self._values.get(key, default)
        return value

    def __repr__(self) -> str:
        return f"Attributes({', '.join(key.name for key in self._values)})"
