"""The lazy door to the engines: each is imported when it is named, and not before.

Engine modules have an underscore so that `engines/aiohttp.py` cannot shadow the library. They never
import one another, and only they import a network library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ktor_client.engine import (
    Capability,
    EngineLike,
    HttpClientEngine,
    WebSocketOptions,
    WebSocketUpgrade,
)
from ktor_client.engine.dialer import Dialer
from ktor_client.engine.error_table import ErrorTable
from ktor_client.engine.registry import BUILT_IN, default_engine, engine_class, engines, register
from ktor_client.engine.socket_options import SocketOptions
from ktor_client.http import ResponseBody, WrappedBody
from ktor_client.link import FrameLink, LinkOptions, LinkReceiver, StreamLink
from ktor_client.mistakes import absent
from ktor_client.protocol.violation import Violation

if TYPE_CHECKING:
    from ktor_client.engines._aiohttp import AiohttpEngine
    from ktor_client.engines._asgi import TestEngine
    from ktor_client.engines._browser import BrowserEngine
    from ktor_client.engines._cio import CioEngine
    from ktor_client.engines._cio import CioEngine as CIO
    from ktor_client.engines._darwin import DarwinEngine
    from ktor_client.engines._httpx import HttpxEngine
    from ktor_client.engines._mock import MockEngine
    from ktor_client.link.tap import TapLink

__all__ = [
    "CIO",
    "AiohttpEngine",
    "BrowserEngine",
    "Capability",
    "CioEngine",
    "DarwinEngine",
    "Dialer",
    "EngineLike",
    "ErrorTable",
    "FrameLink",
    "HttpClientEngine",
    "HttpxEngine",
    "LinkOptions",
    "LinkReceiver",
    "MockEngine",
    "ResponseBody",
    "SocketOptions",
    "StreamLink",
    "TapLink",
    "TestEngine",
    "Violation",
    "WebSocketOptions",
    "WebSocketUpgrade",
    "WrappedBody",
    "default_engine",
    "engine_class",
    "engines",
    "register",
]

_ENTRIES = {entry.class_name: entry for entry in BUILT_IN.values()}


def __getattr__(name: str) -> object:
    if name == "TapLink":
        from ktor_client.link.tap import TapLink

        return TapLink
    entry = _ENTRIES.get("CioEngine" if name == "CIO" else name)
    if entry is None:
        raise absent(__name__, name)
    return entry.load()


def __dir__() -> list[str]:
    absent = {entry.class_name for entry in BUILT_IN.values() if entry.missing()}
    return sorted(set(__all__) - absent)
