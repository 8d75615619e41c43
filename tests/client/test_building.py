"""Making a client: engines, blocks, options, and what each mistake says."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest

from ktor_client import (
    ClientClosedError,
    EngineUnavailableError,
    HttpClient,
    HttpClientConfig,
    PluginNotInstalledError,
    ResponseReceived,
    WebSocketCapability,
    WrongLoopError,
    install,
)
from ktor_client.engines import (
    AiohttpEngine,
    BrowserEngine,
    CioEngine,
    HttpxEngine,
    MockEngine,
    engines,
)
from ktor_client.plugins import (
    DefaultRequest,
    JsonConverter,
    PluginScope,
    UserAgent,
    WebSocketDeflate,
    WebSockets,
    client_plugin,
)


@client_plugin
def Greeting(scope: PluginScope, *, word: str = "hi") -> None:
    """Set a header."""
    scope.on_request(lambda request: request.headers.set("X-Greeting", word))


def text_of(call: object) -> str:
    """Return the message of the TypeError that `call` raises."""
    with pytest.raises(TypeError) as caught:
        call()  # type: ignore[operator]
    return str(caught.value)


def test_a_misspelt_option_is_told_on_the_callers_line() -> None:
    assert text_of(lambda: install(WebSockets, ping_intervall=20)) == (  # type: ignore[call-arg]  # pyright: ignore
        "WebSockets has no option 'ping_intervall'; did you mean 'ping_interval'?"
    )


def test_an_unknown_option_lists_what_there_is() -> None:
    assert text_of(lambda: install(UserAgent, retries=3)) == (  # type: ignore[call-arg]  # pyright: ignore
        "UserAgent has no option 'retries'; it has: agent"
    )
    assert text_of(lambda: install(Greeting, wrod="x")) == (  # type: ignore[call-arg]  # pyright: ignore
        "Greeting has no option 'wrod'; did you mean 'word'?"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"extensions": WebSocketDeflate()}, "extensions=[WebSocketDeflate("),
        ({"extensions": [WebSocketDeflate]}, "takes instances such as WebSocketDeflate()"),
        ({"content_converter": JsonConverter}, "takes an instance such as JsonConverter()"),
        ({"channels": 5}, "channels takes Channels("),
        ({"max_frame_size": 1.5}, "max_frame_size is a number of bytes"),
        ({"max_frame_size": True}, "max_frame_size is a number of bytes"),
        ({"max_fragments": "10"}, "max_fragments is a number of fragments, not str"),
        ({"extensions": 5}, "extensions takes a sequence: extensions=[5]"),
        ({"timeout": None}, "timeout takes seconds (a number) or a timedelta"),
    ],
)
def test_options_of_another_type_are_told(options: dict[str, Any], message: str) -> None:
    assert message in text_of(lambda: HttpClient(MockEngine, install(WebSockets, **options)))


def test_no_frame_fits_into_nothing() -> None:
    with pytest.raises(ValueError, match="max_frame_size must be at least 1"):
        HttpClient(MockEngine, install(WebSockets, max_frame_size=0))
    with pytest.raises(ValueError, match="max_fragments must be at least 1 fragment, not 0"):
        HttpClient(MockEngine, install(WebSockets, max_fragments=0))


def test_positional_options_are_refused() -> None:
    text = text_of(lambda: install(WebSockets, 20))  # type: ignore[call-arg]  # pyright: ignore
    assert text == "WebSockets takes its options by name: install(WebSockets, ping_interval=...)"


def test_a_block_in_the_engines_place() -> None:
    block = install(WebSockets, ping_interval=20)
    assert text_of(lambda: HttpClient(block)) == (  # type: ignore[arg-type]  # pyright: ignore
        "the engine comes first: HttpClient(CIO, install(WebSockets, ping_interval=20))"
    )

    def company(config: HttpClientConfig) -> None:
        config.expect_success = True

    text = text_of(lambda: HttpClient(company))  # type: ignore[arg-type]  # pyright: ignore
    assert text == "the engine comes first: HttpClient(CIO, company)"
    text = text_of(lambda: HttpClient(WebSockets))  # type: ignore[arg-type]  # pyright: ignore
    assert text == "the engine comes first: HttpClient(CIO, install(WebSockets))"


def test_a_plugin_in_a_blocks_place() -> None:
    text = text_of(lambda: HttpClient(MockEngine, WebSockets))  # type: ignore[arg-type]  # pyright: ignore
    assert text == "WebSockets is a plugin, not a block; write install(WebSockets)"


def test_a_plugin_made_of_a_function_in_a_blocks_place() -> None:
    @client_plugin
    def stamp(scope: PluginScope, *, name: str = "X-Stamp") -> None: ...

    text = text_of(lambda: HttpClient(MockEngine, stamp))  # type: ignore[arg-type]  # pyright: ignore
    assert text == "stamp is a plugin, not a block; write install(stamp)"


def test_a_plugin_that_lacks_an_option() -> None:
    @client_plugin
    def stamp(scope: PluginScope, name: str) -> None: ...

    lacking: Any = stamp
    text = text_of(lambda: install(lacking))
    assert text == "stamp lacks its 'name'; write install(stamp, name=...)"


def test_ktors_words_for_hooks_are_answered() -> None:
    @client_plugin
    def stamp(scope: PluginScope) -> None:
        unknown: Any = scope
        unknown.onRequest(print)

    with pytest.raises(AttributeError, match="has no attribute 'onRequest'; write `on_request`"):
        HttpClient(MockEngine, install(stamp))


def test_a_function_that_is_no_plugin_yet() -> None:
    def stamp(scope: PluginScope, *, name: str = "X-Stamp") -> None: ...

    plain: Any = stamp
    assert text_of(lambda: install(plain, name="X")) == (
        "stamp lacks its 'scope'; a function of a PluginScope becomes a plugin by `@client_plugin` "
        "above its def"
    )

    def made(scope: str) -> UserAgent:  # of OAuth, say
        return UserAgent(agent=scope)

    HttpClient(MockEngine, install(made, scope="read"))


def test_what_is_no_event() -> None:
    events = HttpClient(MockEngine).events
    wrong: Any = "ResponseReceived"
    assert text_of(lambda: events.subscribe(wrong, print)) == (
        "an event is a ClientEvent, such as ResponseReceived, not 'ResponseReceived'"
    )
    wrong = None
    text = text_of(lambda: events.subscribe(ResponseReceived, wrong))
    assert text == "a handler is a function of what happened, not None"


async def test_sessions_that_come_back_are_entered_first() -> None:
    async with HttpClient(MockEngine, install(WebSockets)) as client:
        feed: Any = client.web_socket_reconnecting("/feed")
        with pytest.raises(AttributeError, match=r"'send'; it was not entered yet: write `async "):
            await feed.send("hello")


def test_a_coroutine_function_is_no_block() -> None:
    async def block(config: HttpClientConfig) -> None: ...

    text = text_of(lambda: HttpClient(MockEngine, block))  # type: ignore[arg-type]  # pyright: ignore
    assert "blocks are plain functions" in text


def test_what_is_no_block() -> None:
    text = text_of(lambda: HttpClient(MockEngine, {"timeout": 5}))  # type: ignore[arg-type]  # pyright: ignore
    assert text == (
        "a block is a function of HttpClientConfig, such as install(WebSockets), not {'timeout': 5}"
    )


def test_what_is_no_plugin() -> None:
    assert text_of(lambda: install(UserAgent())) == (  # type: ignore[arg-type]  # pyright: ignore
        "install takes the plugin itself: install(UserAgent, ...), not UserAgent(...)"
    )
    wrong: Any
    for wrong, shown in ((dict, "dict"), (5, "5"), ("WebSockets", "'WebSockets'")):
        text = text_of(lambda plugin=wrong: install(plugin))
        assert text == f"{shown} is not a plugin; install(WebSockets) installs one"


def test_a_misspelt_option_in_a_partial_is_told() -> None:
    assert text_of(lambda: HttpClient(partial(AiohttpEngine, limmit=5))) == (  # type: ignore[call-arg]  # pyright: ignore
        "AiohttpEngine has no option 'limmit'; did you mean 'limit'?"
    )


def test_what_is_no_engine() -> None:
    assert "not 42" in text_of(lambda: HttpClient(42))  # type: ignore[arg-type]  # pyright: ignore
    assert "not an HttpClientEngine" in text_of(lambda: HttpClient(lambda: 42))  # type: ignore[arg-type,return-value]  # pyright: ignore


def test_a_misspelt_setting_is_told() -> None:
    with pytest.raises(AttributeError, match="did you mean 'expect_success'"):
        HttpClientConfig().expect_sucess = True  # type: ignore[attr-defined]  # pyright: ignore


def test_blocks_compose_and_a_second_install_refines_the_first() -> None:
    def company(config: HttpClientConfig) -> None:
        config.install(UserAgent, agent="demo/1")
        config.install(WebSockets, ping_interval=5)

    client = HttpClient(
        MockEngine,
        install(WebSockets, max_frame_size=10),
        company,
        install(UserAgent),
    )
    assert client.plugin(UserAgent).agent == "demo/1"
    assert repr(install(WebSockets, ping_interval=5)) == "install(WebSockets, ping_interval=5)"
    defaults = install(DefaultRequest, url="ws://me:SECRET@h/", headers={"X-Api-Key": "SECRET"})
    assert repr(defaults) == "install(DefaultRequest, url='ws://***@h/', headers={...})"


async def test_refined_options_add_up_and_the_place_stays() -> None:
    seen: list[str] = []

    @client_plugin
    def First(scope: PluginScope, *, a: int = 0, b: int = 0) -> None:
        seen.append(f"first a={a} b={b}")

    @client_plugin
    def Second(scope: PluginScope) -> None:
        seen.append("second")

    HttpClient(MockEngine, install(First, a=1), install(Second), install(First, b=2))
    assert seen == ["first a=1 b=2", "second"]


def test_plugins_are_found_by_what_was_installed() -> None:
    client = HttpClient(MockEngine, install(UserAgent), install(Greeting))
    assert isinstance(client.plugin(UserAgent), UserAgent)
    assert client.plugin_or_none(Greeting) is not None
    assert client.plugin_or_none(DefaultRequest) is None
    with pytest.raises(PluginNotInstalledError) as caught:
        client.web_socket("ws://h/")
    assert str(caught.value) == (
        "WebSockets is not installed; add install(WebSockets) to HttpClient(...)"
    )


def test_engines_by_class_factory_name_and_default() -> None:
    assert isinstance(HttpClient(AiohttpEngine).engine, AiohttpEngine)
    assert isinstance(HttpClient(partial(HttpxEngine, limit=5)).engine, HttpxEngine)
    assert isinstance(HttpClient("httpx").engine, HttpxEngine)
    assert isinstance(HttpClient().engine, CioEngine)
    assert isinstance(HttpClient(None, install(UserAgent)).engine, CioEngine)
    assert HttpClient(AiohttpEngine).is_supported(WebSocketCapability)


def test_an_unknown_engine_is_told_with_a_guess() -> None:
    with pytest.raises(EngineUnavailableError, match="did you mean 'aiohttp'"):
        HttpClient("aiohtp")
    with pytest.raises(ImportError):
        HttpClient("nothing like it")
    assert {"aiohttp", "httpx", "browser", "mock", "test"} <= set(engines())


def test_the_browser_engine_refuses_to_run_elsewhere() -> None:
    with pytest.raises(EngineUnavailableError, match="browser"):
        HttpClient(BrowserEngine)


def test_options_for_the_engine_go_to_its_factory() -> None:
    def small(config: HttpClientConfig) -> None:
        config.engine(limit=7)

    assert HttpClient(AiohttpEngine, small).engine is not None
    text = text_of(lambda: HttpClient(MockEngine(), small))
    needs = "config.engine(limit) needs an engine class or factory"
    assert text == f"{needs}; MockEngine was made already"
    for factory in (AiohttpEngine, partial(AiohttpEngine, proxy=None), "aiohttp", None):
        text = text_of(lambda made=factory: HttpClient(made, lambda c: c.engine(limt=7)))
        made = "CioEngine" if factory is None else "AiohttpEngine"
        assert text == f"{made} has no option 'limt'; did you mean 'limit'?"

    def any_options(**options: int) -> MockEngine:
        assert options == {"limit": 7}
        return MockEngine()

    assert isinstance(HttpClient(any_options, small).engine, MockEngine)
    text = text_of(lambda: HttpClient(AiohttpEngine).config(small))
    assert "this engine exists already" in text


async def test_who_makes_the_engine_closes_it() -> None:
    class Counted(MockEngine):
        closed = 0

        async def close(self) -> None:
            Counted.closed += 1
            await super().close()

    mine = Counted()
    async with HttpClient(mine):
        pass
    assert Counted.closed == 0
    async with HttpClient(Counted):
        pass
    assert Counted.closed == 1


async def test_derived_clients_share_the_engine_until_the_last_one() -> None:
    class Counted(MockEngine):
        closed = 0

        async def close(self) -> None:
            Counted.closed += 1
            await super().close()

    client = HttpClient(Counted, install(UserAgent))
    derived = client.config(install(UserAgent, agent="other"))
    assert derived.engine is client.engine
    assert client.plugin(UserAgent).agent == "ktor-client"
    assert derived.plugin(UserAgent).agent == "other"
    await client.close()
    await client.close()
    assert Counted.closed == 0
    await derived.close()
    assert Counted.closed == 1


async def test_a_closed_client_says_so_at_the_call() -> None:
    client = HttpClient(MockEngine, install(WebSockets))
    await client.close()
    for call in (client.web_socket, client.web_socket_raw, client.prepare_get, client.config):
        with pytest.raises(ClientClosedError, match="make a new one"):
            call("http://h/")  # type: ignore[arg-type]  # pyright: ignore
    with pytest.raises(ClientClosedError):
        await client.web_socket_session("ws://h/")
    with pytest.raises(ClientClosedError):
        await client.get("http://h/")
    with pytest.raises(ClientClosedError):
        await client.__aenter__()


def test_another_loop_is_told() -> None:
    client = HttpClient(lambda: MockEngine(lambda request: b"ok"))

    async def use() -> None:
        await client.get("http://h/")

    asyncio.run(use())
    with pytest.raises(WrongLoopError, match="make an HttpClient per loop"):
        asyncio.run(use())
    asyncio.run(client.close())
