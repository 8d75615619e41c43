"""The session that `web_socket_raw` gives, and the call that every session of a client has."""

from __future__ import annotations

from ktor_client.session.base import WebSocketSession
from ktor_client.session.call import HttpClientCall

__all__ = ["ClientWebSocketSession"]


class ClientWebSocketSession(WebSocketSession):
    """A session with the call that it came from (Ktor's `ClientWebSocketSession`).

    `web_socket_raw` gives one: you receive every frame and may send any, nothing is answered for
    you, there is no keepalive, and `max_frame_size` applies to each frame.
    """

    __slots__ = ()

    @property
    def call(self) -> HttpClientCall:
        """The final request and its response."""
        if self._call is None:
            raise AttributeError("this session was not opened by a client")
        return self._call
