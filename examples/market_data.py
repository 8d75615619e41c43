"""A feed of many symbols: one session each, bounded channels, a slow reader, statistics.

    python examples/market_data.py [--symbols N] [--ticks N]

A server of its own sends as fast as it is let. One symbol's reader is slow: its channel fills,
reading pauses, the server waits, and nobody else does.
"""

import argparse
import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ktor_client import (
    Channels,
    DefaultClientWebSocketSession,
    HttpClient,
    SessionStatistics,
    bounded,
    install,
)
from ktor_client.plugins import JsonConverter, WebSockets
from ktor_client.testing import Exchange, echo_server

Handler = Callable[[Exchange], Awaitable[None]]

WAITING = 32
"""Messages of a symbol that may wait before its feed is paused. What one read of the socket has
brought is queued to its end, which can be thousands of messages as small as these."""


@dataclass
class Tick:
    symbol: str
    number: int
    price: float


@dataclass
class Summary:
    symbol: str
    ticks: int
    low: float
    high: float
    longest_queue: int
    statistics: SessionStatistics


def feed(converter: JsonConverter) -> Handler:
    async def send_ticks(exchange: Exchange) -> None:
        """[symbol=][&ticks=]: a random walk, then Close 1000."""
        symbol, price = exchange.query["symbol"], 100.0
        walk = random.Random(symbol)
        async with exchange.accept() as session:
            for number in range(exchange.number("ticks", 1000)):
                price += walk.choice((-0.01, 0.01))
                await session.send(converter.serialize(Tick(symbol, number, round(price, 2))))

    return send_ticks


async def follow(
    session: DefaultClientWebSocketSession, symbol: str, ticks: int, *, slow: bool
) -> Summary:
    prices: list[float] = []
    longest = 0
    for expected in range(ticks):
        tick = await session.receive_deserialized(Tick)
        assert tick.number == expected, "a feed has no gaps"
        prices.append(tick.price)
        longest = max(longest, len(session.incoming))
        if slow and expected % 100 == 0:
            await asyncio.sleep(0.01)
    return Summary(symbol, len(prices), min(prices), max(prices), longest, session.statistics)


async def main(symbols: int, ticks: int) -> list[Summary]:
    converter = JsonConverter()
    channels = Channels(incoming=bounded(WAITING))
    plugin = install(WebSockets, channels=channels, content_converter=converter)

    async def one(symbol: str, *, slow: bool) -> Summary:
        params = {"symbol": symbol, "ticks": ticks}
        async with client.web_socket(f"{server.url}/feed", params=params) as session:
            return await follow(session, symbol, ticks, slow=slow)

    async with echo_server() as server, HttpClient(None, plugin) as client:
        server.routes["/feed"] = feed(converter)
        async with asyncio.TaskGroup() as tasks:
            names = [f"SYM{number:02}" for number in range(symbols)]
            running = [tasks.create_task(one(name, slow=name == names[0])) for name in names]
    return [task.result() for task in running]


def show(summaries: list[Summary]) -> None:
    print("symbol  ticks     low    high  longest queue  bytes in")
    for one in summaries:
        print(
            f"{one.symbol}  {one.ticks:>6}  {one.low:>6.2f}  {one.high:>6.2f}"
            f"  {one.longest_queue:>13}  {one.statistics.bytes_received:>8}"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--symbols", type=int, default=8)
    parser.add_argument("--ticks", type=int, default=10_000)
    options = parser.parse_args()
    show(asyncio.run(main(options.symbols, options.ticks)))
