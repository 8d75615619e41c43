"""The hand-over after a 101: aiohttp's transport becomes a link's.

The one room that touches what aiohttp does not promise: `protocol.set_parser`, and the transport
of a connection. Its tests say what must hold.
"""

from __future__ import annotations

import weakref

import aiohttp

from ktor_client.engine.open_links import LostTransport, OpenLinks
from ktor_client.engines._aiohttp.exchange import Answer
from ktor_client.link import StreamLink

__all__ = ["take_over"]


def take_over(response: aiohttp.ClientResponse | Answer, links: OpenLinks) -> StreamLink:
    """Give the transport to a link, and aiohttp its connector slot back.

    aiohttp then has no timer, no slot and no transport of this connection any more, so that
    nothing of it waits for the WebSocket's end.
    """
    if isinstance(response, Answer):
        return _take_own(response, links)
    connection = response.connection
    protocol = None if connection is None else connection.protocol
    transport = None if protocol is None else protocol.transport
    if connection is None:
        # Without `Upgrade` aiohttp took the 101 for any response: its connection is in the pool.
        assert response._protocol is not None  # which stays known
        response._protocol.close()
    leading = _Leading(links)
    if protocol is not None:
        protocol.read_timeout = None  # else early bytes would start its timer again
        protocol.set_parser(leading, aiohttp.EMPTY_PAYLOAD)
    link = links.make(transport or LostTransport(), bytes(leading.data))
    if protocol is None or transport is None:
        link.connection_lost(None)
    else:
        leading.link = weakref.ref(link)
        transport.set_protocol(link)
        protocol.transport = None
        protocol._parser = None  # which refers to it: only the collector would find them
    response.close()
    return link


def _take_own(answer: Answer, links: OpenLinks) -> StreamLink:
    protocol = answer.protocol
    transport = protocol.transport
    link = links.make(transport or LostTransport(), bytes(protocol.leading or b""))
    if transport is None:
        link.connection_lost(None)
    else:
        transport.set_protocol(link)
        protocol.transport = None
    protocol.silence.close()
    answer.close()
    return link


class _Leading:
    """Stands in for aiohttp's frame parser: keeps what came with the 101, hears of the end."""

    def __init__(self, links: OpenLinks) -> None:
        self.data = bytearray()
        self.link: weakref.ref[StreamLink] | None = None
        self._links = links

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self.data += data
        return False, b""

    def feed_eof(self) -> None:
        """Tell the link, if the loop had promised the end of a TLS connection to aiohttp."""
        link = None if self.link is None else self.link()
        if link is not None and link in self._links:
            link.connection_lost(None)
