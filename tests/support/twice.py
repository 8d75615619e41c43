"""A plugin that sends each request twice at a time, as one that wants the faster answer may."""

from __future__ import annotations

import asyncio

from ktor_client import HttpRequest, HttpResponse
from ktor_client.plugins import LayerKind, PluginScope, Send, client_plugin

__all__ = ["Twice"]


@client_plugin
def Twice(scope: PluginScope, *, kinds: tuple[LayerKind, ...]) -> None:
    """Send each request twice at a time in layers of these kinds, and take the first answer."""

    async def layer(request: HttpRequest, send: Send) -> HttpResponse:
        first, _ = await asyncio.gather(send(request), send(request))
        return first

    for kind in kinds:
        scope.on_send(layer, kind=kind)
