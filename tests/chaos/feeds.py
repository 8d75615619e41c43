"""A feed on real sockets, through a network that cuts each of its connections somewhere.

Every message is accounted for: what the receipts said is held against what the server has had. From
the shell, as long as one likes (`make chaos` is a million messages each way, ten thousand cuts):

    python -m tests.chaos.feeds --messages 1000000 --faults 10000
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from collections import Counter, deque
from dataclasses import dataclass, field

from ktor_client import (
    Backoff,
    HttpClient,
    Outbox,
    Receipt,
    RetryPolicy,
    Sent,
    SequenceResume,
    install,
)
from ktor_client.engine.registry import EngineFactory, engine_class
from ktor_client.plugins import WebSockets
from ktor_client.testing import Exchange, echo_server
from tests.support.chaos_proxy import Plan, Way, chaos_proxy
from tests.support.sequence_server import SequenceServer, Stream

POLICY = RetryPolicy(Backoff(first=0.001, longest=0.01))
AHEAD = 200
"""Messages that may be under way each way."""
HANDSHAKE = 200
"""Bytes of a handshake each way, about."""
OFTEN = 0.25
"""How far apart cuts are, as a part of what would be enough for all of them."""
SIZES = (4, 4, 4, 30, 30, 400, 3000)
"""Bytes of messages beyond their numbers; cuts fall into them, before and behind."""


class Disagreement(AssertionError):
    """The report and the server's log do not agree."""


@dataclass
class Report:
    """What came of one run."""

    sequence: bool
    mode: str
    messages: int
    verdicts: Counter[Sent] = field(default_factory=Counter)
    cuts: int = 0
    connections: int = 0
    received: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        told = ", ".join(f"{self.verdicts[one]} {one.value}" for one in Sent if self.verdicts[one])
        kind = "SequenceResume" if self.sequence else "no resume"
        return (
            f"{kind}, {self.mode}: {self.messages} sent ({told}), {self.received} received, over "
            f"{self.connections} connections with {self.cuts} cuts, in {self.seconds:.1f} s"
        )


class Run:
    """One feed, one server, and the network in between."""

    def __init__(self, *, sequence: bool, mode: str, messages: int, faults: int, seed: int) -> None:
        self.report = Report(sequence, mode, messages)
        self.faults = faults
        self.chance = random.Random(seed)
        self.heard = bytearray(messages)
        """How often each message has come to the server."""
        self.last_heard = -1
        self.verdicts = bytearray(messages)
        self.server = SequenceServer(self.hear, acknowledge_every=16, idle=0.05)
        self.said = 0

    @property
    def comes_once(self) -> bool:
        """Whether the server must not have a message twice."""
        return self.report.sequence or self.report.mode == "at_most_once"

    # --- network

    def next_plan(self) -> Plan:
        """Cut each connection, while there are faults left."""
        self.report.connections += 1
        if self.report.cuts >= self.faults:
            return Plan()
        chance, report = self.chance, self.report
        left = (report.messages - self.last_heard) / (self.faults - report.cuts)
        report.cuts += 1
        is_up = chance.random() < 0.5 or not report.sequence
        way: Way = "up" if is_up else "down"
        each = sum(SIZES) / len(SIZES) + 16 if is_up else 10
        at = HANDSHAKE + int(chance.expovariate(1 / (1 + OFTEN * left * each)))
        if chance.random() < 0.05:
            at = chance.randint(0, HANDSHAKE // 2)
        return Plan(
            cut=(way, at),
            how="fin" if chance.random() < 0.5 else "reset",
            split=chance.choice([None, None, None, 1000]),
        )

    # --- server

    async def serve(self, exchange: Exchange) -> None:
        async with exchange.accept() as session:
            if self.report.sequence:
                await self.server.serve(session)
                return
            async for message in session:
                self.hear(None, message)

    def hear(self, _: Stream | None, message: str | bytes) -> None:
        assert isinstance(message, str)
        number = int(message.partition(" ")[0])
        if number <= self.last_heard and self.comes_once:
            raise Disagreement(f"{number} came behind {self.last_heard}")
        self.last_heard = max(self.last_heard, number)
        self.heard[number] = min(255, self.heard[number] + 1)

    async def speak(self) -> None:
        """Send the client as many messages as it sends."""
        while self.said < self.report.messages:
            stream = next(iter(self.server.streams.values()), None)
            if stream is None or len(stream.kept) >= AHEAD:
                await asyncio.sleep(0.001)
                continue
            for _ in range(min(50, self.report.messages - self.said)):
                self.said += 1
                await stream.send(str(self.said))
            await asyncio.sleep(0)

    # --- client

    async def run(self, engine: EngineFactory) -> Report:
        report, begun = self.report, time.monotonic()
        async with echo_server() as server, chaos_proxy(server.port) as proxy:
            server.routes["/feed"] = self.serve
            proxy.next_plan = self.next_plan
            resume = SequenceResume() if report.sequence else None
            outbox = Outbox(mode=report.mode)  # type: ignore[arg-type]  # one of the two
            async with HttpClient(engine, install(WebSockets, close_timeout=2)) as client:
                statement = client.web_socket_reconnecting(
                    f"ws://127.0.0.1:{proxy.port}/feed",
                    policy=POLICY,
                    outbox=outbox,
                    resume=resume,
                )
                async with statement as feed, asyncio.TaskGroup() as tasks:
                    if report.sequence:
                        tasks.create_task(self.speak())
                        tasks.create_task(self.listen(feed))
                    await self.send(feed)
        report.seconds = time.monotonic() - begun
        self.compare()
        return report

    async def send(self, feed: object) -> None:
        waiting: deque[tuple[int, Receipt]] = deque()
        for number in range(self.report.messages):
            text = f"{number} " + "x" * self.chance.choice(SIZES)
            waiting.append((number, await feed.send(text)))  # type: ignore[attr-defined]
            while len(waiting) > AHEAD:
                await self.settle(*waiting.popleft())
            if number % 20 == 0:  # without receipts nothing else holds it back
                await asyncio.sleep(0 if self.report.sequence else 0.001)
        while waiting:
            await self.settle(*waiting.popleft())

    async def settle(self, number: int, receipt: Receipt) -> None:
        verdict = await receipt
        self.report.verdicts[verdict] += 1
        self.verdicts[number] = list(Sent).index(verdict) + 1

    async def listen(self, feed: object) -> None:
        while self.report.received < self.report.messages:
            text = await feed.receive_text()  # type: ignore[attr-defined]
            self.report.received += 1
            if int(text) != self.report.received:
                raise Disagreement(f"{text} came behind {self.report.received - 1}")

    def compare(self) -> None:
        """Hold the report against the server's log, message for message."""
        report = self.report
        for number in range(report.messages):
            verdict = list(Sent)[self.verdicts[number] - 1]
            times = self.heard[number]
            if verdict is Sent.ACKNOWLEDGED and times != 1:
                raise Disagreement(f"{number} is acknowledged, and came {times} times")
            if verdict is Sent.NOT_SENT and times:
                raise Disagreement(f"{number} was not sent, and came {times} times")
            if times > 1 and self.comes_once:
                raise Disagreement(f"{number} came {times} times")
        if report.sequence and report.mode == "at_least_once":
            if report.verdicts[Sent.ACKNOWLEDGED] != report.messages:
                raise Disagreement(f"of {report.messages} messages: {report.verdicts}")


async def run(
    engine: EngineFactory, *, sequence: bool, mode: str, messages: int, faults: int, seed: int = 1
) -> Report:
    """Run one feed. Raises `Disagreement`."""
    made = Run(sequence=sequence, mode=mode, messages=messages, faults=faults, seed=seed)
    return await made.run(engine)


KINDS = [(True, "at_least_once"), (True, "at_most_once"), (False, "at_most_once")]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--engine", action="append", choices=["aiohttp", "httpx", "cio"])
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    for name in options.engine or ["aiohttp", "httpx", "cio"]:
        for sequence, mode in KINDS:
            made = run(
                engine_class(name),
                sequence=sequence,
                mode=mode,
                messages=options.messages,
                faults=options.faults,
                seed=options.seed,
            )
            print(f"{name}: {asyncio.run(made)}", flush=True)


if __name__ == "__main__":
    main()
