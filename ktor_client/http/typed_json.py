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
    try:
        result: T = structure(value, type_)
    except RecursionError as error:
        raise DeserializationError(f"nested too deeply; got {_beginning(data)}") from error
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
    if typing.is_typeddict(base):
        return _structure_typed_dict(value, type_, where)
    if _is_subclass(base, Mapping):
        return _structure_mapping(value, get_args(type_), where)
    if hasattr(base, "__dataclass_fields__"):
        return _structure_dataclass(value, type_, where)
    raise TypeError(f"JSON cannot be turned into {type_!r}; use a dataclass or a JSON type")


def _is_subclass(type_: Any, base: type) -> bool:
    return isinstance(type_, type) and issubclass(type_, base)


def _structure_union(value: Any, type_: Any, where: str) -> Any:
    troubles: list[str] = []
    # An int fits float as well, but large ones would not stay the same.
    for option in sorted(get_args(type_), key=lambda option: option is float):
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
    made = [structure(v, item, f"{where}[{i}]") for i, v in enumerate(values)]
    try:
        return base(made)
    except TypeError as error:
        raise DeserializationError(
            f"{where}: a {base.__name__} cannot hold these: {error}"
        ) from error


def _structure_mapping(value: Any, args: tuple[Any, ...], where: str) -> Any:
    if not isinstance(value, dict):
        return _refuse(value, "an object", where)
    name, item = args if len(args) == 2 else (str, Any)
    pairs = cast("dict[str, Any]", value).items()
    return {structure(k, name, where): structure(v, item, f"{where}.{k}") for k, v in pairs}


def _structure_typed_dict(value: Any, type_: Any, where: str) -> Any:
    origin: Any = get_origin(type_) or type_
    if not isinstance(value, dict):
        return _refuse(value, origin.__name__, where)
    members = cast("dict[str, Any]", value)
    for name, hint in typing.get_type_hints(origin, include_extras=True).items():
        # `__required_keys__` does not see what postponed annotations say.
        mark = get_origin(hint)
        is_optional = mark is typing.NotRequired or (
            mark is not typing.Required and name not in origin.__required_keys__
        )
        if name not in members and not is_optional:
            raise DeserializationError(f"{where}: {origin.__name__} needs {name!r}")
    hints = _hints(type_, include_extras=False)  # without these marks
    return {
        name: structure(item, hints.get(name, Any), f"{where}.{name}")
        for name, item in members.items()
    }


def _hints(type_: Any, *, include_extras: bool = True) -> dict[str, Any]:
    """Return the types of a class's members; those of `Page[Order]` know what its T is.

    So do those of a class that is made of `Page[Order]`.
    """
    class_: Any = get_origin(type_) or type_
    hints = typing.get_type_hints(class_, include_extras=include_extras)
    if not any(map(_variables, hints.values())):
        return hints
    known: dict[Any, Any] = dict(
        zip(getattr(class_, "__parameters__", ()), get_args(type_), strict=False)
    )
    inherited: dict[str, tuple[Any, Any]] = {}
    for base in reversed(_bases(class_)):
        of_base = typing.get_type_hints(get_origin(base) or base, include_extras=include_extras)
        known_there = _hints(base, include_extras=include_extras)
        inherited.update({name: (of_base[name], hint) for name, hint in known_there.items()})
    for name, hint in hints.items():
        said, meant = inherited.get(name, (hint, hint))
        hint = meant if hint == said else hint
        if isinstance(hint, TypeVar):
            hint = known.get(hint, hint)
        elif variables := _variables(hint):
            hint = hint[tuple(known.get(one, one) for one in variables)]
        hints[name] = hint
    return hints


def _bases(class_: type) -> tuple[Any, ...]:
    bases: tuple[Any, ...] = vars(class_).get("__orig_bases__", class_.__bases__)
    return bases


def _variables(hint: Any) -> tuple[Any, ...]:
    return (hint,) if isinstance(hint, TypeVar) else getattr(hint, "__parameters__", ())


def _structure_dataclass(value: Any, type_: Any, where: str) -> Any:
    import dataclasses

    class_: Any = get_origin(type_) or type_
    if not isinstance(value, dict):
        return _refuse(value, class_.__name__, where)
    hints = _hints(type_)
    arguments: dict[str, Any] = {}
    for field in dataclasses.fields(class_):
        if not field.init:
            continue
        if field.name in value:
            arguments[field.name] = structure(
                value[field.name], hints[field.name], f"{where}.{field.name}"
            )
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise DeserializationError(f"{where}: {class_.__name__} needs {field.name!r}")
    try:
        return class_(**arguments)
    except ValueError as error:
        raise DeserializationError(f"{where}: {class_.__name__} refused: {error}") from error


def _unstructure(value: Any) -> Any:
    if hasattr(value, "__dataclass_fields__") and not isinstance(value, type):
        import dataclasses

        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
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
