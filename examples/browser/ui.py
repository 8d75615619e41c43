"""What programs of the demo page see of the page: `url`, `typed`, `opened`, `show`."""

from importlib import import_module
from typing import Any

_page: Any = import_module("page")  # registered by app.js


def url() -> str:
    """Return what stands in the field "Server"."""
    return str(_page.url())


async def typed() -> str | bytes:
    """Wait for the next message that somebody types and sends."""
    message = await _page.typed()
    text = str(message.text)
    return text.encode() if message.binary else text


def opened() -> None:
    """Say that the session is open, so that messages can be typed."""
    _page.opened()


def show(direction: str, message: str | bytes) -> None:
    """Show a message; `direction` is "sent" or "received"."""
    if isinstance(message, str):
        _page.show(direction, "text", message, len(message.encode()))
    else:
        shown = message[:64].hex(" ") + (" …" if len(message) > 64 else "")
        _page.show(direction, "binary", shown, len(message))


def failed(text: str) -> None:
    """Show what went wrong."""
    _page.failed(text)


def print_error(text: str) -> None:
    """Write to the console below the program, as an error."""
    _page.print(text, True)
