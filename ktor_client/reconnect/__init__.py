"""Sessions that come back: the loop, the steady feed, its outbox and its receipts.

Above sessions, below the client, which it sees as a `Source`. When to try again is said in
`retry/`; nothing here knows an engine.
"""

from ktor_client.reconnect.events import (
    Connecting,
    FeedEvent,
    Gap,
    Lost,
    Opened,
    Stopped,
    Waiting,
)
from ktor_client.reconnect.feed import WebSocketFeed
from ktor_client.reconnect.options import FeedState
from ktor_client.reconnect.outbox import Outbox, Receipt, Sent
from ktor_client.reconnect.resume import (
    Position,
    PositionResume,
    Resume,
    Resumed,
    SequenceResume,
)
from ktor_client.reconnect.session import ReconnectingSession
from ktor_client.reconnect.statement import ReconnectingStatement

__all__ = [
    "Connecting",
    "FeedEvent",
    "FeedState",
    "Gap",
    "Lost",
    "Opened",
    "Outbox",
    "Position",
    "PositionResume",
    "Receipt",
    "ReconnectingSession",
    "ReconnectingStatement",
    "Resume",
    "Resumed",
    "Sent",
    "SequenceResume",
    "Stopped",
    "Waiting",
    "WebSocketFeed",
]
