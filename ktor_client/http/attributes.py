"""Typed keys and the maps that they open (Ktor's `AttributeKey`, `Attributes`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

__all__ = ["AttributeKey", "Attributes"]

T = TypeVar("T")
D = TypeVar("D")


class AttributeKey(Generic[T]):
    """A key for a value of type `T`. Two keys are never the same, whatever their names."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"AttributeKey({self.name!r})"


class Attributes(dict[AttributeKey[Any], Any]):
    """Values that plugins attach to a client or a request, each under its typed key."""

    __slots__ = ()
    __hash__ = object.__hash__  # type: ignore[assignment]
    __eq__ = object.__eq__
    __ne__ = object.__ne__

    if TYPE_CHECKING:

        def __getitem__(self, key: AttributeKey[T]) -> T: ...
        def __setitem__(self, key: AttributeKey[T], value: T) -> None: ...
        @overload
        def get(self, key: AttributeKey[T], default: None = None) -> T | None: ...
        @overload
        def get(self, key: AttributeKey[T], default: T) -> T: ...
        @overload
        def get(self, key: AttributeKey[T], default: D) -> T | D: ...
        def get(self, key: AttributeKey[T], default: object = None) -> object: ...
        @overload
        def pop(self, key: AttributeKey[T]) -> T: ...
        @overload
        def pop(self, key: AttributeKey[T], default: T) -> T: ...
        @overload
        def pop(self, key: AttributeKey[T], default: D) -> T | D: ...
        def pop(self, key: AttributeKey[T], default: object = None) -> object: ...

    def __delitem__(self, key: AttributeKey[Any]) -> None:
        super().__delitem__(key)
        if not self:
            self.clear()  # gives back what a dictionary keeps of what was in it

    def __repr__(self) -> str:
        return f"Attributes({', '.join(key.name for key in self)})"
