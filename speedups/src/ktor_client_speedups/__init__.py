"""The compiled core of ktor-client. Its one user is `ktor_client/_twin.py`; there is no API."""

from ktor_client_speedups._core import (
    INTERFACE,
    adopt,
    claim,
    forget_keys,
    mask_bytes,
    new_binary,
    new_room,
    new_text,
    new_wakeups,
    take_copied,
    take_plain,
)

__all__ = [
    "INTERFACE",
    "adopt",
    "claim",
    "forget_keys",
    "mask_bytes",
    "new_binary",
    "new_room",
    "new_text",
    "new_wakeups",
    "take_copied",
    "take_plain",
]

__version__ = "0.1.0"
