"""Configuration: blocks, `install`, and the config object that blocks change.

Options are checked here, on the line that has the mistake. What a plugin does with them is its own.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ParamSpec, TypeAlias

from ktor_client.http import redacted
from ktor_client.http.redaction import HIDDEN, is_secret_name
from ktor_client.mistakes import Taught, advice_on, guess
from ktor_client.plugin import HttpClientPlugin

__all__ = ["Block", "HttpClientConfig", "install"]

P = ParamSpec("P")

PluginKey: TypeAlias = Callable[..., HttpClientPlugin]


class HttpClientConfig(metaclass=Taught):
    """What blocks change before a client is made (Ktor's `HttpClientConfig`)."""

    __slots__ = ("_engine_options", "_plugins", "expect_success", "follow_redirects")

    def __init__(self) -> None:
        self._engine_options: dict[str, Any] = {}
        self._plugins: dict[PluginKey, dict[str, Any]] = {}
        self.expect_success: bool = False
        """Raise for responses of status 300 and above."""
        self.follow_redirects: bool = True
        """Follow 301, 302, 303, 307 and 308 of every method, up to 20; see `HttpRedirect`."""

    def install(
        self, plugin: Callable[P, HttpClientPlugin], *args: P.args, **options: P.kwargs
    ) -> None:
        """Install a plugin, or change the options of an installed one, which keeps its place.

        Raises:
            TypeError: an option that the plugin does not have.
        """
        _check_options(plugin, args, options)
        self._plugins.setdefault(plugin, {}).update(options)

    def engine(self, **options: Any) -> None:
        """Give options to the engine's factory: `config.engine(limit=5)`.

        `HttpClient` raises `TypeError` if it was given an engine instance.
        """
        self._engine_options.update(options)

    @property
    def engine_options(self) -> dict[str, Any]:
        """Options for the engine's factory."""
        return dict(self._engine_options)

    @property
    def plugins(self) -> dict[PluginKey, dict[str, Any]]:
        """Installed plugins with their options, in order."""
        return {plugin: dict(options) for plugin, options in self._plugins.items()}

    def copy(self) -> HttpClientConfig:
        """Return a config that can be changed on its own."""
        twin = HttpClientConfig()
        twin._engine_options = self.engine_options
        twin._plugins = self.plugins
        twin.expect_success = self.expect_success
        twin.follow_redirects = self.follow_redirects
        return twin

    if not TYPE_CHECKING:  # checkers see the misspelt name without this

        def __setattr__(self, name: str, value: object) -> None:
            if name not in HttpClientConfig.__slots__:
                public = [slot for slot in HttpClientConfig.__slots__ if not slot.startswith("_")]
                raise AttributeError(
                    f"HttpClientConfig has no option {name!r}{guess(name, public)}"
                )
            if not name.startswith("_") and not isinstance(value, bool):
                raise TypeError(f"{name} is True or False, not {value!r}")
            object.__setattr__(self, name, value)


Block: TypeAlias = Callable[[HttpClientConfig], None]


class Install:
    """The block that `install` returns."""

    __slots__ = ("_options", "_plugin")

    def __init__(self, plugin: PluginKey, options: dict[str, Any]) -> None:
        self._plugin = plugin
        self._options = options

    def __call__(self, config: HttpClientConfig) -> None:
        config.install(self._plugin, **self._options)

    def __repr__(self) -> str:
        options = "".join(
            f", {name}={_shown(name, value)}" for name, value in self._options.items()
        )
        return f"install({plugin_name(self._plugin)}{options})"


def _shown(name: str, value: object) -> str:
    """Show an option without secrets: those of headers and cookies stand in mappings."""
    if is_secret_name(name):
        return repr(HIDDEN)
    if isinstance(value, str):
        return repr(redacted(value))
    if isinstance(value, Mapping):
        return "{...}"
    return repr(value)


def install(plugin: Callable[P, HttpClientPlugin], *args: P.args, **options: P.kwargs) -> Block:
    """Return a block that installs a plugin in the client it is given to.

    Raises:
        TypeError: not a plugin, or an option that it does not have.
    """
    _check_options(plugin, args, options)
    return Install(plugin, dict(options))


def apply_blocks(config: HttpClientConfig, blocks: tuple[Any, ...]) -> None:
    """Run blocks on a config.

    Raises:
        TypeError: one of them is not a block.
    """
    for block in blocks:
        if isinstance(block, HttpClientPlugin) or _is_plugin_class(block):
            cls = block if isinstance(block, type) else type(block)
            raise TypeError(
                f"{cls.__name__} is a plugin, not a block; write install({cls.__name__})"
            )
        if not callable(block):
            raise TypeError(
                f"a block is a function of HttpClientConfig, such as install(WebSockets), "
                f"not {block!r}"
            )
        result: object = block(config)
        if inspect.iscoroutine(result):
            result.close()
            raise TypeError(f"block {block!r} is a coroutine function; blocks are plain functions")
        if isinstance(result, HttpClientPlugin):  # `client_plugin` made the block
            name = plugin_name(block)
            raise TypeError(f"{name} is a plugin, not a block; write install({name})")


def plugin_name(plugin: object) -> str:
    """Return what users call a plugin."""
    return getattr(plugin, "__name__", repr(plugin))


def _is_plugin_class(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, HttpClientPlugin)


def _check_options(plugin: object, args: tuple[object, ...], options: dict[str, Any]) -> None:
    if isinstance(plugin, HttpClientPlugin):
        name = type(plugin).__name__
        raise TypeError(f"install takes the plugin itself: install({name}, ...), not {name}(...)")
    if not callable(plugin) or (isinstance(plugin, type) and not _is_plugin_class(plugin)):
        shown = plugin.__name__ if isinstance(plugin, type) else repr(plugin)
        raise TypeError(f"{shown} is not a plugin; install(WebSockets) installs one")
    if args:
        option = next(iter(inspect.signature(plugin).parameters), "option")
        raise TypeError(
            f"{plugin_name(plugin)} takes its options by name: "
            f"install({plugin_name(plugin)}, {option}=...)"
        )
    check_names(plugin_name(plugin), plugin, options)
    if inspect.isfunction(plugin):
        first = next(iter(inspect.signature(plugin).parameters.values()), None)
        if first and first.kind is first.POSITIONAL_OR_KEYWORD and first.default is first.empty:
            if first.name not in options:
                name = plugin_name(plugin)
                raise TypeError(
                    f"{name} lacks its {first.name!r}; "
                    + (
                        f"write install({name}, {first.name}=...)"
                        if hasattr(plugin, "__wrapped__")  # by `@client_plugin`
                        else "a function of a PluginScope becomes a plugin by `@client_plugin` "
                        "above its def"
                    )
                )


def check_names(owner: str, factory: Callable[..., object], options: dict[str, Any]) -> None:
    """Check that a factory of plugins or engines has such options.

    Raises:
        TypeError: it has not; the message guesses which one was meant.
    """
    parameters = inspect.signature(factory).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    for name, value in options.items():
        if name not in parameters:
            advice = advice_on(owner, name, value, parameters)
            hint = guess(name, parameters) if advice is None else f"; {advice}"
            raise TypeError(f"{owner} has no option {name!r}{hint}")
