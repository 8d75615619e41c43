"""A market data bot that survives its server: token, subscription, resume, log, Ctrl-C.

    python examples/market_data.py --demo

starts a server in another process, kills it twice while the bot works, and restarts it. A killed
server forgets its tokens, and the market does not wait. Still the bot receives every tick, once and
in order, and says so at the end. To run both yourself, in two terminals (Ctrl-C ends each):

    python examples/market_data.py --serve 8080
    python examples/market_data.py ws://127.0.0.1:8080
"""

import argparse
import asyncio
import json
import logging
import random
import secrets
import sys
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from urllib.parse import parse_qs

from ktor_client import (
    Backoff,
    ConnectionClosedError,
    DefaultClientWebSocketSession,
    FeedEvent,
    Gap,
    HttpClient,
    Lost,
    Opened,
    PositionResume,
    Resumed,
    RetryPolicy,
    Stopped,
    Url,
    Waiting,
    install,
)
from ktor_client.plugins import Auth, BearerAuth, BearerTokens, RefreshTokensParams, WebSockets
from ktor_client.testing import EchoServer, Exchange, Response, echo_server

log = logging.getLogger("bot")

SYMBOLS = ("ADA", "BYR", "CHU")
POLICY = RetryPolicy(Backoff(first=0.25, longest=2))


@dataclass
class Tick:
    number: int
    symbol: str
    price: float


# --- the bot ---


@dataclass
class Book:
    """What the bot knows of the market."""

    first: int = 0
    last: int = 0
    connections: int = 0
    prices: dict[str, list[float]] = field(default_factory=dict)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, tick: Tick) -> None:
        assert not self.last or tick.number > self.last, "a feed never goes back"
        self.first, self.last = self.first or tick.number, tick.number
        self.prices.setdefault(tick.symbol, []).append(tick.price)
        self._changed.set()

    @property
    def ticks(self) -> int:
        return sum(map(len, self.prices.values()))

    async def reaches(self, ticks: int) -> None:
        while self.ticks < ticks:
            self._changed.clear()
            await self._changed.wait()

    def lines(self) -> Iterator[str]:
        yield "symbol  ticks     low    high"
        for symbol, prices in sorted(self.prices.items()):
            yield f"{symbol:6}  {len(prices):>5}  {min(prices):>6.2f}  {max(prices):>6.2f}"
        missing = self.last - self.first + 1 - self.ticks
        yield f"{self.ticks} ticks over {self.connections} connections, {missing} missing"


def auth(base: str) -> BearerAuth:
    """Tokens from the service; a 401 fetches a new one, once for all who wait."""

    async def refresh(params: RefreshTokensParams) -> BearerTokens | None:
        response = await params.client.post(f"{base}/token", form={"user": "bot"})
        if response.status != 200:
            return None
        log.info("the token was refused; fetched a new one")
        return BearerTokens(await response.body_as_text())

    async def load() -> BearerTokens:
        return BearerTokens("of yesterday")

    return BearerAuth(load, refresh)


async def subscribe(session: DefaultClientWebSocketSession) -> None:
    """Say what we want, on each connection."""
    await session.send(json.dumps({"subscribe": SYMBOLS}))


async def go_on(session: DefaultClientWebSocketSession, position: object) -> Resumed:
    """Ask for what comes behind the last tick; the server says whether it still has that."""
    after = getattr(position, "offset", None)
    await session.send(json.dumps({"after": after}))
    answer = json.loads(await session.receive_text())
    return Resumed(complete=answer["complete"])


def number_of(message: str | bytes) -> int:
    return int(json.loads(message)["number"])


def tell(event: FeedEvent, book: Book) -> None:
    """Log what happens to the connections, and keep count of it."""
    match event:
        case Opened(generation, resumed):
            book.connections = generation
            log.info("connected%s", f", goes on behind tick {book.last}" if resumed else "")
        case Lost(failure):
            what = "connection lost" if failure.was_open else "no connection"
            log.warning("%s: %s", what, failure.error)
        case Waiting(delay):
            log.info("trying again in %.2f s", delay)
        case Gap(after, before, missed):
            log.error("%s ticks are missing between %s and %s", missed, after, before)
        case Stopped():
            log.info("stopped")
        case _:
            pass


async def follow(url: str, book: Book, ticks: int | None = None) -> None:
    """Keep the book up to date, until it has so many ticks or the task is cancelled."""
    base = Url.parse(url).as_http.rstrip("/")
    plugins = install(WebSockets), install(Auth, providers=[auth(base)])
    async with HttpClient(None, *plugins) as client:
        async with client.web_socket_reconnecting(
            f"{url.rstrip('/')}/feed",
            policy=POLICY,
            on_open=subscribe,
            resume=PositionResume(go_on, number_of),
        ) as feed:
            async for item in feed.merged():
                if isinstance(item, str | bytes):
                    book.take(Tick(**json.loads(item)))
                    if book.ticks == ticks:
                        return
                else:
                    tell(item, book)


# --- the server ---


class Market:
    """Tick n is due at `began + n * every`, whether anybody serves it or not."""

    def __init__(self, server: EchoServer, began: float, every: float) -> None:
        self._began = began
        self._every = every
        self._tokens: set[str] = set()
        server.routes |= {"/token": self.token, "/feed": self.feed}

    @staticmethod
    def tick(number: int, symbols: list[str]) -> Tick:
        chance = random.Random(number)
        return Tick(number, chance.choice(symbols), round(100 + chance.gauss(0, 2), 2))

    async def token(self, exchange: Exchange) -> Response:
        """Give a token to who says who they are; this process alone knows it."""
        if parse_qs((await exchange.body()).decode()) != {"user": ["bot"]}:
            return Response(403, "who are you?")
        token = secrets.token_hex(16)
        self._tokens.add(token)
        return Response(200, token)

    async def feed(self, exchange: Exchange) -> Response | None:
        """Send the ticks of some symbols, from behind a number on."""
        scheme, _, token = exchange.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or token not in self._tokens:
            return Response(401, "get a token", headers={"WWW-Authenticate": "Bearer"})
        async with exchange.accept() as session:
            symbols = json.loads(await session.receive_text())["subscribe"]
            after = json.loads(await session.receive_text())["after"]
            await session.send(json.dumps({"complete": True}))
            number = int((time.time() - self._began) / self._every) if after is None else after
            with suppress(ConnectionClosedError):
                while True:
                    number += 1
                    due = self._began + number * self._every - time.time()
                    await asyncio.sleep(max(due, self._every / 10))  # what was missed, fast
                    await session.send(json.dumps(asdict(self.tick(number, symbols))))
        return None


async def serve(port: int, began: float, every: float) -> None:
    async with echo_server(port=port) as server:
        Market(server, began, every)
        print(server.url, flush=True)
        await asyncio.Event().wait()


# --- the demonstration ---


@asynccontextmanager
async def server_process(port: int, began: float) -> AsyncGenerator[str]:
    """Run the server in a process of its own, which does not get to say goodbye."""
    command = (sys.executable, __file__, "--serve", str(port), "--began", str(began))
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        yield (await process.stdout.readline()).decode().strip()
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def demonstrate(ticks: int, book: Book) -> None:
    began, port, url = time.time(), 0, ""
    stage = logging.getLogger("stage")
    async with asyncio.TaskGroup() as tasks:
        bot: asyncio.Task[None] | None = None
        for part in (1, 2, 3):
            async with server_process(port, began) as url:
                stage.info("the server is up at %s", url)
                port = Url.parse(url).port
                bot = bot or tasks.create_task(follow(url, book, ticks))
                await book.reaches(part * ticks // 3)
                if part == 3:
                    await bot
                    return
                stage.info("the server is killed")
            await asyncio.sleep(0.5)


def main(options: argparse.Namespace) -> None:
    logging.basicConfig(
        level=logging.INFO,
        format="%(relativeCreated)6d ms  %(name)-5s  %(message)s",
        stream=sys.stdout,
    )
    book = Book()
    with suppress(KeyboardInterrupt):
        if options.serve is not None:
            asyncio.run(serve(options.serve, options.began or time.time(), options.every))
            return
        asyncio.run(demonstrate(options.ticks, book) if options.demo else follow(options.url, book))
    if options.serve is None:
        print(*book.lines() if book.prices else ["no ticks"], sep="\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    kind = parser.add_mutually_exclusive_group(required=True)
    kind.add_argument("url", nargs="?", help="of a server: follow it until Ctrl-C")
    kind.add_argument("--serve", type=int, metavar="PORT", help="be the server; 0 is a free port")
    kind.add_argument("--demo", action="store_true", help="both, with kills in between")
    parser.add_argument("--ticks", type=int, default=900, help="of the demonstration")
    parser.add_argument("--every", type=float, default=0.005, help="seconds between ticks")
    parser.add_argument("--began", type=float, help="when the market began; now if left out")
    main(parser.parse_args())
