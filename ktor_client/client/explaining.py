"""`client.explain()`: the order of hooks and layers, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ktor_client.plugin import HttpClientPlugin

if TYPE_CHECKING:
    from ktor_client.client.scope import ClientScope, Hook

__all__ = ["explain", "name_of"]


def explain(scope: ClientScope) -> str:
    """Return one line a step: what it is for, and whose it is."""
    steps = [("request hook", name) for name in _names(scope.request_hooks)]
    steps += [(layer.kind.value, name_of(layer.owner)) for layer in scope.layers]
    steps.append(("engine", type(scope.engine).__name__))
    steps += [("response hook", name) for name in _names(scope.response_hooks)]
    steps += [("validate hook", name) for name in _names(scope.validate_hooks)]
    steps += [("link hook", name) for name in _names(scope.link_hooks)]
    steps += [("error hook", name) for name in _names(scope.error_hooks)]
    return "\n".join(f"{what:<14} {name}" for what, name in steps)


def _names(hooks: Sequence[Hook[Any]]) -> list[str]:
    return [name_of(hook.owner) for hook in hooks]


def name_of(owner: object) -> str:
    """Return what users call a plugin."""
    named = getattr(owner, "name", None) if isinstance(owner, HttpClientPlugin) else None
    return named if isinstance(named, str) else type(owner).__name__
