"""What httpx logs of our requests at INFO: their URL, without the secrets that a query may have."""

from __future__ import annotations

import logging

import httpx

from ktor_client.http import redacted

__all__ = ["OwnUrl"]


class OwnUrl(httpx.URL):
    """The URL of a request of ours; httpx' logger knows it by its class."""


def _hide_secrets(record: logging.LogRecord) -> bool:
    if isinstance(record.args, tuple):
        record.args = tuple(
            redacted(str(arg)) if isinstance(arg, OwnUrl) else arg for arg in record.args
        )
    return True


logging.getLogger("httpx").addFilter(_hide_secrets)
