"""The table of mistakes: each is one and is answered; what the answer says to write is there."""

from __future__ import annotations

import ast
import asyncio
import functools
import http
import importlib
import inspect
import re
import ssl
from enum import Enum
from typing import Any

import pytest

import ktor_client
from ktor_client import (
    Backoff,
    ClientWebSocketSession,
    CloseReason,
    DefaultClientWebSocketSession,
    Frame,
    FrameType,
    Headers,
    HttpClient,
    HttpClientConfig,
    HttpMethod,
    HttpRequest,
    HttpRequestBuilder,
    HttpResponse,
    ReceiveChannel,
    RetryPolicy,
    SendChannel,
    Url,
    WebSocketSession,
    engines,
    plugins,
    testing,
)
from ktor_client.client.scope import PluginView
from ktor_client.http import HeadersBuilder, UrlBuilder
from ktor_client.http.status import Status
from ktor_client.mistakes import Taught, camel_case
from ktor_client.mistakes.arguments import ARGUMENTS
from ktor_client.mistakes.attributes import ATTRIBUTES
from ktor_client.mistakes.imports import MODULES
from ktor_client.session.incoming import Incoming
from ktor_client.session.outgoing import Outgoing

PACKAGES = (ktor_client, engines, plugins, testing)
CLASSES: dict[str, tuple[type, ...]] = {
    "HttpClient": (HttpClient,),
    "HttpResponse": (HttpResponse,),
    "WebSocketSession": (WebSocketSession, ClientWebSocketSession, DefaultClientWebSocketSession),
    "ReceiveChannel": (ReceiveChannel, Incoming),
    "SendChannel": (SendChannel, Outgoing),
    "HttpRequestBuilder": (HttpRequestBuilder,),
    "HeadersBuilder": (HeadersBuilder,),
    "Headers": (Headers, HeadersBuilder),
    "UrlBuilder": (UrlBuilder,),
    "Url": (Url,),
    "HttpMethod": (HttpMethod,),
    "HttpClientConfig": (HttpClientConfig,),
    "CloseReason": (CloseReason,),
    "Frame": (Frame,),
    "FrameType": (FrameType,),
    "_Codes": (CloseReason.Codes,),
    "Status": (Status,),
    "PluginView": (PluginView,),
}
CALLS: dict[str, tuple[Any, ...]] = {
    "request": (HttpClient.get, HttpClient.prepare_get, HttpClient.head, HttpClient.options),
    "web_socket": (
        HttpClient.web_socket,
        HttpClient.web_socket_raw,
        HttpClient.web_socket_reconnecting,
    ),
    "close": (WebSocketSession.close,),
    "Url": (Url,),
    "CloseReason": (CloseReason,),
    "RetryPolicy": (RetryPolicy,),
    "Backoff": (Backoff,),
    "CioEngine": (engines.CioEngine,),
    "AiohttpEngine": (engines.AiohttpEngine,),
    "HttpxEngine": (engines.HttpxEngine,),
}
ENGINES = {name: getattr(engines, name) for name in ("CioEngine", "AiohttpEngine", "HttpxEngine")}
OPTIONS: dict[str, Any] = {
    name: getattr(plugins, name, HttpClient)
    for name in ARGUMENTS
    if name == "HttpClient" or name in plugins.__all__
}


def rows(table: dict[str, dict[str, str]]) -> list[Any]:
    return [
        pytest.param(owner, name, id=f"{owner}.{name}")
        for owner, words in table.items()
        for name in words
    ]


INSTANCES = {
    "HttpMethod": HttpMethod.Get,
    "FrameType": FrameType.TEXT,
    "_Codes": CloseReason.Codes.NORMAL,
    "Status": Status(200),
}


@pytest.mark.parametrize(("owner", "name"), rows(ATTRIBUTES))
def test_a_wrong_attribute(owner: str, name: str) -> None:
    for cls in CLASSES[owner]:
        for spelling in {name, camel_case(name)}:
            with pytest.raises(AttributeError, match=f"has no attribute '{spelling}'; ") as caught:
                getattr(cls, spelling)
            assert ATTRIBUTES[owner][name] in str(caught.value)
            if isinstance(cls, Taught):
                assert spelling not in dir(cls)
            if inspect.isabstract(cls):
                continue
            thing: Any = INSTANCES.get(owner) or object.__new__(cls)
            with pytest.raises(AttributeError, match="' object has no attribute"):
                getattr(thing, spelling)
            if not isinstance(thing, Enum):
                assert spelling not in dir(thing)


@pytest.mark.parametrize(("owner", "name"), rows(ARGUMENTS))
def test_a_wrong_argument(owner: str, name: str) -> None:
    words = ARGUMENTS[owner][name]
    for call in CALLS.get(owner, ()):
        this = () if isinstance(call, type) else (None,)
        with pytest.raises(TypeError) as caught:
            if name:
                call(*this, **{name: 1})
            else:
                call(*this, *range(9))
        assert str(caught.value).endswith(f"; {words}")
    if owner in OPTIONS:
        with pytest.raises(TypeError, match=f"^{owner} has no option '{name}'; ") as caught:
            if owner == "HttpClient":
                HttpClient(**{name: 1})  # type: ignore[arg-type]
            else:
                plugin: Any = OPTIONS[owner]
                ktor_client.install(plugin, **{name: 1})
        assert str(caught.value).endswith(words)
    if owner in ENGINES:
        with pytest.raises(TypeError, match=f"^{owner} has no option '{name}'; ") as caught:
            HttpClient(functools.partial(ENGINES[owner], **{name: 1}))
        assert str(caught.value).endswith(words)
    assert owner in CALLS or owner in OPTIONS


@pytest.mark.parametrize(("module", "name"), rows(MODULES))
def test_a_wrong_import(module: str, name: str) -> None:
    with pytest.raises(ImportError, match=f"cannot import name '{name}' from ") as caught:
        exec(f"from {module} import {name}", {})
    assert str(caught.value).endswith(MODULES[module][name])
    with pytest.raises(AttributeError, match=f"has no attribute '{name}'; "):
        getattr(importlib.import_module(module), name)
    assert not hasattr(importlib.import_module(module), name)


def test_every_public_class_is_found_from_everywhere() -> None:
    for package in PACKAGES:
        for name in package.__all__:
            for other in PACKAGES:
                if name[0].isupper() and name not in other.__all__:
                    with pytest.raises(ImportError, match=rf"write `from [\w.]+ import {name}`"):
                        exec(f"from {other.__name__} import {name}", {})


@pytest.mark.parametrize(
    "name", ["websockets", "engines.cio", "plugins.websocket", "nothing.at_all"]
)
def test_a_module_that_is_none(name: str) -> None:
    with pytest.raises(ModuleNotFoundError, match=r"from ktor_client\.plugins import") as caught:
        importlib.import_module(f"ktor_client.{name}")
    assert (caught.value.name or "").startswith("ktor_client.")
    with pytest.raises(ImportError, match="cannot import name 'nothing' from 'ktor_client'"):
        exec("from ktor_client import nothing", {})
    with pytest.raises(ModuleNotFoundError, match=r"_nothing'$"):
        importlib.import_module("ktor_client._nothing")


# --- what the words say to write


def snippets() -> list[str]:
    said = {
        words
        for table in (ATTRIBUTES, ARGUMENTS, MODULES)
        for section in table.values()
        for words in section.values()
    }
    found = {code for words in said for code in re.findall(r"`([^`]+)`", words)}
    return sorted(code for code in found if not code.startswith("python "))


NAMES: dict[str, Any] = {
    name: getattr(package, name)
    for package in reversed(PACKAGES)
    for name in package.__all__
    if name != "BrowserEngine"
} | {"asyncio": asyncio, "functools": functools, "http": http, "ssl": ssl}
KNOWN: dict[str, tuple[type, ...]] = {
    "client": (HttpClient,),
    "response": (HttpResponse,),
    "session": (DefaultClientWebSocketSession,),
    "request": (HttpRequestBuilder, HttpRequest),
    "headers": (HeadersBuilder,),
    "url": (UrlBuilder, Url),
    "config": (HttpClientConfig,),
    "reason": (CloseReason,),
    "frame": (Frame.Text, Frame.Close),
    "frame_type": (FrameType,),
    "scope": (plugins.PluginScope, PluginView),
    "tasks": (asyncio.TaskGroup,),
}


@pytest.mark.parametrize("code", snippets())
def test_what_is_to_be_written_is_there(code: str) -> None:
    whole = code + (" ..." if code.endswith(":") else "")
    if re.fullmatch(r"\w+=.*", whole):
        whole = f"call({whole}{'...' if whole.endswith('=') else ''})"
    tree = ast.parse(f"async def main():\n    {whole}")
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.module is not None
            assert node.names[0].name in importlib.import_module(node.module).__all__
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            owner = node.value.id
            if owner in KNOWN:
                assert any(has(cls, node.attr) for cls in KNOWN[owner]), f"{owner}.{node.attr}"
            else:
                assert hasattr(NAMES[owner], node.attr), f"{owner}.{node.attr}"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.keywords:
            factory = NAMES.get(node.func.id)
            if node.func.id == "install":
                first = node.args[0]
                assert isinstance(first, ast.Name)
                factory = NAMES[first.id]
            if factory is not None:
                given = {keyword.arg for keyword in node.keywords}
                assert given <= set(inspect.signature(factory).parameters), code


@pytest.mark.parametrize(("owner", "name"), rows(ARGUMENTS))
def test_an_option_that_is_to_be_written_is_one(owner: str, name: str) -> None:
    calls = [*CALLS.get(owner, ()), OPTIONS.get(owner, HttpClient.post)]
    known = {option for call in calls for option in inspect.signature(call).parameters}
    assert set(re.findall(r"write `(\w+)=", ARGUMENTS[owner][name])) <= known


def has(cls: type, name: str) -> bool:
    """Whether a class, or what its instances are given, has an attribute."""
    return hasattr(cls, name) or f"self.{name}" in inspect.getsource(cls)
