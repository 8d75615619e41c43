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

INTERFACE = 2
"""What both sides must agree on: which functions and classes there are, and their slots."""

VARIABLE = "KTOR_CLIENT_PURE"
ADVICE = "pip install --upgrade ktor-client-speedups"

T = TypeVar("T", bound=Callable[..., object])


def _load() -> tuple[Any, str]:
    """Return the compiled core, or None; and why."""
    wish = os.environ.get(VARIABLE, "")
    if wish not in ("", "0", "1"):
        raise ValueError(
            f"{VARIABLE} is 1 (pure Python), 0 (the compiled core or an error) or not set, "
            f"not {wish!r}"
        )
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
    except ModuleNotFoundError:
        return None, "ktor-client-speedups is not installed"
    except ImportError as error:
        return None, str(error)
    if core.INTERFACE != INTERFACE:
        why = f"the installed ktor-client-speedups has interface {core.INTERFACE}, not {INTERFACE}"
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


def forget_keys() -> None:
    """Let the compiled core draw its keys for masking anew."""
    if _core is not None:
        _core.forget_keys()
