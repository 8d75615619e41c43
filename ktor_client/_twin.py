"""The one door to the compiled core, the distribution `ktor-client-speedups`: which twin runs.

What is marked `@twin` is the reference. Where the compiled core is installed it stands in: for a
function altogether, for a class in the methods that it adopts. Nobody else imports it.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Any, TypeVar, cast

__all__ = ["implementation"]

INTERFACE = 3
"""What both sides must agree on: which functions and classes there are, and their slots."""

VARIABLE = "KTOR_CLIENT_PURE"
EAGER = "KTOR_CLIENT_EAGER"
ADVICE = "pip install --upgrade ktor-client-speedups"

T = TypeVar("T", bound=Callable[..., object])


def _wish(variable: str, choices: str) -> str:
    wish = os.environ.get(variable, "")
    if wish not in ("", "0", "1"):
        raise ValueError(f"{variable} is {choices} or not set, not {wish!r}")
    return wish


def _load() -> tuple[Any, str]:
    """Return the compiled core, or None; and why."""
    wish = _wish(VARIABLE, "1 (pure Python), 0 (the compiled core or an error)")
    if wish == "1":
        return None, f"{VARIABLE}=1"
    found, why = _find()
    if found is None and wish == "0":
        raise ImportError(f"{VARIABLE}=0 demands the compiled core, but {why}; {ADVICE}")
    return found, why


def _find() -> tuple[Any, str]:
    if sys.implementation.name != "cpython":
        return None, f"{sys.implementation.name} is not CPython"
    if _is_free_threaded():
        return None, "this Python is free-threaded"
    try:
        core: Any = import_module("ktor_client_speedups")
        interface = core.INTERFACE
    except (ModuleNotFoundError, AttributeError):  # or a folder is left, with nothing in it
        return None, "ktor-client-speedups is not installed"
    except ImportError as error:
        return None, str(error)
    if interface != INTERFACE:
        why = f"the installed ktor-client-speedups has interface {interface}, not {INTERFACE}"
        warnings.warn(f"pure Python runs: {why}; {ADVICE}", RuntimeWarning, stacklevel=4)
        return None, why
    if not core.claim():
        return None, "another copy of ktor_client has it"
    return core, f"ktor-client-speedups {core.__version__}"


def _is_free_threaded() -> bool:
    if not hasattr(sys, "_is_gil_enabled"):  # before Python 3.13 there was no such thing
        return False
    import sysconfig

    return bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


_core, reason = _load()

implementation = "pure" if _core is None else "compiled"
"""Which twin runs in this process: "pure", or "compiled" with `ktor-client-speedups`."""

_wakes_eagerly = _wish(EAGER, "1 (receivers run within the read), 0 (at the loop's next turn)")
is_eager = _core is not None and _wakes_eagerly == "1"
"""Whether a read steps who receives: pure Python gains nothing by it, and never does."""

references: dict[str, Any] = {}
"""The functions for which a compiled one stands in, by name."""


def twin(reference: T) -> T:
    """Return what runs for a function; let a class's methods be compiled ones."""
    if _core is None:
        return reference
    if isinstance(reference, type):
        _core.adopt(reference)
        return cast("T", reference)
    name = reference.__name__
    references[name] = reference
    return cast("T", getattr(_core, name))


def new_wakeups(loop: Any) -> Any:
    """Return what lets the reads of a link step those who receive; None where the loop does."""
    return _core.new_wakeups(loop) if is_eager else None


def forget_keys() -> None:
    """Let the compiled core draw its keys for masking anew."""
    if _core is not None:
        _core.forget_keys()
