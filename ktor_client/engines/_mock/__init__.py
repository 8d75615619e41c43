"""`MockEngine`: no network; HTTP handlers and WebSocket peers that a test scripts (Ktor's name).

`engine.py` is what clients hold, `routes.py` says what a request meets, `responses.py` what
handlers return, `sockets.py` how handshakes are answered, `stage.py` where peers are run, `peer.py`
what scripts can do; `tap.py` and `conversation.py` keep what was said and tell what was wrong.
Nothing waits for real time.
"""

from ktor_client.engines._mock.conversation import Conversation, Entry, ExpectationError
from ktor_client.engines._mock.engine import MockEngine
from ktor_client.engines._mock.peer import MockPeerSession
from ktor_client.engines._mock.responses import MockResponse, respond
from ktor_client.engines._mock.sockets import MockAcceptance, accept

__all__ = [
    "Conversation",
    "Entry",
    "ExpectationError",
    "MockAcceptance",
    "MockEngine",
    "MockPeerSession",
    "MockResponse",
    "accept",
    "respond",
]
