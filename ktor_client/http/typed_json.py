"""JSON to typed objects and back: what the standard library can do, dataclasses included.

Used for response bodies and by `JsonConverter`. Other libraries have converters of their own.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from enum import Enum
from typing import Any, TypeVar, Union, cast, get_args, get_origin

from ktor_client.errors import DeserializationError

__all__ = ["from_json", "structure", "to_json"]

SHOWN = 60
"""Characters of what does not fit that errors show."""

T = TypeVar("T")


def to_json(value: object) -> str:
    """Return `value` as compact JSON; dataclasses become objects, enums their values.

    Raises:
        TypeError: something in it has no JSON form.
        ValueError: a float that is not finite, or a circular reference.
    """
    import json

    return json.dumps(
        value, default=_unstructure, ensure_ascii=False, allow_nan=False, separators=(",", ":")
    )


def from_json(data: str | bytes, type_: type[T]) -> T:
    """Parse JSON and build `type_` from it.

    Raises:
        DeserializationError: not JSON, or not of that type; the message names the place.
    """
    import json

    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DeserializationError(f"not JSON: {error}; got {_beginning(data)}") from error
    result: T = structure(value, type_)
    return result


def structure(value: Any, type_: Any, where: str = "$") -> Any:
    """Build `type_` from JSON values; `where` is the JSONPath that errors name.

    Raises:
        DeserializationError: the value does not fit.
        TypeError: `type_` is nothing that JSON can be turned into.
    """
    origin = get_origin(type_)
    if type_ is Any or type_ is object:
        return value
    if type_ is None or type_ is type(None):
        return None if value is None else _refuse(value, "null", where)
    if origin is Union or origin is types.UnionType:
        return _structure_union(value, type_, where)
    if origin is typing.Literal:
        if any(value == option and type(value) is type(option) for option in get_args(type_)):
            return value
        return _refuse(value, f"one of {get_args(type_)}", where)
    if origin is typing.Annotated:
        return structure(value, get_args(type_)[0], where)
    if _is_subclass(type_, Enum):
        try:
            return type_(value)
        except ValueError:
            return _refuse(value, type_.__name__, where)
    if type_ is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            return _refuse(value, "float", where)
    if type_ in (str, int, float, bool):
        fits = isinstance(value, type_) and (type_ is bool or not isinstance(value, bool))
        return value if fits else _refuse(value, type_.__name__, where)
    base = origin or type_
    if base in (list, tuple, set, frozenset):
        return _structure_sequence(value, base, get_args(type_), where)
    if _is_subclass(base, Mapping):
        return _structure_mapping(value, get_args(type_), where)
    if hasattr(type_, "__dataclass_fields__"):
        return _structure_dataclass(value, type_, where)
    raise TypeError(f"JSON cannot be turned into {type_!r}; use a dataclass or a JSON type")


def _is_subclass(type_: Any, base: type) -> bool:
    return isinstance(type_, type) and issubclass(type_, base)


def _structure_union(value: Any, type_: Any, where: str) -> Any:
    troubles: list[str] = []
    for option in get_args(type_):
        try:
            return structure(value, option, where)
        except DeserializationError as error:
            troubles.append(str(error))
    raise DeserializationError(f"{where}: no member of {type_} fits ({'; '.join(troubles)})")


def _structure_sequence(value: Any, base: Any, args: tuple[Any, ...], where: str) -> Any:
    values: list[Any] = value
    if not isinstance(value, list):
        return _refuse(value, base.__name__, where)
    if _is_subclass(base, tuple) and args and args[-1] is not Ellipsis:
        if len(values) != len(args):
            return _refuse(values, f"{len(args)} items", where)
        pairs = zip(values, args, strict=True)
        return tuple(structure(v, t, f"{where}[{i}]") for i, (v, t) in enumerate(pairs))
    item = args[0] if args else Any
    return base(structure(v, item, f"{where}[{i}]") for i, v in enumerate(values))


def _structure_mapping(value: Any, args: tuple[Any, ...], where: str) -> Any:
    if not isinstance(value, dict):
        return _refuse(value, "an object", where)
    name, item = args if len(args) == 2 else (str, Any)
    pairs = cast("dict[str, Any]", value).items()
    return {structure(k, name, where): structure(v, item, f"{where}.{k}") for k, v in pairs}


def _structure_dataclass(value: Any, type_: Any, where: str) -> Any:
    import dataclasses

    if not isinstance(value, dict):
        return _refuse(value, type_.__name__, where)
    hints = typing.get_type_hints(type_, include_extras=True)
    arguments: dict[str, Any] = {}
    for field in dataclasses.fields(type_):
        if not field.init:
            continue
        if field.name in value:
            arguments[field.name] = structure(
                value[field.name], hints[field.name], f"{where}.{field.name}"
            )
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise DeserializationError(f"{where}: {type_.__name__} needs {field.name!r}")
    try:
        return type_(**arguments)
    except ValueError as error:
        raise DeserializationError(f"{where}: {type_.__name__} refused: {error}") from error


def _unstructure(value: Any) -> Any:
    if hasattr(value, "__dataclass_fields__") and not isinstance(value, type):
        return {name: getattr(value, name) for name in value.__dataclass_fields__}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, set | frozenset):
        return list(cast("set[Any]", value))
    raise TypeError(f"{type(value).__name__} has no JSON form; use a dataclass or a converter")


def _refuse(value: Any, wanted: str, where: str) -> Any:
    shown = repr(value)
    if len(shown) > SHOWN:
        shown = f"{shown[:SHOWN]}..."
    raise DeserializationError(f"{where}: expected {wanted}, got {shown}")


def _beginning(data: str | bytes) -> str:
    start = data[:SHOWN]
    text = start if isinstance(start, str) else start.decode("utf-8", "backslashreplace")
    return f"{text!r}{'...' if len(data) > SHOWN else ''}"
