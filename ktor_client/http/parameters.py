"""Query parameters: what may be one, and how they are encoded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias, cast
from urllib.parse import urlencode

__all__ = ["ParametersLike", "Scalar", "encoded_parameters"]

Scalar: TypeAlias = str | int | float | bool
ParametersLike: TypeAlias = Mapping[str, object] | Iterable[tuple[str, object]]
"""Names with a scalar each, or with an iterable of scalars. (Wider for type checkers, since a dict
of mixed values is a `dict[str, object]` to them; checked at run time.)"""


def encoded_parameters(parameters: ParametersLike) -> str:
    """Return the parameters as a query; an iterable value gives the name once for each.

    Raises:
        TypeError: a value is neither str, int, float or bool, nor an iterable of those; or
            these are no parameters at all.
    """
    if isinstance(parameters, str | bytes) or not isinstance(parameters, Iterable):
        raise TypeError(
            f"params takes a mapping or pairs, such as {{'page': 2}}, "
            f"not {type(parameters).__name__}"
        )
    pairs: Iterable[tuple[str, object]] = (
        cast("Mapping[str, object]", parameters).items()
        if isinstance(parameters, Mapping)
        else parameters
    )
    flat: list[tuple[str, str]] = []
    for name, value in pairs:
        flat.extend((name, _scalar(name, item)) for item in _items(value))
    return urlencode(flat)


def _items(value: object) -> Iterable[object]:
    single = (value,)
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        return single
    return cast("Iterable[object]", value)


def _scalar(name: str, value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    raise TypeError(
        f"query parameter {name!r} takes str, int, float or bool, not {type(value).__name__}"
    )
