"""The wall around the public names: complete, unique, documented, and nothing else."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import ktor_client
from ktor_client import errors
from ktor_client.engines import AiohttpEngine, HttpxEngine
from ktor_client.plugins import WebSockets
from ktor_client.session.outgoing import Outgoing
from ktor_client.testing import MockPeerSession

ROOT = Path(ktor_client.__file__).parent
DAILY = [
    "_twin",
    "channels",
    "client",
    "config",
    "engine.capabilities",
    "engine.settings",
    "errors",
    "frames",
    "http",
    "plugin",
    "reconnect",
    "retry",
    "session",
]
INTERNAL = {
    "CONTINUATION",
    "CloseFrame",
    "Initiator",
    "MAX_CONTROL_PAYLOAD",
    "MAX_REASON_BYTES",
    "NOT_FINAL",
    "NOT_UTF8",
    "PingFrame",
    "PongFrame",
    "RSV1",
    "RSV2",
    "RSV3",
    "RSV_MASK",
    "TextFrame",
    "is_worth_a_retry",
    "may_be_sent",
    "new_binary",
    "new_opaque",
    "new_text",
    "ALL_CAPABILITIES",
    "Attempts",
    "Attributes",
    "BinaryFrame",  # users write Frame.Binary
    "BytesBody",
    "HeadersBuilder",
    "HttpClientPlugin",  # public in ktor_client.plugins
    "Interceptor",
    "LayerKind",
    "PluginScope",
    "RequestPhase",
    "Send",
    "When",
    "client_plugin",
    "RequestBody",
    "ResponseBody",
    "SessionCore",
    "State",
    "UrlBuilder",
    "WrappedBody",  # public in ktor_client.engines, as ResponseBody is
    "WebSocketContentConverter",  # public in ktor_client.plugins
}

ENGINE = {
    "capabilities",
    "clock",
    "close",
    "default_url",
    "execute",
    "idle",
    "name",
    "on_network_back",
    "open_web_socket",
}


def test_the_top_level_is_what_the_rooms_offer() -> None:
    offered: set[str] = set()
    for room in DAILY:
        offered |= set(importlib.import_module(f"ktor_client.{room}").__all__)
    assert set(ktor_client.__all__) == offered - INTERNAL


@pytest.mark.parametrize(
    "module",
    ["ktor_client", "ktor_client.engines", "ktor_client.plugins", "ktor_client.testing"],
)
def test_every_public_name_is_there_once_and_documented(module: str) -> None:
    public = importlib.import_module(module)
    assert len(set(public.__all__)) == len(public.__all__)
    for name in public.__all__:
        if module == "ktor_client.engines" and name == "BrowserEngine":
            continue  # imports only where there is a browser
        value = getattr(public, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert inspect.getdoc(value), name


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (ktor_client.ReceiveChannel, {"is_closed", "receive", "receive_nowait"}),
        (Outgoing, {"is_closed", "send", "send_nowait"}),  # of `session.outgoing`
        (ktor_client.Channels, {"incoming", "outgoing"}),
        (WebSockets, {"check", "install", "open", "open_raw"}),
        (AiohttpEngine, ENGINE),
        (HttpxEngine, ENGINE),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_completion_of_a_class_shows_what_is_for_users(kind: type, names: set[str]) -> None:
    assert {name for name in dir(kind) if not name.startswith("_")} == names


def test_a_scripted_peer_shows_a_sessions_names_and_its_own_words() -> None:
    peer, session = set(dir(MockPeerSession)), set(dir(ktor_client.DefaultWebSocketSession))
    assert {name for name in peer - session if not name.startswith("_")} == {
        "conversation",
        "delay",
        "drop",
        "expect",
        "expect_close",
        "request",
        "stall",
        "write_bytes",
    }


@pytest.mark.parametrize("name", ["engines", "plugins", "testing"])
def test_completion_of_a_module_shows_what_is_for_users(name: str) -> None:
    module = importlib.import_module(f"ktor_client.{name}")
    shown = set(dir(module)) - {"conformance"}
    assert shown <= set(module.__all__)
    assert set(module.__all__) - shown <= {"BrowserEngine"}  # which is for browsers


def test_twins_of_calls_have_words_of_their_own() -> None:
    client = ktor_client.HttpClient
    assert client.ws is client.web_socket
    assert "`web_socket` does, always over TLS" in (client.wss.__doc__ or "")
    assert "`web_socket` takes" in (client.web_socket_session.__doc__ or "")
    assert "`web_socket_raw` takes" in (client.web_socket_raw_session.__doc__ or "")


def test_every_module_has_a_door_plate_and_stays_small() -> None:
    for path in ROOT.rglob("*.py"):
        text = path.read_text()
        assert text.startswith('"""'), f"{path} has no door plate"
        assert len(text.splitlines()) <= 400, f"{path} is over 400 lines"


def test_the_drawing_of_the_errors_is_the_errors() -> None:
    drawn: dict[str, tuple[str, str | None]] = {}
    parents: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"([│├└─ ]*)(\w+Error)(?: \((\w+)\))?$", line)
        if found is None:
            continue
        depth = (len(found[1]) - 4) // 4
        parents[depth:] = [found[2]]
        drawn[found[2]] = (parents[depth - 1] if depth else "Exception", found[3])
    assert set(drawn) == set(errors.__all__)
    for name, (parent, builtin) in drawn.items():
        bases = [base.__name__ for base in getattr(errors, name).__bases__]
        assert bases[0] == parent, name
        if builtin is not None:
            assert bases == [parent, builtin]


def test_dir_offers_what_can_be_asked_for() -> None:
    assert dir(ktor_client) == sorted([*ktor_client.__all__, "__version__"])
    with pytest.raises(AttributeError, match="'ktor_client' has no attribute 'HttpClent'"):
        _ = ktor_client.HttpClent  # pyright: ignore


def test_an_error_that_was_made_without_a_response() -> None:
    error = errors.ClientRequestError("text")
    with pytest.raises(AttributeError, match="this ClientRequestError was made without a response"):
        _ = error.response


def test_errors_survive_pickling() -> None:
    import pickle

    for name in errors.__all__:
        error = getattr(errors, name)("text")
        copy = pickle.loads(pickle.dumps(error))
        assert type(copy) is type(error)
        assert str(copy) == str(error)


def test_all_modules_import() -> None:
    for module in pkgutil.walk_packages([str(ROOT)], "ktor_client."):
        if "_browser" not in module.name and module.name != "ktor_client.__main__":
            importlib.import_module(module.name)
