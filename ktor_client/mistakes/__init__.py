"""Mistakes that lead somewhere: who writes what another library has is told what to write here.

The words are in `attributes.py`, `arguments.py` and `imports.py`; here is how they reach whoever
errs. Wrong attributes are descriptors that `dir()` hides; wrong arguments and imports are explained
once Python has refused them, by tables that are loaded then. So they cost nothing, or next to
nothing, where nobody errs.
"""

from __future__ import annotations

import enum
import functools
import sys
from abc import ABCMeta
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar

from ktor_client.mistakes.attributes import ATTRIBUTES

__all__ = [
    "Taught",
    "TaughtABC",
    "TaughtEnum",
    "absent",
    "advice_on",
    "answering",
    "guess",
    "shown_names",
    "subscripted",
    "teach",
    "tell_of_missing_module",
]

P = ParamSpec("P")
R = TypeVar("R")

_PUBLIC = ("ktor_client", "ktor_client.engines", "ktor_client.plugins", "ktor_client.testing")
_MILLIS = ("Millis", "_millis", "_ms")


def camel_case(name: str) -> str:
    """Return what Ktor calls that: `body_as_text` is `bodyAsText`."""
    first, *others = name.split("_")
    return first + "".join(word.title() for word in others)


def _snake_case(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name)


# --- attributes


class Wrong:
    """An attribute that a class does not have: whoever asks for it hears what to write."""

    __slots__ = ("_instead", "_name")

    def __init__(self, name: str, instead: str) -> None:
        self._name = name
        self._instead = instead

    def __get__(self, thing: object, owner: type) -> NoReturn:
        what = f"type object {owner.__name__!r}" if thing is None else f"{owner.__name__!r} object"
        raise AttributeError(f"{what} has no attribute {self._name!r}; {self._instead}")

    def __set__(self, thing: object, value: object) -> NoReturn:
        self.__get__(thing, type(thing))


def _is_wrong(cls: type, name: str) -> bool:
    for base in cls.__mro__:
        if name in base.__dict__:
            return isinstance(base.__dict__[name], Wrong)
    return False


def teach(cls: type) -> None:
    """Give a class what its section of the table says, and its names in Ktor's spelling.

    `Taught` does it by itself. A class whose `isinstance` must be fast has no metaclass: it calls
    this, and its `__dir__` is `shown_names`.
    """
    ours = (base for base in cls.__mro__ if base.__module__.startswith("ktor_client"))
    names = {name: f"write `{name}`" for base in ours for name in base.__dict__ if name[0] != "_"}
    table = ATTRIBUTES.get(cls.__name__, {})
    wrong = {camel_case(name): instead for name, instead in (names | table).items()} | table
    for name, instead in wrong.items():
        if not any(name in base.__dict__ for base in cls.__mro__):
            setattr(cls, name, Wrong(name, instead))


def shown_names(thing: object) -> list[str]:
    """Return what `dir()` shows of an instance: its names without the wrong ones."""
    return [name for name in object.__dir__(thing) if not _is_wrong(type(thing), name)]


class Taught(type):
    """The metaclass of classes whose wrong names lead somewhere."""

    def __init__(
        cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **options: Any
    ) -> None:
        super().__init__(name, bases, namespace, **options)
        teach(cls)
        if "__dir__" not in namespace:
            cls.__dir__ = shown_names  # type: ignore[assignment,method-assign]  # of instances

    def __dir__(cls) -> list[str]:
        return [name for name in super().__dir__() if not _is_wrong(cls, name)]


class TaughtABC(Taught, ABCMeta):
    """The same for abstract base classes."""


class TaughtEnum(enum.EnumMeta):
    """The metaclass of enumerations that know their members by other spellings."""

    def __init__(cls, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for name, instead in ATTRIBUTES.get(cls.__name__, {}).items():
            for spelling in {name, camel_case(name)}:
                setattr(cls, spelling, Wrong(spelling, instead))

    if not TYPE_CHECKING:  # checkers see the wrong name without this

        def __getattr__(cls, name: str) -> object:
            wrong = cls.__dict__.get(name)
            if isinstance(wrong, Wrong):
                wrong.__get__(None, cls)
            members = cls.__members__
            if name in members:  # Python 3.11 comes this way
                return members[name]
            missing = f"type object {cls.__name__!r} has no attribute {name!r}"
            right = _snake_case(name).lstrip("_").upper()
            if not name.startswith("_") and (name.upper() in members or right in members):
                missing += f"; write `{right if right in members else name.upper()}`"
            raise AttributeError(missing)


# --- arguments


def advice_on(owner: str, name: str, value: object, known: Iterable[str]) -> str | None:
    """Return what to write in place of an argument; None where nobody knows."""
    from ktor_client.mistakes.arguments import ARGUMENTS

    known, table = list(known), ARGUMENTS.get(owner, {})
    right = _snake_case(name)
    if found := table.get(name) or table.get(right):
        return found
    for ending in _MILLIS:
        if name.endswith(ending):
            right = _snake_case(name.removesuffix(ending))
            if right in known:
                seconds = f"{value / 1000:g}" if isinstance(value, int | float) else "..."
                return f"write `{right}={seconds}`: times are in seconds"
            return table.get(right)
    return f"write `{right}=...`" if right != name and right in known else None


def guess(name: str, known: Iterable[str]) -> str:
    """Return what of `known` was meant, or all of it, to stand after what is wrong."""
    from difflib import get_close_matches

    known = list(known)
    close = get_close_matches(name, known, 1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; it has: {', '.join(known)}" if known else "; it has none"


def answering(*owners: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let a call explain the arguments that it does not take, by these sections of the table."""
    from inspect import iscoroutinefunction

    def decorate(call: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(call)
        def answered(*args: P.args, **options: P.kwargs) -> R:
            try:
                return call(*args, **options)
            except TypeError as error:
                traceback = error.__traceback__
                if traceback is None or traceback.tb_next is not None:
                    raise  # by what the call does, not by the call
                explained = _explained(call, owners, options, error)
                if explained is None:
                    raise
                raise explained from None

        return _mark(answered) if iscoroutinefunction(call) else answered

    return decorate


def _explained(
    call: Callable[..., object], owners: tuple[str, ...], options: dict[str, Any], error: TypeError
) -> TypeError | None:
    from inspect import signature

    from ktor_client.mistakes.arguments import ARGUMENTS

    parameters = signature(call).parameters.values()
    known = [p.name for p in parameters if p.name != "self" and p.kind is not p.VAR_POSITIONAL]
    wrong = next((name for name in options if name not in known), None)
    for owner in owners:
        if wrong is None and (advice := ARGUMENTS[owner].get("")) is not None:
            return TypeError(f"{error}; {advice}")
        if wrong is not None:
            advice = advice_on(owner, wrong, options[wrong], known)
            words = guess(wrong, known) if advice is None else f"; {advice}"
            called = call.__qualname__.removesuffix(".__init__").rpartition(".")[2]
            return TypeError(f"{called}() has no argument {wrong!r}{words}")
    return None


def _mark(call: Callable[P, R]) -> Callable[P, R]:
    """Let `iscoroutinefunction` say of a function what it says of the one inside."""
    if sys.version_info >= (3, 12):
        import inspect

        inspect.markcoroutinefunction(call)
    else:
        from importlib import import_module

        marker = import_module("asyncio.coroutines")
        call._is_coroutine = marker._is_coroutine  # type: ignore[attr-defined]  # what 3.11 reads
    return call


def subscripted(instead: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let a method say what to write to who gives it a type in brackets, as Ktor's are given one.

    The decorator is for checkers and readers: it changes nothing but what `[...]` raises.
    """

    def decorate(call: Callable[P, R]) -> Callable[P, R]:
        method: Any = _Method(call, instead)
        return functools.update_wrapper(method, call)

    return decorate


class _Method:
    def __init__(self, call: Callable[..., object], instead: str) -> None:
        self._call = call
        self._instead = instead

    def __get__(self, thing: object, owner: type) -> Callable[..., object]:
        if thing is None:
            return self._call
        bound = _Bound(self._call, thing)
        bound.instead = self._instead
        return bound


class _Bound(functools.partial[Any]):
    instead: str

    def __getitem__(self, types: object) -> NoReturn:
        raise TypeError(f"types are arguments here; {self.instead}")


# --- imports


def absent(module: str, name: str) -> AttributeError | ImportError:
    """Return the error of a module that is asked for a name that it does not have."""
    from ktor_client.mistakes.imports import MODULES

    advice = None if name.startswith("_") else MODULES[module].get(name) or _home(name)
    if advice is None:
        return AttributeError(f"module {module!r} has no attribute {name!r}")
    # `from module import name` asks first, and would put words of its own for an AttributeError.
    if sys._getframe(2).f_code.co_name == "_handle_fromlist":
        return ImportError(f"cannot import name {name!r} from {module!r}; {advice}", name=module)
    return AttributeError(f"module {module!r} has no attribute {name!r}; {advice}")


def _home(name: str) -> str | None:
    """Return where a public class is, however it is spelt; a name in lower case may be a module."""
    if not name[0].isupper():
        return None
    from difflib import get_close_matches
    from importlib import import_module

    homes = {right: room for room in reversed(_PUBLIC) for right in import_module(room).__all__}
    spelt = [name] if name in homes else [one for one in homes if one.lower() == name.lower()]
    close = spelt or get_close_matches(name, homes, 1, 0.8)
    if not close:
        return None
    right = close[0]
    here = f"from {homes[right]} import {right}"
    return f"write `{here}`" if spelt else f"did you mean `{here}`?"


def tell_of_missing_module(name: str) -> None:
    """Raise where a public module is asked for that there is not."""
    if not name.rpartition(".")[2].startswith("_"):
        raise ModuleNotFoundError(
            f"No module named {name!r}; what is public is in {', '.join(_PUBLIC)}, such as "
            "`from ktor_client.plugins import WebSockets` and "
            "`from ktor_client.engines import CIO`",
            name=name,
        )
