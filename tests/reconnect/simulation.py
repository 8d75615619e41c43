"""Server, network and user at random, driven by one integer; an oracle judges what came of it.

All of it in virtual time, so a seed takes the same course each time. From the shell, many seeds:

    python -m tests.reconnect.simulation 0 100000
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Literal

from ktor_client import (
    Backoff,
    CloseReason,
    ConnectError,
    Connecting,
    ConnectionClosedError,
    DnsError,
    Failure,
    FeedEvent,
    Gap,
    HttpClient,
    Lost,
    Opened,
    Outbox,
    OutboxFullError,
    Receipt,
    ReconnectStoppedError,
    Retry,
    RetryPolicy,
    Sent,
    SequenceResume,
    Stopped,
    Waiting,
    WebSocketFeed,
    install,
)
from ktor_client.engines import MockEngine
from ktor_client.memory import pipe
from ktor_client.plugins import WebSockets
from ktor_client.testing import MockPeerSession, accept, respond
from tests.support.sequence_server import SequenceServer, Stream

URL = "ws://test/feed"
CODES = [1000, 1001, 1001, 1008, 1011, 1012, 1013, 4000]


class Broken(AssertionError):
    """The oracle disagrees."""


def expect(condition: bool, what: str) -> None:
    if not condition:
        raise Broken(what)


class World:
    """What one seed makes of server, network and user."""

    def __init__(self, seed: int) -> None:
        self.chance = chance = random.Random(seed)
        random.seed(seed)  # for jitter
        self.engine = MockEngine()
        self.clock = self.engine.clock
        self.is_calm = False
        """At the end the server works, so that everything comes to its end."""
        self.uses_sequence = chance.random() < 0.5
        self.outbox = Outbox(
            max_messages=chance.choice([1, 3, 10, 256]),
            max_bytes=chance.choice([100, 2000, 1 << 20]),
            when_full=chance.choice(["wait", "wait", "drop_oldest", "error"]),
            mode=chance.choice(["at_most_once", "at_least_once"]),
            expires=chance.choice([None, None, 3, 30]),
        )
        self.max_age = chance.choice([None, None, 5, 40])
        self.overlap = chance.random() < 0.4
        self.policy = RetryPolicy(
            Backoff(first=chance.choice([0.1, 1]), longest=10),
            stable_after=chance.choice([0, 10]),
            max_attempts=chance.choice([None, None, None, 4]),
            decide=chance.choice([None, self.goes_on]),
        )
        self.kernel = chance.choice([0, 300, pipe.KERNEL])
        """Bytes that leave at once, whatever becomes of the connection."""
        self.lags = False
        """Whether the server may hear late what came over a connection that is gone."""
        self.generations = 0
        self.listening: set[asyncio.Future[None]] = set()
        self.heard: list[tuple[int, str]] = []
        """What came, without sequences: number of the connection, and the message."""
        self.attempts = 0
        self.server = SequenceServer(acknowledge_every=chance.choice([1, 1, 3]))
        self.engine.on_handshake("/feed", self.decide)

    @property
    def stream(self) -> Stream | None:
        return next(iter(self.server.streams.values()), None)

    @staticmethod
    def goes_on(failure: Failure) -> Retry | None:
        """Let nearly nothing be the end."""
        is_meant = failure.reason is not None and failure.reason.code == 1000
        return None if is_meant else Retry()

    # --- the server

    async def decide(self, request: object) -> Any:
        self.attempts += 1
        chance, faults = self.chance, self.engine.faults
        faults.clear()
        if self.is_calm:
            return accept(self.serve)
        what = chance.random()
        if what < 0.15:
            return ConnectError("refused")
        if what < 0.2:
            return DnsError("no such host")
        if what < 0.25:
            headers = {"Retry-After": str(chance.randint(0, 5))}
            return respond(status=chance.choice([503, 429]), headers=headers)
        if what < 0.26:
            return respond(status=chance.choice([401, 403]))
        if what < 0.3:
            await self.clock.sleep(chance.uniform(0.1, 20))  # beyond open_timeout, perhaps
        if what < 0.6:
            ways: list[Literal["client", "server"]] = ["client", "server"]
            way = chance.choice(ways)
            if chance.random() < 0.3:
                self.lags = True  # time does not wait for hundreds of pieces
                faults.split(chance.choice([1, 7, 100]), towards="both")
            if chance.random() < 0.3:
                self.lags = True
                faults.delay(chance.choice([0.01, 0.3]), towards=way)
            if chance.random() < 0.6:
                after = chance.choice([0, 5, 50, 500, 3000, 20_000])
                faults.drop(chance.randint(0, after), towards=way)
        return accept(self.serve)

    async def serve(self, session: MockPeerSession) -> None:
        self.generations += 1
        number = self.generations
        listening = asyncio.ensure_future(self.listen(session, number))
        self.listening.add(listening)
        try:
            with suppress(ConnectionClosedError):
                await self.act(session, number)
            with self.clock.passing():
                await asyncio.wait({listening})
        finally:
            listening.cancel()
            await asyncio.wait({listening})
            self.listening.discard(listening)

    async def listen(self, session: MockPeerSession, number: int) -> None:
        if self.uses_sequence:
            with suppress(ConnectionClosedError, ValueError):
                await self.server.serve(session)
            return
        with suppress(ConnectionClosedError):
            async for message in session:
                assert isinstance(message, str)
                self.heard.append((number, message))

    async def act(self, session: MockPeerSession, number: int) -> None:
        """Say things, and end the connection in some way."""
        chance, said = self.chance, 0
        while session.is_open:
            await self.clock.sleep(chance.choice([0.001, 0.1, 1, 7]))
            if not session.is_open:
                return
            for _ in range(chance.choice([0, 1, 1, 5, 30])):
                if not self.uses_sequence:
                    await session.send(f"{number}:{said}")
                    said += 1
                elif self.stream is not None:
                    await self.stream.send(str(self.stream.sent + 1))
            if self.is_calm:
                if self.uses_sequence and self.stream is not None:
                    await session.send(f"ack {self.stream.last}")
                continue
            what = chance.random()
            if what < 0.1:
                await session.close(CloseReason(chance.choice(CODES)))
            elif what < 0.15:
                session.drop()
            elif what < 0.18:
                self.lags = True
                await session.stall(chance.uniform(1, 100))

    # --- the user

    async def run(self) -> None:
        options: dict[str, Any] = {"outbox": self.outbox, "policy": self.policy}
        if self.uses_sequence:
            options["resume"] = SequenceResume(acknowledge_every=self.chance.choice([1, 4, 100]))
        plugin = install(WebSockets, ping_interval=5, timeout=5, close_timeout=3, open_timeout=8)
        before = asyncio.all_tasks()
        user = User(self)
        async with self.engine, HttpClient(self.engine, plugin) as client:
            statement = client.web_socket_reconnecting(
                URL, overlap=self.overlap, max_age=self.max_age, **options
            )
            async with statement as feed:
                await user.use(feed)
            tasks = asyncio.all_tasks() - before - self.engine._stage._peers - self.listening
            expect(not tasks, f"tasks were left: {tasks}")
        user.judge()
        clock: Any = self.clock
        left = [str(timer) for _, _, timer in clock._timers if not timer.cancelled()]
        left = [timer for timer in left if "_Way." not in timer]  # bytes that are under way
        expect(not left, f"timers were left: {left}")


class User:
    """Sends, receives, looks, and leaves."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.chance = world.chance
        self.sent: list[tuple[str, Receipt, bool]] = []
        """Text, receipt, and whether it has a key: then its place may be another one's."""
        self.items: list[str | bytes | FeedEvent] = []
        self.stopped = False
        self.closed_at_last = False

    async def use(self, feed: WebSocketFeed) -> None:
        world, chance = self.world, self.chance
        receiving = asyncio.ensure_future(self.receive(feed))
        senders = range(chance.choice([1, 1, 3]))
        sending = [asyncio.ensure_future(self.send(feed, who)) for who in senders]
        for _ in range(chance.randint(1, 12)):
            await world.clock.sleep(chance.choice([0.1, 1, 10]))
            if chance.random() < 0.2:
                feed.retry_now()
        if chance.random() < 0.15:
            feed.cancel()
        elif chance.random() < 0.5:
            world.is_calm = True
            with world.clock.passing():
                await asyncio.wait(sending)
            limit = world.clock.time() + 300
            with suppress(ReconnectStoppedError):
                while world.clock.time() < limit:
                    await world.clock.sleep(1)
                    await feed.opened()
                    ledger = feed._running.sending.ledger
                    if not len(ledger) and not ledger._given:
                        break
                else:
                    raise Broken("a calm server is not enough to empty the outbox")
                self.closed_at_last = True
        if chance.random() < 0.7:
            await feed.close()
        for task in sending:
            task.cancel()
        await asyncio.wait(sending)
        for task in sending:
            if not task.cancelled():
                task.result()
        if chance.random() < 0.5:
            await feed.close()
        if feed.state == "stopped":
            await receiving
        else:
            receiving.cancel()
            await asyncio.wait({receiving})
            if not receiving.cancelled():
                receiving.result()

    async def receive(self, feed: WebSocketFeed) -> None:
        chance = self.chance
        with suppress(ReconnectStoppedError):
            async for item in feed.merged():
                self.items.append(item)
                if chance.random() < 0.02:
                    await self.world.clock.sleep(chance.choice([0.01, 5]))

    async def send(self, feed: WebSocketFeed, who: int) -> None:
        chance, ledger = self.chance, feed._running.sending.ledger
        outbox = self.world.outbox
        try:
            for number in range(chance.choice([0, 5, 40, 150])):
                key = chance.choice([None, None, None, "a", "b"])
                text = f"{who}:{number}:" + "x" * chance.choice([0, 10, 90, 300, 5000])
                try:
                    receipt = await asyncio.wait_for(feed.send(text, key=key), None)
                except OutboxFullError:
                    continue
                self.sent.append((text.partition("x")[0], receipt, key is not None))
                expect(
                    ledger.waiting_bytes == sum(e.size for e in ledger._waiting.values()),
                    "the books do not add up",
                )
                expect(
                    len(ledger) <= outbox.max_messages + self.repeated(ledger),
                    "more waits than may",
                )
                if chance.random() < 0.3:
                    await self.world.clock.sleep(chance.choice([0.001, 0.2, 3]))
        except (ReconnectStoppedError, asyncio.CancelledError):
            pass

    @staticmethod
    def repeated(ledger: Any) -> int:
        """How many messages wait that a link had before, or that may be in the place of such."""
        waiting = ledger._waiting.values()
        return 1 + sum(1 for entry in waiting if entry.end or entry.key is not None)

    # --- the oracle

    def judge(self) -> None:
        self.judge_receipts()
        self.judge_stream()
        self.judge_events()

    def judge_receipts(self) -> None:
        world = self.world
        if world.uses_sequence:
            streams = list(world.server.streams.values())
            expect(len(streams) <= 1, "one feed is one stream")
            log = [str(message) for stream in streams for _, message in stream.received]
        else:
            log = [message for _, message in world.heard]
        log = [text.partition("x")[0] for text in log]
        counts: dict[str, int] = {}
        for text in log:
            counts[text] = counts.get(text, 0) + 1
        verdicts = {text: receipt.verdict for text, receipt, _ in self.sent}
        for text, verdict in verdicts.items():
            expect(verdict is not None, f"{text} has no verdict")
            count = counts.get(text, 0)
            if verdict is Sent.NOT_SENT:
                expect(count == 0, f"{text} was not sent, and arrived")
            if verdict is Sent.ACKNOWLEDGED:
                expect(count == 1, f"{text} is acknowledged, and arrived {count} times")
                expect(world.uses_sequence, "who acknowledged it?")
            if verdict is Sent.WRITTEN:
                expect(not world.uses_sequence, "written is not final with receipts")
            if world.outbox.mode == "at_most_once" or world.uses_sequence:
                expect(count <= 1, f"{text} arrived {count} times")
        if self.closed_at_last and world.outbox.mode == "at_least_once":
            allowed = {Sent.ACKNOWLEDGED if world.uses_sequence else Sent.WRITTEN, Sent.NOT_SENT}
            found = set(verdicts.values())
            expect(found <= allowed, f"{found} at the end of a calm time")
        self.judge_order(log)

    def judge_order(self, log: list[str]) -> None:
        """Compare what came with what was sent, but for keys: those may take another's place."""
        world, sent = self.world, [text for text, _, has_key in self.sent if not has_key]
        places = {text: at for at, text in enumerate(sent)}
        if not world.lags or world.uses_sequence:
            connections = [log]
        else:  # order is a connection's own affair
            numbers = sorted({number for number, _ in world.heard})
            connections = [
                [m.partition("x")[0] for n, m in world.heard if n == number] for number in numbers
            ]
        for heard in connections:
            first = [text for text in dict.fromkeys(heard) if text in places]
            for who in "012":  # one sender's `send` may return behind a later one of another's
                came = [places[text] for text in first if text[0] == who]
                expect(came == sorted(came), f"messages of {who} are out of order")

    def judge_stream(self) -> None:
        messages = [str(item) for item in self.items if isinstance(item, str)]
        if self.world.uses_sequence:
            seen = 0
            for item in self.items:
                if isinstance(item, Gap):
                    raise Broken(f"{item} in a sequence that is never forgotten")
                if isinstance(item, str):
                    expect(int(item) == seen + 1, f"{item} came behind {seen}")
                    seen = int(item)
            return
        last = (0, -1)
        for message in messages:
            generation, number = map(int, message.split(":"))
            follows = generation == last[0] and number == last[1] + 1
            begins = generation > last[0] and number == 0
            expect(follows or begins, f"{message} came behind {last}")
            last = generation, number

    def judge_events(self) -> None:
        generation, opened_at = 0, 0
        kinds: list[type] = []
        for item in self.items:
            if isinstance(item, str | bytes):
                expect(generation > 0, "a message before there was a connection")
                continue
            expect(not kinds or kinds[-1] is not Stopped, f"{item} behind the last event")
            if isinstance(item, Opened):
                expect(item.generation == generation + 1, f"{item} behind {generation}")
                generation = item.generation
            if isinstance(item, Connecting) and kinds and not self.world.overlap:
                expect(kinds[-1] in (Waiting, Lost), f"an attempt behind {kinds[-1]}")
            if isinstance(item, Waiting):
                expect(kinds[-1] in (Lost, Waiting), f"a wait behind {kinds[-1]}")
            kinds.append(type(item))
        expect(opened_at <= generation, "")
        if kinds:
            expect(kinds[0] is Connecting, "the first thing is an attempt")


async def simulate(seed: int) -> None:
    """Run one seed. Raises `Broken` where the oracle disagrees."""
    world, kernel = World(seed), pipe.KERNEL
    pipe.KERNEL = world.kernel
    try:
        async with asyncio.timeout(1800):  # of the clock on the wall: a machine may be very busy
            await world.run()
    except TimeoutError as error:
        raise Broken(f"seed {seed} does not come to its end") from error
    except BaseException as error:
        error.add_note(f"seed {seed}")
        raise
    finally:
        pipe.KERNEL = kernel


def main(begin: int, end: int, run: Callable[[int], Any] = simulate) -> int:
    failed = 0
    for seed in range(begin, end):
        try:
            asyncio.run(run(seed), debug=False)
        except Exception as error:
            failed += 1
            print(f"seed {seed}: {type(error).__name__}: {error}", flush=True)
        if seed % 1000 == 999:
            print(f"{seed + 1 - begin} seeds, {failed} failed", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(bool(main(int(sys.argv[1]), int(sys.argv[2]))))
