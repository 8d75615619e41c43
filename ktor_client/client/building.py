"""Making the parts of a client from what the user wrote: the config, the engine, the plugins."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, ParamSpec

from ktor_client.config import HttpClientConfig, Install, PluginKey, check_names, plugin_name
from ktor_client.engine import EngineLike, HttpClientEngine
from ktor_client.engine.registry import default_engine, engine_class
from ktor_client.engine.shared import SharedEngine
from ktor_client.mistakes import advice_on
from ktor_client.plugin import HttpClientPlugin, PluginScope
from ktor_client.plugins.redirect import HttpRedirect

__all__ = ["install_plugins", "make_engine", "make_plugins", "only_known_options"]

P = ParamSpec("P")


def only_known_options(init: Callable[P, None]) -> Callable[P, None]:
    """Let `HttpClient(...)` say where an option belongs that was given to it."""
    own = frozenset(inspect.signature(init).parameters)

    @functools.wraps(init)
    def checked(*args: P.args, **options: P.kwargs) -> None:
        for name in options:
            if name not in own:
                engine = options.get("engine", args[1] if len(args) > 1 else None)
                where = advice_on("HttpClient", name, options[name], own)
                if where is None:
                    where = _where_it_belongs(name, engine)
                raise TypeError(f"HttpClient has no option {name!r}; {where}")
        init(*args, **options)

    return checked


def _where_it_belongs(name: str, engine: Any) -> str:
    factory = engine_class(engine) if isinstance(engine, str) else engine or default_engine()
    if isinstance(factory, type) and name in inspect.signature(factory).parameters:
        made = factory.__name__
        return f"the engine has it: HttpClient(functools.partial({made}, {name}=...))"
    return (
        "it has expect_success and follow_redirects; plugins bring others: "
        "HttpClient(CIO, install(WebSockets, ping_interval=20))"
    )


def make_engine(engine: EngineLike, options: dict[str, Any]) -> SharedEngine:
    """Return the engine that was asked for, and note whether the client owns it.

    Raises:
        TypeError: a block where the engine belongs, options for an engine that exists, options
            that the factory does not take, or a factory that makes something else.
        EngineUnavailableError: no such engine, or its library is not installed.
    """
    if isinstance(engine, HttpClientEngine):
        if options:
            raise TypeError(
                f"config.engine({', '.join(options)}) needs an engine class or factory; "
                f"{type(engine).__name__} was made already"
            )
        return SharedEngine(engine, owned=False)
    if engine is None:
        factory: Callable[..., HttpClientEngine] = default_engine()
    elif isinstance(engine, str):
        factory = engine_class(engine)
    else:
        factory = engine
    _refuse_block(factory)
    bare: Any = getattr(factory, "func", factory)  # a partial's
    if given := {**getattr(factory, "keywords", {}), **options}:
        check_names(plugin_name(bare), bare, given)
    made: object = factory(**options)
    if not isinstance(made, HttpClientEngine):
        raise TypeError(  # a partial would show its options, a proxy's password too
            f"{plugin_name(bare)} made {made!r}, which is not an HttpClientEngine"
        )
    return SharedEngine(made, owned=True)


def make_plugins(config: HttpClientConfig) -> dict[PluginKey, HttpClientPlugin]:
    """Make the plugins in order of first installation."""
    return {key: key(**options) for key, options in config.plugins.items()}


def install_plugins(
    view: Callable[[HttpClientPlugin], PluginScope],
    config: HttpClientConfig,
    plugins: dict[PluginKey, HttpClientPlugin],
) -> None:
    """Let each plugin register its hooks in its view of the client.

    `HttpRedirect` is part of each client, unless `follow_redirects` is off.
    """
    if config.follow_redirects and HttpRedirect not in plugins:
        plugins = {HttpRedirect: HttpRedirect(), **plugins}
    for key, plugin in plugins.items():
        if config.follow_redirects or key is not HttpRedirect:
            plugin.install(view(plugin))


def _refuse_block(factory: Any) -> None:
    wrong: object = None
    if isinstance(factory, Install | HttpClientPlugin):
        wrong = factory
    elif isinstance(factory, type) and issubclass(factory, HttpClientPlugin):
        wrong = f"install({factory.__name__})"
    elif not callable(factory):  # pyright: ignore[reportUnknownArgumentType]  # of the check above
        raise TypeError(f"the engine is a class, a factory, an instance or a name, not {factory!r}")
    elif not isinstance(factory, type | partial):
        parameters = inspect.signature(factory).parameters.values()
        needed = [
            p
            for p in parameters
            if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        ]
        if needed:
            wrong = getattr(factory, "__name__", "block")
    if wrong is not None:
        raise TypeError(f"the engine comes first: HttpClient(CIO, {wrong})")
