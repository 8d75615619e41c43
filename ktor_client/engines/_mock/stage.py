"""Where the peers of a `MockEngine` are run: each from its client's 101 on, to the end of both."""

from __future__ import annotations

import asyncio
import inspect

from ktor_client.engine import WebSocketUpgrade
from ktor_client.engines._mock.conversation import Conversation, ExpectationError
from ktor_client.engines._mock.peer import MockPeerSession, Peer
from ktor_client.engines._mock.sockets import MockAcceptance, answer_handshake
from ktor_client.errors import ConnectionClosedError
from ktor_client.http import HttpRequest, redacted
from ktor_client.memory.faults import Faults
from ktor_client.memory.outcome import outcome
from ktor_client.memory.pipe import PipedLink, piped_links
from ktor_client.memory.real_clock import RealClock
from ktor_client.memory.virtual_clock import VirtualClock

__all__ = ["Stage"]

GRACE = 100
"""Steps of the loop that scripts have to end by themselves when the engine is closed."""


class Stage:
    """The running peers of an engine, their conversations, and what went wrong with them."""

    def __init__(self, clock: VirtualClock | RealClock, faults: Faults, patience: float) -> None:
        self.clock = clock
        self.conversations: list[Conversation] = []
        self.failures: list[ExpectationError] = []
        self._faults = faults
        self._patience = patience
        self._peers: set[asyncio.Task[None]] = set()
        self._links: set[PipedLink] = set()

    def open(self, request: HttpRequest, acceptance: MockAcceptance) -> WebSocketUpgrade:
        """Connect a client with the peer behind the 101, which runs when the client has seen it."""
        response, negotiated = answer_handshake(request, acceptance)
        conversation = Conversation(request)
        self.conversations.append(conversation)
        address = f"{request.url.host}:{request.url.port}"
        client, server = piped_links(self._faults, clock=self.clock, address=address)
        session = MockPeerSession(
            server,
            conversation,
            negotiated,
            self.clock,
            self._patience,
            acceptance.channels,
            raw=acceptance.raw,
        )
        abandoned = acceptance.abandoned

        def run() -> None:
            nonlocal abandoned
            abandoned = None
            name = f"MockEngine peer of {redacted(request.url)}"
            running = self._run(acceptance.peer, session)
            task = asyncio.get_running_loop().create_task(running, name=name)
            self._peers.add(task)
            task.add_done_callback(self._peers.discard)

        def lost() -> None:
            self._links.discard(client)
            session._left()
            if abandoned is not None:
                abandoned()

        self._links.add(client)
        client.watch(run, lost)  # a client that refuses our 101 never meets the peer
        return WebSocketUpgrade(response, client)

    async def clear(self) -> None:
        """Drop what is open, give scripts the time to notice, and cancel those that do not."""
        for link in list(self._links):
            link.abort()
        self._peers -= {task for task in self._peers if task.get_loop().is_closed()}
        for _ in range(GRACE):
            if not self._peers:
                return
            await asyncio.sleep(0)
        for task in list(self._peers):
            task.cancel()
        while self._peers:
            await asyncio.wait(list(self._peers))

    def take_failures(self) -> list[ExpectationError]:
        """Return what went wrong until now, once."""
        problems = self.failures.copy()
        self.failures.clear()
        for conversation in self.conversations:
            if conversation.expected is not None:
                wanted, conversation.expected = conversation.expected, None
                problems.append(
                    conversation.failure(f"expected {wanted}, but the test ended before it came")
                )
        return problems

    async def _run(self, peer: Peer, session: MockPeerSession) -> None:
        """Run a peer's script to its end, and see to it that the WebSocket ends too."""
        try:
            error = await outcome("it", self._play, peer, session)
        except asyncio.CancelledError:
            session.cancel()
            raise
        if isinstance(error, KeyboardInterrupt | SystemExit):
            session.cancel()
            raise error
        session.conversation.expected = None  # if it did not wait for it to the end
        if error is not None:
            if isinstance(error, ExpectationError):
                failure = error
            else:
                failure = session.conversation.failure(
                    f"the script failed: {type(error).__name__}: {error}"
                )
                failure.__cause__ = error
            self.failures.append(failure.again())
            session._fail(failure)

    async def _play(self, peer: Peer, session: MockPeerSession) -> None:
        try:
            script: object = peer(session)
            if not inspect.isawaitable(script):
                raise TypeError("a peer is a coroutine function: async def peer(session)")
            await script
        except ConnectionClosedError:
            if session.is_open:
                raise
        with self.clock.passing():
            await session.close()
        session._check_leftovers()
