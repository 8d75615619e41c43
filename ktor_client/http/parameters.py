"""Query parameters: what may be one, and how they are encoded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias, cast
from urllib.parse import urlencode

from ktor_client.errors import InvalidUrlError

__all__ = ["ParametersLike", "Scalar", "encoded_parameters", "flat_parameters", "pairs_of"]

Scalar: TypeAlias = str | int | float | bool
ParametersLike: TypeAlias = Mapping[str, object] | Iterable[tuple[str, object]]
"""Names with a scalar each, or with an iterable of scalars. (Wider for type checkers, since a dict
of mixed values is a `dict[str, object]` to them; checked at run time.)"""


def pairs_of(given: ParametersLike, what: str, example: str) -> list[tuple[str, object]]:
    """Return what a mapping or pairs hold.

    Raises:
        TypeError: neither; two letters in place of a pair are none.
    """
    wanted = f"{what} takes a mapping or pairs, such as {example}"
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise TypeError(f"{wanted}, not {type(given).__name__}")
    if isinstance(given, Mapping):
        return list(cast("Mapping[str, object]", given).items())
    pairs = list(given)
    for pair in pairs:
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise TypeError(
                f"{wanted}; this {type(given).__name__} has {type(pair).__name__} in place of a "
                "pair"
            )
    return pairs


def encoded_parameters(parameters: ParametersLike, what: str = "params") -> str:
    """Return the parameters as a query, or as a form. Raises what `flat_parameters` raises.

    And `InvalidUrlError`, for a form `ValueError`, where a lone surrogate is in them: no encoding
    can send it.
    """
    try:
        return urlencode(flat_parameters(parameters, what))
    except UnicodeEncodeError:
        pass  # it shows them, so that it is no context of ours
    kind = InvalidUrlError if what == "params" else ValueError
    raise kind(f"{what} has a lone surrogate in it, which no encoding can send")


def flat_parameters(parameters: ParametersLike, what: str = "params") -> list[tuple[str, str]]:
    """Return names and values as text; an iterable value gives the name once for each.

    Args:
        parameters: a mapping, or pairs.
        what: the argument that they were given as, for messages.

    Raises:
        TypeError: a value is neither str, int, float or bool, nor an iterable of those; or
            these are no parameters at all.
    """
    flat: list[tuple[str, str]] = []
    for name, value in pairs_of(parameters, what, "{'page': 2}"):
        flat.extend((name, _scalar(what, name, item)) for item in _items(value))
    return flat


def _items(value: object) -> Iterable[object]:
    single = (value,)
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        return single
    return cast("Iterable[object]", value)


def _scalar(what: str, name: str, value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    kind = "query parameter" if what == "params" else f"{what}'s field"
    raise TypeError(f"{kind} {name!r} takes str, int, float or bool, not {type(value).__name__}")
