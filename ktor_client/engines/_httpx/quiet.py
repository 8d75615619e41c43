"""What httpx logs of our requests at INFO: their URL, without its query, where tokens travel.

Whether it logs, and where to, stays the application's to decide.
"""

from __future__ import annotations

import logging

import httpx

__all__ = ["OwnUrl"]


class OwnUrl(httpx.URL):
    """The URL of a request of ours; httpx' logger knows it by its class."""


def _hide_queries(record: logging.LogRecord) -> bool:
    if isinstance(record.args, tuple):
        record.args = tuple(
            f"{arg.copy_with(query=None)}?..." if isinstance(arg, OwnUrl) else arg
            for arg in record.args
        )
    return True


logging.getLogger("httpx").addFilter(_hide_queries)
