"""What a browser tells of its network: it is back, or the page that was asleep is seen again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ktor_client.engines._browser.platform import Platform

__all__ = ["watch_network"]


def watch_network(platform: Platform, callback: Callable[[], object]) -> Callable[[], None]:
    """Call back for `online`, and when the page becomes visible; returns what ends that.

    A worker has no page, and hears of `online` alone.
    """
    js = platform.js
    document: Any = getattr(js, "document", None)

    def on_online(event: object) -> None:
        callback()

    def on_visibility(event: object) -> None:
        if str(document.visibilityState) == "visible":
            callback()

    listeners = [(js, "online", platform.ffi.create_proxy(on_online))]
    if document is not None:
        listeners.append((document, "visibilitychange", platform.ffi.create_proxy(on_visibility)))
    for target, event, proxy in listeners:
        target.addEventListener(event, proxy)

    def end() -> None:
        while listeners:
            target, event, proxy = listeners.pop()
            target.removeEventListener(event, proxy)
            proxy.destroy()

    return end
