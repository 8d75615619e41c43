"""One file a contender, each with the same methods; this door names them and imports them late.

A worker imports the one that it runs and no other, so that none pays for another's modules.
"""

from __future__ import annotations

from importlib import import_module

from benchmarks.contenders.base import AnyContender, Contender, Message, WrongMessageError

__all__ = [
    "ALL_NAMES",
    "NAMES",
    "AnyContender",
    "Contender",
    "Message",
    "WrongMessageError",
    "load",
]

_CLASSES = {
    "aiohttp": "raw_aiohttp:Aiohttp",
    "aiohttp-for": "raw_aiohttp:AiohttpFor",
    "websockets": "raw_websockets:Websockets",
    "httpx-ws": "raw_httpx_ws:HttpxWs",
    "picows": "raw_picows:Picows",
    "ours-aiohttp": "ours:OursAiohttp",
    "ours-httpx": "ours:OursHttpx",
    "ours-cio": "ours:OursCio",
    "ours-cio-compiled": "ours_compiled:OursCioCompiled",
    "ours-cio-eager": "ours_compiled:OursCioEager",
    "ours-cio-plugins": "ours:OursCioPlugins",
}

NAMES = tuple(name for name in _CLASSES if not name.endswith("-plugins"))
"""What a benchmark runs; with every plugin installed, `benchmarks.instructions` counts alone."""
ALL_NAMES = tuple(_CLASSES)


def load(name: str) -> type[AnyContender]:
    """Import the contender called `name`; `ImportError` where its library is not installed."""
    module, _, attribute = _CLASSES[name].partition(":")
    contender: type[AnyContender] = getattr(
        import_module(f"benchmarks.contenders.{module}"), attribute
    )
    return contender
